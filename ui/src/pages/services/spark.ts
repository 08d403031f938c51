// Arithmetic of small graphs.

/** A line without axes: how the rate went. */
export function sparkPath(
  points: readonly (readonly [number, number])[],
  width: number,
  height: number,
): string {
  const values = points.filter(([, value]) => Number.isFinite(value));
  const [first, last] = [values[0], values.at(-1)];
  if (!first || !last || values.length < 2) return "";
  const high = Math.max(...values.map(([, value]) => value), 1e-9);
  const length = Math.max(1, last[0] - first[0]);
  return values
    .map(([time, value], at) => {
      const x = ((time - first[0]) / length) * width;
      const y = height - 1 - (value / high) * (height - 2);
      return `${at === 0 ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`;
    })
    .join("");
}

/** At most `most` of them, spread over all. */
export function spread<T>(all: readonly T[], most: number): T[] {
  const stride = Math.max(1, Math.ceil(all.length / most));
  return all.filter((_, index) => index % stride === 0);
}
