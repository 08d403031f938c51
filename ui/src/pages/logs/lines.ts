// Loading lines: the first page, further ones when the reader comes near the end, new ones while following.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "../../api/http";
import { type Direction, type LogLine, nanos, queryPage, shiftedNs } from "../../api/loki";
import { useLive } from "../../state/live";
import type { LogsRoute, TimeRange } from "../../state/url";
import { type Book, EMPTY_BOOK, LINES_MAX, nextRange, PAGE_LINES, withFresh, withPage } from "./book";
import { Tail, type TailState } from "./tail";

/** Lines kept while following. */
export const FOLLOWED_MAX = 10_000;

/** The lines of the page. */
export interface Lines {
  readonly book: Book;
  readonly loading: boolean;
  /** The first page is not here yet. */
  readonly first: boolean;
  readonly error: ApiError | null;
  readonly warnings: readonly string[];
  /** A further page is on its way, or failed. */
  readonly more: "idle" | "loading" | ApiError;
  readonly full: boolean;
  readonly loadMore: () => void;
  readonly tail: TailState | null;
  readonly pause: (paused: boolean) => void;
}

/** The range in nanoseconds. A moving one reaches a little into the future: clocks differ. */
export function nsRange(range: TimeRange, nowMs: number): { startNs: string; endNs: string } {
  if ("from" in range) return { startNs: nanos(range.from * 1000), endNs: nanos(range.to * 1000) };
  return { startNs: nanos(nowMs - range.last * 1000), endNs: nanos(nowMs + 2000) };
}

interface First {
  readonly book: Book;
  readonly warnings: readonly string[];
  readonly startNs: string;
  readonly endNs: string;
  readonly direction: Direction;
}

async function loadFirst(query: string, route: LogsRoute, signal: AbortSignal): Promise<First> {
  const span = nsRange(route.range, Date.now());
  const direction: Direction = route.order === "newest" || route.live ? "backward" : "forward";
  const answer = await queryPage({ query, ...span, limit: PAGE_LINES, direction }, signal);
  return {
    book: withPage(EMPTY_BOOK, answer.data, PAGE_LINES),
    warnings: answer.warnings,
    direction,
    ...span,
  };
}

/** Follows while `on`; `onLines` gets what comes. */
function useTail(
  query: string,
  on: boolean,
  newest: () => string,
  onLines: (lines: readonly LogLine[]) => void,
): { state: TailState | null; pause: (paused: boolean) => void } {
  const [state, setState] = useState<TailState | null>(null);
  const tail = useRef<Tail | null>(null);
  const latest = useRef({ newest, onLines });
  latest.current = { newest, onLines };
  useEffect(() => {
    if (!on) return;
    const running = new Tail({
      query,
      startNs: () => latest.current.newest(),
      onLines: (lines) => latest.current.onLines(lines),
      onState: setState,
    });
    tail.current = running;
    return () => {
      running.close();
      tail.current = null;
      setState(null);
    };
  }, [query, on]);
  const pause = useCallback((paused: boolean) => tail.current?.pause(paused), []);
  return { state, pause };
}

/** `key` stands for everything that makes the lines others; `off` when there are none to ask for. */
export function useLines(key: string, query: string, route: LogsRoute, off: boolean): Lines {
  const loaded = useLive(
    `lines ${key}`,
    (signal) => (off ? Promise.resolve(null) : loadFirst(query, route, signal)),
    "once",
  );
  const [grown, setGrown] = useState<{ of: First; book: Book } | null>(null);
  const [more, setMore] = useState<Lines["more"]>("idle");
  const abort = useRef<AbortController | null>(null);
  const lastAdded = useRef(1);
  const first = loaded.data ?? null;
  useEffect(() => {
    abort.current?.abort();
    abort.current = null;
    lastAdded.current = 1;
    setMore("idle");
  }, [first]);
  useEffect(() => () => abort.current?.abort(), []);
  const book = first === null ? EMPTY_BOOK : grown?.of === first ? grown.book : first.book;
  const current = useRef({ book, first });
  current.current = { book, first };

  const loadMore = useCallback((): void => {
    const { book: have, first: origin } = current.current;
    if (origin === null || have.complete || abort.current !== null) return;
    const asked = new AbortController();
    abort.current = asked;
    setMore("loading");
    const { direction, startNs, endNs } = origin;
    const span = nextRange(have, direction, startNs, endNs, lastAdded.current);
    queryPage({ query, ...span, limit: PAGE_LINES, direction }, asked.signal).then(
      (answer) => {
        if (asked.signal.aborted) return;
        abort.current = null;
        const next = withPage(current.current.book, answer.data, PAGE_LINES);
        lastAdded.current = next.lines.length - current.current.book.lines.length;
        setGrown({ of: origin, book: next });
        setMore("idle");
      },
      (error: unknown) => {
        if (asked.signal.aborted) return;
        setMore(error instanceof ApiError ? error : new ApiError("shape", String(error)));
        // Asked again by the reader, or when the end comes near once more, but not at once.
        setTimeout(() => {
          if (abort.current === asked) abort.current = null;
        }, 3000);
      },
    );
  }, [query]);

  const following = route.live && "last" in route.range && first !== null && !off;
  const tail = useTail(
    query,
    following,
    () => {
      const newest = current.current.book.lines[0]?.atNs;
      return newest === undefined ? nanos(Date.now() - 5000) : shiftedNs(newest, 1);
    },
    (fresh) => {
      const { book: have, first: origin } = current.current;
      if (origin === null) return;
      const lines = withFresh(have.lines, fresh, FOLLOWED_MAX);
      setGrown({ of: origin, book: { lines, complete: have.complete || lines.length >= FOLLOWED_MAX } });
    },
  );
  return {
    book,
    loading: loaded.loading,
    first: loaded.data === undefined,
    error: loaded.error,
    warnings: first?.warnings ?? [],
    more,
    full: book.lines.length >= LINES_MAX,
    loadMore,
    tail: tail.state,
    pause: tail.pause,
  };
}
