// LogQL: lines as they come, how many of which level when, and everything known about each.
import { useMemo, useState } from "preact/hooks";
import { ApiError } from "../api/http";
import {
  countByLevel,
  LEVELS,
  type LogLine,
  labelNames,
  labelValues,
  levelOf,
  lineService,
  queryCounts,
  queryLines,
  traceIdOf,
} from "../api/loki";
import type { Series } from "../api/prometheus";
import { type Line, Plot } from "../chart/plot";
import { count, dateTime } from "../format";
import { Body, Panel } from "../parts/panel";
import { QueryBox } from "../parts/query";
import { RangePicker } from "../parts/range";
import { toGrid } from "../series";
import { useLive } from "../state/live";
import { go } from "../state/route";
import { formatRoute, type Route, resolveRange, stepOf } from "../state/url";
import { ALL_LINES } from "./overview/newest";

const LIMIT = 200;

/** A query that can be counted is a log query: selector and filters, not already a metric query. */
export function isLogQuery(q: string): boolean {
  return q.trimStart().startsWith("{");
}

interface Histogram {
  readonly series: readonly Series[];
  readonly start: number;
  readonly end: number;
  readonly step: number;
  /** Counted by the server over everything, or here over the lines shown. */
  readonly whole: boolean;
}

interface Page {
  readonly lines: readonly LogLine[];
  readonly histogram: Histogram;
}

// A server that cannot count is not asked again while the page is open.
let countingRefused = false;

/** Counts by the server; null when it cannot. The lines carry the page's error, so this one's reason is not shown. */
async function counted(
  q: string,
  start: number,
  end: number,
  step: number,
  signal: AbortSignal,
): Promise<Series[] | null> {
  if (countingRefused) return null;
  try {
    return (
      await queryCounts(
        `sum by (detected_level) (count_over_time(${q} [${step}s]))`,
        start,
        end,
        step,
        signal,
      )
    ).data;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    countingRefused = error.status === 400 || error.status === 501;
    return null;
  }
}

/** Counts over the time that the lines cover: nothing is known of the time before them. */
function narrowHistogram(lines: readonly LogLine[], end: number): Histogram {
  const oldest = Math.floor((lines.at(-1)?.atMs ?? end * 1000) / 1000);
  const step = stepOf({ last: Math.max(1, end - oldest) }, 60);
  const start = Math.floor(oldest / step) * step;
  const until = Math.ceil(Math.max(end, (lines[0]?.atMs ?? 0) / 1000) / step) * step;
  return { series: countByLevel(lines, start, until, step), start, end: until, step, whole: false };
}

/** The newest lines and their histogram. Fewer lines than asked for are all there are: then they are counted here. */
async function load(route: Route & { page: "logs" }, q: string, signal: AbortSignal): Promise<Page> {
  const step = stepOf(route.range, 90);
  const { start, end } = resolveRange(route.range, Date.now(), step);
  const until = "last" in route.range ? Date.now() + 1000 : route.range.to * 1000;
  const lines = await queryLines(q, start * 1000, until, LIMIT, signal);
  const complete = lines.length < LIMIT;
  const series = complete ? null : await counted(q, start, end, step, signal);
  const whole = complete || (series !== null && series.length > 0);
  if (series !== null && series.length > 0) return { lines, histogram: { series, start, end, step, whole } };
  if (complete)
    return { lines, histogram: { series: countByLevel(lines, start, end, step), start, end, step, whole } };
  return { lines, histogram: narrowHistogram(lines, end) };
}

function levelLines(histogram: Histogram): { times: readonly number[]; lines: Line[] } {
  const grid = toGrid(histogram.series, histogram.start, histogram.end, histogram.step);
  const lines = [...LEVELS].reverse().flatMap((level): Line[] => {
    const columns = grid.columns.filter(
      (one) => levelOf(one.labels.detected_level ?? one.labels.level ?? "") === level,
    );
    if (columns.length === 0) return [];
    const values = grid.times.map((_, slot) =>
      columns.reduce((sum, one) => sum + (one.values[slot] ?? 0), 0),
    );
    return [{ name: level, colour: `var(--level-${level})`, values }];
  });
  return { times: grid.times, lines };
}

function Volume({
  histogram,
  onSelect,
}: {
  histogram: Histogram;
  onSelect: (from: number, to: number) => void;
}) {
  const { times, lines } = useMemo(() => levelLines(histogram), [histogram]);
  return (
    <Panel
      title={histogram.whole ? "Lines by level" : "Lines by level, newest only"}
      aside={
        <ul class="legend">
          {[...lines].reverse().map((line) => (
            <li key={line.name} style={{ "--dot": line.colour }}>
              {line.name} <b>{count(line.values.reduce<number>((sum, value) => sum + (value ?? 0), 0))}</b>
            </li>
          ))}
        </ul>
      }
    >
      <Plot
        times={times}
        lines={lines}
        shape="bars"
        height={110}
        format={(value) => count(value)}
        onSelect={onSelect}
        label="Lines over time by level"
      />
    </Panel>
  );
}

function Details({ line, route }: { line: LogLine; route: Route & { page: "logs" } }) {
  const trace = traceIdOf(line);
  const rows = [
    ...Object.entries(line.stream).map((pair) => [...pair, true] as const),
    ...Object.entries(line.metadata).map((pair) => [...pair, false] as const),
  ];
  return (
    <div class="details">
      <pre>{line.line}</pre>
      {trace !== null && (
        <p>
          <a href={formatRoute({ page: "trace", id: trace, span: "" })}>Open its trace</a>
        </p>
      )}
      <dl>
        {rows.map(([name, value, isLabel]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>
              {isLabel ? (
                <a
                  title="Only lines with this label"
                  href={formatRoute({ ...route, q: `{${name}=${JSON.stringify(value)}}` })}
                >
                  {value}
                </a>
              ) : (
                value
              )}
            </dd>
          </div>
        ))}
      </dl>
    </div>
  );
}

function Lines({ lines, route }: { lines: readonly LogLine[]; route: Route & { page: "logs" } }) {
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const key = (line: LogLine): string => `${line.atNs} ${line.line}`;
  const toggle = (line: LogLine): void => {
    const next = new Set(open);
    if (!next.delete(key(line))) next.add(key(line));
    setOpen(next);
  };
  return (
    <ol class="lines lines-full">
      {lines.map((line) => (
        <li key={line.id} class={open.has(key(line)) ? "is-open" : ""}>
          <button
            type="button"
            class={`line level-${line.level}`}
            aria-expanded={open.has(key(line))}
            onClick={() => toggle(line)}
          >
            <time>{dateTime(line.atMs, true).slice(5)}</time>
            <span class="line-level">{line.level === "unknown" ? "–" : line.level}</span>
            <span class="line-service">{lineService(line)}</span>
            <span class="line-text">{line.line}</span>
          </button>
          {open.has(key(line)) && <Details line={line} route={route} />}
        </li>
      ))}
    </ol>
  );
}

function Labels({ onPick }: { onPick: (q: string) => void }) {
  const [name, setName] = useState("service_name");
  const names = useLive("log-labels", labelNames, "once");
  const values = useLive(`log-label ${name}`, (signal) => labelValues(name, signal), "once");
  const all = [...new Set([...(names.data ?? []), name])].sort();
  return (
    <Panel title="Streams" class="names">
      <select aria-label="Label" value={name} onChange={(event) => setName(event.currentTarget.value)}>
        {all.map((one) => (
          <option key={one} value={one}>
            {one}
          </option>
        ))}
      </select>
      <Body of={values} isEmpty={(found) => found.length === 0} empty={<p>No stream has this label yet.</p>}>
        {(found) => (
          <ul>
            {found.slice(0, 200).map((value) => (
              <li key={value}>
                <button type="button" onClick={() => onPick(`{${name}=${JSON.stringify(value)}}`)}>
                  {value}
                </button>
              </li>
            ))}
          </ul>
        )}
      </Body>
    </Panel>
  );
}

/** The page. */
export function LogsPage({ route }: { route: Route & { page: "logs" } }) {
  const q = route.q === "" ? ALL_LINES : route.q;
  const moving = "last" in route.range;
  const loaded = useLive(
    formatRoute(route),
    (signal) => {
      if (!isLogQuery(q))
        throw new ApiError(
          "http",
          "This page shows log lines: start the query with a selector in braces.",
          400,
        );
      return load(route, q, signal);
    },
    route.live && moving ? 1 : "once",
  );
  const refused = loaded.error?.kind === "http" && loaded.error.status < 500 ? loaded.error : null;
  const select = (from: number, to: number): void => go({ ...route, range: { from, to } });
  const oldest = loaded.data?.lines.at(-1);
  return (
    <div class="explore">
      <h1 class="page-title">Logs</h1>
      <QueryBox
        value={q}
        label="LogQL query"
        placeholder={'LogQL, for example {service_name="api"} |= "error"'}
        error={refused}
        onRun={(query) => go({ ...route, q: query === ALL_LINES ? "" : query })}
      />
      <div class="tools">
        <RangePicker value={route.range} onChange={(range) => go({ ...route, range })} />
        <button
          type="button"
          class="switch"
          aria-pressed={route.live && moving}
          disabled={!moving}
          onClick={() => go({ ...route, live: !route.live })}
        >
          Live
        </button>
      </div>
      {loaded.data && <Volume histogram={loaded.data.histogram} onSelect={select} />}
      <div class="grid grid-main">
        <Panel title="Lines" aside={loaded.data ? `${loaded.data.lines.length} newest` : undefined}>
          {refused ? (
            <div class="body body-wait" style={{ minHeight: "200px" }}>
              <p class="wait">The query has a mistake: see above.</p>
            </div>
          ) : (
            <Body
              of={loaded}
              height={320}
              isEmpty={(page) => page.lines.length === 0}
              empty={<p>No lines match in this range.</p>}
            >
              {(page) => (
                <>
                  <Lines lines={page.lines} route={route} />
                  {page.lines.length >= LIMIT && oldest && (
                    <p class="more">
                      <button
                        type="button"
                        class="button-quiet"
                        onClick={() =>
                          select(Math.floor(oldest.atMs / 1000) - 3600, Math.ceil(oldest.atMs / 1000))
                        }
                      >
                        Older lines
                      </button>
                    </p>
                  )}
                </>
              )}
            </Body>
          )}
        </Panel>
        <Labels onPick={(query) => go({ ...route, q: query })} />
      </div>
    </div>
  );
}
