// TraceQL as text: the form, what is derived from queries, completion.
import { describe, expect, it } from "vitest";
import { idIn } from "../src/parts/tracenav";
import { placeOf } from "../src/parts/traceql/place";
import { durationTerm, EMPTY_FORM, type Form, formQuery, queryForm } from "../src/traceql/form";
import { isHistogram, isMetricsQuery, measured, withCondition, withDuration } from "../src/traceql/shape";
import { attributeName, quoted, tokensOf, unquoted } from "../src/traceql/tokens";

describe("tokens", () => {
  it("keeps attributes, durations and strings whole", () => {
    expect(
      tokensOf('{ resource.service.name="a }" && .foo>1.5ms&&span."x y"=~`b`} // c').map((t) => t.text),
    ).toEqual([
      "{",
      "resource.service.name",
      "=",
      '"a }"',
      "&&",
      ".foo",
      ">",
      "1.5ms",
      "&&",
      'span."x y"',
      "=~",
      "`b`",
      "}",
    ]);
  });

  it("tells structure from comparison", () => {
    expect(tokensOf("{}>>{}!<<{}&~{}|rate()").map((t) => t.text)).toEqual([
      "{",
      "}",
      ">>",
      "{",
      "}",
      "!<<",
      "{",
      "}",
      "&~",
      "{",
      "}",
      "|",
      "rate",
      "(",
      ")",
    ]);
    expect(tokensOf('{a="x').at(-1)?.text).toBe('"x');
  });

  it("quotes what must be quoted", () => {
    expect(attributeName("span", "http.route")).toBe("span.http.route");
    expect(attributeName("resource", "a b")).toBe('resource."a b"');
    for (const text of ['say "x"', "a\\b", "line\nnext", ""]) expect(unquoted(quoted(text))).toBe(text);
  });
});

describe("the form", () => {
  const FORMS: readonly Form[] = [
    EMPTY_FORM,
    { ...EMPTY_FORM, service: 'a "b"', operation: "GET /x", status: "error", min: "100ms", max: "1h30m" },
    {
      ...EMPTY_FORM,
      tags: [
        { tag: "span.http.status_code", op: ">=", value: "500" },
        { tag: 'resource."a b"', op: "=~", value: "x|y" },
        { tag: "kind", op: "=", value: "server" },
        { tag: "duration", op: ">", value: "1.5s" },
        { tag: ".flag", op: "!=", value: "true" },
      ],
    },
  ];

  it.each(FORMS)("comes back from its query: %j", (form) => {
    expect(queryForm(formQuery(form))).toEqual(form);
  });

  it("writes TraceQL", () => {
    expect(formQuery({ ...EMPTY_FORM, service: "a", status: "error", min: "1s" })).toBe(
      '{ resource.service.name = "a" && status = error && trace:duration >= 1s }',
    );
  });

  it.each([
    "{} | rate()",
    "{ a = 1 || b = 2 }",
    "{ (a = 1) }",
    "{ status = errr }",
    "{ .a = `1` && }",
    "{ .a = nil } >> {}",
    "{ 1 = .a }",
    '{ .a = "5" }',
    "{",
  ])("does not claim to show %s", (query) => {
    expect(queryForm(query)).toBeNull();
  });

  it("reads what others wrote", () => {
    expect(queryForm('{resource.service.name="a"&&traceDuration>=5ms}')).toEqual({
      ...EMPTY_FORM,
      service: "a",
      min: "5ms",
    });
    expect(queryForm("")).toEqual(EMPTY_FORM);
  });

  it("writes durations to three digits", () => {
    expect([0.1234, 12.345, 2345.6, 1e6].map(durationTerm)).toEqual(["123us", "12.3ms", "2.35s", "1000s"]);
  });
});

describe("queries made from queries", () => {
  it("knows those that compute", () => {
    expect(isMetricsQuery("{} | by(name) | rate()")).toBe(true);
    expect(isMetricsQuery('{ name = "| rate()" } | count() > 2')).toBe(false);
    expect(isHistogram("{} | histogram_over_time(duration)")).toBe(true);
  });

  it("measures the spans of a search", () => {
    expect(measured("", "rate()")).toBe("{} | rate()");
    expect(measured("{ a = 1 } | select(.b)", "rate()")).toBe("{ a = 1 } | rate()");
    expect(measured("{} | rate()", "rate()")).toBeNull();
  });

  it("narrows by duration", () => {
    expect(withDuration("{}", "1ms", "2ms")).toBe("{ trace:duration >= 1ms && trace:duration <= 2ms }");
    expect(withDuration("{} >> {}", "1ms", "2ms")).toBe(
      "{ trace:duration >= 1ms && trace:duration <= 2ms } && ({} >> {})",
    );
    expect(withDuration("{} | count() > 2", "1ms", "2ms")).toBeNull();
  });

  it("adds conditions", () => {
    expect(withCondition("{ status = error }", "span.a", "=", "x")).toBe(
      '{ status = error && span.a = "x" }',
    );
  });
});

describe("completion's place", () => {
  it.each([
    ["", "start"],
    ["{ ", "tag"],
    ["{ resource.ser", "tag"],
    ["{ name ", "operator"],
    ["{ name = ", "value"],
    ['{ name = "GE', "value"],
    ["{ status = er", "value"],
    ['{ name = "a" ', "joint"],
    ['{ name = "a" && ', "tag"],
    ["{} ", "spansets"],
    ["{} | ", "stage"],
    ["{} | ra", "stage"],
    ["{} | rate() by (", "argument"],
    ["{} | rate() ", "spansets"],
    ["{} >> { ", "tag"],
  ])("behind %j: %s", (text, kind) => {
    expect(placeOf(text).kind).toBe(kind);
  });

  it("knows what a value is of, and what narrows it", () => {
    expect(placeOf('{ resource.service.name = "a" && name = "GE')).toEqual({
      kind: "value",
      from: 41,
      tag: "name",
      quote: '"',
      isMatch: false,
      conditions: '{ resource.service.name = "a" }',
    });
    expect(placeOf('{ .a = 1 || name = "GE')).toMatchObject({ conditions: "{}" });
  });
});

describe("ids", () => {
  const id = "0af7651916cd43dd8448eb211c80319c";
  it.each([
    [id, id],
    [` ${id.toUpperCase()} `, id],
    [`00-${id}-b7ad6b7169203331-01`, id],
    [`http://pi:3000/#/trace/${id}?span=1`, id],
    ["0af76519-16cd-43dd-8448-eb211c80319c", id],
    ["b7ad6b7169203331", "b7ad6b7169203331"],
    ["hello", null],
    ["", null],
  ])("in %j: %s", (text, found) => {
    expect(idIn(text)).toBe(found);
  });
});
