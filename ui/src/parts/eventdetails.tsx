// All that a timeline says of one event, and the ways onward.
import { msOf, type TimelineEvent } from "../api/correlate";
import { idsInFields, idsInText } from "../correlate/ids";
import { inferredText } from "../correlate/joined";
import { dateTime, duration, sample } from "../format";
import { ALL_LINES } from "../logql/edit";
import { quoted } from "../logql/tokens";
import { formatRoute, logsRoute, metricsRoute, traceRoute } from "../state/url";
import { IdChips } from "./idchips";

const exact = (ns: bigint): string =>
  `${dateTime(msOf(ns), true)}${String(ns % 1_000_000n).padStart(6, "0")}`;

function around(event: TimelineEvent): { from: number; to: number } {
  const at = msOf(event.sentNs) / 1000;
  return { from: Math.floor(at) - 60, to: Math.ceil(at + event.durationMs / 1000) + 60 };
}

/** The line's surroundings on the logs page: its stream where the labels tell, else all of its service. */
function logsHref(event: TimelineEvent): string {
  const name = ["service_name", "service", "app", "job"].find((label) => (event.labels[label] ?? "") !== "");
  const query = name === undefined ? ALL_LINES : `{${name}=${quoted(event.labels[name] ?? "")}}`;
  return formatRoute(logsRoute(query, around(event)));
}

/** The panel. */
export function EventDetails({ event }: { event: TimelineEvent }) {
  const movedMs = Number(event.atNs - event.sentNs) / 1e6;
  const inferred = inferredText(event.joined);
  const ids = event.kind === "log" ? [...idsInFields(event.labels), ...idsInText(event.line)] : [];
  const business = ids.filter(
    (id, at) =>
      id.kind !== "trace_id" && ids.findIndex((one) => one.kind === id.kind && one.value === id.value) === at,
  );
  const rows: [string, string][] = [
    ["Sent at", exact(event.sentNs)],
    ...(movedMs === 0
      ? []
      : [
          [
            "Corrected",
            `${exact(event.atNs)}, ${duration(Math.abs(movedMs))} ${movedMs < 0 ? "earlier" : "later"}`,
          ] as [string, string],
        ]),
    ...(inferred === "" ? [] : [["Joined", inferred] as [string, string]]),
    ...(event.node === "" ? [] : [["Node", event.node] as [string, string]]),
    ...(event.kind === "exemplar" ? [["Value", sample(event.value)] as [string, string]] : []),
    ...(event.spanId === "" ? [] : [["Span id", event.spanId] as [string, string]]),
    ...Object.entries(event.labels).sort(([a], [b]) => (a < b ? -1 : 1)),
  ];
  return (
    <div class="details event-details">
      <p class="event-links">
        {event.traceId !== "" && (
          <a class="button-quiet to-trace" href={formatRoute(traceRoute(event.traceId, event.spanId))}>
            {event.kind === "span" ? "Open span" : "Open trace"}
          </a>
        )}
        {event.kind === "log" && (
          <a class="button-quiet" href={logsHref(event)}>
            Lines around it
          </a>
        )}
        {event.kind === "exemplar" && (
          <a class="button-quiet" href={formatRoute(metricsRoute(event.series, around(event)))}>
            Open series
          </a>
        )}
        <IdChips ids={business} />
      </p>
      {event.kind === "log" && <pre>{event.line}</pre>}
      <dl>
        {rows.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}
