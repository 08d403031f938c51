// A trace on the page: its tree, its clocks, its critical path, its sums, its rows.
import { describe, expect, it } from "vitest";
import { criticalPath, shares } from "../src/traces/critical";
import { layOut, remarksOn } from "../src/traces/laid";
import type { Span, Trace } from "../src/traces/model";
import { found, marks, rowsShown, strokePath, within } from "../src/traces/shown";
import { placeRows } from "../src/traces/skew";
import { selfTimes, sumsOf } from "../src/traces/stats";
import { mainRoot, type Node, treeOf } from "../src/traces/tree";

const MS = 1_000_000;

/** A span from `from` to `to`, milliseconds. */
function span(id: string, parent: string | null, from: number, to: number, more: Partial<Span> = {}): Span {
  return {
    id,
    parent,
    service: "a",
    name: `op ${id}`,
    start: from * MS,
    end: to * MS,
    kind: "internal",
    status: "unset",
    message: "",
    attributes: [],
    resource: [],
    scope: { name: "", version: "", attributes: [] },
    events: [],
    links: [],
    traceState: "",
    dropped: 0,
    warnings: [],
    ...more,
  };
}

const trace = (...spans: Span[]): Trace => ({ id: "t", startNs: 0n, startMs: 0, spans, partial: "" });

/** Ids with depths, in order. */
const drawn = (rows: readonly Node[]): string => rows.map((row) => `${row.span.id}${row.depth}`).join(" ");

/** The path as text: whose time, from and to, milliseconds. */
function path(...spans: Span[]): string {
  const tree = treeOf(spans);
  const root = mainRoot(tree);
  const { placed } = placeRows(tree);
  return (root ? criticalPath(root, placed) : [])
    .map((piece) => `${piece.node.span.id} ${piece.from / MS}-${piece.to / MS}`)
    .join(", ");
}

describe("the tree", () => {
  it("puts children below parents by start, and knows the size of each subtree", () => {
    const tree = treeOf([
      span("c", "a", 3, 4),
      span("a", null, 0, 9),
      span("b", "a", 1, 3),
      span("d", "b", 2, 3),
    ]);
    expect(drawn(tree.rows)).toBe("a0 b1 d2 c1");
    expect(tree.rows.map((row) => row.size)).toEqual([4, 2, 1, 1]);
    expect(tree.rows.map((row) => row.index)).toEqual([0, 1, 2, 3]);
  });

  it("shows orphans, circles, itself as parent and several roots, each once", () => {
    const tree = treeOf([
      span("a", null, 0, 9),
      span("o", "gone", 1, 2),
      span("x", "y", 3, 4),
      span("y", "x", 4, 5),
      span("z", "y", 5, 6),
      span("s", "s", 6, 7),
      span("r", null, 8, 9),
    ]);
    expect(drawn(tree.rows)).toBe("a0 o0 x0 y1 z2 s0 r0");
    expect(tree.orphans).toBe(2);
    expect(tree.rows.filter((row) => row.warnings.length > 0).map((row) => row.span.id)).toEqual([
      "o",
      "x",
      "s",
    ]);
    expect(mainRoot(tree)?.span.id).toBe("a");
  });

  it("takes the longest orphan for the root where there is none", () => {
    expect(mainRoot(treeOf([span("b", "gone", 0, 1), span("c", "gone", 0, 5)]))?.span.id).toBe("c");
    expect(mainRoot(treeOf([]))).toBeNull();
  });

  it("tells apart spans that share an id, as Zipkin's client and server do", () => {
    const tree = treeOf([
      span("b", "r", 2, 3, { kind: "server" }),
      span("b", "r", 1, 4, { kind: "client" }),
      span("c", "b", 2, 3),
      span("r", null, 0, 9),
    ]);
    expect(tree.rows.map((row) => `${row.span.kind} ${row.depth}`)).toEqual([
      "internal 0",
      "client 1",
      "server 2",
      "internal 3",
    ]);
    expect(new Set(tree.rows.map((row) => row.key)).size).toBe(4);
  });

  it("takes a chain as long as there are spans", () => {
    const chain = Array.from({ length: 20_000 }, (_, at) =>
      span(`${at}`, at === 0 ? null : `${at - 1}`, at, 40_000 - at),
    );
    const laid = layOut(trace(...chain));
    expect(laid.tree.rows.at(-1)?.depth).toBe(19_999);
    expect(laid.critical.size).toBe(20_000);
  });
});

describe("the critical path", () => {
  it("goes from the end to the child that finished last, and so on", () => {
    expect(path(span("a", null, 0, 10), span("b", "a", 1, 4), span("c", "a", 5, 9))).toBe(
      "a 0-1, b 1-4, a 4-5, c 5-9, a 9-10",
    );
  });

  it("takes of parallel children the one that was waited for", () => {
    expect(
      path(span("a", null, 0, 10), span("b", "a", 1, 6), span("c", "a", 1, 9), span("d", "a", 2, 3)),
    ).toBe("a 0-1, c 1-9, a 9-10");
  });

  it("goes down and is as long as the root", () => {
    const spans = [
      span("a", null, 0, 20),
      span("b", "a", 2, 18),
      span("c", "b", 3, 10),
      span("d", "c", 4, 9),
      span("e", "b", 11, 17),
    ];
    expect(path(...spans)).toBe("a 0-2, b 2-3, c 3-4, d 4-9, c 9-10, b 10-11, e 11-17, b 17-18, a 18-20");
    const tree = treeOf(spans);
    const sums = shares(criticalPath(tree.rows[0] as Node, placeRows(tree).placed));
    expect([...sums.values()].reduce((sum, one) => sum + one, 0)).toBe(20 * MS);
  });

  it("clips work that outlives what began it, and leaves out what lies outside", () => {
    expect(path(span("a", null, 0, 10), span("b", "a", 6, 30), span("c", "a", 12, 14))).toBe("a 0-6, b 6-10");
  });

  it("forgives a little overlap of one after the other", () => {
    expect(path(span("a", null, 0, 10), span("b", "a", 0, 5.02), span("c", "a", 5, 10))).toBe(
      "b 0-5, c 5-10",
    );
    expect(path(span("a", null, 0, 10), span("b", "a", 0, 7), span("c", "a", 5, 10))).toBe("a 0-5, c 5-10");
  });

  it("is nothing for a span without a length", () => {
    expect(path(span("a", null, 5, 5))).toBe("");
  });
});

describe("clocks", () => {
  const other = { service: "b", kind: "server" as const };

  it("moves a server into the call that it answers, with all below", () => {
    const spans = [
      span("a", null, 100, 120, { kind: "client" }),
      span("b", "a", 0, 10, other),
      span("c", "b", 2, 4, other),
    ];
    const { placed, remarks } = placeRows(treeOf(spans));
    expect(placed.map((one) => one.start / MS)).toEqual([100, 105, 107]);
    expect([...remarks.keys()]).toEqual([1]);
    expect(path(...spans)).toBe("a 100-105, b 105-107, c 107-109, b 109-115, a 115-120");
  });

  it("leaves alone what only ends later, what is of the same host, and the grain of clocks", () => {
    const moved = (...spans: Span[]): number => placeRows(treeOf(spans)).remarks.size;
    expect(moved(span("a", null, 0, 10), span("b", "a", 8, 30, other))).toBe(0);
    expect(moved(span("a", null, 10, 20), span("b", "a", 5, 8))).toBe(0);
    expect(moved(span("a", null, 10, 20), span("b", "a", 9.5, 12, other))).toBe(0);
    expect(moved(span("a", null, 0, 10, { kind: "client" }), span("b", "a", 8, 15, other))).toBe(1);
  });

  it("draws the path where the bars are", () => {
    const laid = layOut(trace(span("a", null, 100, 120, { kind: "client" }), span("b", "a", 0, 10, other)));
    expect(laid.pieces.get(1)).toEqual([{ from: 0, to: 10 * MS }]);
    expect(remarksOn(laid, laid.tree.rows[1] as Node)[0]).toContain("100 ms before its parent");
    expect(laid.warnings.join()).toContain("clocks differ");
  });

  it("does not let a clock that is years off make everything else a hair", () => {
    const laid = layOut(trace(span("a", null, 0, 10), span("b", "a", 3e10, 3e10 + 1, other)));
    expect(laid.axis).toEqual({ from: -1 * MS, to: 20 * MS });
    expect(laid.warnings.join()).toContain("days away");
  });
});

describe("sums", () => {
  const spans = [
    span("a", null, 0, 10),
    span("b", "a", 1, 5, { service: "b", status: "error" }),
    span("c", "a", 3, 8, { service: "b" }),
    span("d", "a", 9, 30, { service: "d" }),
  ];
  const tree = treeOf(spans);
  const { placed } = placeRows(tree);

  it("takes from a span's time what its children cover, once", () => {
    expect([...selfTimes(tree, placed)].map((ns) => ns / MS)).toEqual([2, 4, 5, 21]);
  });

  it("adds up by service and by operation", () => {
    const by = (what: "service" | "operation") =>
      sumsOf(tree.rows, selfTimes(tree, placed), new Map([[1, 7]]), what);
    expect(
      by("service").map((sum) => [sum.service, sum.spans, sum.errors, sum.total / MS, sum.critical]),
    ).toEqual([
      ["d", 1, 0, 21, 0],
      ["b", 2, 1, 9, 7],
      ["a", 1, 0, 10, 0],
    ]);
    expect(by("operation").map((sum) => sum.name)).toEqual(["op d", "op c", "op b", "op a"]);
  });
});

describe("rows", () => {
  const laid = layOut(
    trace(
      span("a", null, 0, 10),
      span("b", "a", 1, 4, {
        service: "b",
        attributes: [{ key: "http.route", value: "/Orders", isText: true }],
      }),
      span("c", "b", 2, 3, { service: "c", status: "error" }),
      span("d", "a", 5, 9, { service: "d" }),
    ),
  );
  const shown = (folded: string[], only: "all" | "critical" | "errors", service = ""): string =>
    drawn(rowsShown(laid, new Set(folded), only, service));

  it("folds, and keeps what leads to what matters", () => {
    expect(shown([], "all")).toBe("a0 b1 c2 d1");
    expect(shown(["b"], "all")).toBe("a0 b1 d1");
    expect(shown(["a"], "all")).toBe("a0");
    expect(shown([], "errors")).toBe("a0 b1 c2");
    expect(shown([], "all", "b")).toBe("a0 b1");
    expect(shown([], "critical")).toBe("a0 b1 c2 d1");
    expect(shown([], "errors", "d")).toBe("");
  });

  it("finds all words anywhere in a span", () => {
    expect(found(laid.tree, "route=/orders B")).toEqual([1]);
    expect(found(laid.tree, "error")).toEqual([2]);
    expect(found(laid.tree, "  ")).toEqual([]);
  });

  it("places stretches in a view", () => {
    expect(within({ from: 0, to: 10 }, 5, 20)).toEqual({ left: 0.5, width: 0.5 });
    expect(within({ from: 0, to: 10 }, 11, 20)).toBeNull();
    expect(
      strokePath({ from: 0, to: 10 }, [
        { from: 0, to: 1 },
        { from: 1, to: 2 },
        { from: 9, to: 30 },
      ]),
    ).toBe("M0.0 0H200.0M900.0 0H1000.0");
    expect(strokePath({ from: 0, to: 10 }, [{ from: 11, to: 12 }])).toBe("");
  });

  it("marks round times", () => {
    expect(marks({ from: 0, to: 183e6 }, 5).map((ns) => ns / MS)).toEqual([0, 50, 100, 150]);
    expect(marks({ from: 7, to: 8 }, 5)).toEqual([7, 8]);
  });
});
