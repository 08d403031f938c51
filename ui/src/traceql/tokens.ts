// TraceQL cut into tokens, for reading and editing queries as text.
//
// Shape: tokens in order, white space and comments left out; `query.slice(from, to)` is a token's text. Never fails: an
// unfinished string ends with the query, anything unknown is a token of one character. An attribute is one word with
// its scope and its quoted parts: `resource.service.name`, `.foo`, `span."a b"`, `event:name`.

/** What a token is. */
export type TokenKind = "string" | "word" | "number" | "operator";

/** A token and its place. */
export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
  readonly from: number;
  readonly to: number;
}

const SPACE = /(?:\s+|\/\/[^\n]*|\/\*[\s\S]*?\*\/)+/y;
const RULES: readonly (readonly [TokenKind, RegExp])[] = [
  ["string", /"(?:[^"\\]|\\.)*"?|`[^`]*`?/y],
  ["number", /-?\d+(?:\.\d+)?(?:[a-zµ]+(?:\d+(?:\.\d+)?[a-zµ]+)*)?(?![\w.])/y],
  [
    "word",
    /(?:[A-Za-z_][\w-]*[.:]|\.)?(?:[\w./@$-]|"(?:[^"\\]|\\.)*"?)+(?:[:.](?:[\w./@$-]|"(?:[^"\\]|\\.)*"?)*)*/y,
  ],
  ["operator", /&&|\|\||&(?:>>|<<|>|<|~)|!(?:>>|<<|>=|<=|>|<|=|~)|=~|>>|<<|>=|<=|[=<>~!|{}(),+*/%^-]/y],
];

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
    let found: readonly [TokenKind, string] | null = null;
    for (const [kind, rule] of RULES) {
      rule.lastIndex = at;
      const text = rule.exec(query)?.[0] ?? "";
      if (text === "") continue;
      found = [kind, text];
      break;
    }
    const [kind, text] = found ?? (["operator", query[at] ?? ""] as const);
    tokens.push({ kind, text, from: at, to: at + text.length });
    at += text.length;
  }
  return tokens;
}

/** A string as TraceQL writes it. */
export function quoted(text: string): string {
  return `"${text.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n").replace(/\t/g, "\\t")}"`;
}

const ESCAPES: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r" };

/** The text that a string token stands for; backticks are taken as they are. */
export function unquoted(token: string): string {
  const quote = token[0] ?? "";
  const inner = token.slice(1, token.length > 1 && token.endsWith(quote) ? -1 : undefined);
  return quote === "`" ? inner : inner.replace(/\\(.)/gs, (_, one: string) => ESCAPES[one] ?? one);
}

const PLAIN = /^[A-Za-z_][\w./@$-]*$/;

/** An attribute with its scope; keys with strange characters are quoted. An empty scope is any. */
export function attributeName(scope: string, key: string): string {
  return `${scope}.${PLAIN.test(key) ? key : quoted(key)}`;
}
