import { describe, expect, it } from "vitest";
import { ApiError, positionIn, withQuery } from "../src/api/http";
import { countByLevel, decodeStreams, levelOf, traceIdOf } from "../src/api/loki";
import { decodeExemplars, decodeMatrix, decodeVector, seriesName } from "../src/api/prometheus";
import { decodeStatus, doorPort } from "../src/api/status";
import { decodeMeasured, decodeSearch } from "../src/api/tempo";
import { decodeTrace } from "../src/api/trace";
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
  it("decodes search answers with and without statistics", () => {
    const traces = [
      {
        traceID: "1",
        rootServiceName: "<root span not yet received>",
        startTimeUnixNano: "1000000",
        durationMs: 3,
      },
      {
        traceID: "2",
        rootServiceName: "s",
        rootTraceName: "n",
        startTimeUnixNano: "2000000",
        serviceStats: { t: { spanCount: 1 }, s: { spanCount: 2, errorCount: 1 } },
        spanSets: [{ matched: 2, spans: [] }],
      },
    ];
    const found = decodeSearch({ traces, metrics: { inspectedSpans: "12" } });
    expect(found).toMatchObject({ partial: "", inspected: 12 });
    expect(found.traces).toEqual([
      {
        id: "2",
        service: "s",
        name: "n",
        startMs: 2,
        durationMs: 0,
        spans: 3,
        errors: 1,
        services: [
          { service: "s", spans: 2, errors: 1 },
          { service: "t", spans: 1, errors: 0 },
        ],
        matched: 2,
      },
      {
        id: "1",
        service: "",
        name: "",
        startMs: 1,
        durationMs: 3,
        spans: null,
        errors: null,
        services: [],
        matched: 0,
      },
    ]);
    expect(decodeSearch({}).traces).toEqual([]);
  });

  it.each([
    [{ status: "partial", message: "Out of time." }, "Out of time."],
    [{ partial: true }, "The search was ended before everything was looked at."],
    [{ partial: "Out of memory." }, "Out of memory."],
    [{ status: "complete" }, ""],
  ])("says that an answer is not whole: %j", (answer, said) => {
    expect(decodeSearch(answer).partial).toBe(said);
  });

  it("decodes numbers over time with their exemplars", () => {
    const series = [
      {
        labels: [{ key: "p", value: { doubleValue: 0.5 } }],
        samples: [{ timestampMs: "5000", value: 2 }, { timestampMs: "6000" }],
        exemplars: [
          { labels: [{ key: "trace:id", value: { stringValue: "ab" } }], timestampMs: "5500", value: 1 },
        ],
      },
    ];
    expect(decodeMeasured({ series })).toEqual({
      series: [
        {
          labels: { p: "0.5" },
          points: [
            [5, 2],
            [6, 0],
          ],
        },
      ],
      exemplars: [{ labels: { "trace:id": "ab" }, series: { p: "0.5" }, value: 1, at: 5.5 }],
      partial: "",
    });
  });

  const answer = (...spans: unknown[]): unknown => ({
    trace: {
      resourceSpans: [
        {
          resource: { attributes: [{ key: "service.name", value: { stringValue: "svc" } }] },
          scopeSpans: [{ scope: { name: "lib", version: "1" }, spans }],
        },
      ],
    },
  });

  it("decodes a trace: ids of both forms, nanoseconds kept, kinds and states by name and number", () => {
    const trace = decodeTrace(
      answer(
        {
          spanId: "7nfj7QFjw2U=",
          name: "op",
          kind: "SPAN_KIND_SERVER",
          startTimeUnixNano: "1795274780361440940",
          endTimeUnixNano: "1795274780361440943",
          status: { code: "STATUS_CODE_ERROR", message: "no" },
          attributes: [
            { key: "n", value: { intValue: "7" } },
            { key: "list", value: { arrayValue: { values: [{ intValue: "1" }, { stringValue: "x" }] } } },
          ],
          events: [{ timeUnixNano: "1795274780361440942", name: "e" }],
          links: [{ traceId: "6YH3qR7m0KciHtxH+pRUaQ==", spanId: "" }],
        },
        {
          spanId: "00f067aa0ba902b7",
          parentSpanId: "ee77e3ed0163c365",
          kind: 3,
          startTimeUnixNano: "1795274780361440950",
          endTimeUnixNano: "1795274780361440940",
          status: { code: 1 },
        },
        { spanId: "00f067aa0ba902b8", parentSpanId: "AAAAAAAAAAA=" },
      ),
      "t",
    );
    expect(trace.startNs).toBe(1795274780361440940n);
    expect(trace.spans[0]).toMatchObject({
      id: "ee77e3ed0163c365",
      parent: null,
      service: "svc",
      start: 0,
      end: 3,
      kind: "server",
      status: "error",
      message: "no",
      attributes: [
        { key: "n", value: "7", isText: false },
        { key: "list", value: '[1,"x"]', isText: true },
      ],
      events: [{ at: 2, name: "e" }],
      links: [{ traceId: "e981f7a91ee6d0a7221edc47fa945469", spanId: "" }],
    });
    expect(trace.spans[1]).toMatchObject({
      parent: "ee77e3ed0163c365",
      start: 10,
      end: 10,
      kind: "client",
      status: "ok",
    });
    expect(trace.spans[1]?.warnings).toHaveLength(1);
    expect(trace.spans[2]).toMatchObject({ parent: null, kind: "" });
  });

  it("says that an empty answer is no trace", () => {
    expect(() => decodeTrace({ trace: {} }, "t")).toThrow("Trace not found.");
    expect(() => decodeTrace({}, "t")).toThrow("Trace not found.");
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
