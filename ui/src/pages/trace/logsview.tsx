// Lines of a trace, one by one, with the span that each was logged in.
import { duration } from "../../format";
import { ALL_LINES } from "../../logql/edit";
import { quoted } from "../../logql/tokens";
import { Panel, Trouble } from "../../parts/panel";
import { formatRoute, logsRoute, type TraceRoute } from "../../state/url";
import type { Laid } from "../../traces/laid";
import { LINES_MAX, type TracedLine, type TraceLogs } from "./logs";
import { rangeAround } from "./trace";

interface LineProps {
  readonly one: TracedLine;
  /** Where the line's span is shown; null within that span. */
  readonly where: { readonly service: string; readonly name: string; readonly href: string } | null;
}

/** One line: when, how severe, where and what. */
export function TraceLine({ one, where }: LineProps) {
  const { line } = one;
  return (
    <li class={`traced level-${line.level} ${where ? "is-placed" : ""}`}>
      <time title={new Date(line.atMs).toISOString()}>
        {one.at < 0 ? "−" : "+"}
        {duration(Math.abs(one.at) / 1e6)}
      </time>
      <span class="entry-level">{line.level === "unknown" ? "" : line.level}</span>
      {where && (
        <a href={where.href} title={where.name}>
          {where.service}
        </a>
      )}
      <span class="traced-text">{line.line}</span>
    </li>
  );
}

/** All lines. */
export function LogsView({ laid, route, logs }: { laid: Laid; route: TraceRoute; logs: TraceLogs }) {
  const spans = new Map(laid.tree.rows.map((node) => [node.span.id, node]));
  const explore = logsRoute(`${ALL_LINES} | trace_id=${quoted(laid.trace.id)}`, rangeAround(laid));
  return (
    <Panel title="Logs of this trace" aside={<a href={formatRoute(explore)}>Explore logs</a>}>
      {logs.error && <Trouble error={logs.error} />}
      {logs.lines.length === 0 && !logs.error && (
        <div class="empty">
          <p>
            {logs.loading
              ? "Asking…"
              : "No line carries this trace's id. OpenTelemetry's log bridges add it by themselves; others write trace_id=… into the line."}
          </p>
        </div>
      )}
      <ol class="traced-lines">
        {logs.lines.map((one) => {
          const node = spans.get(one.span);
          const where = {
            service: node?.span.service ?? one.line.stream.service_name ?? "",
            name: node?.span.name ?? "Its span is not in this trace",
            href: formatRoute({ ...route, view: "spans", span: node ? node.key : "" }),
          };
          return <TraceLine key={one.line.id} one={one} where={where} />;
        })}
      </ol>
      {logs.isCut && <p class="more">The first {LINES_MAX} lines; the logs page has all.</p>}
    </Panel>
  );
}
