// The critical path: what the trace waited for, from its end back to its beginning.
//
// From the end of a span, the child that finished last is what it waited for; before that child began, the last one
// that had finished by then, and so on. Time between them is the span's own. Children are clipped to their parent, so
// that work which outlives it does not count, and one that ends a little after the next one began still counts as
// before it, as clocks are no better than that. The pieces do not overlap and together are as long as the root.
import type { Placed } from "./skew";
import type { Node } from "./tree";

/** A stretch of time that one span itself took, on the path. Times as placed. */
export interface Piece {
  readonly node: Node;
  readonly from: number;
  readonly to: number;
}

/** Overlap that is forgiven: a share of the shorter of both, and at least some of the grain of clocks. */
const FORGIVEN_SHARE = 0.01;
const FORGIVEN_NS = 50_000;

interface Clipped {
  readonly node: Node;
  readonly from: number;
  readonly to: number;
}

/** The children of a span within `from … to`, last to finish first. */
function within(node: Node, placed: readonly Placed[], from: number, to: number): Clipped[] {
  const found: Clipped[] = [];
  for (const child of node.children) {
    const at = placed[child.index];
    if (!at) continue;
    const clipped = { node: child, from: Math.max(at.start, from), to: Math.min(at.end, to) };
    if (clipped.to > clipped.from) found.push(clipped);
  }
  return found.sort((a, b) => b.to - a.to || a.from - b.from);
}

/** The path below `root`, in the order of time. */
export function criticalPath(root: Node, placed: readonly Placed[]): Piece[] {
  const whole = placed[root.index];
  if (!whole || whole.end <= whole.start) return [];
  const pieces: Piece[] = [];
  const pending: Clipped[] = [{ node: root, from: whole.start, to: whole.end }];
  for (let next = pending.pop(); next; next = pending.pop()) {
    const { node, from } = next;
    let cursor = next.to;
    for (const child of within(node, placed, from, next.to)) {
      const forgiven = Math.max(FORGIVEN_NS, FORGIVEN_SHARE * (child.to - child.from));
      if (child.to > cursor + forgiven || child.from >= cursor) continue;
      const to = Math.min(child.to, cursor);
      if (to < cursor) pieces.push({ node, from: to, to: cursor });
      pending.push({ node: child.node, from: child.from, to });
      cursor = child.from;
    }
    if (from < cursor) pieces.push({ node, from, to: cursor });
  }
  return pieces.sort((a, b) => a.from - b.from);
}

/** How long each row is on the path, ns, by row. Rows that are not on it are left out. */
export function shares(pieces: readonly Piece[]): ReadonlyMap<number, number> {
  const sums = new Map<number, number>();
  for (const { node, from, to } of pieces) sums.set(node.index, (sums.get(node.index) ?? 0) + to - from);
  return sums;
}
