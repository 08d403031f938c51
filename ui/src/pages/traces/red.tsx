// The spans of a search as numbers over time: how many, how many failed, how long they took.
import { measure } from "../../api/tempo";
import { seriesColour } from "../../chart/colours";
import { type Line, Plot } from "../../chart/plot";
import { duration, percent, rate } from "../../format";
import { Body, Panel } from "../../parts/panel";
import { type Grid, toGrid } from "../../series";
import { useLive } from "../../state/live";
import { go } from "../../state/route";
import { resolveRange, stepOf, type TracesRoute } from "../../state/url";
import { measured } from "../../traceql/shape";
import { failedShare, statusOf } from "./share";

const POINTS = 90;
const HEIGHT = 112;
const STATUS_COLOURS: Readonly<Record<string, string>> = {
  error: "var(--bad)",
  ok: "var(--logs)",
  unset: "var(--traces)",
};
const QUANTILES = [
  { label: "0.5", name: "p50", hue: "var(--sky)" },
  { label: "0.95", name: "p95", hue: "var(--plum)" },
];

interface Counted {
  readonly rates: Grid;
  readonly lengths: Grid;
}

async function ask(route: TracesRoute, step: number, signal: AbortSignal): Promise<Counted> {
  const window = resolveRange(route.range, Date.now(), step);
  const [byStatus, quantiles] = [
    measured(route.q, "rate() by (status)"),
    measured(route.q, "quantile_over_time(duration, .5, .95)"),
  ];
  const get = async (query: string | null): Promise<Grid> => {
    if (query === null) return toGrid([], window.start, window.end, step);
    const { series } = await measure(query, window, step, 0, signal);
    return toGrid(series, window.start, window.end, step);
  };
  const [rates, lengths] = await Promise.all([get(byStatus), get(quantiles)]);
  return { rates, lengths };
}

function rateLines({ columns }: Grid): Line[] {
  return columns
    .filter((column) => column.values.some((value) => value !== null && value > 0))
    .map((column, index) => ({
      name: statusOf(column),
      colour: STATUS_COLOURS[statusOf(column)] ?? seriesColour(index),
      values: column.values,
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Seconds of each quantile as milliseconds; zero is no span at all. */
function lengthLines({ columns }: Grid): Line[] {
  return QUANTILES.flatMap(({ label, name, hue }) => {
    const column = columns.find((one) => Number(one.labels.p) === Number(label));
    if (!column) return [];
    return [
      {
        name,
        colour: hue,
        values: column.values.map((value) => (value === null || value <= 0 ? null : value * 1000)),
      },
    ];
  });
}

function Legend({ lines }: { lines: readonly Line[] }) {
  return (
    <ul class="legend">
      {lines.map((line) => (
        <li key={line.name} style={{ "--dot": line.colour }}>
          {line.name}
        </li>
      ))}
    </ul>
  );
}

/** Three small graphs. */
export function Red({ route, asked }: { route: TracesRoute; asked: number }) {
  const step = Math.max(1, stepOf(route.range, POINTS));
  const loaded = useLive(
    `red ${route.q} ${JSON.stringify(route.range)} ${asked}`,
    (signal) => ask(route, step, signal),
    "last" in route.range ? 6 : "once",
  );
  const select = (from: number, to: number): void =>
    go({ ...route, range: { from, to: Math.max(to, from + 1) } });
  const data = loaded.data;
  const rates = data ? rateLines(data.rates) : [];
  const lengths = data ? lengthLines(data.lengths) : [];
  const empty = <p>No spans.</p>;
  const isEmpty = (one: Counted): boolean => rateLines(one.rates).length === 0;
  return (
    <div class="grid grid-3 red">
      <Panel title="Matching spans" aside={<Legend lines={rates} />}>
        <Body of={loaded} height={HEIGHT} isEmpty={isEmpty} empty={empty}>
          {({ rates: grid }) => (
            <Plot
              times={grid.times}
              lines={rates}
              shape="bars"
              height={HEIGHT}
              format={rate}
              sync="red"
              onSelect={select}
              label="Matching spans per second by status"
            />
          )}
        </Body>
      </Panel>
      <Panel title="Failed" aside="share of spans">
        <Body of={loaded} height={HEIGHT} isEmpty={isEmpty} empty={empty}>
          {({ rates: grid }) => (
            <Plot
              times={grid.times}
              lines={[{ name: "failed", colour: "var(--bad)", values: failedShare(grid) }]}
              shape="area"
              height={HEIGHT}
              format={percent}
              max={1}
              sync="red"
              onSelect={select}
              label="Failed spans in percent"
            />
          )}
        </Body>
      </Panel>
      <Panel title="Span duration" aside={<Legend lines={lengths} />}>
        <Body of={loaded} height={HEIGHT} isEmpty={isEmpty} empty={empty}>
          {({ lengths: grid }) => (
            <Plot
              times={grid.times}
              lines={lengths}
              shape="lines"
              height={HEIGHT}
              format={duration}
              sync="red"
              onSelect={select}
              label="Median and 95th percentile of span durations"
            />
          )}
        </Body>
      </Panel>
    </div>
  );
}
