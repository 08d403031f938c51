// A line's text on the page: terminal colours shown, what the query looked for marked.
import { ansiRuns, type Run } from "../../logql/ansi";
import { type Stretch, stretchesOf } from "../../logql/highlight";

/** Longer lines are cut in the list; opened, they are whole. */
const SHOWN_MAX = 4000;

interface Piece {
  readonly text: string;
  readonly style: string;
  readonly marked: boolean;
}

/** Cuts styled runs at the marks. */
export function piecesOf(runs: readonly Run[], marks: readonly Stretch[]): Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  let next = 0;
  for (const run of runs) {
    const end = at + run.text.length;
    let from = at;
    while (from < end) {
      while (next < marks.length && (marks[next]?.[1] ?? 0) <= from) next += 1;
      const mark = marks[next];
      const marked = mark !== undefined && mark[0] <= from;
      const to = Math.min(end, mark === undefined ? end : marked ? mark[1] : mark[0]);
      pieces.push({ text: run.text.slice(from - at, to - at), style: run.style, marked });
      from = to;
    }
    at = end;
  }
  return pieces;
}

/** The text. */
export function LineText({
  line,
  sought,
  whole = false,
}: {
  line: string;
  sought: readonly RegExp[];
  whole?: boolean;
}) {
  const shown = whole || line.length <= SHOWN_MAX ? line : `${line.slice(0, SHOWN_MAX)}…`;
  const runs = ansiRuns(shown);
  const marks = sought.length === 0 ? [] : stretchesOf(runs.map((run) => run.text).join(""), sought);
  if (runs.length === 1 && marks.length === 0) return <>{runs[0]?.text ?? ""}</>;
  return (
    <>
      {piecesOf(runs, marks).map((piece, index) => {
        const key = `${index} ${piece.text.length}`;
        if (piece.marked)
          return (
            <mark key={key} class={piece.style}>
              {piece.text}
            </mark>
          );
        return piece.style === "" ? (
          piece.text
        ) : (
          <span key={key} class={piece.style}>
            {piece.text}
          </span>
        );
      })}
    </>
  );
}
