// Which rows of a trace are shown, and what is sought in it.
import type { Laid, Stretch } from "./laid";
import type { Node, Tree } from "./tree";

/** All rows, or those that matter and what leads to them. */
export type Only = "all" | "critical" | "errors";

/** Whether a span has all words of `sought` (lower case) somewhere in it. */
export function matches(node: Node, words: readonly string[]): boolean {
  const { span } = node;
  const pairs = [...span.attributes, ...span.resource, ...span.events.flatMap((event) => event.attributes)];
  const parts = [
    span.service,
    span.name,
    span.id,
    span.kind,
    span.status,
    span.message,
    ...span.events.map((event) => event.name),
    ...pairs.map((pair) => `${pair.key}=${pair.value}`),
  ].map((part) => part.toLowerCase());
  return words.every((word) => parts.some((part) => part.includes(word)));
}

/** Indexes of the rows that have what is sought, in order. Nothing sought: none. */
export function found(tree: Tree, text: string): number[] {
  const words = text
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "");
  if (words.length === 0) return [];
  return tree.rows.filter((node) => matches(node, words)).map((node) => node.index);
}

/** Rows with all their ancestors, by row. */
function withAncestors(tree: Tree, wanted: (node: Node) => boolean): Uint8Array {
  const kept = new Uint8Array(tree.rows.length);
  for (const node of tree.rows) {
    if (!wanted(node)) continue;
    for (let at: Node | null = node; at && kept[at.index] === 0; at = at.parent) kept[at.index] = 1;
  }
  return kept;
}

/** Rows in order, without what is folded (by key) or left out. */
export function rowsShown(laid: Laid, folded: ReadonlySet<string>, only: Only, service: string): Node[] {
  const { tree } = laid;
  const all = only === "all" && service === "";
  const kept = all
    ? null
    : withAncestors(
        tree,
        (node) =>
          (service === "" || node.span.service === service) &&
          (only === "all" ||
            (only === "errors" ? node.span.status === "error" : laid.critical.has(node.index))),
      );
  const rows: Node[] = [];
  for (let at = 0; at < tree.rows.length; ) {
    const node = tree.rows[at];
    if (!node) break;
    if (kept && kept[at] === 0) {
      at += node.size;
      continue;
    }
    rows.push(node);
    at += folded.has(node.key) ? node.size : 1;
  }
  return rows;
}

/** Keys of the rows above one: what must not be folded for it to be seen. */
export function ancestorKeys(node: Node): string[] {
  const keys: string[] = [];
  for (let at = node.parent; at; at = at.parent) keys.push(at.key);
  return keys;
}

/** Where a stretch lies within a view, as shares of it: 0 to 1, clipped; null outside. */
export function within(view: Stretch, from: number, to: number): { left: number; width: number } | null {
  const length = view.to - view.from;
  if (to < view.from || from > view.to || length <= 0) return null;
  const left = Math.max(0, (from - view.from) / length);
  return { left, width: Math.max(0, Math.min(1, (to - view.from) / length) - left) };
}

/** Stretches in a view as an SVG path of a line 1,000 wide; those closer than a pixel or so are joined. */
export function strokePath(view: Stretch, stretches: readonly Stretch[]): string {
  let path = "";
  let [open, until] = [-1, -1];
  const close = (): void => {
    if (open >= 0) path += `M${open.toFixed(1)} 0H${Math.max(until, open + 1).toFixed(1)}`;
  };
  for (const { from, to } of stretches) {
    const at = within(view, from, to);
    if (!at) continue;
    const [left, right] = [at.left * 1000, (at.left + at.width) * 1000];
    if (open >= 0 && left - until < 1.2) {
      until = Math.max(until, right);
      continue;
    }
    close();
    [open, until] = [left, right];
  }
  close();
  return path;
}

const ROUND = [1, 2, 5];

/** Round marks of a view, ns, about `wanted` of them. */
export function marks(view: Stretch, wanted: number): number[] {
  const least = (view.to - view.from) / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(Math.max(least, 1)));
  const step = power * (ROUND.find((round) => power * round >= least) ?? 10);
  const found: number[] = [];
  for (let at = Math.ceil(view.from / step) * step; at <= view.to; at += step) found.push(at);
  return found;
}
