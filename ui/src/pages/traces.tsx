// Searching traces: by service, operation and duration.
import { useEffect, useState } from "preact/hooks";
import { operations, searchTraces, services, type TraceSummary } from "../api/traces";
import { dateTime, duration } from "../format";
import { Body, Panel } from "../parts/panel";
import { RangePicker } from "../parts/range";
import { useLive } from "../state/live";
import { go } from "../state/route";
import { formatRoute, type Route, resolveRange } from "../state/url";
import { barShare } from "./overview/newest";

type TracesRoute = Route & { page: "traces" };

/** `100ms`, `1.5s`, `2m`, `300us`: what the search takes as a duration. Empty is fine, too. */
export function isDuration(text: string): boolean {
  return /^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))?$/.test(text);
}

function Choice({
  label,
  value,
  options,
  any,
  onChange,
}: {
  label: string;
  value: string;
  options: readonly string[];
  any: string;
  onChange: (value: string) => void;
}) {
  const all = value !== "" && !options.includes(value) ? [value, ...options] : options;
  return (
    <label class="field">
      <span>{label}</span>
      <select value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        <option value="">{any}</option>
        {all.map((one) => (
          <option key={one} value={one}>
            {one}
          </option>
        ))}
      </select>
    </label>
  );
}

function Search({ route }: { route: TracesRoute }) {
  const [min, setMin] = useState(route.min);
  const [id, setId] = useState("");
  useEffect(() => setMin(route.min), [route.min]);
  const known = useLive("trace-services", services, 6);
  const names = useLive(
    `trace-operations ${route.service}`,
    (signal) => (route.service === "" ? Promise.resolve([]) : operations(route.service, signal)),
    "once",
  );
  const cleanId = id.trim().toLowerCase();
  return (
    <div class="search">
      <Choice
        label="Service"
        value={route.service}
        options={known.data ?? []}
        any="Any service"
        onChange={(service) => go({ ...route, service, operation: "" })}
      />
      <Choice
        label="Operation"
        value={route.operation}
        options={names.data ?? []}
        any={route.service === "" ? "Any (choose a service first)" : "Any operation"}
        onChange={(operation) => go({ ...route, operation })}
      />
      <form
        class="field"
        onSubmit={(event) => {
          event.preventDefault();
          if (isDuration(min)) go({ ...route, min });
        }}
      >
        <label for="min">At least</label>
        <input
          id="min"
          placeholder="100ms"
          value={min}
          aria-invalid={!isDuration(min)}
          onInput={(event) => setMin(event.currentTarget.value.trim())}
          onBlur={() => isDuration(min) && go({ ...route, min })}
        />
      </form>
      <form
        class="field field-id"
        onSubmit={(event) => {
          event.preventDefault();
          if (/^[0-9a-f]{1,32}$/.test(cleanId)) go({ page: "trace", id: cleanId, span: "" });
        }}
      >
        <label for="trace-id">Or open by id</label>
        <input
          id="trace-id"
          placeholder="32 hex digits"
          value={id}
          aria-invalid={cleanId !== "" && !/^[0-9a-f]{1,32}$/.test(cleanId)}
          onInput={(event) => setId(event.currentTarget.value)}
        />
      </form>
    </div>
  );
}

function Row({ trace, longest }: { trace: TraceSummary; longest: number }) {
  const failed = (trace.errors ?? 0) > 0;
  return (
    <li>
      <a
        class={`trace-row trace-row-wide ${failed ? "is-failed" : ""}`}
        href={formatRoute({ page: "trace", id: trace.id, span: "" })}
      >
        <time>{dateTime(trace.startMs)}</time>
        <span class="trace-head">
          <span class="trace-what">
            <b>{trace.service || "unknown service"}</b>{" "}
            <span>{trace.name || "root span not yet received"}</span>
          </span>
          <span class="trace-when">
            {failed && <em>{trace.errors} failed</em>} {trace.spans !== null && `${trace.spans} spans`}
          </span>
        </span>
        <span class="trace-bar">
          <i style={{ width: `${barShare(trace.durationMs, longest) * 100}%` }} />
        </span>
        <span class="trace-time">{duration(trace.durationMs)}</span>
      </a>
    </li>
  );
}

/** The page. */
export function TracesPage({ route }: { route: TracesRoute }) {
  const loaded = useLive(
    formatRoute(route),
    (signal) => {
      const { start, end } = resolveRange(route.range, Date.now() + 1000, 1);
      return searchTraces({ ...route, startMs: start * 1000, endMs: end * 1000, limit: 100 }, signal);
    },
    "last" in route.range ? 2 : "once",
  );
  return (
    <div class="explore">
      <h1 class="page-title">Traces</h1>
      <Search route={route} />
      <div class="tools">
        <RangePicker value={route.range} onChange={(range) => go({ ...route, range })} />
      </div>
      <Panel title="Found" aside={loaded.data ? `${loaded.data.length} newest` : undefined}>
        <Body
          of={loaded}
          height={320}
          isEmpty={(traces) => traces.length === 0}
          empty={<p>No traces match in this range. A longer range or fewer conditions may find some.</p>}
        >
          {(traces) => {
            const longest = Math.max(...traces.map((trace) => trace.durationMs));
            return (
              <ol class="traces">
                {traces.map((trace) => (
                  <Row key={trace.id} trace={trace} longest={longest} />
                ))}
              </ol>
            );
          }}
        </Body>
      </Panel>
    </div>
  );
}
