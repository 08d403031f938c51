// The spans of a trace at their time: folded, filtered, sought and walked through by keyboard.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { duration } from "../../format";
import { useKeys } from "../../parts/keys";
import { type ListHandle, VirtualList } from "../../parts/virtual/list";
import { go } from "../../state/route";
import type { TraceRoute } from "../../state/url";
import type { Laid, Stretch } from "../../traces/laid";
import { ancestorKeys, found, marks, type Only, rowsShown } from "../../traces/shown";
import type { Node } from "../../traces/tree";
import { Details } from "./details";
import type { TracedLine, TraceLogs } from "./logs";
import { Minimap } from "./minimap";
import { SpanRow } from "./row";
import { WaterfallHelp, WaterfallTools } from "./tools";

const ROW_HEIGHT = 26;
const NO_LINES: readonly TracedLine[] = [];
/** What the page's bar and the waterfall's own head cover of the window. */
const COVERED = 56 + 124;

interface WaterfallProps {
  readonly laid: Laid;
  readonly route: TraceRoute;
  readonly logs: TraceLogs;
}

function Ruler({ view }: { view: Stretch }) {
  const length = view.to - view.from;
  return (
    <div class="ruler" aria-hidden="true">
      {marks(view, 5)
        .filter((at) => (at - view.from) / length < 0.94)
        .map((at) => (
          <span key={at} style={{ left: `${((at - view.from) / length) * 100}%` }}>
            {duration(at / 1e6)}
          </span>
        ))}
    </div>
  );
}

/** Where the lines behind the bars are: at the ruler's marks. */
function gridOf(view: Stretch): Record<string, string> {
  const [first = view.from, second = view.to] = marks(view, 5);
  const share = (ns: number): string => `${((ns / (view.to - view.from)) * 100).toFixed(4)}%`;
  return { "--mark-from": share(first - view.from), "--mark-step": share(second - first) };
}

/** As a trace opens. */
const NOTHING_FOLDED: ReadonlySet<string> = new Set();

/** The waterfall. */
export function Waterfall({ laid, route, logs }: WaterfallProps) {
  const [folded, setFolded] = useState(NOTHING_FOLDED);
  const [only, setOnly] = useState<Only>("all");
  const [view, setView] = useState<Stretch>(laid.axis);
  const [seen, setSeen] = useState({ first: 0, last: 30 });
  const [selected, setSelected] = useState(route.span);
  const list = useRef<ListHandle | null>(null);
  const finder = useRef<HTMLInputElement>(null);
  const { tree } = laid;
  useEffect(() => setView(laid.axis), [laid]);

  const rows = useMemo(
    () => rowsShown(laid, folded, only, route.service),
    [laid, folded, only, route.service],
  );
  const places = useMemo(() => new Map(rows.map((node, at) => [node.key, at])), [rows]);
  const byKey = useMemo(() => new Map(tree.rows.map((node) => [node.key, node])), [tree]);
  const hits = useMemo(() => found(tree, route.find), [tree, route.find]);
  const sought = useMemo(() => new Set(hits), [hits]);

  const toggle = (node: Node): void => {
    setSelected(node.key);
    go({ ...route, span: route.span === node.key ? "" : node.key }, true);
  };
  const fold = (node: Node, on = !folded.has(node.key)): void => {
    if (node.children.length === 0) return;
    const next = new Set(folded);
    if (on) next.add(node.key);
    else next.delete(node.key);
    setFolded(next);
  };
  /** Brings a span into view, unfolding what hides it. */
  const reveal = (node: Node): void => {
    setSelected(node.key);
    const hidden = ancestorKeys(node).filter((key) => folded.has(key));
    if (hidden.length > 0) setFolded(new Set([...folded].filter((key) => !hidden.includes(key))));
    if (!places.has(node.key) && hidden.length === 0) {
      setOnly("all");
      if (route.service !== "") go({ ...route, service: "" }, true);
    }
    wanted.current = node.key;
  };
  // A span that the address names, or that was sought, is shown once its row is there.
  const wanted = useRef<string | null>(route.span === "" ? null : route.span);
  useEffect(() => {
    const key = wanted.current;
    if (key === null) return;
    const at = places.get(key);
    if (at === undefined) return;
    wanted.current = null;
    requestAnimationFrame(() => list.current?.show(at));
  });

  const step = (by: number): void => {
    const at = places.get(selected);
    const next = rows[at === undefined ? seen.first : Math.min(rows.length - 1, Math.max(0, at + by))];
    if (!next) return;
    setSelected(next.key);
    list.current?.show(places.get(next.key) ?? 0);
  };
  const nextOf = (indexes: readonly number[], by: 1 | -1): void => {
    const at = byKey.get(selected)?.index ?? (by > 0 ? -1 : tree.rows.length);
    const next =
      by > 0
        ? (indexes.find((index) => index > at) ?? indexes[0])
        : (indexes.findLast((index) => index < at) ?? indexes.at(-1));
    const node = next === undefined ? undefined : tree.rows[next];
    if (node) reveal(node);
  };
  const errors = useMemo(
    () => tree.rows.filter((node) => node.span.status === "error").map((node) => node.index),
    [tree],
  );
  const current = (): Node | undefined => byKey.get(selected);
  const inward = (): void => {
    const node = current();
    if (!node) step(0);
    else if (folded.has(node.key)) fold(node, false);
    else if (node.children[0]) step(1);
  };
  const outward = (): void => {
    const node = current();
    if (!node) return;
    if (node.children.length > 0 && !folded.has(node.key)) fold(node, true);
    else if (node.parent) reveal(node.parent);
  };
  const foldAll = (): void => {
    const all = tree.rows
      .filter((node) => node.depth >= 1 && node.children.length > 0)
      .map((node) => node.key);
    setFolded(folded.size > 0 ? NOTHING_FOLDED : new Set(all));
  };
  useKeys({
    j: () => step(1),
    k: () => step(-1),
    ArrowDown: () => step(1),
    ArrowUp: () => step(-1),
    ArrowRight: inward,
    ArrowLeft: outward,
    Enter: () => {
      const node = current();
      if (node) toggle(node);
    },
    "/": () => finder.current?.focus(),
    n: () => nextOf(hits, 1),
    N: () => nextOf(hits, -1),
    e: () => nextOf(errors, 1),
    c: () => setOnly(only === "critical" ? "all" : "critical"),
    f: foldAll,
    z: () => setView(laid.axis),
    Escape: () => route.span !== "" && go({ ...route, span: "" }, true),
  });

  return (
    <section class="panel waterfall-panel" aria-label="Spans" style={gridOf(view)}>
      <div class="waterfall-head">
        <WaterfallTools
          laid={laid}
          route={route}
          only={only}
          onOnly={setOnly}
          hits={hits.length}
          foldable={tree.rows.length > 1}
          folded={folded.size > 0}
          onFoldAll={foldAll}
          onNext={(by) => nextOf(hits, by)}
          finder={finder}
          shown={rows.length}
        />
        <div class="waterfall-axis">
          <WaterfallHelp />
          <Minimap
            laid={laid}
            rows={rows}
            view={view}
            seen={seen}
            onView={setView}
            onRow={(row) => list.current?.show(Math.min(rows.length - 1, Math.max(0, row)))}
          />
          <Ruler view={view} />
        </div>
      </div>
      {rows.length === 0 && (
        <p class="more">
          No span is {only === "errors" ? "marked as failed" : "like that"}
          {route.service !== "" && ` in ${route.service}`}.
        </p>
      )}
      <VirtualList
        items={rows}
        keyOf={(node) => node.key}
        estimate={ROW_HEIGHT}
        row={(node) => {
          const lines = logs.bySpan.get(node.span.id) ?? NO_LINES;
          const open = route.span === node.key;
          return (
            <>
              <SpanRow
                node={node}
                laid={laid}
                view={view}
                lines={lines}
                folded={folded.has(node.key)}
                open={open}
                selected={selected === node.key}
                sought={sought.has(node.index)}
                dimmed={route.service !== "" && node.span.service !== route.service}
                onToggle={() => toggle(node)}
                onFold={() => fold(node)}
              />
              {open && <Details node={node} laid={laid} route={route} lines={lines} />}
            </>
          );
        }}
        label="Spans"
        class="waterfall"
        layout={route.id}
        covered={COVERED}
        onNearEnd={() => undefined}
        onWhere={({ first, last }) =>
          setSeen((old) => (old.first === first && old.last === last ? old : { first, last }))
        }
        handle={(handle) => {
          list.current = handle;
        }}
      />
    </section>
  );
}
