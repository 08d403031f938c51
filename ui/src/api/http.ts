// Fetching JSON from our own origin, with every failure as one type that says what to show.
//
// Each protocol has its own error body (Prometheus JSON, Loki text, Tempo text, Jaeger `errors`); they all
// become an `ApiError` here. The reader's decoders (`Decode`) turn a wrong shape into one, too.

/** Where in a query the server found the mistake; both from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** `network`: nobody answered; `http`: the server said no; `shape`: it answered something else. */
export type FailureKind = "network" | "http" | "shape";

/** What went wrong, in words for the person in front of the page. */
export class ApiError extends Error {
  constructor(
    readonly kind: FailureKind,
    message: string,
    readonly status: number = 0,
  ) {
    super(message);
    this.name = "ApiError";
  }

  /** The position that the message names, if it names one. */
  get position(): Position | null {
    return positionIn(this.message);
  }
}

/** Finds `line 1, col 5`, `1:5:` or `at column 5`/`at position 5` in a message. Nothing found: null. */
export function positionIn(message: string): Position | null {
  const named =
    /line (\d+),? col(?:umn)? (\d+)/i.exec(message) ??
    /(?:^|[\s"(])(\d{1,4}):(\d{1,5})(?=[:\s),]|$)/.exec(message);
  if (named) return { line: Number(named[1]), column: Number(named[2]) };
  const column = /\b(?:at |in )?(?:position|column|col|offset|char(?:acter)?) (\d+)/i.exec(message);
  return column ? { line: 1, column: Number(column[1]) } : null;
}

const TIMEOUT_MS = 15_000;
/** A password takes a small board seconds to check. */
const SEND_TIMEOUT_MS = 45_000;
const BODY_SHOWN_MAX = 400;

function refusal(status: number, body: string): ApiError {
  let message = body.trim();
  try {
    const json: unknown = JSON.parse(body);
    if (typeof json === "object" && json !== null) {
      const from = json as Record<string, unknown>;
      const first = Array.isArray(from.errors)
        ? (from.errors[0] as Record<string, unknown> | undefined)
        : undefined;
      const found = from.error ?? from.message ?? first?.msg;
      if (typeof found === "string") message = found;
    }
  } catch {
    // Not JSON: the text itself is the message.
  }
  if (message === "" || message.startsWith("<")) message = `The server answered ${status}.`;
  return new ApiError("http", message.slice(0, BODY_SHOWN_MAX), status);
}

/** Who is signed out goes to sign in; what the page shows, its fragment, is kept for after that. */
function toLogin(): void {
  if (location.pathname !== "/login") location.replace(`/login${location.hash}`);
}

/**
 * Gets `path` (relative to the page's origin) and decodes the answer.
 *
 * Throws `ApiError`; an abort by `signal` throws the browser's `AbortError` untouched.
 */
export function getJson<T>(
  path: string,
  decode: (json: unknown) => T,
  signal?: AbortSignal,
  headers: Record<string, string> = {},
  timeoutMs = TIMEOUT_MS,
): Promise<T> {
  return askJson(path, { headers: { Accept: "application/json", ...headers } }, decode, signal, timeoutMs);
}

/** Sends `body` as JSON, if there is one, and decodes the answer. Throws `ApiError`. */
export function sendJson<T>(
  method: "POST" | "PATCH" | "DELETE",
  path: string,
  body: unknown,
  decode: (json: unknown) => T,
): Promise<T> {
  const headers = { Accept: "application/json", "Content-Type": "application/json" };
  const sent = body === undefined ? {} : { body: JSON.stringify(body) };
  return askJson(path, { method, headers, ...sent }, decode, undefined, SEND_TIMEOUT_MS);
}

async function askJson<T>(
  path: string,
  init: RequestInit,
  decode: (json: unknown) => T,
  signal: AbortSignal | undefined,
  timeoutMs: number,
): Promise<T> {
  const timeout = new AbortController();
  const timer = setTimeout(() => timeout.abort(), timeoutMs);
  const forward = (): void => timeout.abort();
  signal?.addEventListener("abort", forward);
  try {
    const response = await fetch(path, { ...init, signal: timeout.signal });
    const body = await response.text();
    if (response.status === 401) toLogin();
    if (!response.ok) throw refusal(response.status, body);
    let json: unknown;
    try {
      json = body === "" ? null : JSON.parse(body);
    } catch {
      throw new ApiError("shape", "The answer is not JSON.", response.status);
    }
    return decode(json);
  } catch (error) {
    if (signal?.aborted || error instanceof ApiError) throw error;
    if (timeout.signal.aborted) throw new ApiError("network", `No answer within ${timeoutMs / 1000} s.`);
    throw new ApiError("network", "Bramble cannot be reached.");
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", forward);
  }
}

/** `path?a=b` with empty values left out. */
export function withQuery(path: string, parameters: Record<string, string | number | undefined>): string {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== "") query.set(key, String(value));
  }
  const tail = query.toString();
  return tail === "" ? path : `${path}?${tail}`;
}
