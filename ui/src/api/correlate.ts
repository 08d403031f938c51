// Correlations and stories: the API under /api of the main door (docs/correlation.md).
//
// Times come as RFC 3339 with nanoseconds; here they are Unix nanoseconds (bigint) where they are compared, and
// milliseconds where they are shown.
import { ID_KINDS, type IdKind, type NamedId } from "../correlate/kinds";
import { array, type Fields, type Labels, labels, number, object, text } from "./decode";
import { ApiError, getJson, withQuery } from "./http";
import { type Level, levelOf } from "./loki";

/** Someone who took part. */
export interface Participant {
  readonly service: string;
  readonly node: string;
  readonly env: string;
  readonly logs: number;
  readonly spans: number;
  readonly errors: number;
  /** By how much its clock is ahead of the first one's, ms. */
  readonly skewMs: number;
}

/** The first failure. */
export interface FirstError {
  readonly isLog: boolean;
  readonly atNs: bigint;
  readonly service: string;
  readonly text: string;
  readonly spanId: string;
}

/** The span that matters most. */
export interface WorstSpan {
  readonly spanId: string;
  readonly service: string;
  readonly name: string;
  readonly durationMs: number;
  readonly selfMs: number;
  readonly failed: boolean;
}

/** How many of each; `inferredLogs` are not among `logs`. */
export interface Counts {
  readonly logs: number;
  readonly spans: number;
  readonly errors: number;
  readonly failedSpans: number;
  readonly exemplars: number;
  readonly inferredLogs: number;
  /** Lines by level; levels without lines are left out. */
  readonly levels: readonly (readonly [Level, number])[];
}

/** What is known of one window of one trace. */
export interface Correlation {
  readonly id: string;
  readonly traceId: string;
  readonly revision: number;
  readonly windowStartNs: bigint;
  readonly windowSeconds: number;
  readonly startNs: bigint;
  readonly startMs: number;
  readonly durationMs: number;
  readonly ids: readonly NamedId[];
  /** Callers before those they call, each service once. */
  readonly services: readonly Participant[];
  readonly counts: Counts;
  readonly hasError: boolean;
  readonly firstError: FirstError | null;
  readonly worstSpan: WorstSpan | null;
  readonly exemplars: readonly string[];
  readonly marks: readonly string[];
}

/** How an event came to be where it is. */
export interface Joined {
  readonly certain: boolean;
  /** 0 to 1. */
  readonly confidence: number;
  /** `trace_id`, `request_id`, another id, or `place`. */
  readonly by: string;
}

/** A span, a log line or an exemplar of a timeline. */
export interface TimelineEvent {
  readonly key: string;
  readonly kind: "span" | "log" | "exemplar";
  /** As sent. */
  readonly sentNs: bigint;
  /** With clocks made one; the same where nothing is known. */
  readonly atNs: bigint;
  readonly service: string;
  readonly node: string;
  readonly joined: Joined;
  readonly traceId: string;
  readonly spanId: string;
  /** Of spans. */
  readonly parentSpanId: string;
  readonly name: string;
  readonly durationMs: number;
  readonly failed: boolean;
  readonly message: string;
  readonly spanKind: string;
  /** Of log lines. */
  readonly level: Level;
  readonly line: string;
  readonly labels: Labels;
  /** Of exemplars. */
  readonly series: string;
  readonly value: number;
}

/** Between the clocks of two services. */
export interface Skew {
  readonly client: string;
  readonly server: string;
  /** By how much the server's is ahead, ms. */
  readonly offsetMs: number;
}

/** A correlation with all that belongs to it, by corrected time. */
export interface Timeline {
  readonly correlation: Correlation;
  readonly events: readonly TimelineEvent[];
  readonly truncated: boolean;
  readonly skew: readonly Skew[];
}

/** All about some ids. */
export interface Story {
  readonly services: readonly string[];
  readonly nodes: readonly string[];
  readonly traces: readonly string[];
  readonly correlations: readonly Correlation[];
  readonly events: readonly TimelineEvent[];
  readonly truncated: boolean;
}

/** Which correlations. Times are what the API takes: Unix nanoseconds. */
export interface CorrelationFilter {
  readonly ids: readonly NamedId[];
  readonly service: string;
  readonly errors: boolean;
}

/** RFC 3339 → Unix nanoseconds; 0 for what is none. */
export function nsOf(value: unknown): bigint {
  const match = /^(.*?)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)$/i.exec(text(value));
  if (!match) return 0n;
  const seconds = Date.parse(`${match[1]}${match[3]}`);
  if (!Number.isFinite(seconds)) return 0n;
  return BigInt(seconds) * 1_000_000n + BigInt((match[2] ?? "").padEnd(9, "0"));
}

/** Unix nanoseconds → milliseconds. */
export const msOf = (ns: bigint): number => Number(ns / 1000n) / 1000;

const whole = (value: unknown): number => Math.max(0, number(value) || 0);

function idsOf(value: unknown): NamedId[] {
  const fields: Fields = value === undefined || value === null ? {} : object(value, "ids");
  return ID_KINDS.filter((kind) => kind !== "trace_id").flatMap((kind: IdKind) =>
    array(typeof fields[kind] === "string" ? [fields[kind]] : fields[kind], kind).map((each) => ({
      kind,
      value: text(each),
    })),
  );
}

function participantOf(each: unknown): Participant {
  const one = object(each, "a service");
  return {
    service: text(one.service),
    node: text(one.node),
    env: text(one.env),
    logs: whole(one.logs),
    spans: whole(one.spans),
    errors: whole(one.errors),
    skewMs: number(one.skew_ms) || 0,
  };
}

function countsOf(value: unknown): Counts {
  const one = object(value ?? {}, "counts");
  const levels = new Map<Level, number>();
  for (const [name, lines] of Object.entries(object(one.levels ?? {}, "levels"))) {
    const level = levelOf(name);
    if (whole(lines) > 0) levels.set(level, (levels.get(level) ?? 0) + whole(lines));
  }
  return {
    logs: whole(one.logs),
    spans: whole(one.spans),
    errors: whole(one.errors),
    failedSpans: whole(one.failed_spans),
    exemplars: whole(one.exemplars),
    inferredLogs: whole(one.inferred_logs),
    levels: [...levels],
  };
}

/** One entry for each service, wherever it runs, in the order of their first. */
export function byService(all: readonly Participant[]): Participant[] {
  const found = new Map<string, Participant>();
  for (const one of all) {
    const old = found.get(one.service);
    found.set(
      one.service,
      old === undefined
        ? one
        : {
            service: one.service,
            node: [...new Set([...old.node.split(", "), one.node])].filter((node) => node !== "").join(", "),
            env: old.env || one.env,
            logs: old.logs + one.logs,
            spans: old.spans + one.spans,
            errors: old.errors + one.errors,
            skewMs: Math.abs(one.skewMs) > Math.abs(old.skewMs) ? one.skewMs : old.skewMs,
          },
    );
  }
  return [...found.values()];
}

/** Decodes one correlation. */
export function correlationOf(json: unknown): Correlation {
  const one = object(json, "a correlation");
  const window = object(one.window ?? {}, "its window");
  const startNs = nsOf(one.start);
  const [error, worst] = [one.first_error, one.worst_span];
  const first = error === null || error === undefined ? null : object(error, "the first error");
  const span = worst === null || worst === undefined ? null : object(worst, "the worst span");
  return {
    id: text(one.id),
    traceId: text(one.trace_id),
    revision: whole(one.revision) || 1,
    windowStartNs: nsOf(window.start) || startNs,
    windowSeconds: whole(window.seconds),
    startNs,
    startMs: msOf(startNs),
    durationMs: whole(one.duration_ms),
    ids: idsOf(one.ids),
    services: byService(array(one.services, "services").map(participantOf)),
    counts: countsOf(one.counts),
    hasError: one.has_error === true,
    firstError: first && {
      isLog: first.kind === "log",
      atNs: nsOf(first.time),
      service: text(first.service),
      text: text(first.text),
      spanId: text(first.span_id),
    },
    worstSpan: span && {
      spanId: text(span.span_id),
      service: text(span.service),
      name: text(span.name),
      durationMs: whole(span.duration_ms),
      selfMs: whole(span.self_ms),
      failed: span.failed === true,
    },
    // What people measure themselves comes first.
    exemplars: array(one.exemplars, "exemplars")
      .map((series) => text(series))
      .sort((a, b) => Number(DERIVED.test(a)) - Number(DERIVED.test(b))),
    marks: array(one.marks, "marks").map((mark) => text(mark)),
  };
}

function eventOf(each: unknown, index: number): TimelineEvent {
  const one = object(each, "an event");
  const kind = one.kind === "span" || one.kind === "exemplar" ? one.kind : "log";
  const sentNs = nsOf(one.time);
  const certain = one.certain !== false;
  const confidence = number(one.confidence);
  return {
    key: `${index}`,
    kind,
    sentNs,
    atNs: nsOf(one.corrected_time) || sentNs,
    service: text(one.service),
    node: text(one.node),
    joined: {
      certain,
      confidence: Number.isFinite(confidence) ? Math.min(1, Math.max(0, confidence)) : certain ? 1 : 0,
      by: text(one.by),
    },
    traceId: text(one.trace_id),
    spanId: text(one.span_id),
    parentSpanId: text(one.parent_span_id),
    name: text(one.name),
    durationMs: kind === "span" ? whole(one.duration_ms) : 0,
    failed: one.failed === true,
    message: text(one.message),
    spanKind: text(one.span_kind),
    level: levelOf(text(one.level)),
    line: text(one.line),
    labels: labels(one.labels),
    series: text(one.series),
    value: number(one.value),
  };
}

/** Series that Bramble derives from spans: their exemplars say nothing that the spans beside them do not. */
const DERIVED = /^traces_(?:spanmetrics|service_graph)_/;

const eventsOf = (value: unknown, what: string): TimelineEvent[] =>
  array(value, what)
    .map(eventOf)
    .filter((one) => one.kind !== "exemplar" || !DERIVED.test(one.series));

/** Whether something went wrong there. */
export function isBad(event: TimelineEvent): boolean {
  return event.failed || (event.kind === "log" && (event.level === "error" || event.level === "fatal"));
}

/** Decodes a list. */
export function decodeCorrelations(json: unknown): Correlation[] {
  return array(object(json, "the answer").correlations, "correlations").map(correlationOf);
}

/** Decodes one with its timeline. */
export function decodeTimeline(json: unknown): Timeline {
  const one = object(json, "the answer");
  return {
    correlation: correlationOf(one),
    events: eventsOf(one.timeline, "its timeline"),
    truncated: one.truncated === true,
    skew: array(one.skew, "skew").map((each) => {
      const pair = object(each, "a pair of clocks");
      return {
        client: text(pair.client),
        server: text(pair.server),
        offsetMs: number(pair.offset_ms) || 0,
      };
    }),
  };
}

/** Decodes a story. */
export function decodeStory(json: unknown): Story {
  const one = object(json, "the answer");
  const texts = (value: unknown, what: string): string[] => array(value, what).map((each) => text(each));
  return {
    services: texts(one.services, "services"),
    nodes: texts(one.nodes, "nodes"),
    traces: texts(one.traces, "traces"),
    correlations: array(one.correlations, "correlations").map(correlationOf),
    events: eventsOf(one.events, "events"),
    truncated: one.truncated === true,
  };
}

function parametersOf({ ids, service, errors }: CorrelationFilter): Record<string, string | undefined> {
  return {
    ...Object.fromEntries(ids.map((id) => [id.kind, id.value])),
    service,
    has_error: errors ? "true" : undefined,
  };
}

/** Newest first; those that start in `[sinceNs, untilNs)`. */
export function findCorrelations(
  filter: CorrelationFilter,
  times: { readonly sinceNs?: bigint; readonly untilNs?: bigint },
  limit: number,
  signal?: AbortSignal,
): Promise<Correlation[]> {
  const path = withQuery("/api/correlations", {
    limit,
    since: times.sinceNs?.toString(),
    until: times.untilNs?.toString(),
    ...parametersOf(filter),
  });
  return getJson(path, decodeCorrelations, signal);
}

/** One; null when there is none of this id. */
export async function getCorrelation(id: string, signal?: AbortSignal): Promise<Timeline | null> {
  try {
    return await getJson(`/api/correlations/${encodeURIComponent(id)}`, decodeTimeline, signal, {}, 30_000);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}

/** The story of some ids. */
export function getStory(
  ids: readonly NamedId[],
  times: { readonly sinceNs: bigint; readonly untilNs: bigint },
  limit: number,
  signal?: AbortSignal,
): Promise<Story> {
  const path = withQuery("/api/stories", {
    ...Object.fromEntries(ids.map((id) => [id.kind, id.value])),
    since: times.sinceNs.toString(),
    until: times.untilNs.toString(),
    limit,
  });
  return getJson(path, decodeStory, signal, {}, 30_000);
}

/** Where new ones come as they are published. */
export function streamPath(filter: CorrelationFilter): string {
  return withQuery("/api/correlations/stream", parametersOf(filter));
}
