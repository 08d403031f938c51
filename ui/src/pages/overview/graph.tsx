// A panel with a live graph: heading, the newest (or pointed-at) figure, the lines with their legend.
import type { ComponentChildren } from "preact";
import { useMemo, useState } from "preact/hooks";
import { type Line, Plot, type Shape } from "../../chart/plot";
import { clock, type Quantity } from "../../format";
import { Body, Figure, Panel } from "../../parts/panel";
import type { Grid } from "../../series";
import type { Loaded } from "../../state/live";

interface GraphProps {
  readonly title: string;
  readonly of: Loaded<Grid & { readonly warnings: readonly string[] }>;
  readonly lines: (grid: Grid) => readonly Line[];
  readonly shape: Shape;
  readonly quantity: (value: number | null) => Quantity;
  readonly suffix?: string;
  /** The big figure out of all lines' values at one moment; by default their sum. */
  readonly total?: (values: readonly (number | null)[]) => number | null;
  readonly note?: string;
  /** A row that names the lines; reserved even while there is nothing to name, so that neighbours stay level. */
  readonly legend?: boolean;
  readonly binary?: boolean;
  readonly max?: number;
  readonly fixed?: boolean;
  readonly empty: ComponentChildren;
  readonly height?: number;
}

const HEIGHT = 132;

function sum(values: readonly (number | null)[]): number | null {
  const given = values.filter((value): value is number => value != null);
  return given.length === 0 ? null : given.reduce((total, value) => total + value, 0);
}

function lastIndex(lines: readonly Line[], length: number): number {
  for (let index = length - 1; index >= 0; index -= 1) {
    if (lines.some((line) => line.values[index] != null)) return index;
  }
  return length - 1;
}

function Graph(props: GraphProps & { grid: Grid }) {
  const { grid, quantity, suffix = "", total = sum, height = HEIGHT } = props;
  const [pointed, setPointed] = useState<number | null>(null);
  // Lines depend on the data only.
  const lines = useMemo(() => props.lines(grid), [grid]);
  const at = pointed !== null && pointed < grid.times.length ? pointed : lastIndex(lines, grid.times.length);
  const values = lines.map((line) => line.values[at] ?? null);
  const say = (value: number | null): string => {
    const { text, unit } = quantity(value);
    return `${text}${unit === "" ? "" : `\u202f${unit}`}${value === null ? "" : suffix}`;
  };
  const tick = (value: number): string => {
    const { text, unit } = quantity(value);
    return text.replace(/\.0$/, "") + (unit === "" ? "" : `\u202f${unit}`);
  };
  return (
    <>
      <div class="graph-figures">
        <Figure value={quantity(total(values))} suffix={suffix} />
        <span class="graph-note">{pointed === null ? props.note : clock((grid.times[at] ?? 0) * 1000)}</span>
      </div>
      {props.legend && (
        <ul class="legend">
          {lines.map((line, index) => (
            <li key={line.name} style={{ "--dot": line.colour }}>
              {line.name} <b>{say(values[index] ?? null)}</b>
            </li>
          ))}
        </ul>
      )}
      <Plot
        times={grid.times}
        lines={lines}
        shape={props.shape}
        height={height}
        format={tick}
        binary={props.binary ?? false}
        sync="overview"
        onCursor={setPointed}
        label={`${props.title} over time`}
        {...(props.max === undefined ? {} : { max: props.max })}
        {...(props.fixed === undefined ? {} : { fixed: props.fixed })}
      />
    </>
  );
}

/** The panel. */
export function GraphPanel(props: GraphProps) {
  const { height = HEIGHT } = props;
  const warnings = props.of.data?.warnings ?? [];
  const partial =
    warnings.length === 0 ? undefined : (
      <span class="partial" title={warnings.join("\n")}>
        partial
      </span>
    );
  return (
    <Panel title={props.title} class="graph" aside={partial}>
      <Body
        of={props.of}
        height={height + 40}
        isEmpty={(grid) => props.lines(grid).every((line) => line.values.every((value) => value === null))}
        empty={props.empty}
      >
        {(grid) => <Graph {...props} grid={grid} />}
      </Body>
    </Panel>
  );
}
