// All answers at the end of the range: one row per series, one column per label. Native histograms are drawn small.
import { useMemo } from "preact/hooks";
import type { Histogram, Sample } from "../../api/prometheus";
import { sample } from "../../format";
import { type Answered, letter } from "./answers";

/** More rows tell nobody anything. */
const ROWS_MAX = 500;

interface TableRow {
  readonly query: number;
  readonly sample: Sample;
}

const WIDTH = 160;
const HEIGHT = 26;

/** Bars of equal width in the order of the buckets, heights by count. */
export function HistogramSketch({ of }: { of: Histogram }) {
  const highest = Math.max(...of.buckets.map((bucket) => bucket.count), 0);
  const width = WIDTH / Math.max(of.buckets.length, 1);
  return (
    <span class="sketch" title={of.buckets.map((b) => `${b.low} to ${b.high}: ${b.count}`).join("\n")}>
      <svg width={WIDTH} height={HEIGHT} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true">
        {of.buckets.map((bucket, at) => {
          const height = highest > 0 ? Math.max(1, (bucket.count / highest) * (HEIGHT - 2)) : 0;
          return (
            <rect
              key={`${bucket.low} ${bucket.high}`}
              x={at * width}
              y={HEIGHT - height}
              width={Math.max(1, width - 1)}
              height={height}
            />
          );
        })}
      </svg>
      <span>
        {sample(of.count)} observations, sum {sample(of.sum)}
      </span>
    </span>
  );
}

/** The table; `several` adds which query a row is of. */
export function Table({ answers, several }: { answers: readonly Answered<Sample[]>[]; several: boolean }) {
  const { rows, names, left } = useMemo(() => {
    const all = answers.flatMap((answer) =>
      answer.data.map((one): TableRow => ({ query: answer.index, sample: one })),
    );
    const seen = new Set(all.slice(0, ROWS_MAX).flatMap((row) => Object.keys(row.sample.labels)));
    const others = [...seen].filter((name) => name !== "__name__").sort();
    const labels = seen.has("__name__") ? ["__name__", ...others] : others;
    return { rows: all.slice(0, ROWS_MAX), names: labels, left: all.length - ROWS_MAX };
  }, [answers]);
  return (
    <div class="wide-table">
      <table class="values">
        <thead>
          <tr>
            {several && <th scope="col" aria-label="Query" />}
            {names.map((name) => (
              <th key={name} scope="col">
                {name === "__name__" ? "name" : name}
              </th>
            ))}
            <th scope="col" class="value">
              value
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={`${row.query} ${JSON.stringify(row.sample.labels)}`}>
              {several && <td class="series-letter">{letter(row.query)}</td>}
              {names.map((name) => (
                <td key={name}>{row.sample.labels[name] ?? ""}</td>
              ))}
              <td class="value">
                {row.sample.histogram ? (
                  <HistogramSketch of={row.sample.histogram} />
                ) : (
                  <span title={String(row.sample.value)}>{sample(row.sample.value)}</span>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {left > 0 && <p class="more">{left} more rows are not shown.</p>}
    </div>
  );
}
