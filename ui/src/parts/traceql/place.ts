// Where in a TraceQL query the cursor is, judged by the text before it: what may be completed there.
import { type Token, tokensOf } from "../../traceql/tokens";

/** What belongs at the cursor; `from` is where the word begins that is being typed. */
export type Place =
  | { readonly kind: "start"; readonly from: number }
  | { readonly kind: "tag"; readonly from: number; readonly conditions: string }
  | { readonly kind: "operator"; readonly from: number; readonly tag: string }
  | {
      readonly kind: "value";
      readonly from: number;
      readonly tag: string;
      /** The quote that is open; empty when the value must bring its own. */
      readonly quote: string;
      readonly isMatch: boolean;
      /** Complete conditions before this one, as a query. */
      readonly conditions: string;
    }
  | { readonly kind: "joint"; readonly from: number }
  | { readonly kind: "spansets"; readonly from: number }
  | { readonly kind: "stage"; readonly from: number }
  | { readonly kind: "argument"; readonly from: number; readonly stage: string }
  | { readonly kind: "nothing" };

const NOTHING: Place = { kind: "nothing" };
const COMPARISONS = ["=", "!=", "=~", "!~", ">", ">=", "<", "<="];
const JOINTS = ["&&", "||"];

/** A string without its closing quote. */
function isOpen(token: Token | undefined): boolean {
  if (token?.kind !== "string") return false;
  const { text } = token;
  return text.length === 1 || text[0] !== text.at(-1) || /[^\\](\\\\)*\\"$/.test(text);
}

/** The conditions before the one being typed; only plain conjunctions narrow what is offered. */
function conditionsOf(text: string, inside: readonly Token[]): string {
  const joint = inside.findLastIndex((token) => JOINTS.includes(token.text));
  const [first, last] = [inside[0], inside[joint - 1]];
  if (joint < 1 || !first || !last || inside.some((token) => token.text === "||" || token.text === "("))
    return "{}";
  return `{ ${text.slice(first.from, last.to)} }`;
}

function inSpanset(text: string, inside: readonly Token[]): Place {
  const last = inside.at(-1);
  const before = inside.at(-2);
  const conditions = conditionsOf(text, inside);
  const touching = last?.to === text.length;
  const value = (from: number, tag: Token | undefined, op: Token | undefined, quote: string): Place =>
    tag?.kind === "word" && op && COMPARISONS.includes(op.text)
      ? { kind: "value", from, tag: tag.text, quote, isMatch: op.text.endsWith("~"), conditions }
      : NOTHING;
  if (last && isOpen(last)) return value(last.from + 1, inside.at(-3), before, last.text[0] ?? '"');
  if (last && COMPARISONS.includes(last.text)) return value(text.length, before, last, "");
  if (touching && last && before && COMPARISONS.includes(before.text) && last.kind !== "string")
    return value(last.from, inside.at(-3), before, "");
  const atBeginning = !last || JOINTS.includes(last.text) || last.text === "(" || last.text === "!";
  if (atBeginning) return { kind: "tag", from: text.length, conditions };
  const isFirst = !before || JOINTS.includes(before.text) || before.text === "(" || before.text === "!";
  if (last.kind === "word" && isFirst)
    return touching
      ? { kind: "tag", from: last.from, conditions }
      : { kind: "operator", from: text.length, tag: last.text };
  if (last.kind !== "operator" && before && COMPARISONS.includes(before.text) && !touching)
    return { kind: "joint", from: text.length };
  return NOTHING;
}

/** The place at the end of `text`, which is the query up to the cursor. */
export function placeOf(text: string): Place {
  const tokens = tokensOf(text);
  const last = tokens.at(-1);
  const open = tokens.findLastIndex((token) => token.text === "{");
  const close = tokens.findLastIndex((token) => token.text === "}");
  if (open > close) return inSpanset(text, tokens.slice(open + 1));
  const pipe = tokens.findLastIndex((token) => token.text === "|");
  const touching = last?.kind === "word" && last.to === text.length;
  const typed = touching ? last.from : text.length;
  if (pipe > close) {
    const behind = tokens.slice(pipe + 1);
    if (behind.length === 0 || (behind.length === 1 && touching)) return { kind: "stage", from: typed };
    const group = behind.findLastIndex((token) => token.text === "(");
    const shut = behind.findLastIndex((token) => token.text === ")");
    if (group > shut) return { kind: "argument", from: typed, stage: behind[group - 1]?.text ?? "" };
    return { kind: "spansets", from: typed };
  }
  if (tokens.length === 0 || (tokens.length === 1 && touching)) return { kind: "start", from: typed };
  return last?.text === "}" || touching ? { kind: "spansets", from: typed } : { kind: "start", from: typed };
}
