// Traces: search by Tempo's API under /tempo, services and whole traces by Jaeger's under /jaeger.
import { array, nanosToMs, number, object, text } from "./decode";
import { ApiError, getJson, withQuery } from "./http";

/** A trace in a list. Times in ms; `errors` is null where the server does not say. */
export interface TraceSummary {
  readonly id: string;
  readonly service: string;
  readonly name: string;
  readonly startMs: number;
  readonly durationMs: number;
  readonly spans: number | null;
  readonly errors: number | null;
}

/** Decodes Tempo's search answer, newest first. */
export function decodeSearch(json: unknown): TraceSummary[] {
  return array(object(json, "the answer").traces, "traces")
    .map((each) => {
      const trace = object(each, "a trace");
      const stats = Object.values(object(trace.serviceStats ?? {}, "serviceStats")).map((one) =>
        object(one, "stats"),
      );
      const sum = (key: string): number | null =>
        stats.length === 0 ? null : stats.reduce((total, one) => total + (number(one[key]) || 0), 0);
      return {
        id: text(trace.traceID),
        service: text(trace.rootServiceName),
        name: text(trace.rootTraceName),
        startMs: nanosToMs(trace.startTimeUnixNano),
        durationMs: number(trace.durationMs) || 0,
        spans: sum("spanCount"),
        errors: sum("errorCount"),
      };
    })
    .sort((a, b) => b.startMs - a.startMs);
}

/** What to search for; empty strings mean any. `min` is a duration like `100ms`. */
export interface TraceSearch {
  readonly service: string;
  readonly operation: string;
  readonly min: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly limit: number;
}

/** The search as TraceQL. */
export function traceQl(search: TraceSearch): string {
  const terms: string[] = [];
  if (search.service !== "") terms.push(`resource.service.name = ${JSON.stringify(search.service)}`);
  if (search.operation !== "") terms.push(`name = ${JSON.stringify(search.operation)}`);
  if (search.min !== "") terms.push(`duration >= ${search.min}`);
  return terms.length === 0 ? "{}" : `{ ${terms.join(" && ")} }`;
}

/** The search as the logfmt `tags` of Tempo's older form. */
export function legacyTags(search: TraceSearch): string {
  const terms: string[] = [];
  if (search.service !== "") terms.push(`service.name=${JSON.stringify(search.service)}`);
  if (search.operation !== "") terms.push(`name=${JSON.stringify(search.operation)}`);
  return terms.join(" ");
}

// A server without TraceQL is asked in the older form from then on.
let traceQlRefused = false;

/** Searches by TraceQL; where the server refuses the query itself, by the older parameters. */
export async function searchTraces(search: TraceSearch, signal?: AbortSignal): Promise<TraceSummary[]> {
  const window = {
    start: Math.floor(search.startMs / 1000),
    end: Math.ceil(search.endMs / 1000),
    limit: search.limit,
  };
  if (!traceQlRefused) {
    try {
      return await getJson(
        withQuery("/tempo/api/search", { q: traceQl(search), ...window }),
        decodeSearch,
        signal,
      );
    } catch (error) {
      if (!(error instanceof ApiError && (error.status === 400 || error.status === 501))) throw error;
      // Only the plainest query tells that it is the language; a stranger one may just be wrong.
      traceQlRefused = traceQl(search) === "{}";
    }
  }
  const older = { tags: legacyTags(search), minDuration: search.min, ...window };
  return getJson(withQuery("/tempo/api/search", older), decodeSearch, signal);
}

/** An attribute, written out. */
export interface Attribute {
  readonly key: string;
  readonly value: string;
}

/** Something that happened at one moment of a span. */
export interface SpanEvent {
  readonly atMs: number;
  readonly fields: readonly Attribute[];
}

/** One timed operation. `parent` is null for a root; it may name a span that is missing. */
export interface Span {
  readonly id: string;
  readonly parent: string | null;
  readonly service: string;
  readonly name: string;
  readonly startMs: number;
  readonly durationMs: number;
  readonly error: boolean;
  readonly kind: string;
  readonly attributes: readonly Attribute[];
  readonly resource: readonly Attribute[];
  readonly events: readonly SpanEvent[];
}

/** A whole trace. `warnings` are the server's and ours (missing parents). */
export interface Trace {
  readonly id: string;
  readonly spans: readonly Span[];
  readonly warnings: readonly string[];
}

function attributes(value: unknown): Attribute[] {
  return array(value, "tags").map((each) => {
    const tag = object(each, "a tag");
    return { key: text(tag.key), value: text(tag.value, JSON.stringify(tag.value)) };
  });
}

/** Decodes Jaeger's legacy trace JSON (times in µs). */
export function decodeTrace(json: unknown): Trace {
  const first = array(object(json, "the answer").data, "data")[0];
  if (first === undefined) throw new ApiError("http", "Trace not found.", 404);
  const trace = object(first, "the trace");
  const processes = object(trace.processes ?? {}, "processes");
  const spans = array(trace.spans, "spans").map((each): Span => {
    const span = object(each, "a span");
    const process = object(processes[text(span.processID)] ?? span.process ?? {}, "a process");
    const tags = attributes(span.tags);
    const tag = (key: string): string => tags.find((one) => one.key === key)?.value ?? "";
    const parent = array(span.references, "references")
      .map((reference) => object(reference, "a reference"))
      .find((reference) => reference.refType === "CHILD_OF");
    return {
      id: text(span.spanID),
      parent: parent ? text(parent.spanID) : null,
      service: text(process.serviceName),
      name: text(span.operationName),
      startMs: number(span.startTime) / 1000,
      durationMs: number(span.duration) / 1000,
      error: tag("error") === "true" || tag("otel.status_code") === "ERROR",
      kind: tag("span.kind"),
      attributes: tags,
      resource: attributes(process.tags),
      events: array(span.logs, "logs").map((log) => {
        const event = object(log, "a log");
        return { atMs: number(event.timestamp) / 1000, fields: attributes(event.fields) };
      }),
    };
  });
  return {
    id: text(trace.traceID),
    spans,
    warnings: array(trace.warnings, "warnings").map((one) => text(one)),
  };
}

/** The trace with this id. 404 when there is none. */
export function getTrace(id: string, signal?: AbortSignal): Promise<Trace> {
  return getJson(`/jaeger/api/traces/${encodeURIComponent(id)}`, decodeTrace, signal);
}

function decodeNames(json: unknown): string[] {
  return array(object(json, "the answer").data, "data")
    .map((name) => text(name))
    .sort();
}

/** Names of all services that sent spans. */
export function services(signal?: AbortSignal): Promise<string[]> {
  return getJson("/jaeger/api/services", decodeNames, signal);
}

/** Operation names of one service. */
export function operations(service: string, signal?: AbortSignal): Promise<string[]> {
  return getJson(`/jaeger/api/services/${encodeURIComponent(service)}/operations`, decodeNames, signal);
}

/** A span at its place in the tree. */
export interface SpanRow {
  readonly span: Span;
  readonly depth: number;
  readonly children: number;
}

/**
 * Spans in tree order, children by start time. A span whose parent is missing counts as a root, and so does one
 * of a cycle: every span appears exactly once.
 */
export function spanTree(spans: readonly Span[]): SpanRow[] {
  const byStart = [...spans].sort((a, b) => a.startMs - b.startMs);
  const known = new Set(spans.map((span) => span.id));
  const children = new Map<string, Span[]>();
  for (const span of byStart) {
    if (span.parent !== null && known.has(span.parent) && span.parent !== span.id) {
      children.set(span.parent, [...(children.get(span.parent) ?? []), span]);
    }
  }
  const rows: SpanRow[] = [];
  const seen = new Set<Span>();
  const visit = (root: Span): void => {
    const pending: { span: Span; depth: number }[] = [{ span: root, depth: 0 }];
    for (let next = pending.pop(); next; next = pending.pop()) {
      if (seen.has(next.span)) continue;
      seen.add(next.span);
      const below = children.get(next.span.id) ?? [];
      rows.push({ ...next, children: below.length });
      for (const child of [...below].reverse()) pending.push({ span: child, depth: next.depth + 1 });
    }
  };
  for (const span of byStart) if (span.parent === null || !known.has(span.parent)) visit(span);
  for (const span of byStart) if (!seen.has(span)) visit(span);
  return rows;
}
