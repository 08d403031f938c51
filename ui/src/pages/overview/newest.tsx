// The newest log lines and traces, each a link to its page; where there are none, how to send some.

import { type LogLine, lineService, queryLines } from "../../api/loki";
import type { Door } from "../../api/status";
import { doorPort } from "../../api/status";
import { searchTraces, type TraceSummary } from "../../api/tempo";
import { ago, clock, duration } from "../../format";
import { ALL_LINES } from "../../logql/edit";
import { quoted } from "../../logql/tokens";
import { Body, Panel, Snippet } from "../../parts/panel";
import { useLive, useNow } from "../../state/live";
import { formatRoute, logsRoute, traceRoute } from "../../state/url";

const LOOK_BACK_MS = 6 * 3_600_000;
const ROWS = 13;

function linesOf(service: string): string {
  return formatRoute(logsRoute(service === "" ? "" : `{service_name=${quoted(service)}}`));
}

function LineRow({ line }: { line: LogLine }) {
  const service = lineService(line);
  return (
    <li>
      <a class={`line level-${line.level}`} href={linesOf(line.stream.service_name ?? "")}>
        <time>{clock(line.atMs)}</time>
        <span class="line-level">{line.level === "unknown" ? "–" : line.level}</span>
        <span class="line-service">{service}</span>
        <span class="line-text">{line.line}</span>
      </a>
    </li>
  );
}

function lokiSnippet(port: number): string {
  const body = `{"streams":[{"stream":{"service_name":"hello"},"values":[["'$(date +%s%N)'","hello from curl"]]}]}`;
  return `curl -H 'Content-Type: application/json' \\\n  http://${location.hostname}:${port}/loki/api/v1/push \\\n  -d '${body}'`;
}

function otlpSnippet(port: number): string {
  return `export OTEL_EXPORTER_OTLP_ENDPOINT=http://${location.hostname}:${port}\nexport OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\nexport OTEL_SERVICE_NAME=my-service`;
}

/** Newest lines of everything. */
export function NewestLogs({ doors }: { doors: readonly Door[] }) {
  const loaded = useLive("newest-logs", (signal) =>
    queryLines(ALL_LINES, Date.now() - LOOK_BACK_MS, Date.now() + 1000, ROWS, signal),
  );
  return (
    <Panel title="Newest log lines" class="newest" aside={<a href={linesOf("")}>All logs</a>}>
      <Body
        of={loaded}
        height={356}
        isEmpty={(lines) => lines.length === 0}
        empty={
          <>
            <p>
              No log lines in the last six hours. Promtail, Alloy, Vector and Fluent Bit can send here, or
              try:
            </p>
            <Snippet code={lokiSnippet(doorPort(doors, ["loki"], 3100))} />
          </>
        }
      >
        {(lines) => (
          <ol class="lines">
            {lines.slice(0, ROWS).map((line) => (
              <LineRow key={line.id} line={line} />
            ))}
          </ol>
        )}
      </Body>
    </Panel>
  );
}

/** Share of the longest shown, 0–1; never so small that it cannot be seen. */
export function barShare(durationMs: number, longestMs: number): number {
  return longestMs > 0 ? Math.min(1, Math.max(0.006, durationMs / longestMs)) : 0.006;
}

function TraceRow({ trace, longest, now }: { trace: TraceSummary; longest: number; now: number }) {
  const failed = (trace.errors ?? 0) > 0;
  return (
    <li>
      <a class={`trace-row ${failed ? "is-failed" : ""}`} href={formatRoute(traceRoute(trace.id))}>
        <span class="trace-head">
          <span class="trace-what">
            <b>{trace.service || "unknown service"}</b>{" "}
            <span>{trace.name || "root span not yet received"}</span>
          </span>
          <span class="trace-when">
            {failed && <em>{trace.errors} failed</em>} {ago(Math.max(0, now - trace.startMs))}
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

/** Newest traces of everything. */
export function NewestTraces({ doors }: { doors: readonly Door[] }) {
  const now = useNow(5000);
  const loaded = useLive("newest-traces", (signal) =>
    searchTraces("{}", { startMs: Date.now() - LOOK_BACK_MS, endMs: Date.now() + 1000 }, 20, signal),
  );
  return (
    <Panel title="Newest traces" class="newest" aside={<a href="#/traces">All traces</a>}>
      <Body
        of={loaded}
        height={356}
        isEmpty={({ traces }) => traces.length === 0}
        empty={
          <>
            <p>No traces in the last six hours. Any OpenTelemetry SDK sends here with:</p>
            <Snippet code={otlpSnippet(doorPort(doors, ["otlp_http", "otlp-http", "otlp http"], 4318))} />
          </>
        }
      >
        {({ traces }) => {
          const shown = traces.slice(0, 7);
          const longest = Math.max(...shown.map((trace) => trace.durationMs));
          return (
            <ol class="traces">
              {shown.map((trace) => (
                <TraceRow key={trace.id} trace={trace} longest={longest} now={now} />
              ))}
            </ol>
          );
        }}
      </Body>
    </Panel>
  );
}
