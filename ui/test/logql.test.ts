import { describe, expect, it } from "vitest";
import { ansiRuns, withoutAnsi } from "../src/logql/ansi";
import {
  ALL_LINES,
  counting,
  fieldName,
  looser,
  patternQuery,
  withField,
  withLevel,
  withLineFilter,
  withMatcher,
} from "../src/logql/edit";
import { ownFields } from "../src/logql/fields";
import { fromGo, soughtBy, stretchesOf } from "../src/logql/highlight";
import { isLogQuery, logPartOf, parserOf } from "../src/logql/shape";
import { quoted, tokensOf, unquoted } from "../src/logql/tokens";
import { placeOf } from "../src/parts/logql/place";

describe("tokens", () => {
  it.each([
    '{a="b", c=~`d"|`} |= "x\\"y" | json e="f.g" | h >= 5ms # end',
    'sum by (a) (rate({b!~"c"} !> "<_> d" [5m]))',
    '{a="unfinished',
    "§ nonsense ` open",
    "",
  ])("cover %s but for its spaces", (query) => {
    const tokens = tokensOf(query);
    let at = 0;
    for (const token of tokens) {
      expect(query.slice(at, token.from).trim()).toBe("");
      expect(query.slice(token.from, token.to)).toBe(token.text);
      at = token.to;
    }
    expect(query.slice(at).trim()).toBe("");
  });

  it.each([
    "plain",
    'with "quotes"',
    "back\\slash",
    'tick ` and "',
    "line\nbreak",
    "tab\t",
    "ü 💡",
    "",
  ])("brings %j back from its quotes", (text) => {
    const written = quoted(text);
    expect(unquoted(written)).toBe(text);
    expect(tokensOf(written)).toHaveLength(1);
  });

  it("prefers what reads best", () => {
    expect(quoted("a")).toBe('"a"');
    expect(quoted('say "a"')).toBe('`say "a"`');
    expect(unquoted('"\\x41\\u0042\\t"')).toBe("AB\t");
  });
});

describe("shape", () => {
  it("tells lines from counts", () => {
    expect(isLogQuery(' {a="b"}')).toBe(true);
    expect(isLogQuery('# why\n{a="b"}')).toBe(true);
    expect(isLogQuery('count_over_time({a="b"}[1m])')).toBe(false);
    expect(isLogQuery("vector(1)")).toBe(false);
  });

  it("finds stages, and tells a line filter's != from a label filter's", () => {
    const query =
      '{a="b"} |= "x" or "y" != "z" | json != "w" | c != "d" !~ "e" | f="1" and g!="2" | line_format "{{.h}}"';
    const stages = logPartOf(query)?.stages ?? [];
    expect(stages.map((one) => [one.kind, one.op, one.name])).toEqual([
      ["line", "|=", ""],
      ["line", "!=", ""],
      ["parser", "json", ""],
      ["line", "!=", ""],
      ["label", "!=", "c"],
      ["line", "!~", ""],
      ["label", "", ""],
      ["other", "line_format", ""],
    ]);
    expect(stages[0]?.values).toEqual(["x", "y"]);
    expect(stages.map((one) => query.slice(one.from, one.to)).join(" ")).toBe(query.slice(8));
  });

  it("stops where the range begins", () => {
    const query = 'sum(rate({a="b"} | logfmt | (c="d" or e="f") [5m])) / 2';
    const part = logPartOf(query);
    expect(query.slice(part?.selector.from, part?.end)).toBe('{a="b"} | logfmt | (c="d" or e="f")');
    expect(parserOf(query)).toBe("logfmt");
  });
});

describe("edits", () => {
  it.each([
    [ALL_LINES, "a", "=", "b", '{a="b"}'],
    [ALL_LINES, "a", "!=", "b", '{service_name=~".+", a!="b"}'],
    ['{a="b"} |= "x"', "c", "=", "d", '{a="b", c="d"} |= "x"'],
    ['{a="b"}', "a", "=", "c", '{a="c"}'],
    ['{a="b"}', "a", "=", "b", ALL_LINES],
    ['{a="b", c="d"}', "a", "!=", "b", '{a!="b", c="d"}'],
    ['{c="d", a!="b"}', "a", "!=", "e", '{c="d", a!="b", a!="e"}'],
    ['{c="d", a!="b", a!="e"}', "a", "=", "b", '{c="d", a="b"}'],
    ['sum(count_over_time({c="d"}[5m]))', "a", "=", 'x"y', 'sum(count_over_time({c="d", a=`x"y`}[5m]))'],
    ["", "a", "=", "b", '{a="b"}'],
    [ALL_LINES, "service_name", "=", "api", '{service_name="api"}'],
    ['{"k8s.pod"="x"}', "k8s.pod", "=", "y", '{"k8s.pod"="y"}'],
  ] as const)("%s with label %s %s %s", (query, name, sense, value, expected) => {
    expect(withMatcher(query, name, sense, value)).toBe(expected);
  });

  it.each([
    ['{a="b"}', "c", "=", "d", null, '{a="b"} | c="d"'],
    ['{a="b"}', "c.d", "=", "e", "json", '{a="b"} | json | c_d="e"'],
    ['{a="b"} | json', "c", "!=", "d", "json", '{a="b"} | json | c!="d"'],
    ['{a="b"} | c="d" |= "x"', "c", "=", "d", null, '{a="b"} |= "x"'],
    ['{a="b"} | c="d" |= "x"', "c", "!=", "d", null, '{a="b"} | c!="d" |= "x"'],
    ['{a="b"} | c="d"', "c", "=", "e", null, '{a="b"} | c="e"'],
    ['{a="b"} | c!="d"', "c", "!=", "e", null, '{a="b"} | c!="d" | c!="e"'],
    [
      'sum_over_time({a="b"} | logfmt | unwrap x [1m])',
      "c",
      "=",
      "d",
      "logfmt",
      'sum_over_time({a="b"} | logfmt | c="d" | unwrap x [1m])',
    ],
  ] as const)("%s with field %s %s %s", (query, name, sense, value, parser, expected) => {
    expect(withField(query, name, sense, value, parser)).toBe(expected);
  });

  it.each([
    ['{a="b"} | json', "|=", "x", '{a="b"} |= "x" | json'],
    ['{a="b"} |= "x"', "|=", "x", '{a="b"}'],
    ['{a="b"} |= "x"', "!=", "x", '{a="b"} != "x"'],
    ['{a="b"} != "x"', "|=", "x", '{a="b"} |= "x"'],
    ['{a="b"} |= "x"', "|>", "<_> y", '{a="b"} |= "x" |> "<_> y"'],
    ['{a="b"} |> "<_> y"', "!>", "<_> y", '{a="b"} !> "<_> y"'],
    ['{a="b"} | line_format "z"', "|=", "z", '{a="b"} | line_format "z" |= "z"'],
  ] as const)("%s with line filter %s %s", (query, op, text, expected) => {
    expect(withLineFilter(query, op, text)).toBe(expected);
  });

  it("switches a level on, over and off", () => {
    const one = withLevel('{a="b"}', ["error"]);
    expect(one).toBe('{a="b"} | detected_level="error"');
    const other = withLevel(one, ["warn", "warning"]);
    expect(other).toBe('{a="b"} | detected_level=~"warn|warning"');
    expect(withLevel(other, ["warn", "warning"])).toBe('{a="b"}');
  });

  it("leaves comments be and counts behind them", () => {
    expect(withMatcher('{a="b"} # {c="d"}', "e", "=", "f")).toBe('{a="b", e="f"} # {c="d"}');
    expect(counting('{a="b"} # all', "60s", "x")).toContain(
      "# all\n| drop __error__, __error_details__ [60s]",
    );
  });

  it("offers each filter's absence", () => {
    expect(looser('{a="b"} |= "x" | json | c="d"').map((one) => one.query)).toEqual([
      '{a="b"} | json | c="d"',
      '{a="b"} |= "x" | json',
    ]);
    expect(looser('rate({a="b"} |= "x" [1m])')).toEqual([]);
  });

  it("asks for patterns by stream and line only, and says what is left out", () => {
    const query = '{a="b"} |= "x" !> "<_> y" | json | c="d" != "z" | line_format "w" |= "w"';
    expect(patternQuery(query)).toEqual({
      query: '{a="b"} |= "x" != "z"',
      only: [],
      hidden: ["<_> y"],
      leftOut: ['| c="d"', '|= "w"'],
    });
    expect(patternQuery('{a="b"} |> `<_>`').only).toEqual(["<_>"]);
  });

  it("names fields as the parsers do", () => {
    expect(["a.b-c", "9lives", "ok_1"].map(fieldName)).toEqual(["a_b_c", "_9lives", "ok_1"]);
  });
});

describe("fields of a line", () => {
  it("flattens JSON and leaves lists out", () => {
    expect(ownFields('{"a":1,"b":{"c.d":"e","f":[1]},"g":null,"h":true}')).toEqual({
      parser: "json",
      fields: { a: "1", b_c_d: "e", h: "true" },
    });
  });

  it("reads logfmt, but not prose", () => {
    expect(ownFields('level=info msg="two words" took=5ms')).toEqual({
      parser: "logfmt",
      fields: { level: "info", msg: "two words", took: "5ms" },
    });
    expect(ownFields("we set x=1 and then waited for a long time").parser).toBeNull();
    expect(ownFields("{not json").parser).toBeNull();
  });
});

describe("highlights", () => {
  it("finds what filters want, not what they reject", () => {
    const sought = soughtBy('{a="b"} |= "err(" or "warn" != "no" |~ "(?i)fail(ed)?" | json | c="d"');
    const text = "Err( err( FAILED warn no";
    expect(stretchesOf(text, sought).map(([from, to]) => text.slice(from, to))).toEqual([
      "err(",
      "FAILED",
      "warn",
    ]);
  });

  it("joins overlaps and survives expressions that are none", () => {
    expect(stretchesOf("abcd", [/abc/g, /bcd/g])).toEqual([[0, 4]]);
    expect(fromGo("(")).toBeNull();
    expect(fromGo("(?P<x>a)")?.source).toBe("(?<x>a)");
  });
});

describe("terminal colours", () => {
  it("become styles, other sequences disappear", () => {
    const line = "\x1b[1;31mred\x1b[0m plain\x1b[2K \x1b[38;5;2mgreen\x1b[39m\x1b]0;title\x07";
    expect(ansiRuns(line)).toEqual([
      { text: "red", style: "ansi-red ansi-bold" },
      { text: " plain", style: "" },
      { text: " ", style: "" },
      { text: "green", style: "ansi-green" },
    ]);
    expect(withoutAnsi(line)).toBe("red plain green");
  });
});

describe("completion's place", () => {
  it.each([
    ["", { kind: "start" }],
    ["su", { kind: "start", from: 0 }],
    ["{", { kind: "label", taken: [] }],
    ['{a="b", c', { kind: "label", from: 8, taken: ["a"] }],
    ["{a=", { kind: "value", label: "a", quote: "", selector: "" }],
    ['{a="b", c=~"d', { kind: "value", label: "c", quote: '"', selector: '{a="b"}', from: 12 }],
    ['{a="b"', { kind: "nothing" }],
    ['{a="b"} | js', { kind: "stage", from: 10, afterPipe: true, query: '{a="b"}' }],
    ['{a="b"} ', { kind: "stage", afterPipe: false }],
    ['{a="b"} | json | c="d', { kind: "field-value", field: "c", quote: '"', query: '{a="b"} | json' }],
    ['{a="b"} | c=', { kind: "field-value", field: "c", quote: "" }],
    ['{a="b"} | c="d" and e', { kind: "field", from: 20 }],
    ['{a="b"} | keep c, ', { kind: "field" }],
    ['{a="b"} |= "c', { kind: "nothing" }],
    ['rate({a="b"}[', { kind: "range" }],
    ["sum by (a, ", { kind: "grouping" }],
    ['sum(rate({a="b"}[5m])) by (', { kind: "grouping" }],
    ['{a="b"} # comment', { kind: "nothing" }],
  ])("of %j", (text, expected) => {
    expect(placeOf(text)).toMatchObject(expected);
  });
});
