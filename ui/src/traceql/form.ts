// The search form and TraceQL: the form writes a query, and reads back what it could have written.
import { quoted, type Token, tokensOf, unquoted } from "./tokens";

/** Comparisons that a condition of the form can make. */
export const OPERATORS = ["=", "!=", "=~", "!~", ">", ">=", "<", "<="] as const;
/** One of `OPERATORS`. */
export type Operator = (typeof OPERATORS)[number];

/** A condition on an attribute: `tag` with its scope, as TraceQL names it. */
export interface Condition {
  readonly tag: string;
  readonly op: Operator;
  /** As typed; quoted on writing unless it is a number, a duration or a word of the language. */
  readonly value: string;
}

/** What the form holds. Empty strings mean any. `min` and `max` are durations of the whole trace. */
export interface Form {
  readonly service: string;
  readonly operation: string;
  readonly status: "" | "error" | "ok" | "unset";
  readonly min: string;
  readonly max: string;
  readonly tags: readonly Condition[];
}

/** Nothing asked. */
export const EMPTY_FORM: Form = { service: "", operation: "", status: "", min: "", max: "", tags: [] };

/** `100ms`, `1.5s`, `2m`, `300us`: what a search takes as a duration. Empty is fine, too. */
export function isDuration(text: string): boolean {
  return /^((\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+)?$/.test(text);
}

const STATUS_WORDS = ["error", "ok", "unset"];
const KIND_WORDS = ["unspecified", "internal", "server", "client", "producer", "consumer"];
const KEYWORDS: Readonly<Record<string, readonly string[]>> = {
  status: STATUS_WORDS,
  "span:status": STATUS_WORDS,
  kind: KIND_WORDS,
  "span:kind": KIND_WORDS,
};

/** A value as it is written behind an operator. */
export function writtenValue({ tag, op, value }: Condition): string {
  if (op === "=~" || op === "!~") return quoted(value);
  if (KEYWORDS[tag]?.includes(value)) return value;
  if (/duration$/i.test(tag) && value !== "" && isDuration(value)) return value;
  if (value === "true" || value === "false" || value === "nil") return value;
  return /^-?\d+(\.\d+)?$/.test(value) ? value : quoted(value);
}

/** The query of the form. */
export function formQuery(form: Form): string {
  const terms: string[] = [];
  if (form.service !== "") terms.push(`resource.service.name = ${quoted(form.service)}`);
  if (form.operation !== "") terms.push(`name = ${quoted(form.operation)}`);
  if (form.status !== "") terms.push(`status = ${form.status}`);
  if (form.min !== "") terms.push(`trace:duration >= ${form.min}`);
  if (form.max !== "") terms.push(`trace:duration <= ${form.max}`);
  for (const one of form.tags) if (one.tag !== "") terms.push(`${one.tag} ${one.op} ${writtenValue(one)}`);
  return terms.length === 0 ? "{}" : `{ ${terms.join(" && ")} }`;
}

function textOf(token: Token): string {
  return token.kind === "string" ? unquoted(token.text) : token.text;
}

/** Whether two ways of writing are the same condition when written again. */
function survives(condition: Condition, token: Token): boolean {
  const again = writtenValue(condition);
  return token.kind === "string" ? again.startsWith('"') : again === token.text;
}

const isName = (tag: string): boolean => tag === "name" || tag === "span:name";
const isLength = (tag: string): boolean => tag === "trace:duration" || tag === "traceDuration";

/** The form that would write this query; null for what the form cannot say. */
export function queryForm(query: string): Form | null {
  const tokens = tokensOf(query);
  if (tokens.length === 0) return EMPTY_FORM;
  const inside = tokens.slice(1, -1);
  if (tokens[0]?.text !== "{" || tokens.at(-1)?.text !== "}" || tokens.length < 2) return null;
  const form: { -readonly [key in keyof Form]: Form[key] } = { ...EMPTY_FORM };
  const tags: Condition[] = [];
  for (let at = 0; at < inside.length; at += 4) {
    const [tag, op, value, and] = inside.slice(at, at + 4);
    const known = OPERATORS.find((one) => one === op?.text);
    if (tag?.kind !== "word" || !known || !value || value.kind === "operator") return null;
    if (and && (and.text !== "&&" || at + 4 >= inside.length)) return null;
    const condition = { tag: tag.text, op: known, value: textOf(value) };
    if (
      condition.tag === "resource.service.name" &&
      known === "=" &&
      form.service === "" &&
      value.kind === "string"
    )
      form.service = condition.value;
    else if (isName(condition.tag) && known === "=" && form.operation === "" && value.kind === "string")
      form.operation = condition.value;
    else if (condition.tag === "status" && known === "=" && form.status === "") {
      const status = (["error", "ok", "unset"] as const).find((one) => one === value.text);
      if (!status) return null;
      form.status = status;
    } else if (isLength(condition.tag) && known === ">=" && form.min === "" && value.kind === "number")
      form.min = value.text;
    else if (isLength(condition.tag) && known === "<=" && form.max === "" && value.kind === "number")
      form.max = value.text;
    else {
      if (!survives(condition, value)) return null;
      tags.push(condition);
    }
  }
  return { ...form, tags };
}

/** A duration as TraceQL takes it, to three digits. Milliseconds in. */
export function durationTerm(ms: number): string {
  const [size, unit] = ms >= 1000 ? [1000, "s"] : ms >= 1 ? [1, "ms"] : [0.001, "us"];
  return `${Number((ms / size).toPrecision(3))}${unit}`;
}
