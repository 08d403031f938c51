// A moving window over range queries that asks only for what is new.
//
// Shape: all times lie on the grid of whole multiples of `step` (Unix seconds). The first answer covers the whole
// window; later ones only its end, overlapping by `OVERLAP` steps because the newest samples of a rate still change.
import type { Labels } from "./api/decode";
import type { Series } from "./api/prometheus";

/** Steps that are asked for again. */
const OVERLAP = 3;

/** Columns as the graph wants them: `times[i]` belongs to `values[i]`; null where there is no sample. */
export interface Column {
  readonly labels: Labels;
  readonly values: readonly (number | null)[];
}

/** Columns over one shared time axis. */
export interface Grid {
  readonly times: readonly number[];
  readonly columns: readonly Column[];
}

/** Puts series on the grid `start, start + step, … end`. Points off the grid and non-numbers are left out. */
export function toGrid(series: readonly Series[], start: number, end: number, step: number): Grid {
  const size = Math.max(0, Math.round((end - start) / step) + 1);
  const times = Array.from({ length: size }, (_, slot) => start + slot * step);
  const columns = series.map((one) => {
    const values = new Array<number | null>(size).fill(null);
    for (const [at, value] of one.points) {
      const slot = Math.round((at - start) / step);
      if (slot >= 0 && slot < size) values[slot] = Number.isFinite(value) ? value : null;
    }
    return { labels: one.labels, values };
  });
  return { times, columns };
}

/** The identity of a series as text. */
export function keyOf(labels: Labels): string {
  return JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** `old` until `from`, then `fresh`, without what lies before `start`. Series that became empty disappear. */
export function mergeSeries(
  old: readonly Series[],
  fresh: readonly Series[],
  from: number,
  start: number,
): Series[] {
  const merged = new Map<string, { labels: Labels; points: (readonly [number, number])[] }>();
  for (const one of old) {
    const points = one.points.filter(([at]) => at >= start && at < from);
    merged.set(keyOf(one.labels), { labels: one.labels, points });
  }
  for (const one of fresh) {
    const key = keyOf(one.labels);
    const kept = merged.get(key);
    const points = one.points.filter(([at]) => at >= start);
    if (kept) kept.points.push(...points);
    else merged.set(key, { labels: one.labels, points });
  }
  return [...merged.values()].filter((one) => one.points.length > 0);
}

/** Asks for `start … end` by `step`. */
export type Ask = (start: number, end: number, step: number) => Promise<readonly Series[]>;

/** Keeps one query's window. */
export class MovingWindow {
  private kept: readonly Series[] = [];
  private keptEnd = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly lastSeconds: number,
    private readonly step: number,
  ) {}

  /** Moves the window to `nowMs` and returns it. On error the window stays as it was. */
  async advance(nowMs: number, ask: Ask): Promise<Grid> {
    const end = Math.floor(nowMs / 1000 / this.step) * this.step;
    const start = end - Math.floor(this.lastSeconds / this.step) * this.step;
    const from = this.kept.length === 0 ? start : Math.max(start, this.keptEnd - OVERLAP * this.step);
    const fresh = await ask(from, end, this.step);
    this.kept = mergeSeries(this.kept, fresh, from, start);
    this.keptEnd = end;
    return toGrid(this.kept, start, end, this.step);
  }
}

/** The newest value of a column that is not older than `slots` steps; null without. */
export function newest(column: Column | undefined, slots = 12): number | null {
  if (!column) return null;
  for (let slot = column.values.length - 1; slot >= Math.max(0, column.values.length - slots); slot -= 1) {
    const value = column.values[slot];
    if (value != null) return value;
  }
  return null;
}
