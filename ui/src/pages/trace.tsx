// One trace as a waterfall: every span at its time, in its service's colour, with all it carries on demand.
import { useMemo } from "preact/hooks";
import { type Attribute, getTrace, type Span, type SpanRow, spanTree, type Trace } from "../api/traces";
import { seriesColour } from "../chart/colours";
import { dateTime, duration } from "../format";
import { quoted } from "../logql/tokens";
import { Body, Panel, Warnings } from "../parts/panel";
import { useLive } from "../state/live";
import { go } from "../state/route";
import { formatRoute, logsRoute, type Route } from "../state/url";

type TraceRoute = Route & { page: "trace" };

/** A browser draws some thousand rows well; a larger trace says that it is cut. */
const ROWS_MAX = 2000;

interface Laid {
  readonly rows: readonly SpanRow[];
  readonly startMs: number;
  readonly lengthMs: number;
  readonly colours: ReadonlyMap<string, string>;
}

/** Places the spans on a common time axis. */
export function layOut(spans: readonly Span[]): Laid {
  const rows = spanTree(spans);
  let startMs = Number.POSITIVE_INFINITY;
  let endMs = Number.NEGATIVE_INFINITY;
  const colours = new Map<string, string>();
  for (const { span } of rows) {
    startMs = Math.min(startMs, span.startMs);
    endMs = Math.max(endMs, span.startMs + span.durationMs);
    if (!colours.has(span.service)) colours.set(span.service, seriesColour(colours.size));
  }
  return { rows, startMs, lengthMs: Math.max(endMs - startMs, 0.001), colours };
}

function Attributes({ title, of }: { title: string; of: readonly Attribute[] }) {
  if (of.length === 0) return null;
  return (
    <div class="attributes">
      <h4>{title}</h4>
      <dl>
        {of.map((one, index) => (
          <div key={`${one.key} ${index}`}>
            <dt>{one.key}</dt>
            <dd>{one.value}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}

function SpanDetails({ span, laid, traceId }: { span: Span; laid: Laid; traceId: string }) {
  const query = `{service_name=${quoted(span.service)}} | trace_id=${quoted(traceId)}`;
  const range = {
    from: Math.floor(span.startMs / 1000) - 60,
    to: Math.ceil((span.startMs + span.durationMs) / 1000) + 60,
  };
  const logs = formatRoute(logsRoute(query, range));
  return (
    <div class="details">
      <p class="details-facts">
        <span>starts at {duration(span.startMs - laid.startMs)}</span>
        <span>takes {duration(span.durationMs)}</span>
        {span.kind !== "" && <span>{span.kind}</span>}
        <span>
          span <code>{span.id}</code>
        </span>
        <a href={logs}>Its log lines</a>
      </p>
      <Attributes title="Attributes" of={span.attributes} />
      <Attributes title="Resource" of={span.resource} />
      {span.events.map((event, index) => (
        <Attributes
          key={`${event.atMs} ${index}`}
          title={`Event at ${duration(event.atMs - laid.startMs)}`}
          of={event.fields}
        />
      ))}
    </div>
  );
}

function Row({ row, laid, route }: { row: SpanRow; laid: Laid; route: TraceRoute }) {
  const { span, depth } = row;
  const open = route.span === span.id;
  const left = ((span.startMs - laid.startMs) / laid.lengthMs) * 100;
  const width = (span.durationMs / laid.lengthMs) * 100;
  return (
    <li class={open ? "is-open" : ""}>
      <button
        type="button"
        class={`span ${span.error ? "is-failed" : ""}`}
        aria-expanded={open}
        onClick={() => go({ ...route, span: open ? "" : span.id }, true)}
      >
        <span class="span-name" style={{ paddingLeft: `${Math.min(depth, 24) * 14}px` }}>
          <i class="dot" style={{ "--dot": laid.colours.get(span.service) ?? "var(--metrics)" }} />
          <b>{span.service}</b> <span>{span.name}</span>
        </span>
        <span class="span-track">
          <i
            style={{
              left: `${left}%`,
              width: `${width}%`,
              background: laid.colours.get(span.service) ?? "var(--metrics)",
            }}
          />
          <em style={{ left: `${Math.min(left + width, 100)}%` }}>{duration(span.durationMs)}</em>
        </span>
      </button>
      {open && <SpanDetails span={span} laid={laid} traceId={route.id} />}
    </li>
  );
}

function Waterfall({ trace, route }: { trace: Trace; route: TraceRoute }) {
  const laid = useMemo(() => layOut(trace.spans), [trace]);
  const marks = [0, 0.25, 0.5, 0.75, 1];
  const shown = laid.rows.slice(0, ROWS_MAX);
  return (
    <>
      <Warnings of={trace.warnings} />
      <div class="ruler" aria-hidden="true">
        {marks.map((mark) => (
          <span key={mark} style={{ left: `${mark * 100}%` }}>
            {duration(laid.lengthMs * mark)}
          </span>
        ))}
      </div>
      <ol class="waterfall">
        {shown.map((row) => (
          <Row key={row.span.id} row={row} laid={laid} route={route} />
        ))}
      </ol>
      {shown.length < laid.rows.length && (
        <p class="more">{laid.rows.length - shown.length} more spans are not drawn.</p>
      )}
    </>
  );
}

function Summary({ trace }: { trace: Trace }) {
  const laid = layOut(trace.spans);
  const root = laid.rows[0]?.span;
  const failed = trace.spans.filter((span) => span.error).length;
  return (
    <div class="trace-summary">
      <h1 class="page-title">
        {root?.service} <span>{root?.name}</span>
      </h1>
      <p class="details-facts">
        <span>{duration(laid.lengthMs)}</span>
        <span>{trace.spans.length} spans</span>
        <span>{laid.colours.size === 1 ? "1 service" : `${laid.colours.size} services`}</span>
        {failed > 0 && <em>{failed} failed</em>}
        <span>{dateTime(laid.startMs, true)}</span>
        <code>{trace.id}</code>
      </p>
    </div>
  );
}

/** The page. */
export function TracePage({ route }: { route: TraceRoute }) {
  const loaded = useLive(`trace ${route.id}`, (signal) => getTrace(route.id, signal), "once");
  return (
    <div class="explore">
      <p class="back">
        <a href="#/traces">← Traces</a>
      </p>
      {loaded.data ? <Summary trace={loaded.data} /> : <h1 class="page-title">Trace</h1>}
      <Panel title="Spans">
        <Body
          of={loaded}
          height={160}
          isEmpty={(trace) => trace.spans.length === 0}
          empty={<p>This trace has no spans.</p>}
        >
          {(trace) => <Waterfall trace={trace} route={route} />}
        </Body>
      </Panel>
    </div>
  );
}
