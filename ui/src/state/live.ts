// One heartbeat for the whole page.
//
// Every `PERIOD_MS` the server's status is asked for; when it answers, all panels refresh (`useLive`). When it
// does not, panels keep what they have, nobody asks for anything but the status, and the pause doubles up to a
// minute. A hidden tab asks for nothing. So a page left open costs a struggling server almost nothing.
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "../api/http";
import { getStatus, type Status } from "../api/status";

/** The heart's state. Times are `Date.now()` ms. */
export interface Pulse {
  readonly state: "connecting" | "live" | "lost";
  /** Counts successful beats. */
  readonly beat: number;
  readonly lastOkMs: number | null;
  readonly nextTryMs: number | null;
  readonly failures: number;
  /** The newest status; null when the server is there but has none. */
  readonly status: Status | null;
  readonly statusError: string | null;
}

/** Between two beats. */
export const PERIOD_MS = 5000;
const PAUSE_MAX_MS = 60_000;

let pulse: Pulse = {
  state: "connecting",
  beat: 0,
  lastOkMs: null,
  nextTryMs: null,
  failures: 0,
  status: null,
  statusError: null,
};
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setTimeout> | undefined;
let asking = false;

/** The pause after `failures` failures in a row. */
export function pauseMs(failures: number): number {
  return Math.min(PAUSE_MAX_MS, PERIOD_MS * 2 ** Math.max(0, failures - 1));
}

function set(next: Partial<Pulse>): void {
  pulse = { ...pulse, ...next };
  for (const listener of [...listeners]) listener();
}

/** Nobody answered, or only something in between (a proxy) did. Any other refusal still proves a server. */
function isLost(error: unknown): boolean {
  return (
    !(error instanceof ApiError) || error.kind === "network" || error.status === 502 || error.status === 504
  );
}

async function beatOnce(): Promise<void> {
  if (asking || document.hidden) return;
  asking = true;
  clearTimeout(timer);
  let failures = 0;
  try {
    const status = await getStatus();
    set({ state: "live", beat: pulse.beat + 1, lastOkMs: Date.now(), failures, status, statusError: null });
  } catch (error) {
    if (isLost(error)) {
      failures = pulse.failures + 1;
      set({ state: "lost", failures });
    } else {
      const statusError = error instanceof Error ? error.message : String(error);
      set({ state: "live", beat: pulse.beat + 1, lastOkMs: Date.now(), failures, status: null, statusError });
    }
  } finally {
    asking = false;
  }
  const pause = pauseMs(failures);
  set({ nextTryMs: Date.now() + pause });
  timer = setTimeout(beatOnce, pause);
}

/** Asks now, whatever the pause. */
export function retryNow(): void {
  void beatOnce();
}

/** Starts the heart; called once. */
export function startPulse(): void {
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) void beatOnce();
  });
  window.addEventListener("online", () => void beatOnce());
  void beatOnce();
}

/** The pulse; re-renders on every change. */
export function usePulse(): Pulse {
  const [now, setNow] = useState(pulse);
  useEffect(() => {
    const update = (): void => setNow(pulse);
    listeners.add(update);
    update();
    return () => {
      listeners.delete(update);
    };
  }, []);
  return now;
}

/** The current time, re-rendering every `periodMs`: for texts such as "12 s ago". */
export function useNow(periodMs = 1000): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const id = setInterval(() => setNow(Date.now()), periodMs);
    return () => clearInterval(id);
  }, [periodMs]);
  return now;
}

/** What a panel has: the newest data (kept while errors last), the newest error, and when the data came. */
export interface Loaded<T> {
  readonly data: T | undefined;
  readonly error: ApiError | null;
  readonly atMs: number | null;
  readonly loading: boolean;
}

/** How often a panel refreshes: every n-th beat; `once` loads only when `key` changes. */
export type Pace = number | "once";

/**
 * Loads now, whenever `key` changes, and with the beats. One request at a time; a new key aborts the old one and
 * forgets its data. `load` may keep state of its own between calls (incremental answers).
 */
export function useLive<T>(
  key: string,
  load: (signal: AbortSignal) => Promise<T>,
  pace: Pace = 1,
): Loaded<T> {
  const [state, setState] = useState<Loaded<T> & { key: string }>({
    key,
    data: undefined,
    error: null,
    atMs: null,
    loading: true,
  });
  const latest = useRef(load);
  latest.current = load;
  useEffect(() => {
    const abort = new AbortController();
    let busy = false;
    let failed = false;
    let seenBeat = pulse.beat;
    const run = async (): Promise<void> => {
      if (busy) return;
      busy = true;
      try {
        const data = await latest.current(abort.signal);
        failed = false;
        if (!abort.signal.aborted) setState({ key, data, error: null, atMs: Date.now(), loading: false });
      } catch (cause) {
        if (abort.signal.aborted) return;
        failed = !(cause instanceof ApiError) || cause.kind === "network" || cause.status >= 500;
        const error = cause instanceof ApiError ? cause : new ApiError("shape", String(cause));
        setState((old) =>
          old.key === key
            ? { ...old, error, loading: false }
            : { key, data: undefined, error, atMs: null, loading: false },
        );
      } finally {
        busy = false;
      }
    };
    const onPulse = (): void => {
      if (pulse.beat === seenBeat) return;
      seenBeat = pulse.beat;
      // What failed for a passing reason is tried again with the next beat, whatever its pace.
      if (failed || (pace !== "once" && seenBeat % pace === 0)) void run();
    };
    setState((old) =>
      old.key === key
        ? { ...old, loading: true }
        : { key, data: undefined, error: null, atMs: null, loading: true },
    );
    void run();
    listeners.add(onPulse);
    return () => {
      abort.abort();
      listeners.delete(onPulse);
    };
  }, [key, pace]);
  // Until the effect has run, what is here belongs to the key before.
  return state.key === key ? state : { data: undefined, error: null, atMs: null, loading: true };
}
