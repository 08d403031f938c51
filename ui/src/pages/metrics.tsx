// PromQL: a query, its graph and its table.
import { Fragment } from "preact";
import { useMemo, useState } from "preact/hooks";
import { metricNames, queryRange, seriesName } from "../api/prometheus";
import { seriesColour } from "../chart/colours";
import { type Line, Plot } from "../chart/plot";
import { bytes, sample } from "../format";
import { Body, Panel, Warnings } from "../parts/panel";
import { QueryBox } from "../parts/query";
import { RangePicker } from "../parts/range";
import { type Grid, newest, toGrid } from "../series";
import { useLive } from "../state/live";
import { go } from "../state/route";
import { formatRoute, type Route, resolveRange, stepOf } from "../state/url";

/** More lines than this tell nothing and cost much; the rest is counted. */
const SERIES_SHOWN_MAX = 40;

const EXAMPLES: readonly { name: string; q: string }[] = [
  { name: "CPU by mode", q: "100 * avg by (mode) (rate(node_cpu_seconds_total[1m]))" },
  { name: "Memory available", q: "node_memory_MemAvailable_bytes" },
  { name: "Written to disks", q: "sum by (device) (rate(node_disk_written_bytes_total[1m]))" },
  { name: "Items coming in", q: "sum by (signal) (rate(bramble_ingest_items_total[1m]))" },
];

interface Drawn {
  readonly grid: Grid;
  readonly warnings: readonly string[];
  readonly left: number;
}

function Results({
  drawn,
  q,
  onSelect,
}: {
  drawn: Drawn;
  q: string;
  onSelect: (from: number, to: number) => void;
}) {
  const [pointed, setPointed] = useState<number | null>(null);
  const [alone, setAlone] = useState<number | null>(null);
  const { grid } = drawn;
  const format = /_bytes\b/.test(q) && !/\brate\(/.test(q) ? (value: number) => bytes(value) : sample;
  const lines = useMemo(
    (): Line[] =>
      grid.columns.map((column, index) => ({
        name: seriesName(column.labels),
        colour: seriesColour(index),
        values: column.values,
        hidden: alone !== null && alone !== index,
      })),
    [grid, alone],
  );
  return (
    <>
      <Warnings of={drawn.warnings} />
      <Plot
        times={grid.times}
        lines={lines}
        shape={lines.length === 1 ? "area" : "lines"}
        height={320}
        format={format}
        free={true}
        onCursor={setPointed}
        onSelect={onSelect}
        label={`Graph of ${q}`}
      />
      <table class="figures series">
        <thead>
          <tr>
            <th scope="col">
              {grid.columns.length} series{drawn.left > 0 && `, ${drawn.left} more not shown`}
            </th>
            <th scope="col">{pointed === null ? "newest" : "here"}</th>
          </tr>
        </thead>
        <tbody>
          {grid.columns.map((column, index) => {
            const name = seriesName(column.labels);
            const value =
              pointed === null ? newest(column, grid.times.length) : (column.values[pointed] ?? null);
            return (
              <tr key={name} class={alone !== null && alone !== index ? "is-off" : ""}>
                <th scope="row">
                  <button
                    type="button"
                    title="Show this one alone"
                    onClick={() => setAlone(alone === index ? null : index)}
                  >
                    <i class="dot" style={{ "--dot": seriesColour(index) }} />
                    <code>{name}</code>
                  </button>
                </th>
                <td>{value === null ? "–" : format(value)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </>
  );
}

/** A name that may break after its underscores, and nowhere else if it fits. */
function Breakable({ name }: { name: string }) {
  const parts = name.split(/(?<=_)/);
  return (
    <>
      {parts.map((part, index) => (
        <Fragment key={`${part} ${index}`}>
          {part}
          <wbr />
        </Fragment>
      ))}
    </>
  );
}

function Names({ onPick }: { onPick: (name: string) => void }) {
  const [filter, setFilter] = useState("");
  const loaded = useLive("metric-names", metricNames, "once");
  const needle = filter.toLowerCase();
  const found = (loaded.data ?? []).filter((name) => name.toLowerCase().includes(needle));
  return (
    <Panel title="Names" class="names" aside={loaded.data ? `${loaded.data.length}` : undefined}>
      <input
        type="search"
        placeholder="Filter"
        aria-label="Filter metric names"
        value={filter}
        onInput={(event) => setFilter(event.currentTarget.value)}
      />
      <Body
        of={loaded}
        isEmpty={() => found.length === 0}
        empty={<p>{needle === "" ? "No metric is stored yet." : "No name contains this."}</p>}
      >
        {() => (
          <ul>
            {found.slice(0, 400).map((name) => (
              <li key={name}>
                <button type="button" onClick={() => onPick(name)}>
                  <Breakable name={name} />
                </button>
              </li>
            ))}
          </ul>
        )}
      </Body>
    </Panel>
  );
}

/** A counter is asked for its rate, everything else as it is. */
export function startingQuery(name: string): string {
  return /_(total|count|sum|bucket)$/.test(name) ? `rate(${name}[1m])` : name;
}

/** The page. */
export function MetricsPage({ route }: { route: Route & { page: "metrics" } }) {
  const { q, range } = route;
  const step = stepOf(range, 300);
  const loaded = useLive(
    formatRoute(route),
    async (signal): Promise<Drawn | null> => {
      if (q === "") return null;
      const { start, end } = resolveRange(range, Date.now(), step);
      const answer = await queryRange(q, start, end, step, signal);
      const shown = answer.data.slice(0, SERIES_SHOWN_MAX);
      return {
        grid: toGrid(shown, start, end, step),
        warnings: answer.warnings,
        left: answer.data.length - shown.length,
      };
    },
    "last" in range && range.last <= 3600 ? 1 : "last" in range ? 6 : "once",
  );
  const run = (query: string): void => go({ ...route, q: query });
  const refused = loaded.error?.kind === "http" && loaded.error.status < 500 ? loaded.error : null;
  return (
    <div class="explore">
      <h1 class="page-title">Metrics</h1>
      <QueryBox
        value={q}
        label="PromQL query"
        placeholder="PromQL, for example rate(node_cpu_seconds_total[1m])"
        error={refused}
        onRun={run}
      />
      <div class="tools">
        <RangePicker value={range} onChange={(next) => go({ ...route, range: next })} />
        <ul class="examples" aria-label="Examples">
          {EXAMPLES.map((example) => (
            <li key={example.name}>
              <a href={formatRoute({ ...route, q: example.q })}>{example.name}</a>
            </li>
          ))}
        </ul>
      </div>
      <div class="grid grid-main">
        <Panel title="Result" aside={q === "" ? undefined : `every ${step}\u202fs`}>
          {refused ? (
            <div class="body body-wait" style={{ minHeight: "320px" }}>
              <p class="wait">The query has a mistake: see above.</p>
            </div>
          ) : (
            <Body
              of={loaded}
              height={320}
              isEmpty={(data) => data === null || data.grid.columns.length === 0}
              empty={
                q === "" ? (
                  <p>Write a query, pick a name, or start from an example.</p>
                ) : (
                  <p>No series match in this range.</p>
                )
              }
            >
              {(data) =>
                data && (
                  <Results
                    drawn={data}
                    q={q}
                    onSelect={(from, to) => go({ ...route, range: { from, to } })}
                  />
                )
              }
            </Body>
          )}
        </Panel>
        <Names onPick={(name) => run(startingQuery(name))} />
      </div>
    </div>
  );
}
