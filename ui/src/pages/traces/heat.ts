// A distribution as a grid: buckets by steps.
import type { Series } from "../../api/prometheus";

/** Counts by bucket and step: `rows[bucket][slot]`, the lowest bucket first; `bounds[bucket]` is its upper end. */
export interface Heat {
  readonly bounds: readonly number[];
  readonly rows: readonly (readonly number[])[];
  readonly most: number;
}

/** The name that a histogram's series carry their bucket's upper end by, in seconds where they are durations. */
const BUCKET = "__bucket";

/** Series as counts by bucket; series of one bucket are added up, empty buckets between full ones are kept. */
export function heatOf(series: readonly Series[], start: number, end: number, step: number): Heat {
  const slots = Math.max(1, Math.round((end - start) / step) + 1);
  const byBound = new Map<number, number[]>();
  for (const one of series) {
    const bound = Number(one.labels[BUCKET] ?? Number.NaN);
    if (!(bound > 0)) continue;
    const row = byBound.get(bound) ?? new Array<number>(slots).fill(0);
    for (const [at, value] of one.points) {
      const slot = Math.round((at - start) / step);
      if (slot >= 0 && slot < slots && value > 0) row[slot] = (row[slot] ?? 0) + value;
    }
    byBound.set(bound, row);
  }
  const found = [...byBound.keys()].sort((a, b) => a - b);
  const full = found.filter((bound) => byBound.get(bound)?.some((value) => value > 0));
  const [low, high] = [full[0], full.at(-1)];
  if (low === undefined || high === undefined) return { bounds: [], rows: [], most: 0 };
  // Buckets are powers of two: those that nobody fell into have their row, too.
  const bounds: number[] = [];
  for (let bound = low; bound <= high * 1.001 && bounds.length < 80; bound *= 2) bounds.push(bound);
  const near = (bound: number): number[] => {
    const key = found.find((one) => Math.abs(one / bound - 1) < 0.01);
    return (key === undefined ? undefined : byBound.get(key)) ?? new Array<number>(slots).fill(0);
  };
  const rows = bounds.map(near);
  const most = rows.reduce((top, row) => Math.max(top, ...row), 0);
  return { bounds, rows, most };
}
