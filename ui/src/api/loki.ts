// The Loki HTTP API under /loki: log lines, counts over time, labels.
import { array, type Labels, labels, nanosToMs, number, object, text } from "./decode";
import { getJson, withQuery } from "./http";
import { type Answer, decodeMatrix, type Series } from "./prometheus";

/** One entry. `id` is unique among the lines of an answer; `metadata` holds structured metadata and parsed labels. */
export interface LogLine {
  readonly id: string;
  readonly atMs: number;
  /** The timestamp as sent: decimal nanoseconds. */
  readonly atNs: string;
  readonly line: string;
  readonly level: Level;
  readonly stream: Labels;
  readonly metadata: Labels;
}

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

/** Decodes streams, with or without `categorize-labels`; newest first. */
export function decodeStreams(json: unknown): LogLine[] {
  const data = object(object(json, "the answer").data, "data");
  const lines: LogLine[] = [];
  array(data.result, "result").forEach((each, streamIndex) => {
    const stream = object(each, "a stream");
    const identity = labels(stream.stream);
    array(stream.values, "values").forEach((value, index) => {
      const [at, line, third] = array(value, "an entry");
      const extra = third === undefined ? {} : object(third, "an entry's metadata");
      const metadata = { ...labels(extra.structuredMetadata), ...labels(extra.parsed) };
      const content = text(line);
      lines.push({
        id: `${text(at)}-${streamIndex}-${index}`,
        atMs: nanosToMs(at),
        atNs: text(at),
        line: content,
        level: lineLevel({ ...identity, ...metadata }, content),
        stream: identity,
        metadata,
      });
    });
  });
  return lines.sort((a, b) => b.atMs - a.atMs);
}

const BASE = "/loki/loki/api/v1";

/** The newest `limit` lines between `startMs` and `endMs`. */
export function queryLines(
  query: string,
  startMs: number,
  endMs: number,
  limit: number,
  signal?: AbortSignal,
): Promise<LogLine[]> {
  const parameters = { query, start: nanos(startMs), end: nanos(endMs), limit, direction: "backward" };
  const headers = { "X-Loki-Response-Encoding-Flags": "categorize-labels" };
  return getJson(withQuery(`${BASE}/query_range`, parameters), decodeStreams, signal, headers);
}

/** A metric query of LogQL, such as counts by level. */
export function queryCounts(
  query: string,
  start: number,
  end: number,
  step: number,
  signal?: AbortSignal,
): Promise<Answer<Series[]>> {
  const parameters = { query, start: nanos(start * 1000), end: nanos(end * 1000), step };
  return getJson(withQuery(`${BASE}/query_range`, parameters), decodeMatrix, signal);
}

/** Stream label names. */
export function labelNames(signal?: AbortSignal): Promise<string[]> {
  return getJson(`${BASE}/labels`, decodeNames, signal);
}

/** Values of one stream label. */
export function labelValues(name: string, signal?: AbortSignal): Promise<string[]> {
  return getJson(`${BASE}/label/${encodeURIComponent(name)}/values`, decodeNames, signal);
}

function decodeNames(json: unknown): string[] {
  return array(object(json, "the answer").data, "data").map((name) => text(name));
}

/** Milliseconds → decimal nanoseconds. Whole milliseconds: a double cannot hold more. */
export function nanos(ms: number): string {
  return `${Math.max(0, Math.round(ms))}000000`;
}

/** Trace id that a line carries, in metadata, labels or its own text; null without. */
export function traceIdOf(of: LogLine): string | null {
  for (const name of ["trace_id", "traceid", "traceID", "traceId"]) {
    const value = of.metadata[name] ?? of.stream[name];
    if (value !== undefined && /^[0-9a-f]{16,32}$/i.test(value)) return value.toLowerCase();
  }
  const inside = /\btrace_?id["']?\s*[=:]\s*["']?([0-9a-f]{16}(?:[0-9a-f]{16})?)\b/i.exec(of.line);
  return inside?.[1]?.toLowerCase() ?? null;
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
