// Queries changed by a click: a filter is added, turned round or taken away where a person would have written it.
//
// All functions take and give whole queries; what they do not understand stays as it is. In a metric query the first
// selector and its stages are edited. Asking for what is there already takes it away.
import { isLogQuery, type LogPart, logPartOf, type Stage } from "./shape";
import { quoted } from "./tokens";

/** Every stream has a service_name: senders' own, or one that was derived on the way in. */
export const ALL_LINES = '{service_name=~".+"}';
const ANY_SERVICE = 'service_name=~".+"';

/** For a value, or against it. */
export type Sense = "=" | "!=";

const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** The name that Loki's parsers give a key: what is no letter, digit or underscore becomes an underscore. */
export function fieldName(key: string): string {
  const clean = key.replace(/[^A-Za-z0-9_]/g, "_");
  return /^[0-9]/.test(clean) ? `_${clean}` : clean;
}

function spliced(query: string, from: number, to: number, text: string): string {
  return query.slice(0, from) + text + query.slice(to);
}

/** A selector must have one matcher that an absent label does not satisfy. */
function isPositive(matcher: { op: string; value: string }): boolean {
  return (
    (matcher.op === "=" && matcher.value !== "") || (matcher.op === "=~" && !matcher.value.endsWith("*"))
  );
}

function writeSelector(
  query: string,
  part: LogPart,
  kept: readonly { op: string; value: string; text: string }[],
): string {
  const wanted = kept.filter((one) => one.text !== ANY_SERVICE);
  const texts = wanted.some(isPositive) ? wanted : [{ text: ANY_SERVICE }, ...wanted];
  const body = texts.map((one) => one.text).join(", ");
  return spliced(query, part.selector.from, part.selector.to, `{${body}}`);
}

/** Only streams with this label (`=`), or none of them (`!=`). */
export function withMatcher(query: string, name: string, sense: Sense, value: string): string {
  const part = logPartOf(query);
  if (!part) return withMatcher(ALL_LINES, name, sense, value);
  const known = part.matchers.map((one) => ({ ...one, text: query.slice(one.from, one.to) }));
  const same = known.find((one) => one.name === name && one.op === sense && one.value === value);
  if (same)
    return writeSelector(
      query,
      part,
      known.filter((one) => one !== same),
    );
  const added = {
    op: sense,
    value,
    name,
    text: `${IDENTIFIER.test(name) ? name : quoted(name)}${sense}${quoted(value)}`,
  };
  // One value wanted leaves no room for another, nor for what excludes; one unwanted only contradicts itself.
  const clashes = (one: { name: string; op: string; value: string }): boolean =>
    one.name === name && (sense === "=" || (one.op === "=" && one.value === value));
  const place = known.findIndex(clashes);
  const kept = known.filter((one) => !clashes(one));
  kept.splice(place < 0 ? kept.length : place, 0, { ...added, from: 0, to: 0 });
  return writeSelector(query, part, kept);
}

/** Takes a stage away, with the space before it. */
export function withoutStage(query: string, stage: Stage): string {
  const before = query.slice(0, stage.from).trimEnd();
  return before + query.slice(stage.to);
}

function insertAt(query: string, at: number, text: string): string {
  return `${query.slice(0, at)} ${text}${query.slice(at)}`;
}

function replaced(query: string, stage: Stage, text: string): string {
  return spliced(query, stage.from, stage.to, text);
}

const OPPOSITE: Readonly<Record<string, string>> = {
  "=": "!=",
  "!=": "=",
  "|=": "!=",
  "|~": "!~",
  "!~": "|~",
  "|>": "!>",
  "!>": "|>",
};

/**
 * Only lines with this field (`=`), or without (`!=`). `parser` makes the field where it comes from the line's own
 * text; null for structured metadata.
 */
export function withField(
  query: string,
  name: string,
  sense: Sense,
  value: string,
  parser: "json" | "logfmt" | null,
): string {
  const part = logPartOf(query);
  if (!part) return withField(ALL_LINES, name, sense, value, parser);
  const own = part.stages.filter((one) => one.kind === "label" && one.name === fieldName(name));
  const same = own.find((one) => one.op.replace("==", "=") === sense && one.values[0] === value);
  if (same) return withoutStage(query, same);
  const text = `| ${fieldName(name)}${sense}${quoted(value)}`;
  const turned = own.find((one) => one.op.replace("==", "=") === OPPOSITE[sense] && one.values[0] === value);
  const other = sense === "=" ? own.find((one) => one.op === "=") : undefined;
  const place = turned ?? other;
  if (place) return replaced(query, place, text);
  const parsed = part.stages.some((one) => one.kind === "parser");
  const unwrap = part.stages.find((one) => one.op === "unwrap");
  const at = unwrap ? query.slice(0, unwrap.from).trimEnd().length : part.end;
  return insertAt(query, at, parser !== null && !parsed ? `| ${parser} ${text}` : text);
}

/** A line filter: `op` is one of `|=`, `!=`, `|~`, `!~`, `|>`, `!>`. */
export function withLineFilter(query: string, op: string, text: string): string {
  const part = logPartOf(query);
  if (!part) return withLineFilter(ALL_LINES, op, text);
  const filters = part.stages.filter(
    (one) => one.kind === "line" && one.values.length === 1 && one.values[0] === text,
  );
  const same = filters.find((one) => one.op === op);
  if (same) return withoutStage(query, same);
  const turned = filters.find((one) => one.op === (op === "!=" ? "|=" : OPPOSITE[op]));
  if (turned) return replaced(query, turned, `${op} ${quoted(text)}`);
  // Filters before the first other stage see the line as it was stored, which is fastest; a line that a stage has
  // rewritten is filtered behind it.
  const rewritten = part.stages.some((one) => ["line_format", "unpack", "decolorize"].includes(one.op));
  const first = part.stages.findIndex((one) => one.kind !== "line");
  const leading = first < 0 ? part.stages : part.stages.slice(0, first);
  const at = rewritten ? part.end : (leading.at(-1)?.to ?? part.selector.to);
  return insertAt(query, at, `${op} ${quoted(text)}`);
}

/** Only lines of one level, given the names under which it was counted. */
export function withLevel(query: string, names: readonly string[]): string {
  const part = logPartOf(query);
  if (!part) return query;
  const [only = "unknown"] = names;
  const text =
    names.length <= 1 ? `| detected_level=${quoted(only)}` : `| detected_level=~${quoted(names.join("|"))}`;
  const stage = part.stages.find((one) => one.kind === "label" && one.name === "detected_level");
  if (!stage) return insertAt(query, part.end, text);
  return query.slice(stage.from, stage.to) === text
    ? withoutStage(query, stage)
    : replaced(query, stage, text);
}

/** What a query of lines is counted by: `inner` inside `count_over_time(… [range])`, errors of parsers let through. */
export function counting(query: string, range: string, by: string): string {
  // The line break ends a comment that the query may end with.
  return `sum by (${by}) (count_over_time(${query}\n| drop __error__, __error_details__ [${range}]))`;
}

/** What may find something where a query found nothing: the query without each of its filters. */
export function looser(query: string): { readonly without: string; readonly query: string }[] {
  if (!isLogQuery(query)) return [];
  const filters = (logPartOf(query)?.stages ?? []).filter(
    (one) => one.kind === "line" || one.kind === "label",
  );
  return filters.map((stage) => ({
    without: query.slice(stage.from, stage.to),
    query: withoutStage(query, stage),
  }));
}

/** A query as patterns can be asked for, and what of it they know nothing about. */
export interface PatternQuery {
  /** Its selector and line filters. */
  readonly query: string;
  /** Patterns wanted, none for all; patterns not wanted. */
  readonly only: readonly string[];
  readonly hidden: readonly string[];
  /** Stages that patterns are counted without. */
  readonly leftOut: readonly string[];
}

/** Patterns are kept by stream and line: parsers and label filters come after that. */
export function patternQuery(query: string): PatternQuery {
  const part = logPartOf(query);
  if (!part) return { query, only: [], hidden: [], leftOut: [] };
  const text = (stage: Stage): string => query.slice(stage.from, stage.to);
  const rewritten = part.stages.findIndex((one) => ["line_format", "unpack", "decolorize"].includes(one.op));
  const filters = part.stages.filter(
    (one, at) => one.kind === "line" && one.values.length > 0 && (rewritten < 0 || at < rewritten),
  );
  const patterns = filters.filter((one) => one.op.endsWith(">"));
  const kept = filters.filter((one) => !one.op.endsWith(">"));
  const others = part.stages.filter((one) => !filters.includes(one) && !["drop", "keep"].includes(one.op));
  return {
    query: [query.slice(part.selector.from, part.selector.to), ...kept.map(text)].join(" "),
    only: patterns.filter((one) => one.op === "|>").flatMap((one) => one.values),
    hidden: patterns.filter((one) => one.op === "!>").flatMap((one) => one.values),
    // A parser alone changes no count.
    leftOut: others.filter((one) => one.kind === "label" || one.kind === "line").map(text),
  };
}
