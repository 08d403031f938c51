// Numbers by status.
import type { Column, Grid } from "../../series";

/** The status that a column is of. */
export const statusOf = (column: Column): string =>
  column.labels.status ?? column.labels["span:status"] ?? "unset";

/** Failed spans in percent of all; null where there are none at all. */
export function failedShare({ times, columns }: Grid): (number | null)[] {
  return times.map((_, at) => {
    let [all, failed] = [0, 0];
    for (const column of columns) {
      const value = column.values[at] ?? 0;
      all += value;
      if (statusOf(column) === "error") failed += value;
    }
    return all > 0 ? (failed / all) * 100 : null;
  });
}
