// The lines on the page: pages of them joined without gaps or doubles, at most so many.
//
// Shape: `lines` are newest first, whatever is shown on top; ids are unique. The answer to "what comes after these" is
// asked with the last line's own nanosecond included, because others may share it; those already here are left out.
import { compareNs, type Direction, type LogLine, shiftedNs } from "../../api/loki";

/** Lines asked for at once. */
export const PAGE_LINES = 1000;
/** More lines than this are not kept: nobody reads them, and a phone could not hold them. */
export const LINES_MAX = 50_000;

/** What has been loaded. */
export interface Book {
  readonly lines: readonly LogLine[];
  /** There is nothing further in the range. */
  readonly complete: boolean;
}

/** Nothing yet. */
export const EMPTY_BOOK: Book = { lines: [], complete: false };

/** Newest first; lines of one nanosecond keep the order they have. */
function merged(a: readonly LogLine[], b: readonly LogLine[]): LogLine[] {
  const seen = new Set<string>();
  const all = [...a, ...b].filter((line) => !seen.has(line.id) && seen.add(line.id));
  return all.sort((one, other) => compareNs(other.atNs, one.atNs));
}

/** The book with one more page, which was asked for with `limit`. */
export function withPage(book: Book, page: readonly LogLine[], limit: number): Book {
  const lines = merged(book.lines, page);
  return { lines, complete: page.length < limit || lines.length >= LINES_MAX };
}

/** The range that the next page is asked for: the rest of `startNs … endNs` behind what is here. */
export function nextRange(
  book: Book,
  direction: Direction,
  startNs: string,
  endNs: string,
  lastAdded: number,
): { readonly startNs: string; readonly endNs: string } {
  const [newest, oldest] = [book.lines[0], book.lines.at(-1)];
  if (!newest || !oldest) return { startNs, endNs };
  // A nanosecond with more lines than a page holds would be asked for again and again: then it is left behind.
  const stuck = lastAdded === 0;
  if (direction === "backward") return { startNs, endNs: stuck ? oldest.atNs : shiftedNs(oldest.atNs, 1) };
  return { startNs: stuck ? shiftedNs(newest.atNs, 1) : newest.atNs, endNs };
}

/** The newest `max` of the lines here and of those that have just come. */
export function withFresh(lines: readonly LogLine[], fresh: readonly LogLine[], max: number): LogLine[] {
  return merged(fresh, lines).slice(0, max);
}
