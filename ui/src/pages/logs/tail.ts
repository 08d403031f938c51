// Following new lines by Loki's tail protocol: one WebSocket, kept alive with ever longer pauses, buffers bounded.
//
// A frame is `{"streams": […], "dropped_entries": […] | null}`. Frames come as fast as the server likes; the page is
// told at most four times a second. While paused, lines wait here; when more wait than may, the oldest are let go and
// counted.
import { array, object } from "../../api/decode";
import { BASE, type LogLine, linesOf } from "../../api/loki";

/** Lines that may wait while paused, and that are told at once. */
export const WAITING_MAX = 5000;
const TELL_MS = 250;
const RATE_WINDOW_MS = 5000;
const PAUSE_MIN_MS = 500;
const PAUSE_MAX_MS = 30_000;

/** One frame. */
export interface Frame {
  readonly lines: readonly LogLine[];
  /** Entries that the server left out because this client was too slow. */
  readonly dropped: number;
}

/** Decodes a frame; throws `ApiError` for anything else. */
export function decodeFrame(text: string): Frame {
  let json: unknown = null;
  try {
    json = JSON.parse(text);
  } catch {
    // Falls through: null is no frame.
  }
  const frame = object(json, "a frame");
  const streams = frame.streams;
  return { lines: linesOf(streams), dropped: array(frame.dropped_entries, "dropped entries").length };
}

/** The pause before the n-th attempt in a row, n from 1. */
export function retryPauseMs(failures: number): number {
  return Math.min(PAUSE_MAX_MS, PAUSE_MIN_MS * 2 ** Math.max(0, failures - 1));
}

/** How the tail is. */
export interface TailState {
  readonly link: "connecting" | "open" | "waiting";
  /** Lines per second over the last five. */
  readonly rate: number;
  readonly waiting: number;
  /** Left out by the server, and let go here. */
  readonly dropped: number;
  readonly paused: boolean;
  /** What the server said when it ended the connection; empty without. */
  readonly why: string;
}

/** What a WebSocket is to the tail. */
export interface Socket {
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  close(): void;
}

interface TailOptions {
  readonly query: string;
  /** The first nanosecond to send. */
  readonly startNs: () => string;
  readonly onLines: (lines: readonly LogLine[]) => void;
  readonly onState: (state: TailState) => void;
  readonly connect?: (path: string) => Socket;
  readonly now?: () => number;
}

function webSocket(path: string): Socket {
  const url = new URL(path, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return new WebSocket(url) as unknown as Socket;
}

/** A running tail; `close` ends it for good. */
export class Tail {
  private socket: Socket | null = null;
  private waiting: LogLine[] = [];
  private arrivals: { atMs: number; count: number }[] = [];
  private link: TailState["link"] = "connecting";
  private dropped = 0;
  private failures = 0;
  private paused = false;
  private why = "";
  private closed = false;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private readonly telling: ReturnType<typeof setInterval>;
  private readonly now: () => number;

  constructor(private readonly options: TailOptions) {
    this.now = options.now ?? Date.now;
    this.telling = setInterval(() => this.tell(), TELL_MS);
    this.open();
  }

  pause(paused: boolean): void {
    this.paused = paused;
    this.tell();
  }

  close(): void {
    this.closed = true;
    clearInterval(this.telling);
    clearTimeout(this.retry);
    this.socket?.close();
  }

  private open(): void {
    const query = new URLSearchParams({
      query: this.options.query,
      start: this.options.startNs(),
      limit: String(WAITING_MAX),
      // A browser cannot set the header that says this elsewhere.
      encoding_flags: "categorize-labels",
    });
    const connect = this.options.connect ?? webSocket;
    const socket = connect(`${BASE}/tail?${query}`);
    this.socket = socket;
    this.link = "connecting";
    socket.onopen = () => {
      this.link = "open";
      this.why = "";
    };
    socket.onmessage = (event) => this.take(String(event.data));
    socket.onclose = ({ reason }) => {
      if (this.closed) return;
      this.why = reason;
      this.failures += 1;
      this.link = "waiting";
      this.retry = setTimeout(() => this.open(), retryPauseMs(this.failures));
      this.tell();
    };
  }

  private take(text: string): void {
    let frame: Frame;
    try {
      frame = decodeFrame(text);
    } catch {
      // One frame that cannot be read is no reason to lose those after it.
      this.dropped += 1;
      return;
    }
    this.failures = 0;
    this.dropped += frame.dropped;
    this.waiting.push(...frame.lines);
    const over = this.waiting.length - WAITING_MAX;
    if (over > 0) {
      this.waiting.splice(0, over);
      this.dropped += over;
    }
    this.arrivals.push({ atMs: this.now(), count: frame.lines.length });
  }

  private tell(): void {
    if (this.closed) return;
    if (!this.paused && this.waiting.length > 0) {
      const lines = this.waiting;
      this.waiting = [];
      this.options.onLines(lines);
    }
    const since = this.now() - RATE_WINDOW_MS;
    this.arrivals = this.arrivals.filter((one) => one.atMs >= since);
    const arrived = this.arrivals.reduce((sum, one) => sum + one.count, 0);
    this.options.onState({
      link: this.link,
      rate: arrived / (RATE_WINDOW_MS / 1000),
      waiting: this.waiting.length,
      dropped: this.dropped,
      paused: this.paused,
      why: this.why,
    });
  }
}
