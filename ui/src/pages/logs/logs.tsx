// LogQL: lines with their volume, fields and patterns; new lines as they come; counts as a graph.
import { useEffect, useRef, useState } from "preact/hooks";
import type { ApiError } from "../../api/http";
import { ALL_LINES } from "../../logql/edit";
import { isLogQuery } from "../../logql/shape";
import { RangePicker, RangeSteps } from "../../parts/range";
import { remember } from "../../parts/recent";
import { go } from "../../state/route";
import type { LogsRoute, LogView } from "../../state/url";
import "../../style/lines.css";
import "../../style/logs.css";
import { Asking, type Language } from "../../parts/asking";
import { useKeys } from "../../parts/keys";
import { actionsOf } from "./actions";
import { Computed } from "./computed";
import { Fields } from "./fields";
import { LineList } from "./linelist";
import { useLines } from "./lines";
import { Patterns } from "./patterns";
import { useVolume, VolumePanel } from "./volume";

const VIEWS: readonly { view: LogView; name: string }[] = [
  { view: "lines", name: "Lines" },
  { view: "patterns", name: "Patterns" },
];

const LOGQL: Language = {
  page: "logs",
  name: "LogQL",
  example: '{service_name="api"} |= "error"',
  load: async (times) => {
    const [{ createWith }, { catalogueOf }] = await Promise.all([
      import("../../parts/logql/language"),
      import("../../parts/logql/catalogue"),
    ]);
    return createWith(catalogueOf(times));
  },
};

const KEYS: readonly (readonly [string, string])[] = [
  ["/", "query"],
  ["j k", "move"],
  ["Enter", "open"],
  ["w", "wrap"],
  ["l", "live"],
];

/** Refused for what was asked, not for a passing reason. */
function refusal(error: ApiError | null): ApiError | null {
  return error?.kind === "http" && error.status < 500 && error.status !== 429 ? error : null;
}

function Tools({ route, counts }: { route: LogsRoute; counts: boolean }) {
  const moving = "last" in route.range;
  return (
    <div class="tools">
      <RangePicker value={route.range} onChange={(range) => go({ ...route, range, line: "" })} />
      <RangeSteps value={route.range} onChange={(range) => go({ ...route, range, line: "", live: false })} />
      {!counts && (
        <fieldset class="segments" aria-label="Shown as">
          {VIEWS.map(({ view, name }) => (
            <button
              type="button"
              key={view}
              aria-pressed={route.view === view}
              onClick={() => go({ ...route, view })}
            >
              {name}
            </button>
          ))}
        </fieldset>
      )}
      <button
        type="button"
        class="switch switch-live"
        aria-pressed={route.live && moving}
        title={moving ? "Follow new lines (l)" : "Only with a range that ends now"}
        disabled={!moving}
        onClick={() => go({ ...route, live: !route.live, line: "" })}
      >
        Live
      </button>
      <ul class="keys" aria-label="Keys">
        {KEYS.map(([key, what]) => (
          <li key={key}>
            <kbd>{key}</kbd> {what}
          </li>
        ))}
      </ul>
    </div>
  );
}

/** The page. */
export function LogsPage({ route }: { route: LogsRoute }) {
  const query = route.q === "" ? ALL_LINES : route.q;
  const counts = !isLogQuery(query);
  const [asked, setAsked] = useState(0);
  const [failed, setFailed] = useState<ApiError | null>(null);
  const focus = useRef<() => void>(() => undefined);
  const actions = actionsOf(route, query);
  // The same query may be run again: what is there may be more by now.
  const key = `${query} ${JSON.stringify(route.range)} ${asked}`;
  const lines = useLines(`${key} ${route.live} ${route.live ? "" : route.order}`, query, route, counts);
  const volume = useVolume(key, query, route, counts);
  const refused = refusal(counts ? failed : (lines.error ?? volume.error));
  const shown = route.view === "lines";
  useEffect(() => remember("logs", route.q), [route.q]);
  useKeys({
    "/": () => focus.current(),
    l: () => "last" in route.range && go({ ...route, live: !route.live, line: "" }),
  });
  const run = (next: string): void => {
    const q = next === ALL_LINES ? "" : next;
    if (q === route.q) setAsked(asked + 1);
    else go({ ...route, q, line: "" });
  };
  return (
    <div class="explore logs">
      <h1 class="page-title">Logs</h1>
      <Asking
        language={LOGQL}
        query={query}
        range={route.range}
        error={refused}
        onRun={run}
        onFocusable={(next) => {
          focus.current = next;
        }}
      />
      <Tools route={route} counts={counts} />
      {counts ? (
        <Computed key={key} query={query} route={route} onSelect={actions.select} onError={setFailed} />
      ) : (
        <>
          {!refused && (
            <VolumePanel
              of={volume}
              fallback={lines.book.lines}
              route={route}
              onSelect={actions.select}
              onLevel={actions.filterLevel}
            />
          )}
          <div class="grid grid-main">
            {shown ? (
              <LineList
                key={`${key} ${route.live}`}
                lines={lines}
                route={route}
                actions={actions}
                refused={refused !== null}
              />
            ) : (
              <Patterns route={route} actions={actions} off={refused !== null} />
            )}
            <Fields lines={lines.book.lines} route={route} actions={actions} off={refused !== null} />
          </div>
        </>
      )}
    </div>
  );
}
