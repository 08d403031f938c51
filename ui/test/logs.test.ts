import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { decodeFields, decodeTemplates } from "../src/api/fields";
import { ApiError } from "../src/api/http";
import { decodeLines, type LogLine, linesOf, shiftedNs } from "../src/api/loki";
import { EMPTY_BOOK, nextRange, withFresh, withPage } from "../src/pages/logs/book";
import { joinedTemplates } from "../src/pages/logs/joined";
import { stacksOf } from "../src/pages/logs/levels";
import { trendOf } from "../src/pages/logs/patterns";
import { countQuery } from "../src/pages/logs/stats";
import {
  decodeFrame,
  retryPauseMs,
  type Socket,
  Tail,
  type TailState,
  WAITING_MAX,
} from "../src/pages/logs/tail";
import { piecesOf } from "../src/pages/logs/text";
import { countValues, fieldsOf } from "../src/pages/logs/values";
import { withRecent } from "../src/parts/recent";
import { driftOf, offsetsOf, rowAt, rowsIn } from "../src/parts/virtual/virtual";

const stream = (values: readonly (readonly unknown[])[], labels = { app: "a" }): unknown => [
  { stream: labels, values },
];

const line = (ns: string, text: string, extra?: unknown): LogLine =>
  linesOf(stream([[ns, text, ...(extra === undefined ? [] : [extra])]]))[0] as LogLine;

describe("lines", () => {
  it("have the same id in every answer, and different ones where they differ", () => {
    const once = linesOf(stream([["5", "a"]]))[0]?.id;
    const among = linesOf(
      stream([
        ["9", "x"],
        ["5", "b"],
        ["5", "a"],
      ]),
    ).map((one) => one.id);
    expect(among[2]).toBe(once);
    expect(new Set(among).size).toBe(3);
    expect(linesOf(stream([["5", "a"]], { app: "b" }))[0]?.id).not.toBe(once);
    expect(
      new Set(
        linesOf(
          stream([
            ["5", "a"],
            ["5", "a"],
          ]),
        ).map((one) => one.id),
      ).size,
    ).toBe(2);
  });

  it("come newest first to the nanosecond, with warnings", () => {
    const data = {
      result: stream([
        ["1700000000000000001", "b"],
        ["1700000000000000002", "c"],
        ["999", "a"],
      ]),
    };
    const answer = decodeLines({ warnings: ["partial"], data });
    expect(answer.data.map((one) => one.line)).toEqual(["c", "b", "a"]);
    expect(answer.warnings).toEqual(["partial"]);
    expect(shiftedNs("1700000000000000001", -2)).toBe("1699999999999999999");
  });
});

describe("pages of lines", () => {
  const [a, b, c, d] = ["1", "2", "3", "4"].map((ns) => line(ns, ns)) as [LogLine, LogLine, LogLine, LogLine];

  it("join without doubles", () => {
    const book = withPage(withPage(EMPTY_BOOK, [d, c], 2), [c, b], 2);
    expect(book).toEqual({ lines: [d, c, b], complete: false });
    expect(withPage(book, [b, a], 3)).toEqual({ lines: [d, c, b, a], complete: true });
  });

  it("go on with the last nanosecond included, but not for ever", () => {
    const book = withPage(EMPTY_BOOK, [d, c], 2);
    expect(nextRange(EMPTY_BOOK, "backward", "0", "9", 0)).toEqual({ startNs: "0", endNs: "9" });
    expect(nextRange(book, "backward", "0", "9", 2)).toEqual({ startNs: "0", endNs: "4" });
    expect(nextRange(book, "backward", "0", "9", 0)).toEqual({ startNs: "0", endNs: "3" });
    expect(nextRange(book, "forward", "0", "9", 2)).toEqual({ startNs: "4", endNs: "9" });
    expect(nextRange(book, "forward", "0", "9", 0)).toEqual({ startNs: "5", endNs: "9" });
  });

  it("keep the newest of those that are followed", () => {
    expect(withFresh([b, a], [d, c, b], 3).map((one) => one.line)).toEqual(["4", "3", "2"]);
  });
});

describe("the list", () => {
  const heights = [10, 30, 20, 40];
  const offsets = offsetsOf(4, (index) => heights[index] ?? 0);

  it("knows where rows begin", () => {
    expect([...offsets]).toEqual([0, 10, 40, 60, 100]);
    expect([-5, 0, 9, 10, 39, 40, 99, 1000].map((y) => rowAt(offsets, y))).toEqual([0, 0, 0, 1, 1, 2, 3, 3]);
    expect(
      rowAt(
        offsetsOf(0, () => 1),
        5,
      ),
    ).toBe(0);
  });

  it("draws what is in view and a margin", () => {
    expect(rowsIn(offsets, 12, 38, 0)).toEqual({ first: 1, last: 2 });
    expect(rowsIn(offsets, 12, 38, 5)).toEqual({ first: 0, last: 3 });
    expect(rowsIn(offsets, -1000, -900, 10)).toEqual({ first: 0, last: 1 });
    expect(
      rowsIn(
        offsetsOf(0, () => 1),
        0,
        100,
        10,
      ),
    ).toEqual({ first: 0, last: 0 });
  });

  it("draws some dozens of a million rows", () => {
    const many = offsetsOf(1_000_000, () => 24);
    const { first, last } = rowsIn(many, 12_000_000, 12_000_900, 600);
    expect(first).toBe(499_975);
    expect(last - first).toBeLessThan(100);
  });

  it("holds on to its row when rows come above it", () => {
    const anchor = { key: "b", within: 5 };
    const grown = offsetsOf(5, (index) => [7, ...heights][index] ?? 0);
    expect(driftOf(anchor, (key) => (key === "b" ? 2 : undefined), grown, 15)).toBe(7);
    expect(driftOf(anchor, () => undefined, grown, 15)).toBe(0);
    expect(driftOf(null, () => 1, grown, 15)).toBe(0);
  });
});

describe("following", () => {
  class Fake implements Socket {
    onopen: Socket["onopen"] = null;
    onmessage: Socket["onmessage"] = null;
    onclose: Socket["onclose"] = null;
    closed = false;
    constructor(readonly path: string) {}
    close(): void {
      this.closed = true;
    }
    say(values: readonly (readonly unknown[])[], dropped: unknown = null): void {
      this.onmessage?.({ data: JSON.stringify({ streams: stream(values), dropped_entries: dropped }) });
    }
  }

  let sockets: Fake[];
  let told: LogLine[];
  let state: TailState;
  let tail: Tail;

  beforeEach(() => {
    vi.useFakeTimers();
    [sockets, told] = [[], []];
    tail = new Tail({
      query: '{app="a"} |= "+"',
      startNs: () => String(100 + told.length),
      onLines: (lines) => told.push(...lines),
      onState: (next) => {
        state = next;
      },
      connect: (path) => {
        const socket = new Fake(path);
        sockets.push(socket);
        return socket;
      },
    });
  });
  afterEach(() => {
    tail.close();
    vi.useRealTimers();
  });

  it("decodes frames and refuses what is none", () => {
    const frame = decodeFrame(
      '{"streams":[{"stream":{"a":"b"},"values":[["1","x"]]}],"dropped_entries":[{},{}]}',
    );
    expect([frame.lines[0]?.line, frame.dropped]).toEqual(["x", 2]);
    expect(decodeFrame('{"streams":null,"dropped_entries":null}')).toEqual({ lines: [], dropped: 0 });
    for (const bad of ["", "[]", "null", '{"streams":3}']) expect(() => decodeFrame(bad)).toThrow(ApiError);
  });

  it("asks for the query from its start and tells lines in groups, with their rate", () => {
    expect(sockets[0]?.path).toBe(
      "/loki/loki/api/v1/tail?query=%7Bapp%3D%22a%22%7D+%7C%3D+%22%2B%22&start=100&limit=5000&encoding_flags=categorize-labels",
    );
    sockets[0]?.onopen?.();
    sockets[0]?.say([["1", "a"]]);
    sockets[0]?.say([["2", "b"]], [{}, {}, {}]);
    expect(told).toEqual([]);
    vi.advanceTimersByTime(250);
    expect(told.map((one) => one.line)).toEqual(["a", "b"]);
    expect(state).toEqual({ link: "open", rate: 0.4, waiting: 0, dropped: 3, paused: false, why: "" });
    vi.advanceTimersByTime(6000);
    expect(state.rate).toBe(0);
  });

  it("holds lines while paused, the newest only when they are too many", () => {
    tail.pause(true);
    sockets[0]?.say(Array.from({ length: WAITING_MAX + 3 }, (_, at) => [String(at), `line ${at}`]));
    vi.advanceTimersByTime(1000);
    expect([told.length, state.waiting, state.dropped]).toEqual([0, WAITING_MAX, 3]);
    tail.pause(false);
    expect([told.length, told[0]?.line]).toEqual([WAITING_MAX, "line 3"]);
  });

  it("comes back with growing pauses, from where it was", () => {
    sockets[0]?.say([["1", "a"]]);
    vi.advanceTimersByTime(250);
    sockets[0]?.onclose?.({ code: 1011, reason: "reached the limit" });
    expect([state.link, state.why]).toEqual(["waiting", "reached the limit"]);
    vi.advanceTimersByTime(499);
    expect(sockets).toHaveLength(1);
    vi.advanceTimersByTime(1);
    expect(sockets[1]?.path).toContain("start=101");
    sockets[1]?.onclose?.({ code: 1006, reason: "" });
    vi.advanceTimersByTime(999);
    expect(sockets).toHaveLength(2);
    vi.advanceTimersByTime(1);
    expect(sockets).toHaveLength(3);
    expect([1, 2, 5, 50].map(retryPauseMs)).toEqual([500, 1000, 8000, 30_000]);
  });

  it("counts a frame that it cannot read and goes on", () => {
    sockets[0]?.onmessage?.({ data: "not json" });
    sockets[0]?.say([["1", "a"]]);
    vi.advanceTimersByTime(250);
    expect([told.length, state.dropped]).toEqual([1, 1]);
  });

  it("ends for good", () => {
    tail.close();
    sockets[0]?.onclose?.({ code: 1000, reason: "" });
    vi.advanceTimersByTime(60_000);
    expect([sockets.length, sockets[0]?.closed]).toEqual([1, true]);
  });
});

describe("fields", () => {
  const lines = [
    line("1", '{"user":{"id":7}}', { structuredMetadata: { trace_id: "ab" } }),
    line("2", '{"user":{"id":7}}', { parsed: { extra: "x" } }),
    line("3", "level=info msg=hi"),
  ];

  it("are labels, metadata and what parsers find, each once", () => {
    const detected = decodeFields({
      fields: [
        { label: "user_id", type: "int", cardinality: 9, parsers: ["json"] },
        { label: "hidden", type: "string", cardinality: 2, parsers: null },
      ],
    });
    expect(
      fieldsOf(lines, detected, false).map((one) => [one.name, one.origin, one.parser, one.cardinality]),
    ).toEqual([
      ["app", "label", null, 0],
      ["hidden", "metadata", null, 2],
      ["trace_id", "metadata", null, 0],
      ["extra", "parsed", null, 0],
      ["level", "parsed", "logfmt", 0],
      ["msg", "parsed", "logfmt", 0],
      ["user_id", "parsed", "json", 9],
    ]);
  });

  it("of a query that parses are parsed, whoever found them", () => {
    const detected = decodeFields({ fields: [{ label: "x", type: "int", cardinality: 3, parsers: [] }] });
    expect(fieldsOf([], detected, true)).toEqual([
      { name: "x", origin: "parsed", parser: null, cardinality: 3 },
    ]);
  });

  it("are counted, and asked for with the parser they need", () => {
    const field = { name: "user_id", origin: "parsed", parser: "json", cardinality: 0 } as const;
    expect(countValues(lines, field)).toEqual([{ value: "7", count: 2 }]);
    expect(countQuery('{a="b"}', field, 60)).toContain('count_over_time({a="b"}\n| json\n| drop __error__');
    expect(countQuery('{a="b"} | json', field, 60)).not.toContain("\n| json");
  });
});

describe("patterns", () => {
  it("are decoded, with their trend on the page's grid", () => {
    const one = {
      pattern: "a <_>",
      example: "a 1",
      labels: {},
      count: 3,
      firstSeen: "5000000000",
      lastSeen: "9000000000",
      new: true,
      samples: [
        [10, 1],
        [15, 2],
        [99, 9],
      ],
    };
    const { templates, truncated } = decodeTemplates({ data: { templates: [one], truncated: true } });
    expect([truncated, templates[0]?.isNew, templates[0]?.firstMs]).toEqual([true, true, 5000]);
    expect(trendOf(templates[0]?.samples ?? [], 10, 25, 5)).toEqual([0.5, 1, 0]);
    expect(() => decodeTemplates({ data: { templates: {} } })).toThrow(ApiError);
  });

  it("of several streams are one", () => {
    const one = { example: "e", labels: { app: "a", pod: "p" }, isNew: true, samples: [[5, 1]] as const };
    const joined = joinedTemplates(
      [
        { ...one, pattern: "x <_>", count: 2, firstMs: 9, lastMs: 9 },
        { ...one, pattern: "y", count: 3, firstMs: 8, lastMs: 8 },
        {
          ...one,
          pattern: "x <_>",
          count: 5,
          firstMs: 4,
          lastMs: 7,
          isNew: false,
          labels: { app: "a", pod: "q" },
        },
      ],
      "count",
    );
    expect(joined.map((each) => [each.pattern, each.count, each.streams, each.isNew])).toEqual([
      ["x <_>", 7, 2, false],
      ["y", 3, 1, true],
    ]);
    expect(joined[0]).toMatchObject({
      firstMs: 4,
      lastMs: 9,
      labels: { app: "a" },
      samples: [
        [5, 1],
        [5, 1],
      ],
    });
  });
});

describe("the page", () => {
  it("marks within styled text", () => {
    const runs = [
      { text: "abc", style: "ansi-red" },
      { text: "def", style: "" },
    ];
    expect(piecesOf(runs, [[1, 4]])).toEqual([
      { text: "a", style: "ansi-red", marked: false },
      { text: "bc", style: "ansi-red", marked: true },
      { text: "d", style: "", marked: true },
      { text: "ef", style: "", marked: false },
    ]);
  });

  it("stacks counts by level under all their names", () => {
    const series = [
      { labels: { detected_level: "warn" }, points: [[0, 1]] as const },
      {
        labels: { detected_level: "WARNING" },
        points: [
          [0, 2],
          [5, 3],
        ] as const,
      },
      { labels: {}, points: [[5, 1]] as const },
    ];
    const { stacks } = stacksOf({ series, start: 0, end: 5, step: 5, warnings: [] });
    expect(stacks.map((one) => [one.level, one.names, one.values, one.total])).toEqual([
      ["warn", ["warn", "WARNING"], [3, 3], 6],
      ["unknown", ["unknown"], [0, 1], 1],
    ]);
  });

  it("remembers queries once, the newest first", () => {
    expect(withRecent(["a", "b"], "b")).toEqual(["b", "a"]);
    expect(
      withRecent(
        Array.from({ length: 30 }, (_, at) => `q${at}`),
        "new",
      ),
    ).toHaveLength(20);
  });
});
