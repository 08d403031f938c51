// Asking all queries of the page at once: one that fails does not hide the others.
import { ApiError } from "../../api/http";
import {
  type Exemplar,
  queryExemplars,
  queryInstant,
  queryRange,
  type Sample,
  type Series,
  seriesName,
} from "../../api/prometheus";
import { type Column, toGrid } from "../../series";
import { correlationRoute, formatRoute, type ShownQuery, traceRoute } from "../../state/url";

/** What one query was answered. `index` is its place on the page. */
export interface Answered<T> {
  readonly index: number;
  readonly query: string;
  readonly data: T;
  readonly warnings: readonly string[];
  readonly infos: readonly string[];
  readonly error: ApiError | null;
  /** Series that cannot be shown as lines, being native histograms. */
  readonly histograms: number;
}

/** A line of the graph and whose it is. */
export interface OwnedColumn extends Column {
  readonly query: number;
  readonly name: string;
}

/** All lines over one axis. */
export interface Drawn {
  readonly times: readonly number[];
  readonly columns: readonly OwnedColumn[];
  /** Series beyond what is drawn. */
  readonly left: number;
}

type Said = { warnings: readonly string[]; infos: readonly string[]; histograms?: number };

async function each<T>(
  queries: readonly ShownQuery[],
  nothing: T,
  ask: (text: string) => Promise<{ data: T } & Said>,
): Promise<Answered<T>[]> {
  const asked = queries
    .map((query, index) => ({ ...query, index }))
    .filter((one) => !one.off && one.text !== "");
  const answers = await Promise.all(
    asked.map(async ({ text, index }): Promise<Answered<T>> => {
      try {
        const { data, warnings, infos, histograms = 0 } = await ask(text);
        return { index, query: text, data, warnings, infos, histograms, error: null };
      } catch (cause) {
        if (!(cause instanceof ApiError)) throw cause;
        return { index, query: text, data: nothing, warnings: [], infos: [], histograms: 0, error: cause };
      }
    }),
  );
  // The connection is the page's trouble, not a query's.
  const lost = answers.find((one) => one.error?.kind === "network" && answers.every((other) => other.error));
  if (lost?.error) throw lost.error;
  return answers;
}

/** Every query over the range. */
export function askRange(
  queries: readonly ShownQuery[],
  { start, end }: { start: number; end: number },
  step: number,
  signal: AbortSignal,
): Promise<Answered<Series[]>[]> {
  return each<Series[]>(queries, [], (text) => queryRange(text, start, end, step, signal));
}

/** Every query at one time. */
export function askInstant(
  queries: readonly ShownQuery[],
  at: number,
  signal: AbortSignal,
): Promise<Answered<Sample[]>[]> {
  return each<Sample[]>(queries, [], (text) => queryInstant(text, signal, at));
}

/** Puts the answers on one grid, at most `shown_max` lines. */
export function draw(
  answers: readonly Answered<Series[]>[],
  { start, end }: { start: number; end: number },
  step: number,
  shownMax: number,
): Drawn {
  const owned = answers.flatMap((answer) => answer.data.map((series) => ({ series, query: answer.index })));
  const shown = owned.slice(0, shownMax);
  const grid = toGrid(
    shown.map((one) => one.series),
    start,
    end,
    step,
  );
  const columns = grid.columns.map(
    (column, at): OwnedColumn => ({
      ...column,
      query: shown[at]?.query ?? 0,
      name: seriesName(column.labels),
    }),
  );
  return { times: grid.times, columns, left: owned.length - shown.length };
}

/** Exemplars of all queries, newest first, at most `shownMax`; a query that has none, or fails, adds none. */
export async function askExemplars(
  queries: readonly ShownQuery[],
  { start, end }: { start: number; end: number },
  shownMax: number,
  signal: AbortSignal,
): Promise<Exemplar[]> {
  const asked = queries.filter((query) => !query.off && query.text !== "");
  const answers = await Promise.all(
    asked.map((query) => queryExemplars(query.text, start, end, signal).catch((): Exemplar[] => [])),
  );
  // Two queries may select the same series.
  const distinct = new Map(answers.flat().map((one) => [JSON.stringify(one), one]));
  return [...distinct.values()].sort((a, b) => b.at - a.at).slice(0, shownMax);
}

/** The trace that an exemplar leads to, under any of the usual names. */
export function traceOf(exemplar: Exemplar): string | null {
  const { trace_id: snake, traceID: upper, traceId: camel } = exemplar.labels;
  const id = (snake ?? upper ?? camel ?? "").toLowerCase();
  return /^[0-9a-f]{16}([0-9a-f]{16})?$/.test(id) ? id : null;
}

/** Where an exemplar's dot leads. */
export function spotLinks(trace: string, span: string): { name: string; href: string }[] {
  return [
    { name: "Open trace", href: formatRoute(traceRoute(trace, span)) },
    { name: "Correlation", href: formatRoute(correlationRoute(trace)) },
  ];
}

/** `A`, `B`, …: what a query is called on the page. */
export function letter(index: number): string {
  return String.fromCharCode(65 + index);
}
