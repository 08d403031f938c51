// What a query's line filters look for, as expressions that find it in a line.
import { logPartOf } from "./shape";

/** Go's expressions are nearly those of JavaScript; what differs and is common is rewritten. Null when it cannot be. */
export function fromGo(expression: string): RegExp | null {
  const flags = /^\(\?([a-zA-Z]+)\)/.exec(expression);
  const body = expression.slice(flags?.[0].length ?? 0).replaceAll("(?P<", "(?<");
  try {
    return new RegExp(
      body,
      `g${flags?.[1]?.includes("i") ? "i" : ""}${flags?.[1]?.includes("s") ? "s" : ""}`,
    );
  } catch {
    return null;
  }
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

/** One expression for each filter that wants something. */
export function soughtBy(query: string): RegExp[] {
  return (logPartOf(query)?.stages ?? []).flatMap((stage) => {
    if (stage.kind !== "line") return [];
    const texts = stage.values.filter((value) => value !== "");
    if (stage.op === "|=") return texts.map((text) => new RegExp(escaped(text), "g"));
    return stage.op === "|~" ? texts.map(fromGo).filter((one) => one !== null) : [];
  });
}

/** A stretch of text, `[from, to)`. */
export type Stretch = readonly [number, number];

const STRETCHES_MAX = 200;

/** Where the expressions match, in order, joined where they overlap. */
export function stretchesOf(text: string, sought: readonly RegExp[]): Stretch[] {
  const found: [number, number][] = [];
  for (const expression of sought) {
    for (const match of text.matchAll(expression)) {
      if (match[0] !== "") found.push([match.index, match.index + match[0].length]);
      if (found.length >= STRETCHES_MAX) break;
    }
  }
  const joined: [number, number][] = [];
  for (const one of found.sort((a, b) => a[0] - b[0])) {
    const last = joined.at(-1);
    if (last && one[0] <= last[1]) last[1] = Math.max(last[1], one[1]);
    else joined.push(one);
  }
  return joined;
}
