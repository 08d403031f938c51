import { describe, expect, it } from "vitest";
import {
  correlationRoute,
  correlationsRoute,
  formatRoute,
  formatSpan,
  logsRoute,
  metricsRoute,
  parseRoute,
  parseSpan,
  type Route,
  resolveRange,
  shifted,
  stepOf,
  storyRoute,
  traceRoute,
  tracesRoute,
  widened,
} from "../src/state/url";

const ROUTES: readonly Route[] = [
  { page: "overview", range: { last: 900 }, host: "" },
  { page: "overview", range: { last: 3600 }, host: "pi-2:9100" },
  metricsRoute('sum by (a) (rate(x_total{a=~"b|c&d=e#f", g="%"}[5m]))', { last: 21_600 }),
  metricsRoute("", { from: 1_700_000_000, to: 1_700_003_600 }),
  {
    page: "metrics",
    queries: [
      { text: "-up", off: false },
      { text: "-up", off: true },
      { text: "", off: false },
    ],
    view: "stack",
    range: { last: 3600 },
  },
  { page: "metrics", queries: [{ text: "", off: true }], view: "table", range: { last: 3600 } },
  logsRoute('{app="ä ö"} |= "100 %" != `+`'),
  { ...logsRoute("", { last: 90 }), live: true, wrap: true },
  {
    ...logsRoute("{a=`b`}", { from: 5, to: 9 }),
    view: "patterns",
    order: "oldest",
    utc: true,
    line: "17-a.1",
  },
  tracesRoute('{ name = "GET /x?y=1" && span.a =~ "b|c" }', { last: 604_800 }),
  { ...tracesRoute(""), sort: "longest", limit: 1000, colour: "service" },
  traceRoute("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"),
  { ...traceRoute("ab"), view: "sums", service: "a b", find: "x=y & z" },
  traceRoute("with/slash and %"),
  { page: "map", range: { from: 5, to: 9 }, focus: "a b" },
  { page: "services", range: { last: 900 }, service: "a/b c", sort: "p95" },
  correlationsRoute(),
  {
    ...correlationsRoute(
      [
        { kind: "trace_id", value: "0af7651916cd43dd8448eb211c80319c" },
        { kind: "circuit_id", value: "a/b=c & d" },
      ],
      { last: 86_400 },
    ),
    service: "arda",
    errors: true,
  },
  correlationRoute("0af7651916cd43dd8448eb211c80319c-1795114800000"),
  { ...correlationRoute("x"), service: "a b", show: "errors", sent: true },
  storyRoute({ kind: "request_id", value: "r-1" }),
];

describe("routes", () => {
  it.each(ROUTES)("comes back from its link: %j", (route) => {
    expect(parseRoute(formatRoute(route))).toEqual(route);
  });

  it("leaves defaults out", () => {
    expect(formatRoute({ page: "overview", range: { last: 900 }, host: "" })).toBe("#/");
    expect(formatRoute(logsRoute(""))).toBe("#/logs");
  });

  it("understands links from before there was TraceQL", () => {
    expect(parseRoute("#/traces?service=a&min=100ms")).toEqual(
      tracesRoute('{ resource.service.name = "a" && trace:duration >= 100ms }'),
    );
    expect(parseRoute("#/traces?min=soon&limit=7&sort=x")).toEqual(tracesRoute(""));
  });

  it.each([
    "",
    "#",
    "#/",
    "#/nowhere",
    "#/?range=banana",
    "#/?from=5&to=1",
  ])("takes %s for the overview", (hash) => {
    expect(parseRoute(hash)).toEqual({ page: "overview", range: { last: 900 }, host: "" });
  });

  it("survives malformed escapes", () => {
    expect(parseRoute("#/trace/%E0%A4%A")).toEqual(traceRoute("%E0%A4%A"));
    expect(parseRoute("#/metrics?q=%zz")).toMatchObject({ page: "metrics" });
  });
});

describe("time ranges", () => {
  it.each([
    [1, "1s"],
    [90, "90s"],
    [60, "1m"],
    [5400, "90m"],
    [86_400, "1d"],
    [604_800, "1w"],
  ])("writes and reads %d s", (seconds, text) => {
    expect(formatSpan(seconds)).toBe(text);
    expect(parseSpan(text)).toBe(seconds);
  });

  it.each(["", "0s", "-1h", "1.5h", "5", "h", "1000000000d"])("refuses %s", (text) => {
    expect(parseSpan(text)).toBeNull();
  });

  it("lies on the grid of its step", () => {
    expect(resolveRange({ last: 60 }, 1_000_007_500, 15)).toEqual({ start: 999_945, end: 1_000_005 });
    expect(resolveRange({ from: 7, to: 31 }, 0, 5)).toEqual({ start: 5, end: 30 });
  });

  it("moves by half of itself and widens around its middle", () => {
    expect(shifted({ from: 100, to: 200 }, 0, -1)).toEqual({ from: 50, to: 150 });
    expect(shifted({ last: 100 }, 1_000_000, 1)).toEqual({ from: 950, to: 1050 });
    expect(widened({ from: 100, to: 200 })).toEqual({ from: 50, to: 250 });
    expect(widened({ last: 3600 })).toEqual({ last: 7200 });
  });

  it("chooses a step that keeps to the number of points", () => {
    for (const last of [1, 300, 3600, 86_400, 604_800, 31_000_000]) {
      expect(last / stepOf({ last }, 300)).toBeLessThanOrEqual(300);
    }
    expect(stepOf({ last: 3600 }, 300)).toBe(15);
  });
});
