// Tempo's API under /tempo: searching traces, names and values of attributes, numbers over time.
import { array, type Labels, nanosToMs, number, object, text } from "./decode";
import { getJson, withQuery } from "./http";
import type { Exemplar, Series } from "./prometheus";

const BASE = "/tempo/api";

/** Spans of one service within a trace. */
export interface ServiceCount {
  readonly service: string;
  readonly spans: number;
  readonly errors: number;
}

/** A trace in a list. Times in ms; `errors` is null where the server does not say. */
export interface TraceSummary {
  readonly id: string;
  readonly service: string;
  readonly name: string;
  readonly startMs: number;
  readonly durationMs: number;
  readonly spans: number | null;
  readonly errors: number | null;
  /** Most spans first. */
  readonly services: readonly ServiceCount[];
  /** Spans that the query is about. */
  readonly matched: number;
}

/** Traces found, newest first, and why there may be more; empty when all were looked at. */
export interface Found {
  readonly traces: readonly TraceSummary[];
  readonly partial: string;
  readonly inspected: number;
}

function summary(each: unknown): TraceSummary {
  const trace = object(each, "a trace");
  const services = Object.entries(object(trace.serviceStats ?? {}, "serviceStats")).map(([service, one]) => {
    const stats = object(one, "stats");
    return { service, spans: number(stats.spanCount) || 0, errors: number(stats.errorCount) || 0 };
  });
  const sum = (key: "spans" | "errors"): number | null =>
    services.length === 0 ? null : services.reduce((total, one) => total + one[key], 0);
  const sets = array(trace.spanSets ?? (trace.spanSet ? [trace.spanSet] : []), "spanSets");
  const root = text(trace.rootServiceName);
  return {
    id: text(trace.traceID),
    service: root.startsWith("<") ? "" : root,
    name: text(trace.rootTraceName),
    startMs: nanosToMs(trace.startTimeUnixNano),
    durationMs: number(trace.durationMs) || 0,
    spans: sum("spans"),
    errors: sum("errors"),
    services: services.sort((a, b) => b.spans - a.spans || (a.service < b.service ? -1 : 1)),
    matched: sets.reduce<number>((total, set) => total + (number(object(set, "a set").matched) || 0), 0),
  };
}

/** Decodes a search's answer. */
export function decodeSearch(json: unknown): Found {
  const answer = object(json, "the answer");
  const metrics = object(answer.metrics ?? {}, "metrics");
  const isPartial = /partial/i.test(text(answer.status)) || answer.partial === true;
  const said = text(answer.message) || (typeof answer.partial === "string" ? answer.partial : "");
  return {
    traces: array(answer.traces, "traces")
      .map(summary)
      .sort((a, b) => b.startMs - a.startMs),
    partial: isPartial || said !== "" ? said || "The search was ended before everything was looked at." : "",
    inspected: number(metrics.inspectedSpans) || 0,
  };
}

/** From when to when, milliseconds. */
export interface Window {
  readonly startMs: number;
  readonly endMs: number;
}

const seconds = ({ startMs, endMs }: Window): { start: number; end: number } => ({
  start: Math.floor(startMs / 1000),
  end: Math.ceil(endMs / 1000),
});

/** At most `limit` traces that a TraceQL query finds. */
export function searchTraces(
  query: string,
  window: Window,
  limit: number,
  signal?: AbortSignal,
): Promise<Found> {
  const parameters = { q: query === "" ? "{}" : query, ...seconds(window), limit, spss: 1 };
  return getJson(withQuery(`${BASE}/search`, parameters), decodeSearch, signal, {}, 30_000);
}

/** Attribute keys of one scope. */
export interface TagScope {
  readonly scope: string;
  readonly tags: readonly string[];
}

/** Keys of all scopes within a window. */
export function tagNames(window: Window, signal?: AbortSignal): Promise<TagScope[]> {
  const decode = (json: unknown): TagScope[] =>
    array(object(json, "the answer").scopes, "scopes").map((each) => {
      const scope = object(each, "a scope");
      return { scope: text(scope.name), tags: array(scope.tags, "tags").map((tag) => text(tag)) };
    });
  return getJson(withQuery(`${BASE}/v2/search/tags`, { ...seconds(window) }), decode, signal);
}

/** A value of an attribute and its type. */
export interface TagValue {
  readonly type: string;
  readonly value: string;
}

/** Values of one attribute (with its scope) or intrinsic, of the spans that `query` finds. */
export function tagValues(
  tag: string,
  query: string,
  window: Window,
  signal?: AbortSignal,
): Promise<TagValue[]> {
  const decode = (json: unknown): TagValue[] =>
    array(object(json, "the answer").tagValues, "tagValues").map((each) => {
      const one = object(each, "a value");
      return { type: text(one.type), value: text(one.value) };
    });
  const path = `${BASE}/v2/search/tag/${encodeURIComponent(tag)}/values`;
  return getJson(withQuery(path, { q: query, ...seconds(window), limit: 500 }), decode, signal);
}

/** Text values of an attribute, sorted. */
export async function tagTexts(
  tag: string,
  query: string,
  window: Window,
  signal?: AbortSignal,
): Promise<string[]> {
  return (await tagValues(tag, query, window, signal)).map((one) => one.value).sort();
}

/** A value of OTLP's JSON as text. */
function labelText(value: unknown): string {
  const fields = object(value ?? {}, "a value");
  for (const one of Object.values(fields)) return text(one, JSON.stringify(one));
  return "";
}

function labelsOf(list: unknown): Labels {
  return Object.fromEntries(
    array(list, "labels").map((each) => {
      const label = object(each, "a label");
      return [text(label.key), labelText(label.value)];
    }),
  );
}

/** Numbers over time, their exemplars, and why they may not be whole. */
export interface Measured {
  readonly series: readonly Series[];
  readonly exemplars: readonly Exemplar[];
  readonly partial: string;
}

/** Decodes numbers over time. */
export function decodeMeasured(json: unknown): Measured {
  const answer = object(json, "the answer");
  const exemplars: Exemplar[] = [];
  const series = array(answer.series, "series").map((each): Series => {
    const one = object(each, "a series");
    const labels = labelsOf(one.labels);
    for (const item of array(one.exemplars, "exemplars")) {
      const exemplar = object(item, "an exemplar");
      exemplars.push({
        labels: labelsOf(exemplar.labels),
        series: labels,
        value: number(exemplar.value),
        at: number(exemplar.timestampMs) / 1000,
      });
    }
    const points = array(one.samples, "samples").map((item) => {
      const sample = object(item, "a sample");
      return [number(sample.timestampMs) / 1000, number(sample.value ?? 0)] as const;
    });
    return { labels, points };
  });
  const isPartial = /partial/i.test(text(answer.status));
  return {
    series,
    exemplars,
    partial: isPartial ? text(answer.message) || "Not all spans were counted." : "",
  };
}

/** A TraceQL metrics query from `start` to `end`, Unix seconds on a grid of `step`. */
export function measure(
  query: string,
  { start, end }: { start: number; end: number },
  step: number,
  exemplars: number,
  signal?: AbortSignal,
): Promise<Measured> {
  const parameters = { q: query, start, end, step: `${step}s`, exemplars };
  return getJson(withQuery(`${BASE}/metrics/query_range`, parameters), decodeMeasured, signal, {}, 30_000);
}
