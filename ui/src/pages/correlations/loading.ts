// The list: what is stored, page by page, and what is published while one looks.
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { type Correlation, findCorrelations, streamPath } from "../../api/correlate";
import { ApiError } from "../../api/http";
import { useLive } from "../../state/live";
import type { CorrelationsRoute, TimeRange } from "../../state/url";
import { Following, type FollowState, merged } from "./following";

/** Correlations of one answer. */
const PAGE = 200;
/** More are not kept; a filter or a range finds the others. */
export const LIST_MAX = 5000;

const NS = 1_000_000_000n;

/** A range in nanoseconds; one that moves has no end, since clocks differ. */
export function timesOf(range: TimeRange, nowMs: number): { sinceNs: bigint; untilNs?: bigint } {
  if ("from" in range)
    return { sinceNs: BigInt(Math.floor(range.from)) * NS, untilNs: BigInt(Math.ceil(range.to)) * NS };
  return { sinceNs: BigInt(Math.floor(nowMs - range.last * 1000)) * 1_000_000n };
}

/** The page's correlations. */
export interface Listed {
  readonly all: readonly Correlation[];
  /** Nothing has been answered yet. */
  readonly first: boolean;
  readonly error: ApiError | null;
  readonly atMs: number | null;
  readonly more: "idle" | "loading" | "done" | ApiError;
  readonly loadMore: () => void;
  /** Null with a range that does not move. */
  readonly follow: FollowState | null;
  readonly pause: (paused: boolean) => void;
}

/** Asks, follows, and asks for older ones. */
export function useCorrelations(route: CorrelationsRoute): Listed {
  const { ids, service, errors, range } = route;
  const key = JSON.stringify([ids, service, errors, range]);
  const filter = useMemo(() => ({ ids, service, errors }), [key]);
  const moving = "last" in range;
  const [follow, setFollow] = useState<FollowState | null>(null);
  const [gaps, setGaps] = useState(0);
  const [grown, setGrown] = useState<{ key: string; all: readonly Correlation[] }>({ key, all: [] });
  const [more, setMore] = useState<Listed["more"]>("idle");
  const following = useRef<Following | null>(null);
  const paused = follow?.paused === true;
  const held = useRef<readonly Correlation[] | null>(null);
  const loaded = useLive(
    `correlations ${key}`,
    async (signal) => {
      if (paused && held.current !== null) return held.current;
      const newest = await findCorrelations(filter, timesOf(range, Date.now()), PAGE, signal);
      held.current = newest;
      return newest;
    },
    moving && follow?.link === "polling" ? 1 : "once",
  );

  const current = useRef(key);
  if (current.current !== key) {
    current.current = key;
    held.current = null;
  }
  const add = useCallback(
    (fresh: readonly Correlation[]): void => {
      // An answer to what was asked before the filter changed is for nobody.
      if (current.current !== key) return;
      setGrown((old) => ({ key, all: merged(old.key === key ? old.all : [], fresh, LIST_MAX) }));
    },
    [key],
  );
  useEffect(() => {
    if (loaded.data === undefined) return;
    add(loaded.data);
    if (loaded.data.length < PAGE) setMore("done");
  }, [loaded.data]);
  useEffect(() => setMore("idle"), [key]);

  useEffect(() => {
    if (!moving) return;
    const running = new Following({
      path: streamPath(filter),
      onNew: add,
      onState: setFollow,
      onGap: () => setGaps((count) => count + 1),
    });
    following.current = running;
    return () => {
      running.close();
      following.current = null;
      setFollow(null);
    };
  }, [key]);
  useEffect(() => {
    if (gaps === 0) return;
    const abort = new AbortController();
    findCorrelations(filter, timesOf(range, Date.now()), PAGE, abort.signal).then(
      (newest) => {
        add(newest);
        following.current?.caughtUp();
      },
      // The notice that something is missing stays.
      () => undefined,
    );
    return () => abort.abort();
  }, [gaps]);

  const all = grown.key === key ? grown.all : [];
  const latest = useRef({ all, more });
  latest.current = { all, more };
  const loadMore = useCallback((): void => {
    const oldest = latest.current.all.at(-1);
    if (oldest === undefined || latest.current.more === "loading" || latest.current.more === "done") return;
    if (latest.current.all.length >= LIST_MAX) return;
    setMore("loading");
    latest.current.more = "loading";
    // Others may have begun in the same nanosecond.
    const times = { ...timesOf(range, Date.now()), untilNs: oldest.startNs + 1n };
    findCorrelations(filter, times, PAGE).then(
      (older) => {
        if (current.current !== key) return;
        add(older);
        setMore(older.length < PAGE ? "done" : "idle");
      },
      (error: unknown) => setMore(error instanceof ApiError ? error : new ApiError("shape", String(error))),
    );
  }, [key]);

  return {
    all,
    first: loaded.data === undefined,
    error: loaded.error,
    atMs: loaded.atMs,
    more,
    loadMore,
    follow,
    pause: (on) => following.current?.pause(on),
  };
}
