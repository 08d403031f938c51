import { describe, expect, it } from "vitest";
import { ApiError, positionIn, withQuery } from "../src/api/http";
import { countByLevel, decodeStreams, levelOf, traceIdOf } from "../src/api/loki";
import { decodeExemplars, decodeMatrix, decodeVector, seriesName } from "../src/api/prometheus";
import { decodeStatus, doorPort } from "../src/api/status";
import { decodeSearch, decodeTrace, legacyTags, spanTree, traceQl } from "../src/api/traces";
import { traceOf } from "../src/pages/metrics/answers";
import { selector, startingQuery } from "../src/pages/metrics/starting";
import { marksOf } from "../src/parts/editor/marks";

describe("Prometheus", () => {
  it("decodes a matrix with its warnings", () => {
    const answer = decodeMatrix({
      status: "success",
      warnings: ["partial"],
      data: {
        resultType: "matrix",
        result: [
          {
            metric: { a: "b" },
            values: [
              [1, "2.5"],
              [2, "NaN"],
              [3, "+Inf"],
            ],
          },
        ],
      },
    });
    expect(answer.warnings).toEqual(["partial"]);
    expect(answer.data).toEqual([
      {
        labels: { a: "b" },
        points: [
          [1, 2.5],
          [2, Number.NaN],
          [3, Number.POSITIVE_INFINITY],
        ],
      },
    ]);
  });

  it("decodes vectors and scalars alike", () => {
    const vector = {
      status: "success",
      data: { resultType: "vector", result: [{ metric: {}, value: [1, "7"] }] },
    };
    const scalar = { status: "success", data: { resultType: "scalar", result: [1, "7"] } };
    expect(decodeVector(vector).data).toEqual([{ labels: {}, value: 7, histogram: null }]);
    expect(decodeVector(scalar).data).toEqual([{ labels: {}, value: 7, histogram: null }]);
  });

  it("decodes native histograms of a vector", () => {
    const histogram = { count: "3", sum: "1.5", buckets: [[0, "0.5", "1", "3"]] };
    const data = { resultType: "vector", result: [{ metric: { a: "b" }, histogram: [1, histogram] }] };
    expect(decodeVector({ status: "success", data }).data).toEqual([
      {
        labels: { a: "b" },
        value: 3,
        histogram: { count: 3, sum: 1.5, buckets: [{ low: 0.5, high: 1, count: 3 }] },
      },
    ]);
  });

  it("decodes exemplars and finds their traces", () => {
    const trace = "0AF7651916CD43DD8448EB211C80319C";
    const exemplars = [
      { labels: { traceID: trace }, value: "2", timestamp: 5.5 },
      { labels: {}, value: "3", timestamp: 6 },
    ];
    const found = decodeExemplars({ status: "success", data: [{ seriesLabels: { a: "b" }, exemplars }] });
    expect(found.map((one) => [one.at, one.value, traceOf(one)])).toEqual([
      [5.5, 2, trace.toLowerCase()],
      [6, 3, null],
    ]);
  });

  it("marks remarks at their place", () => {
    const info = "PromQL info: metric might not be a counter (1:6)";
    expect(marksOf(null, [], [info, "no place"])).toEqual([
      { line: 1, column: 6, severity: "info", message: "metric might not be a counter" },
    ]);
  });

  it("writes selectors for any name", () => {
    expect(selector("up")).toBe("up");
    expect(selector("up", "job", 'a"b')).toBe('up{job="a\\"b"}');
    expect(selector("http.requests", "k8s.pod", "x")).toBe('{"http.requests", "k8s.pod"="x"}');
    expect(startingQuery("x_total")).toBe("rate(x_total[5m])");
  });

  it("leaves series without float samples out", () => {
    const data = { resultType: "matrix", result: [{ metric: {}, histograms: [[1, {}]] }] };
    expect(decodeMatrix({ status: "success", data })).toMatchObject({ data: [], histograms: 1 });
  });

  it.each([
    null,
    [],
    3,
    { data: null },
    { data: { result: {} } },
    { data: { result: [3] } },
  ])("refuses %j", (json) => {
    expect(() => decodeMatrix(json)).toThrow(ApiError);
  });

  it("names series", () => {
    expect(seriesName({ __name__: "up" })).toBe("up");
    expect(seriesName({ __name__: "up", a: 'x"y' })).toBe('up{a="x\\"y"}');
    expect(seriesName({})).toBe("{}");
  });
});

describe("Loki", () => {
  const entry = (third?: unknown): unknown => ({
    data: {
      resultType: "streams",
      result: [
        { stream: { app: "a" }, values: [["1700000000123456789", "hello", ...(third ? [third] : [])]] },
      ],
    },
  });

  it("decodes entries of two and of three elements", () => {
    expect(decodeStreams(entry())[0]).toMatchObject({
      line: "hello",
      level: "unknown",
      stream: { app: "a" },
      metadata: {},
    });
    const categorized = {
      structuredMetadata: { detected_level: "warning", trace_id: "0AF7651916CD43DD8448EB211C80319C" },
      parsed: { k: "v" },
    };
    const line = decodeStreams(entry(categorized))[0];
    expect(line).toMatchObject({ level: "warn", parsed: { k: "v" } });
    expect(line && traceIdOf(line)).toBe("0af7651916cd43dd8448eb211c80319c");
  });

  it("keeps milliseconds of nanosecond times and sorts newest first", () => {
    const result = [
      { stream: {}, values: [["1700000000000000000", "old"]] },
      { stream: {}, values: [["1700000000999000000", "new"]] },
    ];
    const lines = decodeStreams({ data: { resultType: "streams", result } });
    expect(lines.map((line) => line.line)).toEqual(["new", "old"]);
    expect(lines[0]?.atMs).toBe(1_700_000_000_999);
  });

  it("knows levels by many names", () => {
    expect(["ERR", "Warning", "critical", "INFO2", "banana", ""].map(levelOf)).toEqual([
      "error",
      "warn",
      "fatal",
      "info",
      "unknown",
      "unknown",
    ]);
  });

  it("counts lines by level and step", () => {
    const lines = decodeStreams({
      data: {
        result: [
          {
            stream: { level: "error" },
            values: [
              ["10000000000", "a"],
              ["14000000000", "b"],
              ["15000000000", "c"],
              ["99000000000", "d"],
            ],
          },
        ],
      },
    });
    expect(countByLevel(lines, 10, 20, 5)).toEqual([
      {
        labels: { detected_level: "error" },
        points: [
          [10, 2],
          [15, 1],
          [20, 0],
        ],
      },
    ]);
  });
});

describe("traces", () => {
  const search = { service: "a b", operation: 'say "x"', min: "100ms", startMs: 0, endMs: 1, limit: 5 };

  it("asks in TraceQL and in the older form", () => {
    expect(traceQl(search)).toBe(
      '{ resource.service.name = "a b" && name = "say \\"x\\"" && duration >= 100ms }',
    );
    expect(traceQl({ ...search, service: "", operation: "", min: "" })).toBe("{}");
    expect(legacyTags(search)).toBe('service.name="a b" name="say \\"x\\""');
  });

  it("decodes search answers with and without statistics", () => {
    const traces = [
      { traceID: "1", startTimeUnixNano: "1000000", durationMs: 3 },
      {
        traceID: "2",
        rootServiceName: "s",
        rootTraceName: "n",
        startTimeUnixNano: "2000000",
        serviceStats: { s: { spanCount: 2, errorCount: 1 }, t: { spanCount: 1 } },
      },
    ];
    expect(decodeSearch({ traces })).toEqual([
      { id: "2", service: "s", name: "n", startMs: 2, durationMs: 0, spans: 3, errors: 1 },
      { id: "1", service: "", name: "", startMs: 1, durationMs: 3, spans: null, errors: null },
    ]);
    expect(decodeSearch({})).toEqual([]);
  });

  const jaegerSpan = (spanID: string, parent: string | null, startTime: number): unknown => ({
    spanID,
    operationName: `op-${spanID}`,
    processID: "p1",
    startTime,
    duration: 1500,
    references: parent === null ? [] : [{ refType: "CHILD_OF", spanID: parent }],
    tags: [{ key: "error", type: "bool", value: true }],
    logs: [],
  });
  const trace = (...spans: unknown[]): unknown => ({
    data: [{ traceID: "t", spans, processes: { p1: { serviceName: "svc", tags: [] } } }],
  });

  it("decodes Jaeger's trace: microseconds to milliseconds, process to service", () => {
    const decoded = decodeTrace(trace(jaegerSpan("a", null, 2000)));
    expect(decoded.spans[0]).toMatchObject({
      service: "svc",
      name: "op-a",
      startMs: 2,
      durationMs: 1.5,
      error: true,
      parent: null,
    });
  });

  it("says that an empty answer is no trace", () => {
    expect(() => decodeTrace({ data: [] })).toThrow("Trace not found.");
  });

  it("puts spans in tree order; orphans and cycles appear once, too", () => {
    const spans = decodeTrace(
      trace(
        jaegerSpan("c", "a", 3),
        jaegerSpan("a", null, 1),
        jaegerSpan("b", "a", 2),
        jaegerSpan("o", "gone", 9),
        jaegerSpan("x", "y", 11),
        jaegerSpan("y", "x", 12),
        jaegerSpan("d", "b", 4),
      ),
    ).spans;
    expect(spanTree(spans).map((row) => `${row.span.id}${row.depth}`)).toEqual([
      "a0",
      "b1",
      "d2",
      "c1",
      "o0",
      "x0",
      "y1",
    ]);
  });
});

describe("status and errors", () => {
  it("decodes the whole and the bare minimum", () => {
    expect(decodeStatus({})).toMatchObject({ hostname: "", ready: false, doors: [] });
    const status = decodeStatus({
      ready: true,
      uptime_seconds: 5,
      disk: { kind: "threads", why: "" },
      doors: [{ name: "loki", address: "0.0.0.0:3101", state: "open" }],
    });
    expect(status).toMatchObject({ ready: true, uptimeSeconds: 5, disk: { kind: "threads" } });
    expect(doorPort(status.doors, ["loki"], 3100)).toBe(3101);
    expect(doorPort(status.doors, ["otlp_http"], 4318)).toBe(4318);
  });

  it.each([
    ['invalid parameter "query": 1:20: parse error: unclosed left parenthesis', { line: 1, column: 20 }],
    ["parse error at line 2, col 7: syntax error", { line: 2, column: 7 }],
    ["unknown function at position 14", { line: 1, column: 14 }],
    ["out of memory", null],
    ["dial 10.0.0.1 at 12 o'clock", null],
  ])("finds the position in: %s", (message, position) => {
    expect(positionIn(message)).toEqual(position);
  });

  it("builds query strings", () => {
    expect(withQuery("/a", { q: "x&y", empty: "", none: undefined, n: 0 })).toBe("/a?q=x%26y&n=0");
    expect(withQuery("/a", {})).toBe("/a");
  });
});
