// The Prometheus HTTP API under /prometheus: instant and range queries, label values.
import { array, type Labels, labels, number, object, text } from "./decode";
import { getJson, withQuery } from "./http";

/** One series of a range query: `[Unix seconds, value]` in time order. */
export interface Series {
  readonly labels: Labels;
  readonly points: readonly (readonly [number, number])[];
}

/** A query's answer with what the server wanted said about it (partial results, rollups). */
export interface Answer<T> {
  readonly data: T;
  readonly warnings: readonly string[];
}

/** One sample of an instant query. */
export interface Sample {
  readonly labels: Labels;
  readonly value: number;
}

const BASE = "/prometheus/api/v1";

function envelope(json: unknown): { data: unknown; warnings: string[] } {
  const fields = object(json, "the answer");
  const said = [...array(fields.warnings, "warnings"), ...array(fields.infos, "infos")];
  return { data: fields.data, warnings: said.map((warning) => text(warning)) };
}

function point(value: unknown): readonly [number, number] {
  const pair = array(value, "a sample");
  return [number(pair[0]), number(pair[1])];
}

/** Decodes a matrix; a vector becomes series of one point. Native histograms are left out: no graph for them yet. */
export function decodeMatrix(json: unknown): Answer<Series[]> {
  const { data, warnings } = envelope(json);
  const fields = object(data, "data");
  if (fields.resultType === "scalar")
    return { data: [{ labels: {}, points: [point(fields.result)] }], warnings };
  const series = array(fields.result, "result").map((each) => {
    const one = object(each, "a series");
    const points =
      one.values === undefined ? (one.value === undefined ? [] : [one.value]) : array(one.values, "values");
    return { labels: labels(one.metric), points: points.map(point) };
  });
  return { data: series.filter((one) => one.points.length > 0), warnings };
}

/** Decodes a vector or scalar. */
export function decodeVector(json: unknown): Answer<Sample[]> {
  const { data, warnings } = decodeMatrix(json);
  return {
    data: data.map((series) => ({ labels: series.labels, value: series.points.at(-1)?.[1] ?? Number.NaN })),
    warnings,
  };
}

/** Evaluates `query` at now. */
export function queryInstant(query: string, signal?: AbortSignal): Promise<Answer<Sample[]>> {
  return getJson(withQuery(`${BASE}/query`, { query }), decodeVector, signal);
}

/** Evaluates `query` at `start`, `start + step`, … `end`; Unix seconds. */
export function queryRange(
  query: string,
  start: number,
  end: number,
  step: number,
  signal?: AbortSignal,
): Promise<Answer<Series[]>> {
  return getJson(withQuery(`${BASE}/query_range`, { query, start, end, step }), decodeMatrix, signal);
}

/** All metric names, sorted. */
export function metricNames(signal?: AbortSignal): Promise<string[]> {
  return getJson(
    withQuery(`${BASE}/label/__name__/values`, { limit: 5000 }),
    (json) => array(object(json, "the answer").data, "data").map((name) => text(name)),
    signal,
  );
}

/** `name{a="b"}` as PromQL writes it. */
export function seriesName(of: Labels): string {
  const { __name__: name = "", ...rest } = of;
  const inner = Object.entries(rest).map(([label, value]) => `${label}=${JSON.stringify(value)}`);
  return inner.length === 0 && name !== "" ? name : `${name}{${inner.join(", ")}}`;
}
