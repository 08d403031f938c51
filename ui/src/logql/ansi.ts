// Terminal colours in lines: escape sequences become styled stretches, all other control sequences disappear.

/** A stretch of visible text; `style` names classes, without colour empty. */
export interface Run {
  readonly text: string;
  readonly style: string;
}

const COLOURS = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one
const SEQUENCE = /\x1b(?:\[([0-9;:?]*)([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])/g;

interface Pen {
  colour: string;
  bold: boolean;
  dim: boolean;
  italic: boolean;
  underline: boolean;
}

const plain = (): Pen => ({ colour: "", bold: false, dim: false, italic: false, underline: false });

/** Colour 0–15 of a palette of 256 by name; of the others only that they are one. */
function indexed(code: number): string {
  return code < 16 ? (COLOURS[code % 8] ?? "") : "";
}

function apply(pen: Pen, codes: readonly number[]): void {
  for (let at = 0; at < codes.length; at += 1) {
    const code = codes[at] ?? 0;
    if (code === 0) Object.assign(pen, plain());
    else if (code === 1) pen.bold = true;
    else if (code === 2) pen.dim = true;
    else if (code === 3) pen.italic = true;
    else if (code === 4) pen.underline = true;
    else if (code === 22) Object.assign(pen, { bold: false, dim: false });
    else if (code === 23) pen.italic = false;
    else if (code === 24) pen.underline = false;
    else if (code >= 30 && code <= 37) pen.colour = COLOURS[code - 30] ?? "";
    else if (code >= 90 && code <= 97) pen.colour = COLOURS[code - 90] ?? "";
    else if (code === 39) pen.colour = "";
    else if (code === 38 || code === 48) {
      const indexedColour = codes[at + 1] === 5;
      if (code === 38) pen.colour = indexedColour ? indexed(codes[at + 2] ?? 16) : "";
      at += indexedColour ? 2 : 4;
    }
  }
}

function styleOf(pen: Pen): string {
  const marks = (["bold", "dim", "italic", "underline"] as const).filter((mark) => pen[mark]);
  return [...(pen.colour === "" ? [] : [pen.colour]), ...marks].map((one) => `ansi-${one}`).join(" ");
}

/** The visible text in stretches of one style. */
export function ansiRuns(line: string): Run[] {
  if (!line.includes("\x1b")) return [{ text: line, style: "" }];
  const runs: Run[] = [];
  const pen = plain();
  let from = 0;
  const push = (to: number): void => {
    if (to > from) runs.push({ text: line.slice(from, to), style: styleOf(pen) });
  };
  for (const match of line.matchAll(SEQUENCE)) {
    push(match.index);
    from = match.index + match[0].length;
    if (match[2] === "m") apply(pen, (match[1] ?? "").split(/[;:]/).map(Number));
  }
  push(line.length);
  return runs;
}

/** The visible text alone. */
export function withoutAnsi(line: string): string {
  return ansiRuns(line)
    .map((run) => run.text)
    .join("");
}
