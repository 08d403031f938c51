// Clocks of different hosts differ: where a child cannot have been when it says, it is moved for the arithmetic.
//
// A server's span that answers a client's lies within it: when it does not, it is moved to its middle, and what hangs
// below moves along. The same for any other child that starts before its parent, since nothing calls before it began.
// A child that merely ends later is left alone: work may outlive what began it. Drawn are always the times as sent.
import type { Node, Tree } from "./tree";

/** Less than this, ns, is the grain of clocks and not worth a word. */
const TOLERANCE_NS = 1_000_000;

/** When a span was, in the clock of its root. */
export interface Placed {
  readonly start: number;
  readonly end: number;
}

/** What was found: a placed time for each row, and for some a remark; `remarks` by row. */
export interface Skew {
  readonly placed: readonly Placed[];
  readonly remarks: ReadonlyMap<number, string>;
}

function hostOf(node: Node): string {
  const of = (key: string): string =>
    node.span.resource.find((attribute) => attribute.key === key)?.value ?? "";
  return `${node.span.service}\n${of("host.name")}\n${of("service.instance.id")}`;
}

function text(ns: number): string {
  return ns >= 1e9 ? `${(ns / 1e9).toFixed(2)} s` : `${(ns / 1e6).toFixed(ns < 1e7 ? 2 : 0)} ms`;
}

/** Places all rows of a tree. */
export function placeRows(tree: Tree): Skew {
  const placed: Placed[] = [];
  const moved: number[] = [];
  const remarks = new Map<number, string>();
  for (const node of tree.rows) {
    const own = node.parent;
    const by = own ? (moved[own.index] ?? 0) : 0;
    let [start, end] = [node.span.start + by, node.span.end + by];
    let shift = by;
    const outer = own ? placed[own.index] : undefined;
    if (own && outer && hostOf(node) !== hostOf(own)) {
      const length = end - start;
      const room = outer.end - outer.start - length;
      const early = outer.start - start;
      const answers = own.span.kind === "client" && node.span.kind === "server";
      const late = answers && room >= 0 ? end - outer.end : start - outer.end;
      const isLate = answers && late > TOLERANCE_NS;
      if (early > TOLERANCE_NS || isLate) {
        const to = outer.start + (room > 0 ? room / 2 : 0);
        shift += to - start;
        remarks.set(
          node.index,
          early > TOLERANCE_NS
            ? `Starts ${text(early)} before its parent: the clocks of their hosts differ.`
            : `Ends ${text(late)} after the call that it answers: the clocks of their hosts differ.`,
        );
        [start, end] = [to, to + length];
      }
    }
    placed.push({ start, end });
    moved.push(shift);
  }
  return { placed, remarks };
}
