// LogQL cut into tokens, for reading and editing queries as text.
//
// Shape: tokens in order, white space left out; `query.slice(from, to)` is a token's text. Never fails: an unfinished
// string ends with its line, anything unknown is a token of one character. So a query that is still being typed, or
// has a mistake elsewhere, can be edited, too.

/** What a token is. */
export type TokenKind = "string" | "word" | "number" | "operator" | "comment" | "other";

/** A token and its place. */
export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
  readonly from: number;
  readonly to: number;
}

const RULES: readonly (readonly [TokenKind, RegExp])[] = [
  ["comment", /#[^\n]*/y],
  ["string", /"(?:[^"\\\n]|\\.)*"?|`[^`]*`?/y],
  ["word", /[A-Za-z_][\w:.]*/y],
  ["number", /\d[\w.]*/y],
  ["operator", /\|[=~>]|![=~>]|=~|==|>=|<=|[|=<>(){}[\],+\-*/%^!]/y],
];

const SPACE = /\s+/y;

/** All tokens. */
export function tokensOf(query: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < query.length) {
    SPACE.lastIndex = at;
    const space = SPACE.exec(query);
    if (space) {
      at += space[0].length;
      continue;
    }
    const found = RULES.map(([kind, rule]) => {
      rule.lastIndex = at;
      return { kind, text: rule.exec(query)?.[0] ?? "" };
    }).find((one) => one.text !== "");
    const { kind, text } = found ?? { kind: "other" as const, text: query[at] ?? "" };
    tokens.push({ kind, text, from: at, to: at + text.length });
    at += text.length;
  }
  return tokens;
}

const ESCAPES: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  a: "\x07",
  b: "\b",
  f: "\f",
  v: "\v",
};

/** The text that a string token stands for; backticks are taken as they are. */
export function unquoted(token: string): string {
  const quote = token[0];
  const inner = token.slice(1, token.length > 1 && token.endsWith(quote ?? "") ? -1 : undefined);
  if (quote === "`") return inner;
  return inner.replace(/\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.))/g, (_, hex, wide, one: string) => {
    if (hex !== undefined || wide !== undefined) return String.fromCharCode(Number.parseInt(hex ?? wide, 16));
    return ESCAPES[one] ?? one;
  });
}

/** A string as LogQL writes it: in double quotes, or in backticks where those need no escapes. */
export function quoted(text: string): string {
  const plain = JSON.stringify(text);
  const escaped = plain.length !== text.length + 2;
  return escaped && !/[`\r\n]/.test(text) && !hasControl(text) ? `\`${text}\`` : plain;
}

function hasControl(text: string): boolean {
  return [...text].some((char) => char < " ");
}
