// What a correlation is, before its timeline: who, how long, what failed first, where the time went, what is odd.
import { useState } from "preact/hooks";
import { isBad, msOf, type Timeline, type TimelineEvent } from "../../api/correlate";
import { serviceColour } from "../../correlate/colours";
import { markMeaning, markName } from "../../correlate/marks";
import { dateTime, duration } from "../../format";
import { ALL_LINES } from "../../logql/edit";
import { quoted } from "../../logql/tokens";
import { Chain } from "../../parts/chain";
import { IdChips } from "../../parts/idchips";
import { copyText } from "../../parts/panel";
import { formatRoute, logsRoute, metricsRoute, type TimeRange, traceRoute } from "../../state/url";

/** Series named at once. */
const SERIES_SHOWN = 2;

/** A minute around it: lines come a little early or late. */
export function rangeOf({ correlation }: Timeline): TimeRange {
  const start = correlation.startMs / 1000;
  return { from: Math.floor(start) - 60, to: Math.ceil(start + correlation.durationMs / 1000) + 60 };
}

function Links({ of, onReload }: { of: Timeline; onReload: () => void }) {
  const [copied, setCopied] = useState(false);
  const { correlation } = of;
  const logs = logsRoute(`${ALL_LINES} | trace_id=${quoted(correlation.traceId)}`, rangeOf(of));
  return (
    <div class="trace-actions">
      <a class="button-quiet" href={formatRoute(traceRoute(correlation.traceId))}>
        Trace
      </a>
      <a class="button-quiet" href={formatRoute(logs)}>
        Logs
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
      <button
        type="button"
        class="button-quiet"
        title="Ask again: it may have been revised"
        onClick={onReload}
      >
        Reload
      </button>
    </div>
  );
}

const many = (of: number, one: string): string => `${of.toLocaleString("en")} ${one}${of === 1 ? "" : "s"}`;

/** From the first to the last certain event, ms, by corrected clocks; null where not all events are here. */
function correctedMs({ events, truncated }: Timeline): number | null {
  if (truncated) return null;
  const certain = events.filter((one) => one.joined.certain);
  const starts = certain.map((one) => Number(one.atNs - (certain[0]?.atNs ?? 0n)) / 1e6);
  const ends = certain.map((one, index) => (starts[index] ?? 0) + one.durationMs);
  return certain.length === 0 ? null : Math.max(...ends) - Math.min(...starts);
}

function Length({ of }: { of: Timeline }) {
  const sentMs = of.correlation.durationMs;
  const ms = correctedMs(of);
  if (ms === null || Math.abs(ms - sentMs) < 1) return <b>{duration(sentMs)}</b>;
  return (
    <span title="By corrected clocks; by the clocks as they are sent it is another time">
      <b>{duration(ms)}</b> <small>({duration(sentMs)} by clocks as sent)</small>
    </span>
  );
}

/** The first failure's event, where it is in the timeline. */
export function firstErrorOf({ correlation, events }: Timeline): TimelineEvent | undefined {
  const at = correlation.firstError?.atNs;
  return events.find((one) => isBad(one) && (one.sentNs === at || one.atNs === at)) ?? events.find(isBad);
}

function Facts({ of }: { of: Timeline }) {
  const { correlation: it } = of;
  const { counts } = it;
  return (
    <p class="details-facts">
      <span>
        <Length of={of} />
      </span>
      <span>{many(counts.spans, "span")}</span>
      <span title={counts.levels.map(([level, lines]) => `${lines} ${level}`).join(", ")}>
        {many(counts.logs, "line")}
        {counts.inferredLogs > 0 && <i> + {counts.inferredLogs.toLocaleString("en")} inferred</i>}
      </span>
      {counts.exemplars > 0 && <span>{many(counts.exemplars, "exemplar")}</span>}
      {counts.errors > 0 && <em>{many(counts.errors, "error")}</em>}
      <span title={`Its window: ${it.windowSeconds} s from ${dateTime(msOf(it.windowStartNs), true)}`}>
        {dateTime(it.startMs, true)}
      </span>
      {it.revision > 1 && (
        <span title="What came after it was published is in it, too; this revision replaces those before">
          revised {it.revision === 2 ? "once" : `${it.revision - 1} times`} since it was published
        </span>
      )}
      <code>{it.traceId}</code>
    </p>
  );
}

/** A figure with its words; a click shows it in the timeline. */
function Point({
  title,
  bad,
  onClick,
  children,
}: {
  title: string;
  bad: boolean;
  onClick: () => void;
  children: preact.ComponentChildren;
}) {
  return (
    <button type="button" class={`corr-point ${bad ? "is-bad-point" : ""}`} onClick={onClick}>
      <small>{title}</small>
      <span>{children}</span>
    </button>
  );
}

/** The first few series with exemplars, the rest on demand. */
function SeriesList({ of }: { of: Timeline }) {
  const { exemplars } = of.correlation;
  const [all, setAll] = useState(exemplars.length <= SERIES_SHOWN + 1);
  return (
    <span class="corr-series">
      {(all ? exemplars : exemplars.slice(0, SERIES_SHOWN)).map((series) => (
        <a key={series} href={formatRoute(metricsRoute(series, rangeOf(of)))} title={series}>
          {series}
        </a>
      ))}
      {!all && (
        <button type="button" class="link-button" onClick={() => setAll(true)}>
          {exemplars.length - SERIES_SHOWN} more
        </button>
      )}
    </span>
  );
}

interface HeadProps {
  readonly of: Timeline;
  readonly onReload: () => void;
  readonly onFirstError: () => void;
  readonly onWorst: () => void;
}

/** The head. */
export function Head({ of, onReload, onFirstError, onWorst }: HeadProps) {
  const { correlation: it } = of;
  const { firstError: error, worstSpan: worst } = it;
  // Clocks have their own line, with their figures.
  const marks = it.marks.filter((mark) => mark !== "skewed");
  const startNs = of.events[0]?.atNs ?? it.startNs;
  const afterMs = error ? Number((firstErrorOf(of)?.atNs ?? error.atNs) - startNs) / 1e6 : 0;
  return (
    <header class="corr-top">
      <div class="trace-head-line">
        <div>
          <h1 class="page-title">
            <Chain services={it.services} colourOf={serviceColour} most={9} />
          </h1>
          <Facts of={of} />
        </div>
        <Links of={of} onReload={onReload} />
      </div>
      <IdChips ids={it.ids} />
      {(error || worst || it.exemplars.length > 0) && (
        <div class="corr-points">
          {error && (
            <Point title={`First error, after ${duration(Math.max(0, afterMs))}`} bad onClick={onFirstError}>
              <b>{error.service}</b> {error.text}
            </Point>
          )}
          {worst && (
            <Point
              title={worst.failed ? "Worst span: it failed" : "Worst span: most time of its own"}
              bad={false}
              onClick={onWorst}
            >
              <b>{worst.service}</b> {worst.name}{" "}
              <span class="corr-own">
                {duration(worst.selfMs)} of {duration(worst.durationMs)}
              </span>
            </Point>
          )}
          {it.exemplars.length > 0 && (
            <div class="corr-point">
              <small>{it.exemplars.length === 1 ? "Exemplar of" : "Exemplars of"}</small>
              <SeriesList of={of} />
            </div>
          )}
        </div>
      )}
      {marks.length > 0 && (
        <ul class="corr-remarks" aria-label="Marks">
          {marks.map((mark) => (
            <li key={mark}>
              <span class="mark">{markName(mark)}</span> {markMeaning(mark)}
            </li>
          ))}
        </ul>
      )}
    </header>
  );
}
