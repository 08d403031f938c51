// One trace: as a waterfall, as sums of its spans, and the lines that were logged within it.
import { useMemo, useState } from "preact/hooks";
import type { Correlation } from "../../api/correlate";
import { queryInstant } from "../../api/prometheus";
import { getTrace, tracePath } from "../../api/trace";
import { count, dateTime, duration } from "../../format";
import { ALL_LINES } from "../../logql/edit";
import { quoted as logQuoted } from "../../logql/tokens";
import { Body, copyText, Panel, Warnings } from "../../parts/panel";
import { useLive } from "../../state/live";
import { go } from "../../state/route";
import {
  formatRoute,
  logsRoute,
  type TimeRange,
  type TraceRoute,
  type TraceView,
  tracesRoute,
} from "../../state/url";
import { EMPTY_FORM, formQuery } from "../../traceql/form";
import { type Laid, layOut } from "../../traces/laid";
import { withoutSynthetic } from "../../traces/model";
import "../../style/traces.css";
import "../../style/waterfall.css";
import { CorrelationLinks, StoryChips, useCorrelationsOf } from "./joined";
import { useTraceLogs } from "./logs";
import { LogsView } from "./logsview";
import { Sums } from "./sums";
import { Waterfall } from "./waterfall";

const VIEWS: readonly { view: TraceView; name: string }[] = [
  { view: "spans", name: "Waterfall" },
  { view: "sums", name: "Statistics" },
  { view: "logs", name: "Logs" },
];

/** A minute around the trace: lines come a little early or late. */
export function rangeAround({ trace, axis }: Laid): TimeRange {
  const start = trace.startMs / 1000;
  return { from: Math.floor(start + axis.from / 1e9) - 60, to: Math.ceil(start + axis.to / 1e9) + 60 };
}

function download(id: string): void {
  const link = document.createElement("a");
  link.href = tracePath(id);
  link.download = `trace-${id}.json`;
  link.click();
}

interface HeadProps {
  readonly laid: Laid;
  readonly joined: readonly Correlation[];
  readonly onReload: () => void;
}

function Actions({ laid, joined, onReload }: HeadProps) {
  const [copied, setCopied] = useState(false);
  const { trace, root } = laid;
  const logs = logsRoute(`${ALL_LINES} | trace_id=${logQuoted(trace.id)}`, rangeAround(laid));
  const alike = root && formQuery({ ...EMPTY_FORM, service: root.span.service, operation: root.span.name });
  return (
    <div class="trace-actions">
      <CorrelationLinks of={joined} />
      {alike && (
        <a class="button-quiet" href={formatRoute(tracesRoute(alike))}>
          Traces like this
        </a>
      )}
      <a class="button-quiet" href={formatRoute(logs)}>
        Explore logs
      </a>
      <button
        type="button"
        class="button-quiet"
        onClick={async () => {
          setCopied(await copyText(location.href));
          setTimeout(() => setCopied(false), 2000);
        }}
      >
        {copied ? "Copied" : "Copy link"}
      </button>
      <button type="button" class="button-quiet" title="As OTLP JSON" onClick={() => download(trace.id)}>
        Download
      </button>
      <button
        type="button"
        class="button-quiet"
        title="Ask again: late spans join their trace"
        onClick={onReload}
      >
        Reload
      </button>
    </div>
  );
}

function Head({ laid, joined, onReload }: HeadProps) {
  const { trace, root, axis } = laid;
  return (
    <header class="trace-head-line">
      <div>
        <h1 class="page-title">
          {root?.span.service || "unknown service"} <span>{root?.span.name || "root not received"}</span>
        </h1>
        <p class="details-facts">
          <span>
            <b>{duration((axis.to - axis.from) / 1e6)}</b>
          </span>
          <span>{trace.spans.length.toLocaleString("en")} spans</span>
          <span>{laid.colours.size === 1 ? "1 service" : `${laid.colours.size} services`}</span>
          {laid.errors > 0 && <em>{count(laid.errors)} failed</em>}
          <span>{dateTime(trace.startMs, true)}</span>
          <code>{trace.id}</code>
        </p>
        <StoryChips of={joined} />
      </div>
      <Actions laid={laid} joined={joined} onReload={onReload} />
    </header>
  );
}

function Loaded({ laid, joined, route, onReload }: HeadProps & { readonly route: TraceRoute }) {
  const logs = useTraceLogs(laid);
  return (
    <>
      <Head laid={laid} joined={joined} onReload={onReload} />
      <Warnings of={laid.warnings.length > 0 ? [laid.warnings.join(" ")] : []} />
      <div class="tools trace-tools">
        <fieldset class="segments" aria-label="Shown as">
          {VIEWS.map(({ view, name }) => (
            <button
              type="button"
              key={view}
              aria-pressed={route.view === view}
              onClick={() => go({ ...route, view }, true)}
            >
              {name}
              {view === "logs" && logs.lines.length > 0 && <small> {count(logs.lines.length)}</small>}
            </button>
          ))}
        </fieldset>
      </div>
      {route.view === "spans" && <Waterfall laid={laid} route={route} logs={logs} />}
      {route.view === "sums" && <Sums laid={laid} route={route} />}
      {route.view === "logs" && <LogsView laid={laid} route={route} logs={logs} />}
    </>
  );
}

/** What was searched in vain: the blocks of each tier, as the server counts them. */
function NotFound({ id }: { id: string }) {
  const blocks = useLive(
    "trace-blocks",
    (signal) => queryInstant('sum by (tier) (bramble_storage_blocks{signal="traces"})', signal),
    "once",
  );
  const tiers = (blocks.data?.data ?? []).filter((one) => one.value > 0);
  const isId = /^[0-9a-f]{1,32}$/.test(id);
  return (
    <div class="empty">
      <p>
        <strong>No trace with this id.</strong>{" "}
        {isId
          ? "Searched were the spans in memory" +
            (tiers.length > 0
              ? ` and all blocks on disk (${tiers.map((one) => `${one.value} ${one.labels.tier ?? ""}`).join(", ")}).`
              : " and all blocks on disk.")
          : "An id is up to 32 hex digits."}
      </p>
      {isId && (
        <p>
          It may not have arrived yet (senders batch for some seconds), may have been sampled away, or be
          older than what is kept.
        </p>
      )}
      <p>
        <a href="#/traces">Search traces</a>
      </p>
    </div>
  );
}

/** The page. */
export function TracePage({ route }: { route: TraceRoute }) {
  const [asked, setAsked] = useState(0);
  const loaded = useLive(`trace ${route.id} ${asked}`, (signal) => getTrace(route.id, signal), "once");
  const joined = useCorrelationsOf(route.id, asked);
  const trace = loaded.data;
  const laid = useMemo(() => (trace ? layOut(withoutSynthetic(trace)) : null), [trace]);
  return (
    <div class="explore trace-page">
      <p class="back">
        <a href="#/traces">← Traces</a>
      </p>
      {laid ? (
        <Loaded laid={laid} joined={joined} route={route} onReload={() => setAsked(asked + 1)} />
      ) : (
        <>
          <h1 class="page-title">
            Trace <code>{route.id}</code>
          </h1>
          <Panel title="Spans">
            {loaded.error?.status === 404 || loaded.error?.status === 400 ? (
              <NotFound id={route.id} />
            ) : (
              <Body of={loaded} height={160} isEmpty={() => true} empty={<p>Laying out…</p>}>
                {() => null}
              </Body>
            )}
          </Panel>
        </>
      )}
    </div>
  );
}
