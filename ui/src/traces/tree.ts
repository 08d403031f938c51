// Spans as a tree that can be drawn, whatever the senders said.
//
// Every span is in it exactly once. A span whose parent is not here is a root of its own and called an orphan; of spans
// that are each other's parents the earliest becomes a root. Two spans may share an id, as Zipkin's client and server
// do: then the server's is the client's child, and what names them as its parent belongs to the server's.
// No recursion: a chain may be as deep as there are spans.
import type { Span } from "./model";

/** A span at its place. `rows[index]` is the node itself, its subtree is `rows[index … index + size)`. */
export interface Node {
  readonly span: Span;
  /** Unique within the trace, also where span ids are not. */
  readonly key: string;
  readonly index: number;
  readonly depth: number;
  readonly size: number;
  readonly parent: Node | null;
  readonly children: readonly Node[];
  /** What is odd about its place. */
  readonly warnings: readonly string[];
}

/** A trace in the order of its tree, children by start. */
export interface Tree {
  readonly rows: readonly Node[];
  readonly roots: readonly Node[];
  readonly orphans: number;
}

interface Draft {
  span: Span;
  key: string;
  index: number;
  depth: number;
  size: number;
  parent: Draft | null;
  children: Draft[];
  warnings: string[];
}

const byStart = (a: Draft, b: Draft): number => a.span.start - b.span.start || b.span.end - a.span.end || 0;

/** The draft that a span's `parent` means: not itself, and of twins the one that others are called by. */
function parentOf(draft: Draft, twins: ReadonlyMap<string, readonly Draft[]>): Draft | null {
  const { span } = draft;
  const own = twins.get(span.id) ?? [];
  if (own.length > 1 && span.kind === "server") {
    const client = own.find((one) => one !== draft && one.span.kind === "client");
    if (client) return client;
  }
  if (span.parent === null) return null;
  const others = (twins.get(span.parent) ?? []).filter((one) => one !== draft);
  return others.find((one) => one.span.kind === "server") ?? others[0] ?? null;
}

/** Drafts that hang below no root; the first of each circle, by start, becomes one. */
function cut(drafts: readonly Draft[]): void {
  const state = new Map<Draft, number>();
  let walk = 0;
  for (const first of drafts) {
    walk += 1;
    const path: Draft[] = [];
    let at: Draft | null = first;
    while (at && !state.has(at)) {
      state.set(at, walk);
      path.push(at);
      at = at.parent;
    }
    if (!at || state.get(at) !== walk) continue;
    const circle = path.slice(path.indexOf(at));
    const root = circle.sort(byStart)[0];
    if (!root) continue;
    root.parent = null;
    root.warnings.push("Its parents lead back to itself; shown as a root.");
  }
}

/** Places all spans. */
export function treeOf(spans: readonly Span[]): Tree {
  const seen = new Map<string, number>();
  const drafts = spans.map((span): Draft => {
    const nth = seen.get(span.id) ?? 0;
    seen.set(span.id, nth + 1);
    const key = nth === 0 ? span.id : `${span.id}.${nth}`;
    return { span, key, index: 0, depth: 0, size: 1, parent: null, children: [], warnings: [] };
  });
  const twins = new Map<string, Draft[]>();
  for (const draft of drafts) {
    const list = twins.get(draft.span.id);
    if (list) list.push(draft);
    else twins.set(draft.span.id, [draft]);
  }
  let orphans = 0;
  for (const draft of drafts) {
    draft.parent = parentOf(draft, twins);
    if (draft.parent !== null || draft.span.parent === null) continue;
    orphans += 1;
    draft.warnings.push(
      draft.span.parent === draft.span.id
        ? "Names itself as its parent; shown as a root."
        : `Its parent ${draft.span.parent} is not here: not sent, not yet received, or no longer stored.`,
    );
  }
  cut(drafts);
  for (const draft of drafts) draft.parent?.children.push(draft);
  const roots = drafts.filter((draft) => draft.parent === null).sort(byStart);
  const rows: Draft[] = [];
  const pending: Draft[] = [...roots].reverse();
  for (let next = pending.pop(); next; next = pending.pop()) {
    next.index = rows.length;
    next.depth = next.parent === null ? 0 : next.parent.depth + 1;
    rows.push(next);
    next.children.sort(byStart);
    for (let at = next.children.length - 1; at >= 0; at -= 1) {
      const child = next.children[at];
      if (child) pending.push(child);
    }
  }
  for (let at = rows.length - 1; at >= 0; at -= 1) {
    const row = rows[at];
    if (row?.parent) row.parent.size += row.size;
  }
  return { rows, roots, orphans };
}

/** The root that stands for the trace: of the true ones the longest, else the longest of all. */
export function mainRoot(tree: Tree): Node | null {
  const own = tree.roots.filter((root) => root.span.parent === null);
  const among = own.length > 0 ? own : tree.roots;
  return among.reduce<Node | null>(
    (best, one) => (best && best.span.end - best.span.start >= one.span.end - one.span.start ? best : one),
    null,
  );
}
