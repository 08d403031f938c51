// Searching traces, by form or by TraceQL: dots over time, numbers over time, the list.
import { useEffect, useRef, useState } from "preact/hooks";
import type { ApiError } from "../../api/http";
import { searchTraces } from "../../api/tempo";
import { count } from "../../format";
import { Asking, type Language, timesOfRange } from "../../parts/asking";
import { useKeys } from "../../parts/keys";
import { Body, Panel, Warnings } from "../../parts/panel";
import { RangePicker, RangeSteps } from "../../parts/range";
import { remember } from "../../parts/recent";
import { TraceNav } from "../../parts/tracenav";
import { useLive } from "../../state/live";
import { go } from "../../state/route";
import { TRACE_LIMITS, type TraceSort, type TracesRoute } from "../../state/url";
import { isMetricsQuery, withDuration } from "../../traceql/shape";
import "../../style/traces.css";
import { Computed } from "./computed";
import { SearchForm } from "./form";
import { Red } from "./red";
import { Results } from "./results";
import { Scatter } from "./scatter";

const TRACEQL: Language = {
  page: "traces",
  name: "TraceQL",
  example: '{ resource.service.name = "api" && duration > 100ms }',
  load: async (times) => {
    const [{ createWith }, { catalogueOf }] = await Promise.all([
      import("../../parts/traceql/language"),
      import("../../parts/traceql/catalogue"),
    ]);
    return createWith(catalogueOf(times));
  },
};

const SORTS: readonly { sort: TraceSort; name: string }[] = [
  { sort: "newest", name: "Newest" },
  { sort: "longest", name: "Longest" },
  { sort: "errors", name: "Most errors" },
];

/** Refused for what was asked, not for a passing reason. */
function refusal(error: ApiError | null): ApiError | null {
  return error?.kind === "http" && error.status < 500 && error.status !== 429 ? error : null;
}

function Tools({ route, counts }: { route: TracesRoute; counts: boolean }) {
  return (
    <div class="tools">
      <RangePicker value={route.range} onChange={(range) => go({ ...route, range })} />
      <RangeSteps value={route.range} onChange={(range) => go({ ...route, range })} />
      {!counts && (
        <label class="limit">
          At most{" "}
          <select
            value={String(route.limit)}
            onChange={(event) => go({ ...route, limit: Number(event.currentTarget.value) })}
          >
            {TRACE_LIMITS.map((limit) => (
              <option key={limit} value={String(limit)}>
                {limit.toLocaleString("en")}
              </option>
            ))}
          </select>{" "}
          traces
        </label>
      )}
    </div>
  );
}

/** What is found: dots, then rows. */
function Search({
  route,
  onError,
  asked,
}: {
  route: TracesRoute;
  onError: (error: ApiError | null) => void;
  asked: number;
}) {
  const moving = "last" in route.range;
  const loaded = useLive(
    `traces ${route.q} ${JSON.stringify(route.range)} ${route.limit} ${asked}`,
    async (signal) => {
      const window = timesOfRange(route.range);
      return { window, found: await searchTraces(route.q, window, route.limit, signal) };
    },
    moving ? 3 : "once",
  );
  useEffect(() => onError(refusal(loaded.error)), [loaded.error]);
  if (refusal(loaded.error)) return null;
  const found = loaded.data?.found;
  const isCut = found !== undefined && found.traces.length >= route.limit;
  const zoom = (from: number, to: number, min: string, max: string): void => {
    const q = withDuration(route.q, min, max) ?? route.q;
    go({ ...route, q, range: { from: Math.floor(from), to: Math.max(Math.ceil(to), Math.floor(from) + 1) } });
  };
  const aside = found && (
    <span>
      <b>{count(found.traces.length)}</b> {isCut ? "newest" : found.traces.length === 1 ? "trace" : "traces"}
    </span>
  );
  return (
    <>
      {found?.partial && (
        <Warnings of={[`Partial: ${found.partial} A shorter range or more conditions may find the rest.`]} />
      )}
      <Panel
        title="Duration"
        aside={
          <fieldset class="segments segments-small" aria-label="Colours">
            {(["status", "service"] as const).map((colour) => (
              <button
                type="button"
                key={colour}
                aria-pressed={route.colour === colour}
                onClick={() => go({ ...route, colour }, true)}
              >
                {colour === "status" ? "By errors" : "By service"}
              </button>
            ))}
          </fieldset>
        }
      >
        <Body
          of={loaded}
          height={216}
          isEmpty={({ found }) => found.traces.length === 0}
          empty={<Nothing route={route} />}
        >
          {({ window, found }) => (
            <Scatter
              traces={found.traces}
              window={window}
              isCut={found.traces.length >= route.limit}
              colour={route.colour}
              onZoom={zoom}
            />
          )}
        </Body>
      </Panel>
      <Red key={route.q} route={route} asked={asked} />
      {found && found.traces.length > 0 && (
        <Panel
          title="Traces"
          aside={
            <span class="list-aside">
              {aside}
              <fieldset class="segments segments-small" aria-label="Order">
                {SORTS.map(({ sort, name }) => (
                  <button
                    type="button"
                    key={sort}
                    aria-pressed={route.sort === sort}
                    onClick={() => go({ ...route, sort }, true)}
                  >
                    {name}
                  </button>
                ))}
              </fieldset>
            </span>
          }
        >
          {isCut && route.sort !== "newest" && (
            <p class="hint">
              Sorted are the {count(found.traces.length)} newest traces; there may be others. Raise the limit,
              or narrow the search.
            </p>
          )}
          <Results traces={found.traces} sort={route.sort} />
        </Panel>
      )}
    </>
  );
}

function Nothing({ route }: { route: TracesRoute }) {
  const asksAll = route.q === "" || /^\{\s*\}$/.test(route.q);
  return (
    <>
      <p>{asksAll ? "No traces in this range." : "No traces match in this range."}</p>
      <p class="tries">
        {"last" in route.range && route.range.last < 86_400 && (
          <button
            type="button"
            class="button-quiet"
            onClick={() => go({ ...route, range: { last: 86_400 } })}
          >
            Look back a day
          </button>
        )}
        {!asksAll && (
          <button type="button" class="button-quiet" onClick={() => go({ ...route, q: "" })}>
            Without conditions
          </button>
        )}
      </p>
    </>
  );
}

/** The page. */
export function TracesPage({ route }: { route: TracesRoute }) {
  const [asked, setAsked] = useState(0);
  const [error, setError] = useState<ApiError | null>(null);
  const focus = useRef<() => void>(() => undefined);
  const counts = isMetricsQuery(route.q);
  useEffect(() => remember("traces", route.q), [route.q]);
  useEffect(() => setError(null), [route.q]);
  useKeys({ "/": () => focus.current() });
  const run = (q: string): void => {
    const next = /^\{\s*\}$/.test(q) ? "" : q;
    if (next === route.q) setAsked(asked + 1);
    else go({ ...route, q: next });
  };
  return (
    <div class="explore traces-page">
      <TraceNav tab="traces" range={route.range} />
      <SearchForm route={route} onRun={run} />
      <Asking
        language={TRACEQL}
        query={route.q}
        range={route.range}
        error={error}
        onRun={run}
        onFocusable={(next) => {
          focus.current = next;
        }}
      />
      <Tools route={route} counts={counts} />
      {counts ? (
        <Computed
          key={`${route.q} ${JSON.stringify(route.range)} ${asked}`}
          route={route}
          onError={setError}
        />
      ) : (
        <Search route={route} onError={setError} asked={asked} />
      )}
    </div>
  );
}
