// All answers over time: lines, the table of their values under the pointer, and exemplars as points to follow.
import { useMemo, useState } from "preact/hooks";
import { type Exemplar, seriesName } from "../../api/prometheus";
import { seriesColour } from "../../chart/colours";
import { type Line, Plot, type Spot } from "../../chart/plot";
import { bytes, dateTime, sample } from "../../format";
import { newest } from "../../series";
import { formatRoute, traceRoute } from "../../state/url";
import { type Drawn, letter, type OwnedColumn, spotLinks, traceOf } from "./answers";

interface GraphProps {
  readonly drawn: Drawn;
  readonly label: string;
  readonly stacked: boolean;
  readonly several: boolean;
  readonly inBytes: boolean;
  readonly exemplars: readonly Exemplar[];
  readonly onSelect: (from: number, to: number) => void;
}

function spotsOf(exemplars: readonly Exemplar[], format: (value: number) => string): Spot[] {
  return exemplars.map((exemplar) => {
    const trace = traceOf(exemplar);
    const said = [
      `${format(exemplar.value)} at ${dateTime(exemplar.at * 1000, true)}`,
      seriesName(exemplar.series),
      ...Object.entries(exemplar.labels).map(([name, value]) => `${name}: ${value}`),
    ];
    const href = trace ? formatRoute(traceRoute(trace, exemplar.labels.span_id ?? "")) : null;
    const spot = { at: exemplar.at, value: exemplar.value, href, title: said.join("\n") };
    return trace ? { ...spot, links: spotLinks(trace, exemplar.labels.span_id ?? "") } : spot;
  });
}

interface RowProps {
  readonly column: OwnedColumn;
  readonly index: number;
  readonly value: number | null;
  readonly off: boolean;
  readonly several: boolean;
  readonly format: (value: number) => string;
  readonly onClick: () => void;
}

function Row({ column, index, value, off, several, format, onClick }: RowProps) {
  return (
    <tr class={off ? "is-off" : ""}>
      <th scope="row">
        <button type="button" title="Show this one alone" onClick={onClick}>
          <i class="dot" style={{ "--dot": seriesColour(index) }} />
          {several && <b class="series-letter">{letter(column.query)}</b>}
          <code>{column.name}</code>
        </button>
      </th>
      <td>{value === null ? "–" : format(value)}</td>
    </tr>
  );
}

/** The graph. */
export function Graph({ drawn, label, stacked, several, inBytes, exemplars, onSelect }: GraphProps) {
  const [pointed, setPointed] = useState<number | null>(null);
  const [alone, setAlone] = useState<string | null>(null);
  const { columns, times } = drawn;
  const format = inBytes ? (value: number) => bytes(value) : sample;
  const keys = useMemo(() => columns.map((column) => `${column.query} ${column.name}`), [columns]);
  const only = alone !== null && keys.includes(alone) ? alone : null;
  const lines = useMemo(
    (): Line[] =>
      columns.map((column, index) => ({
        name: keys[index] ?? "",
        colour: seriesColour(index),
        values: column.values,
        hidden: only !== null && only !== keys[index],
      })),
    [columns, keys, only],
  );
  const spots = useMemo(() => spotsOf(exemplars, format), [exemplars, inBytes]);
  return (
    <>
      <Plot
        times={times}
        lines={lines}
        shape={stacked ? "stack" : lines.length === 1 ? "area" : "lines"}
        height={320}
        format={format}
        free={!stacked}
        spots={spots}
        onCursor={setPointed}
        onSelect={onSelect}
        label={label}
      />
      <table class="figures series">
        <thead>
          <tr>
            <th scope="col">
              {columns.length} series{drawn.left > 0 && `, ${drawn.left} more not shown`}
            </th>
            <th scope="col">
              {pointed === null ? "newest" : dateTime((times[pointed] ?? 0) * 1000).slice(11)}
            </th>
          </tr>
        </thead>
        <tbody>
          {columns.map((column, index) => {
            const key = keys[index] ?? "";
            return (
              <Row
                key={key}
                column={column}
                index={index}
                value={pointed === null ? newest(column, times.length) : (column.values[pointed] ?? null)}
                off={only !== null && only !== key}
                several={several}
                format={format}
                onClick={() => setAlone(only === key ? null : key)}
              />
            );
          })}
        </tbody>
      </table>
    </>
  );
}
