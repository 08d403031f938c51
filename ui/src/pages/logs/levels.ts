// Counts of lines as stacks by level.
import { LEVELS, type Level, levelOf } from "../../api/loki";
import type { Series } from "../../api/prometheus";
import { toGrid } from "../../series";

/** Counts on a grid; a bar at `t` holds the lines from `t` to `t + step`. */
export interface Volume {
  readonly series: readonly Series[];
  readonly start: number;
  readonly end: number;
  readonly step: number;
  readonly warnings: readonly string[];
}

/** One level over time. */
export interface Stack {
  readonly level: Level;
  /** The names under which it was counted. */
  readonly names: readonly string[];
  readonly total: number;
  readonly values: readonly number[];
}

/** One stack per level, the most severe first. */
export function stacksOf(volume: Volume): { times: readonly number[]; stacks: readonly Stack[] } {
  const grid = toGrid(volume.series, volume.start, volume.end, volume.step);
  const stacks = LEVELS.flatMap((level): Stack[] => {
    const name = (one: { labels: Readonly<Record<string, string>> }): string =>
      one.labels.detected_level ?? one.labels.level ?? "unknown";
    const columns = grid.columns.filter((one) => levelOf(name(one)) === level);
    if (columns.length === 0) return [];
    const values = grid.times.map((_, slot) =>
      columns.reduce((sum, one) => sum + (one.values[slot] ?? 0), 0),
    );
    const total = values.reduce((sum, value) => sum + value, 0);
    return [{ level, names: columns.map(name), total, values }];
  });
  return { times: grid.times, stacks };
}
