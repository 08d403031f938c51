import { afterEach, describe, expect, it, vi } from "vitest";
import {
  type Correlation,
  correlationOf,
  decodeCorrelations,
  decodeStory,
  decodeTimeline,
  nsOf,
} from "../src/api/correlate";
import { idOf, idsInFields, idsInText, kindOf, readAsked } from "../src/correlate/ids";
import { inferredText } from "../src/correlate/joined";
import { layLanes } from "../src/correlate/lanes";
import { chaptersOf, gapText, storyRows } from "../src/correlate/story";
import {
  Following,
  type FollowState,
  merged,
  type Source,
  WAITING_MAX,
} from "../src/pages/correlations/following";

const TRACE = "0af7651916cd43dd8448eb211c80319c";

describe("ids", () => {
  it.each([
    ["circuit_id", "circuit_id"],
    ["circuitId", "circuit_id"],
    ["CircuitID", "circuit_id"],
    ["circuit-id", "circuit_id"],
    ["circuit.id", "circuit_id"],
    ["X-Request-ID", "request_id"],
    ["X-B3-TraceId", "trace_id"],
    ["otelTraceID", "trace_id"],
    ["traceID", "trace_id"],
    ["context_resource_type_id", "resource_type_id"],
    ["resource_id", "resource_id"],
    ["http.request.header.x-request-id", "request_id"],
    ["correlation_id", "request_id"],
    ["reqId", "request_id"],
    ["com.acme.circuit_id", "circuit_id"],
    ["parent.trace_id", null],
    ["parent_trace_id", null],
    ["subproduct_id", null],
    ["cloud.resource_id", null],
    ["span_id", null],
    ["id", null],
    ["paid", null],
  ])("a field %s has %s", (name, kind) => {
    expect(kindOf(name)).toBe(kind);
  });

  it("finds them in any text, once, traces first", () => {
    const found = (text: string): string[] => idsInText(text).map((id) => `${id.kind}=${id.value}`);
    expect(found(`order circuitId="C 1" failed circuit-id: C-2, trace_id=${TRACE}`)).toEqual([
      `trace_id=${TRACE}`,
      "circuit_id=C-2",
    ]);
    expect(found(`{"requestId":"r-1","nested":{"product_id": 17}}`)).toEqual([
      "request_id=r-1",
      "product_id=17",
    ]);
    expect(found(`traceparent: 00-${TRACE}-b7ad6b7169203331-01`)).toEqual([`trace_id=${TRACE}`]);
    expect(found("b3: 80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1")).toEqual([
      "trace_id=80f198ee56343ba864fe8b2a57d3eff7",
    ]);
    expect(found("GET /?resource_id=7&resource_type_id=8 200")).toEqual([
      "resource_id=7",
      "resource_type_id=8",
    ]);
    expect(found("did you see the paid invoice: 4")).toEqual([]);
    expect(found(`trace_id=${"0".repeat(32)} request_id=null`)).toEqual([]);
  });

  it("takes them from fields", () => {
    expect(idsInFields({ level: "info", "X-Request-Id": "r-9", traceID: TRACE.toUpperCase() })).toEqual([
      { kind: "request_id", value: "r-9" },
      { kind: "trace_id", value: TRACE },
    ]);
    expect(idOf("trace_id", "0af76519-16cd-43dd-8448-eb211c80319c")?.value).toBe(TRACE);
    expect(idOf("trace_id", "xyz")).toBeNull();
  });

  it("understands what is pasted", () => {
    expect(readAsked("  ")).toBeNull();
    expect(readAsked(TRACE)).toEqual({ is: "id", id: { kind: "trace_id", value: TRACE } });
    expect(readAsked("circuit_id=4711")).toEqual({ is: "id", id: { kind: "circuit_id", value: "4711" } });
    expect(readAsked('"circuitId": "4711",')).toEqual({
      is: "id",
      id: { kind: "circuit_id", value: "4711" },
    });
    expect(readAsked("service=arda")).toEqual({ is: "service", service: "arda" });
    expect(readAsked(`http://pi:3000/#/trace/${TRACE}?span=1`)).toEqual({
      is: "id",
      id: { kind: "trace_id", value: TRACE },
    });
    expect(readAsked(`/#/correlations/${TRACE}-1795114800000`)).toEqual({
      is: "correlation",
      correlation: `${TRACE}-1795114800000`,
    });
    expect(readAsked("4711")).toMatchObject({ is: "value", value: "4711" });
    expect(readAsked("0af76519-16cd-43dd-8448-eb211c80319c")).toMatchObject({ is: "value" });
    expect(readAsked("what is this")).toBeNull();
  });
});

/** A correlation as the API says it. */
function said(more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    id: `${TRACE}-1000`,
    trace_id: TRACE,
    revision: 1,
    window: { start: "1970-01-01T00:00:01Z", end: "1970-01-01T00:01:01Z", seconds: 60 },
    start: "1970-01-01T00:00:01.000000001Z",
    end: "1970-01-01T00:00:02Z",
    duration_ms: 1000,
    ids: { circuit_id: ["C-1", "C-2"], request_id: ["r-1"] },
    services: [{ service: "beorn", node: "pi", env: "", logs: 1, spans: 2, errors: 0, skew_ms: 0 }],
    counts: { logs: 1, spans: 2, errors: 0, levels: { warning: 1, error: 0 } },
    has_error: false,
    first_error: null,
    worst_span: null,
    exemplars: [],
    marks: [],
    ...more,
  };
}

const event = (ms: number, more: Record<string, unknown> = {}): Record<string, unknown> => ({
  time: new Date(ms).toISOString(),
  kind: "log",
  service: "beorn",
  node: "pi",
  certain: true,
  confidence: 1,
  by: "trace_id",
  trace_id: TRACE,
  span_id: "",
  level: "info",
  line: "hello",
  ...more,
});

describe("the API's answers", () => {
  it("are decoded to the nanosecond", () => {
    expect(nsOf("2026-11-21T14:03:09.123456789Z")).toBe(
      BigInt(Date.parse("2026-11-21T14:03:09Z")) * 1_000_000n + 123_456_789n,
    );
    expect(nsOf("1970-01-01T01:00:00+01:00")).toBe(0n);
    expect(nsOf("yesterday")).toBe(0n);
    const one = correlationOf(said());
    expect(one.startNs).toBe(1_000_000_001n);
    expect(one.ids.map((id) => id.value)).toEqual(["r-1", "C-1", "C-2"]);
    expect(one.counts.levels).toEqual([["warn", 1]]);
  });

  it("leave out exemplars of what is derived from spans", () => {
    const exemplar = (series: string) => event(1000, { kind: "exemplar", series, value: 1 });
    const timeline = [exemplar("traces_spanmetrics_latency_bucket{}"), exemplar("latency_bucket{}")];
    expect(decodeTimeline({ ...said(), timeline }).events.map((one) => one.series)).toEqual([
      "latency_bucket{}",
    ]);
    const exemplars = ["traces_spanmetrics_latency_bucket{}", "z_bucket{}"];
    expect(correlationOf(said({ exemplars })).exemplars[0]).toBe("z_bucket{}");
  });

  it("are refused when they are something else", () => {
    expect(() => decodeCorrelations({ correlations: {} })).toThrow("correlations");
    expect(() => correlationOf([])).toThrow("a correlation");
    expect(() => decodeTimeline({ ...said(), timeline: [3] })).toThrow("an event");
  });
});

describe("following", () => {
  class FakeSource implements Source {
    onopen: (() => void) | null = null;
    onerror: (() => void) | null = null;
    readyState = 0;
    readonly takers = new Map<string, (event: { data: string }) => void>();
    addEventListener(name: string, take: (event: { data: string }) => void): void {
      this.takers.set(name, take);
    }
    close(): void {
      this.readyState = 2;
    }
  }

  function follow() {
    vi.useFakeTimers();
    const sources: FakeSource[] = [];
    const heard: Correlation[] = [];
    const states: FollowState[] = [];
    let gaps = 0;
    const following = new Following({
      path: "/stream",
      onNew: (fresh) => heard.push(...fresh),
      onState: (state) => states.push(state),
      onGap: () => {
        gaps += 1;
      },
      connect: () => {
        const source = new FakeSource();
        sources.push(source);
        return source;
      },
    });
    const tell = (json: unknown): void =>
      sources.at(-1)?.takers.get("correlation")?.({ data: JSON.stringify(json) });
    return { following, sources, heard, states, tell, gaps: () => gaps };
  }

  afterEach(() => vi.useRealTimers());

  it("tells what is new, holds it back while paused, and counts what it let go", () => {
    const { following, sources, heard, states, tell } = follow();
    sources[0]?.onopen?.();
    tell(said());
    vi.advanceTimersByTime(300);
    expect(heard).toHaveLength(1);
    expect(states.at(-1)).toMatchObject({ link: "open", waiting: 0, missed: 0 });
    following.pause(true);
    for (let at = 0; at < WAITING_MAX + 3; at += 1) tell(said({ id: `x-${at}` }));
    tell("no object");
    vi.advanceTimersByTime(300);
    expect(heard).toHaveLength(1);
    expect(states.at(-1)).toMatchObject({ paused: true, waiting: WAITING_MAX, missed: 4 });
    following.pause(false);
    expect(heard).toHaveLength(1 + WAITING_MAX);
    following.close();
  });

  it("asks for what it missed when the connection comes back, and polls where there is none", () => {
    const { following, sources, states, gaps } = follow();
    const [first] = sources;
    first?.onopen?.();
    first?.onerror?.();
    vi.advanceTimersByTime(300);
    expect(states.at(-1)?.link).toBe("lost");
    first?.onopen?.();
    expect(gaps()).toBe(1);
    first?.takers.get("missed")?.({ data: '{"missed":7}' });
    vi.advanceTimersByTime(300);
    expect(gaps()).toBe(2);
    expect(states.at(-1)?.missed).toBe(7);
    following.caughtUp();
    expect(states.at(-1)?.missed).toBe(0);
    first?.close();
    first?.onerror?.();
    vi.advanceTimersByTime(300);
    expect(states.at(-1)?.link).toBe("polling");
    vi.advanceTimersByTime(60_000);
    expect(sources).toHaveLength(2);
    following.close();
  });

  it("keeps the highest revision of each, newest first", () => {
    const at = (id: string, start: string, revision: number): Correlation =>
      correlationOf(said({ id, start, revision }));
    const [a, b] = [at("a", "1970-01-01T00:00:01Z", 1), at("b", "1970-01-01T00:00:02Z", 2)];
    const list = merged([], [a, b], 10);
    expect(list.map((one) => one.id)).toEqual(["b", "a"]);
    expect(merged(list, [at("b", "1970-01-01T00:00:02Z", 1)], 10)).toBe(list);
    const revised = merged(list, [at("a", "1970-01-01T00:00:03Z", 2)], 10);
    expect(revised.map((one) => [one.id, one.revision])).toEqual([
      ["a", 2],
      ["b", 2],
    ]);
    expect(merged(list, [at("c", "1970-01-01T00:00:09Z", 1)], 2).map((one) => one.id)).toEqual(["c", "b"]);
  });
});

describe("lanes", () => {
  const timeline = decodeTimeline({
    ...said({ services: [{ service: "arda" }, { service: "beorn" }] }),
    timeline: [
      event(1000, { kind: "span", name: "a", duration_ms: 100 }),
      event(1010, { kind: "span", name: "b", duration_ms: 10 }),
      event(1020, { kind: "span", name: "c", duration_ms: 10 }),
      event(2030, { corrected_time: new Date(1030).toISOString(), service: "arda", level: "error" }),
      event(1040, { service: "nginx", certain: false, confidence: 0.9, by: "request_id" }),
    ],
  });
  const laid = (sent: boolean) =>
    layLanes(timeline.events, timeline.correlation.services, sent, (one) => one.level === "error");

  it("are in causal order, spans packed, others after them", () => {
    const { lanes, events } = laid(false);
    expect(lanes.map((lane) => [lane.service, lane.rows, lane.ticks.length, lane.errors])).toEqual([
      ["arda", 1, 1, 1],
      ["beorn", 2, 0, 0],
      ["nginx", 1, 1, 0],
    ]);
    expect(lanes[1]?.bars.map((bar) => [bar.event.name, bar.row])).toEqual([
      ["a", 0],
      ["b", 1],
      ["c", 1],
    ]);
    expect(events.map((one) => one.from / 1e6)).toEqual([0, 10, 20, 30, 40]);
  });

  it("show times as sent on demand, from the same zero", () => {
    const { events } = laid(true);
    expect(events.map((one) => one.from / 1e6)).toEqual([0, 10, 20, 40, 1030]);
    expect(laid(false).events.find((one) => one.event.service === "arda")?.moved).toBe(-1e9);
  });

  it("say what is inferred", () => {
    const words = timeline.events.map((one) => inferredText(one.joined));
    expect(words.filter((text) => text !== "")).toEqual(["inferred, 90\u202f%, same request id"]);
  });
});

describe("a story", () => {
  const other = "f".repeat(32);
  const story = decodeStory({
    services: ["beorn"],
    nodes: [],
    traces: [TRACE, other],
    correlations: [said({ start: new Date(1000).toISOString() })],
    events: [
      event(1000),
      event(4000),
      event(4500, { trace_id: other, service: "arda", level: "error" }),
      event(5000, { trace_id: "", line: "loose" }),
      event(6000),
      event(200_000, { trace_id: "", line: "later" }),
    ],
  });
  const chapters = chaptersOf(story.events, story.correlations);

  it("has a chapter for each trace, and for what names none where it happened", () => {
    expect(chapters.map((one) => [one.traceId.slice(0, 2), one.events.length, one.errors])).toEqual([
      ["0a", 3, 0],
      ["ff", 1, 1],
      ["", 1, 0],
      ["", 1, 0],
    ]);
    expect(chapters.map((one) => one.correlation?.traceId ?? null)).toEqual([TRACE, null, null, null]);
  });

  it("takes what is inferred to the only trace that it can be of", () => {
    const likely = { trace_id: "", certain: false, confidence: 0.9, by: "request_id" };
    const told = (events: readonly Record<string, unknown>[]): number[] =>
      chaptersOf(decodeStory({ events }).events, []).map((one) => one.events.length);
    expect(told([event(1000), event(1500, likely)])).toEqual([2]);
    expect(told([event(1000), event(1200, { trace_id: other }), event(1500, likely)])).toEqual([1, 1, 1]);
    expect(told([event(1000), event(9000, likely)])).toEqual([1, 1]);
  });

  it("says how long nothing happened, within and between", () => {
    const rows = storyRows(chapters, new Set());
    const gaps = rows.flatMap((row) => (row.is === "gap" ? [[row.ms, row.within]] : []));
    expect(gaps).toEqual([
      [3000, true],
      [2000, true],
      [-1500, false],
      [-1000, false],
      [194_000, false],
    ]);
    expect(gapText(194_000)).toBe("3\u202fmin 14\u202fs later");
    expect(gapText(-5)).toBe("meanwhile");
    const folded = storyRows(chapters, new Set(chapters.map((one) => one.key)));
    expect(folded.filter((row) => row.is === "event")).toHaveLength(0);
  });
});
