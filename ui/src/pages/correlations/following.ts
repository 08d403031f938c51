// Following new correlations: server-sent events, and asking again for what they may have missed.
//
// Events come as fast as the server likes; the page is told at most four times a second. While paused they wait here,
// bounded. The browser connects again by itself; whatever was published meanwhile the page asks for. Where there is no
// stream at all (an old server, a proxy that holds it back) `link` is "polling", and the page asks with every beat.
import { type Correlation, correlationOf } from "../../api/correlate";

/** Correlations that may wait. */
export const WAITING_MAX = 2000;
const TELL_MS = 250;
/** A stream that could not be had is asked for again after so long. */
const AGAIN_MS = 60_000;

/** How following goes. */
export interface FollowState {
  readonly link: "connecting" | "open" | "lost" | "polling";
  readonly paused: boolean;
  readonly waiting: number;
  /** Left out by the server or let go here, since the page last asked. */
  readonly missed: number;
}

/** What an `EventSource` is to the page. */
export interface Source {
  onopen: (() => void) | null;
  onerror: (() => void) | null;
  readonly readyState: number;
  addEventListener(name: string, take: (event: { data: string }) => void): void;
  close(): void;
}

interface FollowOptions {
  readonly path: string;
  readonly onNew: (fresh: readonly Correlation[]) => void;
  readonly onState: (state: FollowState) => void;
  /** Something may have been missed: ask for the newest. */
  readonly onGap: () => void;
  readonly connect?: (path: string) => Source;
}

const CLOSED = 2;

/** Higher revisions replace lower ones; newest first. */
export function merged(
  known: readonly Correlation[],
  fresh: readonly Correlation[],
  most: number,
): readonly Correlation[] {
  const byId = new Map(known.map((one) => [one.id, one]));
  let changed = false;
  for (const one of fresh) {
    const old = byId.get(one.id);
    if (old && old.revision >= one.revision) continue;
    byId.set(one.id, one);
    changed = true;
  }
  if (!changed) return known;
  return [...byId.values()]
    .sort((a, b) => (a.startNs === b.startNs ? (a.id < b.id ? -1 : 1) : a.startNs < b.startNs ? 1 : -1))
    .slice(0, most);
}

/** Follows until closed. */
export class Following {
  private source: Source | null = null;
  private waiting: Correlation[] = [];
  private link: FollowState["link"] = "connecting";
  private paused = false;
  private missed = 0;
  private wasLost = false;
  private told = "";
  private again: ReturnType<typeof setTimeout> | undefined;
  private readonly telling: ReturnType<typeof setInterval>;

  constructor(private readonly options: FollowOptions) {
    this.telling = setInterval(() => this.tell(), TELL_MS);
    this.open();
  }

  pause(paused: boolean): void {
    this.paused = paused;
    this.tell();
  }

  /** The page has asked for the newest: nothing is missing any more. */
  caughtUp(): void {
    this.missed = 0;
    this.tell();
  }

  close(): void {
    clearInterval(this.telling);
    clearTimeout(this.again);
    this.source?.close();
  }

  private open(): void {
    const connect = this.options.connect ?? ((path) => new EventSource(path) as unknown as Source);
    const source = connect(this.options.path);
    this.source = source;
    source.onopen = () => {
      this.link = "open";
      if (this.wasLost) this.options.onGap();
      this.wasLost = false;
    };
    source.onerror = () => {
      this.wasLost = true;
      if (source.readyState !== CLOSED) {
        this.link = "lost";
        return;
      }
      this.link = "polling";
      this.again = setTimeout(() => this.open(), AGAIN_MS);
    };
    source.addEventListener("correlation", ({ data }) => this.take(data));
    source.addEventListener("missed", ({ data }) => {
      const said = Number(/\d+/.exec(data)?.[0] ?? 1);
      this.missed += said;
      this.options.onGap();
    });
  }

  private take(data: string): void {
    try {
      this.waiting.push(correlationOf(JSON.parse(data)));
    } catch {
      // One that cannot be read is no reason to lose those after it.
      this.missed += 1;
      return;
    }
    if (this.waiting.length > WAITING_MAX) {
      this.waiting.shift();
      this.missed += 1;
    }
  }

  private tell(): void {
    if (!this.paused && this.waiting.length > 0) {
      const fresh = this.waiting;
      this.waiting = [];
      this.options.onNew(fresh);
    }
    const state: FollowState = {
      link: this.link,
      paused: this.paused,
      missed: this.missed,
      waiting: this.waiting.length,
    };
    const said = JSON.stringify(state);
    if (said === this.told) return;
    this.told = said;
    this.options.onState(state);
  }
}
