// The service map's arithmetic, the dots of a search, the small graphs of a table.
import { describe, expect, it } from "vitest";
import type { TraceSummary } from "../src/api/tempo";
import { servicesOf } from "../src/pages/map/graph";
import { layOut, pathOf, type Sizes } from "../src/pages/map/layout";
import { sparkPath, spread } from "../src/pages/services/spark";
import { at, dotsOf, frameOf, lengthMarks, nearest } from "../src/pages/traces/dots";
import { heatOf } from "../src/pages/traces/heat";
import { sorted } from "../src/pages/traces/order";
import { failedShare } from "../src/pages/traces/share";

const SIZES: Sizes = { width: 100, height: 40, along: 60, across: 20, down: false };
const edge = (text: string) => {
  const [from = "", to = ""] = text.split(">");
  return { from, to };
};

describe("the map", () => {
  it("puts callers before what they call, and nodes apart", () => {
    const layout = layOut(["user>a", "a>b", "a>c", "b>d", "c>d", "a>d"].map(edge), SIZES);
    const x = (name: string): number => layout.nodes.get(name)?.x ?? Number.NaN;
    expect(["user", "a", "b", "c", "d"].map(x)).toEqual([0, 160, 320, 320, 480]);
    const [b, c] = [layout.nodes.get("b")?.y ?? 0, layout.nodes.get("c")?.y ?? 0];
    expect(Math.abs(b - c)).toBeGreaterThan(59.9);
    expect(layout.width).toBe(580);
    // The long edge bends around the layer between.
    expect(layout.ways.find((way) => way.edge.to === "d" && way.edge.from === "a")?.points).toHaveLength(4);
  });

  it("survives circles, calls to itself and nothing at all", () => {
    const layout = layOut(["a>b", "b>c", "c>a", "c>c"].map(edge), SIZES);
    expect(layout.nodes.size).toBe(3);
    expect(layout.ways).toHaveLength(3);
    for (const { x, y } of layout.nodes.values()) expect(Number.isFinite(x + y)).toBe(true);
    expect(layOut([], SIZES).nodes.size).toBe(0);
  });

  it("finds an order without crossings where there is one", () => {
    const layout = layOut(["a>y", "b>x", "r>a", "r>b"].map(edge), SIZES);
    const y = (name: string): number => layout.nodes.get(name)?.y ?? 0;
    expect(Math.sign(y("a") - y("b"))).toBe(Math.sign(y("y") - y("x")));
  });

  it("is the same in any order of calls, and stands upright when asked", () => {
    const edges = ["a>b", "a>c", "b>d"].map(edge);
    const down = layOut(edges, { ...SIZES, down: true });
    expect(down.height).toBe(40 * 3 + 60 * 2);
    expect([...layOut([...edges].reverse(), SIZES).nodes]).toEqual([...layOut(edges, SIZES).nodes]);
  });

  it("draws smooth ways", () => {
    expect(
      pathOf(
        [
          { x: 0, y: 0 },
          { x: 10, y: 4 },
        ],
        false,
      ),
    ).toBe("M0.0 0.0C5.0 0.0 5.0 4.0 10.0 4.0");
    expect(pathOf([], false)).toBe("");
  });

  it("sums what comes to a service, and knows what is none", () => {
    const call = (client: string, server: string, kind: string, rate: number, failed = 0) => ({
      client,
      server,
      kind,
      rate,
      failed,
      p50: null,
      p95: null,
    });
    const services = servicesOf({
      calls: [
        call("user", "a", "virtual_node", 5),
        call("a", "b", "", 4, 1),
        call("c", "b", "", 2),
        call("b", "b", "database", 9),
        call("b", "far", "virtual_node", 1),
        call("b", "d", "messaging_system", 3),
      ],
      p95: new Map([["b", 12]]),
    });
    const by = Object.fromEntries(services.map((one) => [one.id, one]));
    expect(by["user\n"]).toMatchObject({ kind: "user", rate: 5 });
    expect(by.b).toMatchObject({ kind: "service", rate: 6, failed: 1, p95: 12 });
    expect(by["b\ndatabase"]).toMatchObject({ kind: "database", rate: 9 });
    expect(by.far).toMatchObject({ kind: "virtual" });
    expect(by.d).toMatchObject({ kind: "service" });
    expect(by.c).toMatchObject({ kind: "service", rate: 2 });
  });
});

const summary = (id: string, startMs: number, durationMs: number, errors = 0): TraceSummary => ({
  id,
  service: "s",
  name: "n",
  startMs,
  durationMs,
  spans: 1,
  errors,
  services: [],
  matched: 1,
});

describe("dots", () => {
  const traces = [summary("a", 100, 10, 1), summary("b", 200, 1000), summary("c", 300, 0)];
  const frame = frameOf(traces, { startMs: 0, endMs: 400 }, 400, 200);

  it("lie within the frame, failed ones on top, and lead back to time and duration", () => {
    const dots = dotsOf(frame, traces);
    expect(dots.at(-1)?.trace.id).toBe("a");
    for (const dot of dots) {
      expect(dot.y).toBeGreaterThan(0);
      expect(dot.y).toBeLessThan(200);
      const back = at(frame, dot.x, dot.y);
      expect(back.timeMs).toBeCloseTo(dot.trace.startMs);
      expect(back.durationMs).toBeCloseTo(Math.max(0.5, dot.trace.durationMs));
    }
    expect(nearest(dots, 203, dots.find((dot) => dot.trace.id === "b")?.y ?? 0, 10)?.trace.id).toBe("b");
    expect(nearest(dots, 250, 0, 10)).toBeNull();
  });

  it("marks round durations; equals are no noise", () => {
    expect(lengthMarks(frame, 40)).toEqual([1, 10, 100, 1000]);
    const even = frameOf([summary("a", 0, 50), summary("b", 0, 51)], { startMs: 0, endMs: 1 }, 10, 10);
    expect(even.high / even.low).toBeGreaterThanOrEqual(9.99);
    expect(frameOf([], { startMs: 0, endMs: 1 }, 10, 10).low).toBeGreaterThan(0);
  });

  it("sorts", () => {
    expect(sorted(traces, "newest").map((one) => one.id)).toEqual(["c", "b", "a"]);
    expect(sorted(traces, "longest").map((one) => one.id)).toEqual(["b", "a", "c"]);
    expect(sorted(traces, "errors").map((one) => one.id)).toEqual(["a", "c", "b"]);
  });
});

describe("small graphs", () => {
  it("draws a trend, or nothing of one point", () => {
    expect(
      sparkPath(
        [
          [0, 0],
          [10, 2],
        ],
        100,
        20,
      ),
    ).toBe("M0.0 19.0L100.0 1.0");
    expect(sparkPath([[0, 1]], 100, 20)).toBe("");
  });

  it("spreads what is too much", () => {
    expect(spread([1, 2, 3, 4, 5], 3)).toEqual([1, 3, 5]);
  });

  it("adds buckets up and keeps the empty ones between", () => {
    const series = (bound: string, value: number) => ({
      labels: { __bucket: bound },
      points: [[10, value] as const],
    });
    const heat = heatOf(
      [series("0.001", 2), series("0.004", 1), series("0.001", 3), series("8", 0)],
      0,
      10,
      10,
    );
    expect(heat.bounds).toEqual([0.001, 0.002, 0.004]);
    expect(heat.rows).toEqual([
      [0, 5],
      [0, 0],
      [0, 1],
    ]);
    expect(heat.most).toBe(5);
    expect(heatOf([], 0, 10, 10).rows).toEqual([]);
  });

  it("shares failures among all", () => {
    const column = (status: string, values: (number | null)[]) => ({ labels: { status }, values });
    expect(
      failedShare({ times: [1, 2], columns: [column("error", [1, null]), column("unset", [3, 0])] }),
    ).toEqual([25, null]);
  });
});
