// All that is computed of a trace once, for every view of it.
import { seriesColour } from "../chart/colours";
import { criticalPath, shares } from "./critical";
import type { Trace } from "./model";
import { type Placed, placeRows } from "./skew";
import { selfTimes } from "./stats";
import { mainRoot, type Node, type Tree, treeOf } from "./tree";

/** A stretch of the trace, ns after its start. */
export interface Stretch {
  readonly from: number;
  readonly to: number;
}

/** A trace, ready to be drawn. */
export interface Laid {
  readonly trace: Trace;
  readonly tree: Tree;
  readonly root: Node | null;
  readonly placed: readonly Placed[];
  readonly self: Float64Array;
  /** The path's stretches by row, in the row's own clock as it is drawn, in the order of time. */
  readonly pieces: ReadonlyMap<number, readonly Stretch[]>;
  /** ns on the path by row. */
  readonly critical: ReadonlyMap<number, number>;
  /** What is drawn from the left edge to the right. */
  readonly axis: Stretch;
  /** Colours by service, in the order of first appearance. */
  readonly colours: ReadonlyMap<string, string>;
  readonly counts: ReadonlyMap<string, number>;
  readonly errors: number;
  /** Remarks on a row's clock; those on its place and itself are with it. */
  readonly remarks: ReadonlyMap<number, string>;
  /** What to know of the whole. */
  readonly warnings: readonly string[];
}

const DAY_NS = 86_400e9;

/** From the first start to the last end; a clock that is years off does not make everything else a hair. */
function axisOf(tree: Tree, root: Node | null): { axis: Stretch; off: number } {
  let [from, to] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const { span } of tree.rows) {
    from = Math.min(from, span.start);
    to = Math.max(to, span.end);
  }
  if (!Number.isFinite(from)) return { axis: { from: 0, to: 1 }, off: 0 };
  if (root === null || to - from < DAY_NS) return { axis: { from, to: Math.max(to, from + 1) }, off: 0 };
  const length = root.span.end - root.span.start;
  if (to - from < length * 20) return { axis: { from, to }, off: 0 };
  const axis = { from: root.span.start - length / 10, to: root.span.end + length };
  const off = tree.rows.filter(({ span }) => span.end < axis.from || span.start > axis.to).length;
  return { axis: { from: axis.from, to: Math.max(axis.to, axis.from + 1) }, off };
}

const many = (count: number, one: string, more: string): string =>
  `${count.toLocaleString("en")} ${count === 1 ? one : more}`;

function warningsOf(trace: Trace, tree: Tree, skewed: number, off: number): string[] {
  const own = tree.roots.filter((root) => root.span.parent === null).length;
  const circles = tree.rows.filter((node) =>
    node.warnings.some((warning) => warning.startsWith("Its parents lead")),
  ).length;
  return [
    ...(trace.partial === "" ? [] : [trace.partial]),
    ...(tree.orphans > 0
      ? [`${many(tree.orphans, "span has a parent that is", "spans have parents that are")} not here.`]
      : []),
    ...(own === 0 && tree.orphans > 0 ? ["The root is missing: what is shown may be a part."] : []),
    ...(own > 1 ? [`${own} spans are roots.`] : []),
    ...(circles > 0 ? [`${many(circles, "span is", "spans are")} among their own ancestors.`] : []),
    ...(skewed > 0 ? [`${many(skewed, "span lies", "spans lie")} outside of the call: clocks differ.`] : []),
    ...(off > 0 ? [`${many(off, "span is", "spans are")} days away and drawn at the edge.`] : []),
  ];
}

/** Computes it all; some 100 ms for 20,000 spans. */
export function layOut(trace: Trace): Laid {
  const tree = treeOf(trace.spans);
  const root = mainRoot(tree);
  const { placed, remarks } = placeRows(tree);
  const path = root === null ? [] : criticalPath(root, placed);
  const pieces = new Map<number, Stretch[]>();
  for (const { node, from, to } of path) {
    const moved = (placed[node.index]?.start ?? node.span.start) - node.span.start;
    const piece = { from: from - moved, to: to - moved };
    const list = pieces.get(node.index);
    if (list) list.push(piece);
    else pieces.set(node.index, [piece]);
  }
  const { axis, off } = axisOf(tree, root);
  const colours = new Map<string, string>();
  const counts = new Map<string, number>();
  let errors = 0;
  for (const { span } of tree.rows) {
    if (!colours.has(span.service)) colours.set(span.service, seriesColour(colours.size));
    counts.set(span.service, (counts.get(span.service) ?? 0) + 1);
    if (span.status === "error") errors += 1;
  }
  return {
    trace,
    tree,
    root,
    placed,
    self: selfTimes(tree, placed),
    pieces,
    critical: shares(path),
    axis,
    colours,
    counts,
    errors,
    remarks,
    warnings: warningsOf(trace, tree, remarks.size, off),
  };
}

/** All remarks on a row. */
export function remarksOn(laid: Laid, node: Node): string[] {
  const clock = laid.remarks.get(node.index);
  return [...node.span.warnings, ...node.warnings, ...(clock === undefined ? [] : [clock])];
}
