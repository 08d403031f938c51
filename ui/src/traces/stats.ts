// Where a trace's time went: each span's own time, and sums by service or by operation.
import type { Placed } from "./skew";
import type { Node, Tree } from "./tree";

/** What a span took itself: its time without what its children cover. By row, ns. */
export function selfTimes(tree: Tree, placed: readonly Placed[]): Float64Array {
  const own = new Float64Array(tree.rows.length);
  for (const node of tree.rows) {
    const at = placed[node.index];
    if (!at) continue;
    let covered = 0;
    let until = at.start;
    const inside = node.children
      .map((child) => placed[child.index])
      .filter((child): child is Placed => child !== undefined)
      .sort((a, b) => a.start - b.start);
    for (const child of inside) {
      const from = Math.max(child.start, until);
      const to = Math.min(child.end, at.end);
      if (to > from) {
        covered += to - from;
        until = to;
      }
    }
    own[node.index] = Math.max(0, at.end - at.start - covered);
  }
  return own;
}

/** Spans that belong together. Times in ns. */
export interface Sum {
  readonly service: string;
  /** Empty in sums by service. */
  readonly name: string;
  readonly spans: number;
  readonly errors: number;
  readonly total: number;
  readonly self: number;
  readonly longest: number;
  readonly critical: number;
}

/** Sums by service, or by service and operation; most own time first. */
export function sumsOf(
  rows: readonly Node[],
  self: Float64Array,
  critical: ReadonlyMap<number, number>,
  by: "service" | "operation",
): Sum[] {
  const sums = new Map<string, { -readonly [key in keyof Sum]: Sum[key] }>();
  for (const { span, index } of rows) {
    const name = by === "service" ? "" : span.name;
    const key = `${span.service}\n${name}`;
    let sum = sums.get(key);
    if (!sum) {
      sum = { service: span.service, name, spans: 0, errors: 0, total: 0, self: 0, longest: 0, critical: 0 };
      sums.set(key, sum);
    }
    const length = span.end - span.start;
    sum.spans += 1;
    sum.errors += span.status === "error" ? 1 : 0;
    sum.total += length;
    sum.self += self[index] ?? 0;
    sum.longest = Math.max(sum.longest, length);
    sum.critical += critical.get(index) ?? 0;
  }
  return [...sums.values()].sort((a, b) => b.self - a.self || b.total - a.total);
}
