// The Loki HTTP API under /loki: log lines, counts over time, labels.
import { array, type Labels, labels, nanosToMs, number, object, text } from "./decode";
import { getJson, withQuery } from "./http";
import { type Answer, decodeMatrix, decodeVector, type Matrix, type Sample, type Series } from "./prometheus";

/** One entry. `id` is the same in every answer that has it. */
export interface LogLine {
  readonly id: string;
  readonly atMs: number;
  /** The timestamp as sent: decimal nanoseconds. */
  readonly atNs: string;
  readonly line: string;
  readonly level: Level;
  readonly stream: Labels;
  /** Structured metadata. */
  readonly metadata: Labels;
  /** What the query's parsers found. */
  readonly parsed: Labels;
}

/** Which end of the range comes first. */
export type Direction = "backward" | "forward";

/** The levels that have a colour, most severe first. */
export const LEVELS = ["fatal", "error", "warn", "info", "debug", "trace", "unknown"] as const;
/** One of `LEVELS`. */
export type Level = (typeof LEVELS)[number];

const ALIASES: Readonly<Record<string, Level>> = {
  emerg: "fatal",
  emergency: "fatal",
  alert: "fatal",
  critical: "fatal",
  crit: "fatal",
  panic: "fatal",
  err: "error",
  warning: "warn",
  notice: "info",
  information: "info",
  informational: "info",
  verbose: "debug",
  dbg: "debug",
};

/** The level that a word means: `ERR` → error, `Warning` → warn. */
export function levelOf(word: string): Level {
  const lower = word.toLowerCase().replace(/\d$/, "");
  return LEVELS.find((level) => level === lower) ?? ALIASES[lower] ?? "unknown";
}

/** Level from labels; else the first level word in the line's beginning. */
export function lineLevel(all: Labels, line: string): Level {
  for (const name of ["detected_level", "level", "severity", "severity_text", "lvl"]) {
    const value = all[name];
    if (value !== undefined && levelOf(value) !== "unknown") return levelOf(value);
  }
  const word = /\b(fatal|panic|critical|error|err|warn(?:ing)?|info|debug|trace)\b/i.exec(line.slice(0, 160));
  return word ? levelOf(word[0]) : "unknown";
}

/** Who wrote it, by the labels people use for that. */
export function lineService(of: LogLine): string {
  for (const name of ["service_name", "service", "app", "container", "unit", "job", "host"]) {
    const value = of.stream[name] ?? of.metadata[name];
    if (value !== undefined && value !== "" && value !== "unknown_service") return value;
  }
  return of.stream.service_name ?? "";
}

/** FNV-1a over UTF-16 units: tells entries of one nanosecond apart. */
function hash(text: string, seed = 0x811c9dc5): number {
  let value = seed;
  for (let at = 0; at < text.length; at += 1) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  return value >>> 0;
}

/** Orders decimal nanoseconds. */
export function compareNs(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length;
  return a < b ? -1 : a > b ? 1 : 0;
}

/** `ns + by`, decimal. */
export function shiftedNs(ns: string, by: number): string {
  return String(BigInt(ns) + BigInt(by));
}

/** Decodes the streams of an answer or of a tail's frame, with or without `categorize-labels`, as they come. */
export function linesOf(streams: unknown): LogLine[] {
  const lines: LogLine[] = [];
  const seen = new Map<string, number>();
  for (const each of array(streams, "streams")) {
    const stream = object(each, "a stream");
    const identity = labels(stream.stream);
    const seed = hash(JSON.stringify(Object.entries(identity).sort()));
    for (const value of array(stream.values, "values")) {
      const [at, line, third] = array(value, "an entry");
      const extra = third === undefined || third === null ? {} : object(third, "an entry's metadata");
      const [metadata, parsed] = [labels(extra.structuredMetadata), labels(extra.parsed)];
      const content = text(line);
      const name = `${text(at)}-${hash(content, seed).toString(36)}`;
      const twins = seen.get(name) ?? 0;
      seen.set(name, twins + 1);
      lines.push({
        id: twins === 0 ? name : `${name}.${twins}`,
        atMs: nanosToMs(at),
        atNs: text(at),
        line: content,
        level: lineLevel({ ...identity, ...parsed, ...metadata }, content),
        stream: identity,
        metadata,
        parsed,
      });
    }
  }
  return lines;
}

/** Decodes the streams of an answer, newest first. */
export function decodeStreams(json: unknown): LogLine[] {
  const data = object(object(json, "the answer").data, "data");
  return linesOf(data.result).sort((a, b) => compareNs(b.atNs, a.atNs));
}

/** Lines and what the server said beside them. */
export function decodeLines(json: unknown): Answer<LogLine[]> {
  const warnings = array(object(json, "the answer").warnings, "warnings").map((one) => text(one));
  return { data: decodeStreams(json), warnings, infos: [] };
}

/** Loki's paths under the main port. */
export const BASE = "/loki/loki/api/v1";

const CATEGORIZED = { "X-Loki-Response-Encoding-Flags": "categorize-labels" };

/** The newest `limit` lines between `startMs` and `endMs`. */
export function queryLines(
  query: string,
  startMs: number,
  endMs: number,
  limit: number,
  signal?: AbortSignal,
): Promise<LogLine[]> {
  const parameters = { query, start: nanos(startMs), end: nanos(endMs), limit, direction: "backward" };
  return getJson(withQuery(`${BASE}/query_range`, parameters), decodeStreams, signal, CATEGORIZED);
}

/** A page of lines: at most `limit` of those with `startNs ≤ time < endNs`, the first ones in `direction`. */
export interface Ask {
  readonly query: string;
  readonly startNs: string;
  readonly endNs: string;
  readonly limit: number;
  readonly direction: Direction;
}

/** A page of lines, newest first whatever the direction. */
export function queryPage(ask: Ask, signal?: AbortSignal): Promise<Answer<LogLine[]>> {
  const parameters = {
    query: ask.query,
    start: ask.startNs,
    end: ask.endNs,
    limit: ask.limit,
    direction: ask.direction,
  };
  return getJson(withQuery(`${BASE}/query_range`, parameters), decodeLines, signal, CATEGORIZED);
}

/** A metric query of LogQL at one time, Unix seconds. */
export function queryAt(query: string, at: number, signal?: AbortSignal): Promise<Answer<Sample[]>> {
  return getJson(withQuery(`${BASE}/query`, { query, time: nanos(at * 1000) }), decodeVector, signal);
}

/** A metric query of LogQL, such as counts by level. */
export function queryCounts(
  query: string,
  start: number,
  end: number,
  step: number,
  signal?: AbortSignal,
): Promise<Matrix> {
  const parameters = { query, start: nanos(start * 1000), end: nanos(end * 1000), step };
  return getJson(withQuery(`${BASE}/query_range`, parameters), decodeMatrix, signal);
}

/** Stream label names between two times, milliseconds. */
export function labelNames(startMs: number, endMs: number, signal?: AbortSignal): Promise<string[]> {
  const parameters = { start: nanos(startMs), end: nanos(endMs) };
  return getJson(withQuery(`${BASE}/labels`, parameters), decodeNames, signal);
}

/** Values of one stream label, of the streams that `selector` selects (empty: of all). */
export function labelValues(
  name: string,
  selector: string,
  startMs: number,
  endMs: number,
  signal?: AbortSignal,
): Promise<string[]> {
  const parameters = { query: selector, start: nanos(startMs), end: nanos(endMs) };
  return getJson(
    withQuery(`${BASE}/label/${encodeURIComponent(name)}/values`, parameters),
    decodeNames,
    signal,
  );
}

/** A list of names. */
export function decodeNames(json: unknown): string[] {
  return array(object(json, "the answer").data, "data").map((name) => text(name));
}

/** Milliseconds → decimal nanoseconds. Whole milliseconds: a double cannot hold more. */
export function nanos(ms: number): string {
  return `${Math.max(0, Math.round(ms))}000000`;
}

/** Trace id that a line carries, in metadata, labels or its own text; null without. */
export function traceIdOf(of: LogLine): string | null {
  for (const name of ["trace_id", "traceid", "traceID", "traceId"]) {
    const value = of.metadata[name] ?? of.stream[name] ?? of.parsed[name];
    if (value !== undefined && /^[0-9a-f]{16,32}$/i.test(value)) return value.toLowerCase();
  }
  const inside = /\btrace_?id["']?\s*[=:]\s*["']?([0-9a-f]{16}(?:[0-9a-f]{16})?)\b/i.exec(of.line);
  return inside?.[1]?.toLowerCase() ?? null;
}

/** Span id that a line carries, lower case; empty without. */
export function spanIdOf(of: LogLine): string {
  for (const name of ["span_id", "spanid", "spanID", "spanId"]) {
    const value = of.metadata[name] ?? of.stream[name] ?? of.parsed[name];
    if (value !== undefined && /^[0-9a-f]{16}$/i.test(value)) return value.toLowerCase();
  }
  return /\bspan_?id["']?\s*[=:]\s*["']?([0-9a-f]{16})\b/i.exec(of.line)?.[1]?.toLowerCase() ?? "";
}

/** Lines per step and level, counted here: for servers and queries that cannot count. */
export function countByLevel(lines: readonly LogLine[], start: number, end: number, step: number): Series[] {
  const slots = Math.max(1, Math.floor((end - start) / step) + 1);
  const counts = new Map<Level, number[]>();
  for (const line of lines) {
    const slot = Math.floor((line.atMs / 1000 - start) / step);
    if (slot < 0 || slot >= slots) continue;
    const row = counts.get(line.level) ?? new Array<number>(slots).fill(0);
    row[slot] = number(row[slot]) + 1;
    counts.set(line.level, row);
  }
  return [...counts].map(([level, row]) => ({
    labels: { detected_level: level },
    points: row.map((value, slot) => [start + slot * step, value] as const),
  }));
}
