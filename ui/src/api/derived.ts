// Series that Bramble derives from spans on ingest: requests, errors and durations of operations and of calls between
// services. Their names are those of Tempo's generator, or of the collector's connector where that was chosen.
import type { Sample, Series } from "./prometheus";
import { type Exemplar, queryExemplars, queryInstant, queryRange } from "./prometheus";

/** How the span metrics are called here. */
export interface SpanNames {
  readonly calls: string;
  readonly duration: string;
  readonly service: string;
  /** What a duration must be multiplied by to be milliseconds. */
  readonly toMs: number;
}

const TEMPO: SpanNames = {
  calls: "traces_spanmetrics_calls_total",
  duration: "traces_spanmetrics_latency",
  service: "service",
  toMs: 1000,
};
const CONNECTOR: SpanNames = {
  calls: "traces_span_metrics_calls_total",
  duration: "traces_span_metrics_duration_milliseconds",
  service: "service_name",
  toMs: 1,
};

/** From when to when, Unix seconds. */
export interface Period {
  readonly start: number;
  readonly end: number;
}

const length = ({ start, end }: Period): string => `${Math.max(60, Math.round(end - start))}s`;

/** Which names are in use; null when nothing was derived in the period. */
export async function spanNames(period: Period, signal?: AbortSignal): Promise<SpanNames | null> {
  const over = length(period);
  const counted = await Promise.all(
    [TEMPO, CONNECTOR].map((names) =>
      queryInstant(`count(last_over_time(${names.calls}[${over}]))`, signal, period.end),
    ),
  );
  const [tempo = 0, connector = 0] = counted.map((one) => one.data[0]?.value ?? 0);
  return tempo === 0 && connector === 0 ? null : tempo >= connector ? TEMPO : CONNECTOR;
}

/** What is known of an operation, or of a whole service. Per second, and milliseconds; null where nothing is known. */
export interface Performance {
  readonly service: string;
  readonly name: string;
  readonly kind: string;
  readonly rate: number;
  readonly failed: number;
  readonly mean: number | null;
  readonly quantiles: readonly [number | null, number | null, number | null];
  /** Milliseconds spent in it per second. */
  readonly impact: number;
}

const ENTRY = 'span_kind=~"SPAN_KIND_(SERVER|CONSUMER)"';
const QUANTILES = [0.5, 0.95, 0.99] as const;

/** What a page asks about: all services, or the operations of one. */
export interface Subject {
  /** Empty: all services, each as a whole. */
  readonly service: string;
  /** Only what others call: spans of servers and consumers. */
  readonly entries: boolean;
}

function selectorOf(names: SpanNames, { service, entries }: Subject, more: readonly string[] = []): string {
  const matchers = [
    ...(service === "" ? [] : [`${names.service}=${JSON.stringify(service)}`]),
    ...(entries ? [ENTRY] : []),
    ...more,
  ];
  return `{${matchers.join(",")}}`;
}

const kindText = (kind: string): string => kind.replace("SPAN_KIND_", "").toLowerCase();

/** Decodes the sums of one question by their labels. */
function byKey(samples: readonly Sample[], keyOf: (sample: Sample) => string): Map<string, number> {
  return new Map(samples.map((sample) => [keyOf(sample), sample.value]));
}

const finite = (value: number | undefined): number | null =>
  value !== undefined && Number.isFinite(value) ? value : null;

/** Rates, errors and durations over the whole period, most time spent first. */
export async function performance(
  names: SpanNames,
  subject: Subject,
  period: Period,
  signal?: AbortSignal,
): Promise<Performance[]> {
  const by = subject.service === "" ? names.service : `${names.service}, span_name, span_kind`;
  const over = length(period);
  const rateOf = (metric: string, more: readonly string[] = []): string =>
    `sum by (${by}) (rate(${metric}${selectorOf(names, subject, more)}[${over}]))`;
  const quantile = (share: number): string =>
    `histogram_quantile(${share}, sum by (${by}, le) (rate(${names.duration}_bucket${selectorOf(names, subject)}[${over}])))`;
  const ask = async (query: string): Promise<readonly Sample[]> =>
    (await queryInstant(query, signal, period.end)).data;
  const [calls, failed, sums, counts, ...quantiles] = await Promise.all([
    ask(rateOf(names.calls)),
    ask(rateOf(names.calls, ['status_code="STATUS_CODE_ERROR"'])),
    ask(rateOf(`${names.duration}_sum`)),
    ask(rateOf(`${names.duration}_count`)),
    ...QUANTILES.map((share) => ask(quantile(share))),
  ]);
  const keyOf = ({ labels }: Sample): string =>
    [labels[names.service], labels.span_name, labels.span_kind].join("\n");
  const [bad, sum, count] = [failed ?? [], sums ?? [], counts ?? []].map((list) => byKey(list, keyOf));
  const lengths = quantiles.map((list) => byKey(list, keyOf));
  return (calls ?? [])
    .filter((sample) => sample.value > 0)
    .map((sample): Performance => {
      const key = keyOf(sample);
      const at = (index: number): number | null => {
        const value = finite(lengths[index]?.get(key));
        return value === null ? null : value * names.toMs;
      };
      const spent = (sum?.get(key) ?? 0) * names.toMs;
      return {
        service: sample.labels[names.service] ?? "",
        name: sample.labels.span_name ?? "",
        kind: kindText(sample.labels.span_kind ?? ""),
        rate: sample.value,
        failed: bad?.get(key) ?? 0,
        mean: finite(spent / (count?.get(key) ?? Number.NaN)),
        quantiles: [at(0), at(1), at(2)],
        impact: spent,
      };
    })
    .sort((a, b) => b.impact - a.impact);
}

/** Series over time: rates by status, and quantiles; milliseconds. */
export interface Course {
  readonly rates: readonly Series[];
  readonly quantiles: readonly (readonly Series[])[];
}

/** A rate needs some samples; those of derived series come every 15 seconds. */
const rateWindow = (step: number): string => `${Math.max(60, 2 * step)}s`;

/** The course of one service, or of all together. */
export async function courseOf(
  names: SpanNames,
  subject: Subject,
  period: Period,
  step: number,
  signal?: AbortSignal,
): Promise<Course> {
  const over = rateWindow(step);
  const chosen = selectorOf(names, subject);
  const ask = async (query: string): Promise<readonly Series[]> =>
    (await queryRange(query, period.start, period.end, step, signal)).data;
  const [rates, ...quantiles] = await Promise.all([
    ask(`sum by (status_code) (rate(${names.calls}${chosen}[${over}]))`),
    ...QUANTILES.map((share) =>
      ask(
        `${names.toMs} * histogram_quantile(${share}, sum by (le) (rate(${names.duration}_bucket${chosen}[${over}])))`,
      ),
    ),
  ]);
  return { rates: rates ?? [], quantiles };
}

/** Small courses for a table: rates by service, or by operation of one. */
export async function trendsOf(
  names: SpanNames,
  subject: Subject,
  period: Period,
  step: number,
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, Series>> {
  const by = subject.service === "" ? names.service : "span_name, span_kind";
  const query = `sum by (${by}) (rate(${names.calls}${selectorOf(names, subject)}[${rateWindow(step)}]))`;
  const { data } = await queryRange(query, period.start, period.end, step, signal);
  return new Map(
    data.map((series) => [
      subject.service === ""
        ? (series.labels[names.service] ?? "")
        : trendKey(series.labels.span_name ?? "", kindText(series.labels.span_kind ?? "")),
      series,
    ]),
  );
}

/** What `trendsOf` knows an operation by. */
export const trendKey = (name: string, kind: string): string => `${name}\n${kind}`;

/** Examples behind the durations, in milliseconds. */
export async function durationExemplars(
  names: SpanNames,
  subject: Subject,
  period: Period,
  signal?: AbortSignal,
): Promise<Exemplar[]> {
  const query = `${names.duration}_bucket${selectorOf(names, subject)}`;
  const found = await queryExemplars(query, period.start, period.end, signal).catch((): Exemplar[] => []);
  return found.map((one) => ({ ...one, value: one.value * names.toMs }));
}

/** Calls of one service by another. Per second; milliseconds. */
export interface Call {
  readonly client: string;
  readonly server: string;
  /** Empty between services; else `virtual_node`, `messaging_system` or `database`. */
  readonly kind: string;
  readonly rate: number;
  readonly failed: number;
  readonly p50: number | null;
  readonly p95: number | null;
}

/** All calls in the period, and each server's 95th percentile over all its clients. */
export interface Graph {
  readonly calls: readonly Call[];
  readonly p95: ReadonlyMap<string, number>;
}

const GRAPH = "traces_service_graph_request";

/** The service graph. */
export async function serviceGraph(period: Period, signal?: AbortSignal): Promise<Graph> {
  const over = length(period);
  const by = "client, server, connection_type";
  const buckets = `rate(${GRAPH}_server_seconds_bucket[${over}])`;
  const ask = async (query: string): Promise<readonly Sample[]> =>
    (await queryInstant(query, signal, period.end)).data;
  const [total, failed, p50, p95, servers] = await Promise.all([
    ask(`sum by (${by}) (rate(${GRAPH}_total[${over}]))`),
    ask(`sum by (${by}) (rate(${GRAPH}_failed_total[${over}]))`),
    ask(`histogram_quantile(0.5, sum by (${by}, le) (${buckets}))`),
    ask(`histogram_quantile(0.95, sum by (${by}, le) (${buckets}))`),
    ask(`histogram_quantile(0.95, sum by (server, le) (${buckets}))`),
  ]);
  const keyOf = ({ labels }: Sample): string =>
    [labels.client, labels.server, labels.connection_type].join("\n");
  const [bad, half, most] = [failed, p50, p95].map((list) => byKey(list, keyOf));
  const ms = (value: number | undefined): number | null => {
    const seconds = finite(value);
    return seconds === null ? null : seconds * 1000;
  };
  const calls = total
    .filter((sample) => sample.value > 0)
    .map((sample): Call => {
      const key = keyOf(sample);
      return {
        client: sample.labels.client ?? "",
        server: sample.labels.server ?? "",
        kind: sample.labels.connection_type ?? "",
        rate: sample.value,
        failed: bad?.get(key) ?? 0,
        p50: ms(half?.get(key)),
        p95: ms(most?.get(key)),
      };
    })
    .sort((a, b) => b.rate - a.rate);
  const slow = new Map<string, number>();
  for (const sample of servers) {
    const value = ms(sample.value);
    if (value !== null) slow.set(sample.labels.server ?? "", value);
  }
  return { calls, p95: slow };
}
