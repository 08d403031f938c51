// Where in a LogQL query the cursor is, judged by the text before it: what may be completed there.
import { type Token, tokensOf } from "../../logql/tokens";

/** What belongs at the cursor; `from` is where the word begins that is being typed. */
export type Place =
  | { readonly kind: "start"; readonly from: number }
  | { readonly kind: "label"; readonly from: number; readonly taken: readonly string[] }
  | {
      readonly kind: "value";
      readonly from: number;
      readonly label: string;
      /** Complete matchers before the cursor, as a selector. */
      readonly selector: string;
      /** The quote that is open; empty when the value must bring its own. */
      readonly quote: string;
    }
  | { readonly kind: "stage"; readonly from: number; readonly afterPipe: boolean; readonly query: string }
  | {
      readonly kind: "field-value";
      readonly from: number;
      readonly field: string;
      readonly quote: string;
      readonly query: string;
    }
  | { readonly kind: "field"; readonly from: number; readonly query: string }
  | { readonly kind: "grouping"; readonly from: number; readonly query: string }
  | { readonly kind: "range"; readonly from: number }
  | { readonly kind: "nothing" };

const NOTHING: Place = { kind: "nothing" };
const COMPARISONS = ["=", "!=", "=~", "!~", "=="];
const NAMES_FOLLOW = ["drop", "keep", "unwrap", "label_format"];

const isWord = (token: Token | undefined): boolean => token?.kind === "word" || token?.kind === "number";

/** A string without its closing quote. */
function isOpen(token: Token | undefined): boolean {
  if (token?.kind !== "string") return false;
  const { text } = token;
  return text.length === 1 || text[0] !== text.at(-1) || /[^\\](\\\\)*\\"$/.test(text);
}

function inSelector(text: string, inside: readonly Token[], typed: number): Place {
  const last = inside.at(-1);
  const before = inside.at(-2);
  const selectorOf = (tokens: readonly Token[]): string => {
    const comma = tokens.findLastIndex((token) => token.text === ",");
    const [first] = tokens;
    const until = tokens[comma];
    return first && until ? `{${text.slice(first.from, until.from)}}` : "";
  };
  if (last && isOpen(last)) {
    const [name] = inside.slice(-3);
    if (!name || !COMPARISONS.includes(before?.text ?? "")) return NOTHING;
    return {
      kind: "value",
      from: last.from + 1,
      label: name.text,
      selector: selectorOf(inside),
      quote: last.text[0] ?? '"',
    };
  }
  if (last && COMPARISONS.includes(last.text) && before) {
    return { kind: "value", from: text.length, label: before.text, selector: selectorOf(inside), quote: "" };
  }
  const rest = typed < text.length ? inside.slice(0, -1) : inside;
  const end = rest.at(-1);
  if (end && end.text !== ",") return NOTHING;
  const taken = rest
    .filter((_, at) => COMPARISONS.includes(rest[at + 1]?.text ?? ""))
    .map((token) => token.text);
  return { kind: "label", from: typed, taken };
}

/** Behind a selector: stages, fields and their values. */
function inPipeline(text: string, tokens: readonly Token[], typed: number): Place {
  const last = tokens.at(-1);
  const rest = typed < text.length ? tokens.slice(0, -1) : tokens;
  const pipe = tokens.findLastIndex((token) => /^(\|[=~>]?|![~>])$/.test(token.text));
  const query = text.slice(0, tokens[pipe]?.from ?? text.length).trimEnd();
  if (last && isOpen(last)) {
    const [field, op] = tokens.slice(-3);
    if (field?.kind !== "word" || !COMPARISONS.includes(op?.text ?? "")) return NOTHING;
    return { kind: "field-value", from: last.from + 1, field: field.text, quote: last.text[0] ?? '"', query };
  }
  const [field, op] = tokens.slice(-2);
  if (field?.kind === "word" && op && COMPARISONS.includes(op.text) && tokens[pipe]?.text === "|")
    return { kind: "field-value", from: text.length, field: field.text, quote: "", query };
  const end = rest.at(-1);
  if (end?.text === "|") return { kind: "stage", from: typed, afterPipe: true, query };
  if (end && ["and", "or"].includes(end.text)) return { kind: "field", from: typed, query };
  const stage = tokens[pipe + 1]?.text ?? "";
  if (NAMES_FOLLOW.includes(stage) && end && (end.text === stage || end.text === ","))
    return { kind: "field", from: typed, query };
  const complete =
    end?.kind === "string" || end?.kind === "number" || end?.text === "}" || end?.kind === "word";
  if (complete && typed === text.length && /\s$/.test(text))
    return { kind: "stage", from: typed, afterPipe: false, query: text.trimEnd() };
  return NOTHING;
}

/** The place at the end of `text`, which is the query up to the cursor. */
export function placeOf(text: string): Place {
  const tokens = tokensOf(text);
  const last = tokens.at(-1);
  if (last?.kind === "comment" && !text.endsWith("\n")) return NOTHING;
  const touching = isWord(last) && last?.to === text.length;
  const typed = touching ? (last?.from ?? text.length) : text.length;
  const open = tokens.findLastIndex((token) => token.text === "{");
  const close = tokens.findLastIndex((token) => token.text === "}");
  if (open > close) return inSelector(text, tokens.slice(open + 1), typed);
  const bracket = tokens.findLastIndex((token) => token.text === "[");
  if (bracket > close && bracket > tokens.findLastIndex((token) => token.text === "]"))
    return { kind: "range", from: typed };
  const group = tokens.findLastIndex((token) => token.text === "(");
  const shut = tokens.findLastIndex((token) => token.text === ")");
  if (group > shut && ["by", "without", "on", "ignoring"].includes(tokens[group - 1]?.text ?? ""))
    return { kind: "grouping", from: typed, query: text };
  const behind = tokens.slice(close + 1).map((token) => token.text);
  // A range or the parenthesis around ends the pipeline; parentheses of a filter are within it.
  const inside = close >= 0 && !behind.includes("]");
  const depth = behind.reduce((sum, text) => sum + (text === "(" ? 1 : text === ")" ? -1 : 0), 0);
  if (inside) return depth >= 0 ? inPipeline(text, tokens, typed) : NOTHING;
  return { kind: "start", from: typed };
}
