// Arithmetic of a list that draws only what is in view: rows of any height, one below the other, in pixels.

/** `offsets[i]` is where row `i` begins; one more entry for where the last one ends. */
export function offsetsOf(count: number, heightOf: (index: number) => number): Float64Array {
  const offsets = new Float64Array(count + 1);
  for (let index = 0; index < count; index += 1) {
    offsets[index + 1] = (offsets[index] ?? 0) + heightOf(index);
  }
  return offsets;
}

/** The row that covers `y`; the first or last one outside. 0 in an empty list. */
export function rowAt(offsets: Float64Array, y: number): number {
  let low = 0;
  let high = Math.max(0, offsets.length - 2);
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((offsets[middle] ?? 0) <= y) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** Rows to draw, `[first, last)`: those between `top` and `bottom`, and some pixels more on both sides. */
export function rowsIn(
  offsets: Float64Array,
  top: number,
  bottom: number,
  margin: number,
): { readonly first: number; readonly last: number } {
  const count = offsets.length - 1;
  if (count <= 0) return { first: 0, last: 0 };
  const first = rowAt(offsets, top - margin);
  const last = rowAt(offsets, bottom + margin) + 1;
  return { first, last: Math.min(count, Math.max(first, last)) };
}

/** What keeps the view where it is while rows above it come, go and change: a row and how far into it the view begins. */
export interface Anchor {
  readonly key: string;
  readonly within: number;
}

/** How far the view must move for its anchor to stay where it was; 0 when the anchor has gone. */
export function driftOf(
  anchor: Anchor | null,
  indexOf: (key: string) => number | undefined,
  offsets: Float64Array,
  top: number,
): number {
  const index = anchor === null ? undefined : indexOf(anchor.key);
  if (anchor === null || index === undefined) return 0;
  return (offsets[index] ?? 0) + anchor.within - top;
}
