// The parts of a LogQL query: its selector's matchers and the stages after it, each with its place in the text.
import { type Token, tokensOf, unquoted } from "./tokens";

/** `name="value"` in a selector. */
export interface Matcher {
  readonly name: string;
  readonly op: string;
  readonly value: string;
  readonly from: number;
  readonly to: number;
}

/** `line`: a line filter; `parser`: json, logfmt, …; `label`: a label filter; `other`: formats, drop, unwrap, …. */
export type StageKind = "line" | "parser" | "label" | "other";

/** One stage, from its `|` or operator on. */
export interface Stage {
  readonly kind: StageKind;
  /** A line filter's operator, a parser's or format's name; of a label filter its operator if it is one comparison. */
  readonly op: string;
  /** A label filter's name if it is one comparison; else empty. */
  readonly name: string;
  /** Texts of a line filter (`or` chains have several), the value of a label filter. */
  readonly values: readonly string[];
  readonly from: number;
  readonly to: number;
}

/** The first selector of a query with its stages. */
export interface LogPart {
  /** From the opening brace to behind the closing one. */
  readonly selector: { readonly from: number; readonly to: number };
  readonly matchers: readonly Matcher[];
  readonly stages: readonly Stage[];
  /** Behind the last stage. */
  readonly end: number;
}

/** Parsers; those of the first list take no arguments, so that an operator after them begins a line filter. */
const PARSERS = ["json", "logfmt", "unpack", "regexp", "pattern"];
const OTHERS = ["line_format", "label_format", "unwrap", "decolorize", "drop", "keep", "distinct"];
const BARE = ["json", "logfmt", "unpack", "decolorize"];
const COMPARISONS = ["=", "==", "!=", "=~", "!~", ">", ">=", "<", "<="];

/** A query of lines begins with its selector; anything else counts or computes. */
export function isLogQuery(query: string): boolean {
  const first = tokensOf(query).find((token) => token.kind !== "comment" && token.text !== "(");
  return first === undefined || first.text === "{";
}

function matchersOf(tokens: readonly Token[]): Matcher[] {
  const found: Matcher[] = [];
  for (let at = 0; at + 2 < tokens.length; at += 1) {
    const [name, op, value] = [tokens[at], tokens[at + 1], tokens[at + 2]];
    if (!name || !op || value?.kind !== "string" || op.kind !== "operator") continue;
    if (name.kind !== "word" && name.kind !== "string") continue;
    const text = name.kind === "string" ? unquoted(name.text) : name.text;
    found.push({ name: text, op: op.text, value: unquoted(value.text), from: name.from, to: value.to });
    at += 2;
  }
  return found;
}

/** Whether `token` begins a stage after `stage`, the tokens of the stage so far. */
function begins(token: Token, stage: readonly Token[]): boolean {
  if (/^\|[=~>]?$/.test(token.text)) return true;
  if (!/^![=~>]$/.test(token.text)) return false;
  const last = stage.at(-1);
  if (!last || last.kind === "string" || last.kind === "number" || last.text === ")") return true;
  return stage.length === 2 && BARE.includes(last.text);
}

function stageOf(tokens: readonly Token[]): Stage {
  const [first, second, third, fourth, ...rest] = tokens;
  const span = { from: first?.from ?? 0, to: tokens.at(-1)?.to ?? 0 };
  const strings = tokens.filter((token) => token.kind === "string").map((token) => unquoted(token.text));
  if (first && first.text !== "|") {
    const values = second?.kind === "string" ? strings : [];
    return { kind: "line", op: first.text, name: "", values, ...span };
  }
  const word = second?.text ?? "";
  if (PARSERS.includes(word)) return { kind: "parser", op: word, name: "", values: strings, ...span };
  if (OTHERS.includes(word)) return { kind: "other", op: word, name: "", values: strings, ...span };
  const single =
    second?.kind === "word" && third && COMPARISONS.includes(third.text) && fourth && rest.length === 0;
  if (!single) return { kind: "label", op: "", name: "", values: strings, ...span };
  const value = fourth.kind === "string" ? unquoted(fourth.text) : fourth.text;
  return { kind: "label", op: third.text, name: word, values: [value], ...span };
}

/** The first selector and what follows it, up to a range's bracket or the parenthesis around; null without a selector. */
export function logPartOf(query: string): LogPart | null {
  const tokens = tokensOf(query).filter((token) => token.kind !== "comment");
  const open = tokens.findIndex((token) => token.text === "{");
  const close = tokens.findIndex((token, at) => at > open && token.text === "}");
  const [brace, behind] = [tokens[open], tokens[close]];
  if (!brace || !behind) return null;
  const stages: Token[][] = [];
  let depth = 0;
  for (const token of tokens.slice(close + 1)) {
    if (token.text === "(") depth += 1;
    if (token.text === ")") depth -= 1;
    if (depth < 0 || (depth === 0 && /^[[{}]$/.test(token.text))) break;
    const current = stages.at(-1);
    if (depth === 0 && begins(token, current ?? [])) stages.push([token]);
    else if (current) current.push(token);
    else break;
  }
  const parts = stages.map(stageOf);
  return {
    selector: { from: brace.from, to: behind.to },
    matchers: matchersOf(tokens.slice(open + 1, close)),
    stages: parts,
    end: parts.at(-1)?.to ?? behind.to,
  };
}

/** The parser that runs in a query of lines; null without. */
export function parserOf(query: string): string | null {
  return logPartOf(query)?.stages.find((stage) => stage.kind === "parser")?.op ?? null;
}
