// Rate, errors and durations over time; exemplars lead to their traces.
import type { Course, Period } from "../../api/derived";
import type { Exemplar, Series } from "../../api/prometheus";
import { type Line, Plot, type Spot } from "../../chart/plot";
import { dateTime, duration, percent, rate } from "../../format";
import { Body, Panel } from "../../parts/panel";
import { type Grid, toGrid } from "../../series";
import type { Loaded } from "../../state/live";
import { go } from "../../state/route";
import { formatRoute, type ServicesRoute, traceRoute } from "../../state/url";
import { spotLinks, traceOf } from "../metrics/answers";

const HEIGHT = 150;

/** What is drawn. */
export interface Charted {
  readonly period: Period;
  readonly step: number;
  readonly course: Course;
  readonly exemplars: readonly Exemplar[];
}

const STATUSES = [
  { status: "STATUS_CODE_OK", name: "ok", hue: "var(--logs)" },
  { status: "STATUS_CODE_UNSET", name: "unset", hue: "var(--traces)" },
  { status: "STATUS_CODE_ERROR", name: "failed", hue: "var(--bad)" },
] as const;
const QUANTILES = [
  { name: "p50", hue: "var(--sky)" },
  { name: "p95", hue: "var(--plum)" },
  { name: "p99", hue: "var(--metrics)" },
] as const;

interface Drawn {
  readonly times: readonly number[];
  readonly rates: readonly Line[];
  readonly failed: readonly (number | null)[];
  readonly lengths: readonly Line[];
}

function linesOf({ period, step, course }: Charted): Drawn {
  const grid = (series: readonly Series[]): Grid => toGrid(series, period.start, period.end, step);
  const counted = grid(course.rates);
  const byStatus = (status: string): readonly (number | null)[] | undefined =>
    counted.columns.find((column) => column.labels.status_code === status)?.values;
  const bad = byStatus("STATUS_CODE_ERROR");
  return {
    times: counted.times,
    rates: STATUSES.flatMap(({ status, name, hue }) => {
      const values = byStatus(status);
      return values ? [{ name, colour: hue, values }] : [];
    }),
    failed: counted.times.map((_, at) => {
      const all = counted.columns.reduce((sum, column) => sum + (column.values[at] ?? 0), 0);
      return all > 0 ? ((bad?.[at] ?? 0) / all) * 100 : null;
    }),
    lengths: QUANTILES.flatMap(({ name, hue }, index) => {
      const column = grid(course.quantiles[index] ?? []).columns[0];
      return column ? [{ name, colour: hue, values: column.values }] : [];
    }),
  };
}

function spotsOf(exemplars: readonly Exemplar[]): Spot[] {
  return exemplars.flatMap((one) => {
    const trace = traceOf(one);
    if (trace === null) return [];
    const name = one.series.span_name ?? "";
    return [
      {
        at: one.at,
        value: one.value,
        href: formatRoute(traceRoute(trace, one.labels.span_id ?? "")),
        title: `${duration(one.value)} ${name}\n${dateTime(one.at * 1000, true)}`,
        links: spotLinks(trace, one.labels.span_id ?? ""),
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

interface ChartsProps {
  readonly of: Charted | undefined;
  readonly route: ServicesRoute;
  readonly waiting: Loaded<unknown>;
}

/** Three graphs. */
export function Charts({ of, route, waiting }: ChartsProps) {
  const drawn = of && linesOf(of);
  const select = (from: number, to: number): void =>
    go({ ...route, range: { from, to: Math.max(to, from + 1) } });
  const shared = { height: HEIGHT, sync: "services", onSelect: select, times: drawn?.times ?? [] };
  const loaded: Loaded<Drawn> = { ...waiting, data: drawn };
  const isEmpty = (one: Drawn): boolean => one.rates.length === 0;
  const empty = <p>Nothing yet.</p>;
  return (
    <div class="grid grid-3 red">
      <Panel title="Rate" aside={<Legend lines={drawn?.rates ?? []} />}>
        <Body of={loaded} height={HEIGHT} isEmpty={isEmpty} empty={empty}>
          {({ rates }) => (
            <Plot {...shared} lines={rates} shape="stack" format={rate} label="Spans per second by status" />
          )}
        </Body>
      </Panel>
      <Panel title="Failed" aside="share of spans">
        <Body of={loaded} height={HEIGHT} isEmpty={isEmpty} empty={empty}>
          {({ failed }) => (
            <Plot
              {...shared}
              lines={[{ name: "failed", colour: "var(--bad)", values: failed }]}
              shape="area"
              format={percent}
              max={1}
              label="Failed spans in percent"
            />
          )}
        </Body>
      </Panel>
      <Panel title="Duration" aside={<Legend lines={drawn?.lengths ?? []} />}>
        <Body of={loaded} height={HEIGHT} isEmpty={isEmpty} empty={empty}>
          {({ lengths }) => (
            <Plot
              {...shared}
              lines={lengths}
              shape="lines"
              format={duration}
              spots={spotsOf(of?.exemplars ?? [])}
              label="Quantiles of durations, with traces as dots"
            />
          )}
        </Body>
      </Panel>
    </div>
  );
}
