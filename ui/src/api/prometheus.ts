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
  readonly infos: readonly string[];
}

/** One bucket of a native histogram: observations between two bounds. */
export interface Bucket {
  readonly low: number;
  readonly high: number;
  readonly count: number;
}

/** A native histogram at one time. */
export interface Histogram {
  readonly count: number;
  readonly sum: number;
  readonly buckets: readonly Bucket[];
}

/** One sample of an instant query: a number, or a histogram and its count. */
export interface Sample {
  readonly labels: Labels;
  readonly value: number;
  readonly histogram: Histogram | null;
}

/** An example behind a sample. */
export interface Exemplar {
  readonly labels: Labels;
  readonly series: Labels;
  readonly value: number;
  readonly at: number;
}

/** What a metric is, as its source says. */
export interface Metadata {
  readonly type: string;
  readonly help: string;
  readonly unit: string;
}

/** A name and how many. */
export interface Tally {
  readonly name: string;
  readonly value: number;
}

/** What fills the head: the largest of each kind. */
export interface Cardinality {
  readonly series: number;
  readonly pairs: number;
  readonly byMetric: readonly Tally[];
  readonly byLabel: readonly Tally[];
  readonly byPair: readonly Tally[];
}

const BASE = "/prometheus/api/v1";

function envelope(json: unknown): { data: unknown; warnings: string[]; infos: string[] } {
  const fields = object(json, "the answer");
  const said = (list: unknown, what: string): string[] => array(list, what).map((one) => text(one));
  return {
    data: fields.data,
    warnings: said(fields.warnings, "warnings"),
    infos: said(fields.infos, "infos"),
  };
}

function point(value: unknown): readonly [number, number] {
  const pair = array(value, "a sample");
  return [number(pair[0]), number(pair[1])];
}

function histogram(value: unknown): Histogram {
  const fields = object(value, "a histogram");
  const buckets = array(fields.buckets, "buckets").map((each): Bucket => {
    const [, low, high, count] = array(each, "a bucket");
    return { low: number(low), high: number(high), count: number(count) };
  });
  return { count: number(fields.count), sum: number(fields.sum), buckets };
}

/** A matrix, and how many of its series are native histograms only, which have no line. */
export interface Matrix extends Answer<Series[]> {
  readonly histograms: number;
}

/** Decodes a matrix; a vector becomes series of one point. */
export function decodeMatrix(json: unknown): Matrix {
  const { data, ...said } = envelope(json);
  const fields = object(data, "data");
  if (fields.resultType === "scalar") {
    return { data: [{ labels: {}, points: [point(fields.result)] }], histograms: 0, ...said };
  }
  const series = array(fields.result, "result").map((each) => {
    const one = object(each, "a series");
    const points =
      one.values === undefined ? (one.value === undefined ? [] : [one.value]) : array(one.values, "values");
    return { labels: labels(one.metric), points: points.map(point) };
  });
  const lines = series.filter((one) => one.points.length > 0);
  return { data: lines, histograms: series.length - lines.length, ...said };
}

/** Decodes a vector or scalar. */
export function decodeVector(json: unknown): Answer<Sample[]> {
  const { data, ...said } = envelope(json);
  const fields = object(data, "data");
  if (fields.resultType === "scalar" || fields.resultType === "string") {
    return { data: [{ labels: {}, value: point(fields.result)[1], histogram: null }], ...said };
  }
  const samples = array(fields.result, "result").map((each): Sample => {
    const one = object(each, "a sample");
    if (one.histogram !== undefined) {
      const found = histogram(array(one.histogram, "a histogram")[1]);
      return { labels: labels(one.metric), value: found.count, histogram: found };
    }
    const last = one.value === undefined ? array(one.values, "values").at(-1) : one.value;
    return {
      labels: labels(one.metric),
      value: last === undefined ? Number.NaN : point(last)[1],
      histogram: null,
    };
  });
  return { data: samples, ...said };
}

/** Evaluates `query` at `time`, Unix seconds; now by default. */
export function queryInstant(query: string, signal?: AbortSignal, time?: number): Promise<Answer<Sample[]>> {
  return getJson(withQuery(`${BASE}/query`, { query, time }), decodeVector, signal);
}

/** Evaluates `query` at `start`, `start + step`, … `end`; Unix seconds. */
export function queryRange(
  query: string,
  start: number,
  end: number,
  step: number,
  signal?: AbortSignal,
): Promise<Matrix> {
  return getJson(withQuery(`${BASE}/query_range`, { query, start, end, step }), decodeMatrix, signal);
}

/** Decodes the exemplars of all series. */
export function decodeExemplars(json: unknown): Exemplar[] {
  return array(envelope(json).data, "data").flatMap((each) => {
    const one = object(each, "a series");
    return array(one.exemplars, "exemplars").map((exemplar): Exemplar => {
      const fields = object(exemplar, "an exemplar");
      return {
        labels: labels(fields.labels),
        series: labels(one.seriesLabels),
        value: number(fields.value),
        at: number(fields.timestamp),
      };
    });
  });
}

/** Exemplars of the series that `query` selects; Unix seconds. */
export function queryExemplars(
  query: string,
  start: number,
  end: number,
  signal?: AbortSignal,
): Promise<Exemplar[]> {
  return getJson(withQuery(`${BASE}/query_exemplars`, { query, start, end }), decodeExemplars, signal);
}

/** Type, help and unit of one metric family; null when its source said nothing. */
export function metadataOf(metric: string, signal?: AbortSignal): Promise<Metadata | null> {
  const family = metric.replace(/_(bucket|sum|count|total|created|info)$/, "");
  const decode = (json: unknown): Metadata | null => {
    const families = object(object(json, "the answer").data ?? {}, "data");
    const first = array(families[metric] ?? families[family], "a family")[0];
    if (first === undefined) return null;
    const fields = object(first, "metadata");
    return { type: text(fields.type), help: text(fields.help), unit: text(fields.unit) };
  };
  const ask = (name: string): Promise<Metadata | null> =>
    getJson(withQuery(`${BASE}/metadata`, { metric: name }), decode, signal);
  return ask(metric).then((found) => (found === null && family !== metric ? ask(family) : found));
}

const list = (json: unknown): string[] =>
  array(object(json, "the answer").data, "data").map((name) => text(name));

/** `{__name__="metric"}`, which also names that are no identifiers can be written in. */
export function selectorOf(metric: string): string {
  return `{__name__=${JSON.stringify(metric)}}`;
}

/** Names of the labels of a metric, but for its name. */
export async function labelNames(metric: string, signal?: AbortSignal): Promise<string[]> {
  const names = await getJson(withQuery(`${BASE}/labels`, { "match[]": selectorOf(metric) }), list, signal);
  return names.filter((name) => name !== "__name__");
}

/** Values of one label of a metric, at most `limit`. */
export function labelValues(
  label: string,
  metric: string,
  limit: number,
  signal?: AbortSignal,
): Promise<string[]> {
  const path = `${BASE}/label/${encodeURIComponent(label)}/values`;
  return getJson(withQuery(path, { "match[]": selectorOf(metric), limit }), list, signal);
}

/** Decodes `/status/tsdb`. */
export function decodeCardinality(json: unknown): Cardinality {
  const data = object(object(json, "the answer").data, "data");
  const head = object(data.headStats ?? {}, "headStats");
  const tallies = (value: unknown): Tally[] =>
    array(value, "statistics").map((each) => {
      const fields = object(each, "a statistic");
      return { name: text(fields.name), value: number(fields.value) };
    });
  return {
    series: number(head.numSeries),
    pairs: number(head.numLabelPairs),
    byMetric: tallies(data.seriesCountByMetricName),
    byLabel: tallies(data.labelValueCountByLabelName),
    byPair: tallies(data.seriesCountByLabelValuePair),
  };
}

/** The largest metric names, labels and label pairs of the head. */
export function cardinality(limit: number, signal?: AbortSignal): Promise<Cardinality> {
  return getJson(withQuery(`${BASE}/status/tsdb`, { limit }), decodeCardinality, signal);
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
