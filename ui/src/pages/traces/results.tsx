// The traces found, one row each.
import { useMemo } from "preact/hooks";
import type { TraceSummary } from "../../api/tempo";
import { dateTime, duration } from "../../format";
import { VirtualList } from "../../parts/virtual/list";
import { formatRoute, type TraceSort, traceRoute } from "../../state/url";
import { barShare } from "../overview/newest";
import { sorted } from "./order";
import { serviceColours } from "./scatter";

const CHIPS = 5;
const ROW_HEIGHT = 46;

function Row({
  trace,
  longest,
  colours,
}: {
  trace: TraceSummary;
  longest: number;
  colours: ReadonlyMap<string, string>;
}) {
  const failed = (trace.errors ?? 0) > 0;
  return (
    <a class={`found ${failed ? "is-failed" : ""}`} href={formatRoute(traceRoute(trace.id))}>
      <time>{dateTime(trace.startMs, true)}</time>
      <span class="found-what">
        <i class="dot" style={{ "--dot": colours.get(trace.service) ?? "var(--traces)" }} />
        <b>{trace.service || "unknown service"}</b> <span>{trace.name || "root span not yet received"}</span>
      </span>
      <span class="found-length">{duration(trace.durationMs)}</span>
      <span class="trace-bar">
        <i style={{ width: `${barShare(trace.durationMs, longest) * 100}%` }} />
      </span>
      <span class="chips">
        {trace.services.slice(0, CHIPS).map(({ service, spans, errors }) => (
          <span key={service} class={errors > 0 ? "is-bad" : ""} title={`${spans} spans, ${errors} failed`}>
            {service || "unknown"} <small>{errors > 0 ? `${errors}/${spans}` : spans}</small>
          </span>
        ))}
        {trace.services.length > CHIPS && <span>+{trace.services.length - CHIPS}</span>}
      </span>
      <span class="found-spans">
        {trace.spans === null ? "" : `${trace.spans.toLocaleString("en")} spans`}
      </span>
    </a>
  );
}

/** The list. */
export function Results({ traces, sort }: { traces: readonly TraceSummary[]; sort: TraceSort }) {
  const rows = useMemo(() => sorted(traces, sort), [traces, sort]);
  const longest = Math.max(...traces.map((trace) => trace.durationMs), 1);
  const colours = useMemo(() => serviceColours(traces), [traces]);
  return (
    <VirtualList
      items={rows}
      keyOf={(trace) => trace.id}
      estimate={ROW_HEIGHT}
      row={(trace) => <Row trace={trace} longest={longest} colours={colours} />}
      label="Traces found"
      class="found-list"
      layout={sort}
      covered={56}
      onNearEnd={() => undefined}
      onWhere={() => undefined}
      handle={() => undefined}
    />
  );
}
