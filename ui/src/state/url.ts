// Every view is a link: what a page shows is in the fragment of the URL and nowhere else.
//
// `#/metrics?q=up&range=1h`. The fragment, not the path, because `/metrics` and friends belong to the
// server's protocols. Parsing never fails: what is unknown or malformed falls back to the default, and
// defaults are left out when writing, so that links stay short and equal states have equal links.

import { ID_KINDS, type NamedId } from "../correlate/kinds";
import { EMPTY_FORM, formQuery, isDuration } from "../traceql/form";

/** The last `last` seconds, moving; or fixed, Unix seconds, `from < to`. */
export type TimeRange = { readonly last: number } | { readonly from: number; readonly to: number };

/** A query of the metrics page; a query that is off is kept but not asked. */
export interface ShownQuery {
  readonly text: string;
  readonly off: boolean;
}

/** How answers are shown: over time, stacked over time, or as the values at the range's end. */
export type MetricView = "graph" | "stack" | "table";

/** Lines one by one, or grouped by what they have in common. */
export type LogView = "lines" | "patterns";

/** Which lines are on top. */
export type LogOrder = "newest" | "oldest";

/** Which traces are on top. */
export type TraceSort = "newest" | "longest" | "errors";

/** Spans at their time, sums of them, or the lines logged within. */
export type TraceView = "spans" | "sums" | "logs";

/** Which events of a correlation. */
export type EventsShown = "all" | "spans" | "logs" | "errors";

/** Traces asked for unless told otherwise, and what else can be chosen. */
export const TRACE_LIMITS = [200, 1000, 5000] as const;

/** More are ignored: each is asked with every beat. */
export const QUERIES_MAX = 8;

/** What can be looked at. */
export type Route =
  | { readonly page: "overview"; readonly range: TimeRange; readonly host: string }
  | {
      readonly page: "metrics";
      /** At least one. */
      readonly queries: readonly ShownQuery[];
      readonly view: MetricView;
      readonly range: TimeRange;
    }
  | {
      readonly page: "logs";
      /** Empty: all lines. */
      readonly q: string;
      readonly range: TimeRange;
      readonly view: LogView;
      readonly order: LogOrder;
      readonly wrap: boolean;
      readonly utc: boolean;
      /** New lines are followed; only with a moving range. */
      readonly live: boolean;
      /** The line that is opened, by its id; empty for none. */
      readonly line: string;
    }
  | {
      readonly page: "traces";
      /** TraceQL; empty: all traces. */
      readonly q: string;
      readonly range: TimeRange;
      readonly sort: TraceSort;
      readonly limit: number;
      /** What the dots' colours say. */
      readonly colour: "status" | "service";
    }
  | { readonly page: "map"; readonly range: TimeRange; readonly focus: string }
  | { readonly page: "services"; readonly range: TimeRange; readonly service: string; readonly sort: string }
  | {
      readonly page: "trace";
      readonly id: string;
      /** The span that is opened, by its id; empty for none. */
      readonly span: string;
      readonly view: TraceView;
      /** Only spans of this service are shown in full; empty for all. */
      readonly service: string;
      readonly find: string;
    }
  | {
      readonly page: "correlations";
      readonly range: TimeRange;
      /** All of them; at most one of a kind. */
      readonly ids: readonly NamedId[];
      readonly service: string;
      /** Only those with a failure. */
      readonly errors: boolean;
    }
  | {
      readonly page: "correlation";
      /** A correlation's id, or that of its trace. */
      readonly id: string;
      /** Only events of this service; empty for all. */
      readonly service: string;
      readonly show: EventsShown;
      /** Times as they were sent, not corrected. */
      readonly sent: boolean;
    }
  | {
      readonly page: "stories";
      readonly range: TimeRange;
      /** What it is about; one, or several that all must fit. */
      readonly ids: readonly NamedId[];
    }
  | { readonly page: "targets" }
  | { readonly page: "nodes" }
  | { readonly page: "access" }
  | { readonly page: "system" };

/** The logs page. */
export type LogsRoute = Extract<Route, { page: "logs" }>;
/** Searching traces. */
export type TracesRoute = Extract<Route, { page: "traces" }>;
/** One trace. */
export type TraceRoute = Extract<Route, { page: "trace" }>;
/** The map of services. */
export type MapRoute = Extract<Route, { page: "map" }>;
/** Services and their operations. */
export type ServicesRoute = Extract<Route, { page: "services" }>;
/** The newest correlations. */
export type CorrelationsRoute = Extract<Route, { page: "correlations" }>;
/** One correlation. */
export type CorrelationRoute = Extract<Route, { page: "correlation" }>;
/** A story. */
export type StoriesRoute = Extract<Route, { page: "stories" }>;

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };
const LAST_MAX = 366 * 86_400;

/** Default window of each page, seconds. */
export const DEFAULT_LAST = {
  overview: 900,
  metrics: 3600,
  logs: 3600,
  traces: 3600,
  map: 3600,
  services: 3600,
  correlations: 3600,
  stories: 7 * 86_400,
} as const;

/** `90` → `90s`, `3600` → `1h`: the largest unit that divides it. */
export function formatSpan(seconds: number): string {
  for (const unit of ["w", "d", "h", "m"] as const) {
    const size = UNITS[unit] ?? 1;
    if (seconds % size === 0 && seconds >= size) return `${seconds / size}${unit}`;
  }
  return `${seconds}s`;
}

/** `1h` → 3600. Null when malformed, zero or beyond a year. */
export function parseSpan(text: string): number | null {
  const match = /^(\d{1,9})([smhdw])$/.exec(text.trim());
  if (!match) return null;
  const seconds = Number(match[1]) * (UNITS[match[2] ?? "s"] ?? 1);
  return seconds > 0 && seconds <= LAST_MAX ? seconds : null;
}

function parseRange(query: URLSearchParams, fallback: number): TimeRange {
  const from = Number(query.get("from") ?? Number.NaN);
  const to = Number(query.get("to") ?? Number.NaN);
  if (Number.isFinite(from) && Number.isFinite(to) && from >= 0 && from < to) return { from, to };
  return { last: parseSpan(query.get("range") ?? "") ?? fallback };
}

function putRange(query: URLSearchParams, range: TimeRange, fallback: number): void {
  if ("last" in range) {
    if (range.last !== fallback) query.set("range", formatSpan(range.last));
  } else {
    query.set("from", String(range.from));
    query.set("to", String(range.to));
  }
}

function put(query: URLSearchParams, key: string, value: string): void {
  if (value !== "") query.set(key, value);
}

const VIEWS: readonly MetricView[] = ["graph", "stack", "table"];

/** `q` once per query; a query that is off has a `-` before it (PromQL that begins with one has a space between). */
function parseQueries(query: URLSearchParams): ShownQuery[] {
  const found = query.getAll("q").slice(0, QUERIES_MAX);
  const queries = found.map((text) =>
    text.startsWith("-") ? { text: text.slice(1), off: true } : { text, off: false },
  );
  const trimmed = queries.map(({ text, off }) => ({ text: text.trim(), off }));
  return trimmed.length === 0 ? [{ text: "", off: false }] : trimmed;
}

function putQueries(query: URLSearchParams, queries: readonly ShownQuery[]): void {
  const only = queries.length === 1 ? queries[0] : undefined;
  if (only && only.text === "" && !only.off) return;
  for (const { text, off } of queries)
    query.append("q", off ? `-${text}` : text.startsWith("-") ? ` ${text}` : text);
}

/** The metrics page with one query. */
export function metricsRoute(text: string, range: TimeRange = { last: DEFAULT_LAST.metrics }): Route {
  return { page: "metrics", queries: [{ text, off: false }], view: "graph", range };
}

/** The logs page with a query, as one finds it. */
export function logsRoute(q: string, range: TimeRange = { last: DEFAULT_LAST.logs }): LogsRoute {
  return {
    page: "logs",
    q,
    range,
    view: "lines",
    order: "newest",
    wrap: false,
    utc: false,
    live: false,
    line: "",
  };
}

/** The search for traces with a query, as one finds it. */
export function tracesRoute(q: string, range: TimeRange = { last: DEFAULT_LAST.traces }): TracesRoute {
  return { page: "traces", q, range, sort: "newest", limit: TRACE_LIMITS[0], colour: "status" };
}

/** A trace, with one of its spans opened or none. */
export function traceRoute(id: string, span = ""): TraceRoute {
  return { page: "trace", id, span, view: "spans", service: "", find: "" };
}

/** The newest correlations, of these ids only when there are some. */
export function correlationsRoute(
  ids: readonly NamedId[] = [],
  range: TimeRange = { last: DEFAULT_LAST.correlations },
): CorrelationsRoute {
  return { page: "correlations", range, ids, service: "", errors: false };
}

/** A correlation by its id or by its trace's. */
export function correlationRoute(id: string): CorrelationRoute {
  return { page: "correlation", id, service: "", show: "all", sent: false };
}

/** All about one id. */
export function storyRoute(id: NamedId): StoriesRoute {
  return { page: "stories", range: { last: DEFAULT_LAST.stories }, ids: [id] };
}

const EVENTS_SHOWN: readonly EventsShown[] = ["all", "spans", "logs", "errors"];

function parseIds(query: URLSearchParams): NamedId[] {
  return ID_KINDS.flatMap((kind) => {
    const value = query.get(kind)?.trim() ?? "";
    return value === "" ? [] : [{ kind, value }];
  });
}

function putIds(query: URLSearchParams, ids: readonly NamedId[]): void {
  for (const kind of ID_KINDS) put(query, kind, ids.find((id) => id.kind === kind)?.value ?? "");
}

const SORTS: readonly TraceSort[] = ["newest", "longest", "errors"];
const TRACE_VIEWS: readonly TraceView[] = ["spans", "sums", "logs"];

/** Links from before there was TraceQL named a service, an operation and a shortest duration. */
function queryOf(query: URLSearchParams): string {
  const get = (key: string): string => query.get(key) ?? "";
  if (get("q") !== "") return get("q").trim();
  const old = { service: get("service"), operation: get("operation"), min: get("min") };
  if (old.service + old.operation + old.min === "" || !isDuration(old.min)) return "";
  return formQuery({ ...EMPTY_FORM, ...old });
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The route of a fragment, with or without its `#`. Unknown pages are the overview. */
export function parseRoute(hash: string): Route {
  const text = hash.replace(/^#?\/?/, "");
  const cut = text.indexOf("?");
  const path = cut < 0 ? text : text.slice(0, cut);
  const query = new URLSearchParams(cut < 0 ? "" : text.slice(cut + 1));
  const get = (key: string): string => query.get(key) ?? "";
  const [page = "", rest = ""] = path.split("/");
  switch (page) {
    case "metrics":
      return {
        page,
        queries: parseQueries(query),
        view: VIEWS.find((view) => view === get("view")) ?? "graph",
        range: parseRange(query, DEFAULT_LAST.metrics),
      };
    case "logs":
      return {
        page,
        q: get("q"),
        range: parseRange(query, DEFAULT_LAST.logs),
        view: get("view") === "patterns" ? "patterns" : "lines",
        order: get("order") === "oldest" ? "oldest" : "newest",
        wrap: get("wrap") === "1",
        utc: get("utc") === "1",
        live: get("live") === "1",
        line: get("line"),
      };
    case "traces":
      return {
        page,
        q: queryOf(query),
        range: parseRange(query, DEFAULT_LAST.traces),
        sort: SORTS.find((sort) => sort === get("sort")) ?? "newest",
        limit: TRACE_LIMITS.find((limit) => limit === Number(get("limit"))) ?? TRACE_LIMITS[0],
        colour: get("colour") === "service" ? "service" : "status",
      };
    case "targets":
    case "nodes":
    case "access":
    case "system":
      return { page };
    case "map":
      return { page, range: parseRange(query, DEFAULT_LAST.map), focus: get("focus") };
    case "services":
      return {
        page,
        range: parseRange(query, DEFAULT_LAST.services),
        service: decoded(rest),
        sort: get("sort"),
      };
    case "trace":
      return {
        page,
        id: decoded(rest),
        span: get("span"),
        view: TRACE_VIEWS.find((view) => view === get("view")) ?? "spans",
        service: get("service"),
        find: get("find"),
      };
    case "correlations":
      if (rest !== "")
        return {
          page: "correlation",
          id: decoded(rest),
          service: get("service"),
          show: EVENTS_SHOWN.find((shown) => shown === get("show")) ?? "all",
          sent: get("sent") === "1",
        };
      return {
        page,
        range: parseRange(query, DEFAULT_LAST.correlations),
        ids: parseIds(query),
        service: get("service"),
        errors: get("errors") === "1",
      };
    case "stories":
      return { page, range: parseRange(query, DEFAULT_LAST.stories), ids: parseIds(query) };
    default:
      return { page: "overview", range: parseRange(query, DEFAULT_LAST.overview), host: get("host") };
  }
}

/** The fragment of a route, with its `#`. `parseRoute(formatRoute(r))` equals `r`. */
export function formatRoute(route: Route): string {
  const query = new URLSearchParams();
  let path: string = route.page;
  switch (route.page) {
    case "overview":
      path = "";
      put(query, "host", route.host);
      putRange(query, route.range, DEFAULT_LAST.overview);
      break;
    case "metrics":
      putQueries(query, route.queries);
      if (route.view !== "graph") query.set("view", route.view);
      putRange(query, route.range, DEFAULT_LAST.metrics);
      break;
    case "logs":
      put(query, "q", route.q);
      putRange(query, route.range, DEFAULT_LAST.logs);
      if (route.view !== "lines") query.set("view", route.view);
      if (route.order !== "newest") query.set("order", route.order);
      for (const flag of ["wrap", "utc", "live"] as const) if (route[flag]) query.set(flag, "1");
      put(query, "line", route.line);
      break;
    case "traces":
      put(query, "q", route.q);
      putRange(query, route.range, DEFAULT_LAST.traces);
      if (route.sort !== "newest") query.set("sort", route.sort);
      if (route.limit !== TRACE_LIMITS[0]) query.set("limit", String(route.limit));
      if (route.colour !== "status") query.set("colour", route.colour);
      break;
    case "targets":
    case "nodes":
    case "access":
    case "system":
      break;
    case "map":
      putRange(query, route.range, DEFAULT_LAST.map);
      put(query, "focus", route.focus);
      break;
    case "services":
      if (route.service !== "") path = `services/${encodeURIComponent(route.service)}`;
      putRange(query, route.range, DEFAULT_LAST.services);
      put(query, "sort", route.sort);
      break;
    case "trace":
      path = `trace/${encodeURIComponent(route.id)}`;
      put(query, "span", route.span);
      if (route.view !== "spans") query.set("view", route.view);
      put(query, "service", route.service);
      put(query, "find", route.find);
      break;
    case "correlations":
      putIds(query, route.ids);
      put(query, "service", route.service);
      if (route.errors) query.set("errors", "1");
      putRange(query, route.range, DEFAULT_LAST.correlations);
      break;
    case "correlation":
      path = `correlations/${encodeURIComponent(route.id)}`;
      put(query, "service", route.service);
      if (route.show !== "all") query.set("show", route.show);
      if (route.sent) query.set("sent", "1");
      break;
    case "stories":
      putIds(query, route.ids);
      putRange(query, route.range, DEFAULT_LAST.stories);
      break;
  }
  const tail = query.toString();
  return `#/${path}${tail === "" ? "" : `?${tail}`}`;
}

/** Start and end of a range in Unix seconds, whole multiples of `step` so that answers share a grid. */
export function resolveRange(range: TimeRange, nowMs: number, step: number): { start: number; end: number } {
  const [start, end] = "last" in range ? [nowMs / 1000 - range.last, nowMs / 1000] : [range.from, range.to];
  return { start: Math.floor(start / step) * step, end: Math.floor(end / step) * step };
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400];

/** A round step, seconds, that gives at most `points` samples over the range. */
export function stepOf(range: TimeRange, points: number): number {
  const length = "last" in range ? range.last : range.to - range.from;
  return STEPS.find((step) => length / step <= points) ?? Math.ceil(length / points);
}

/** The range before or after this one (`by` -1 or 1: half a length further), fixed. */
export function shifted(range: TimeRange, nowMs: number, by: -1 | 1): TimeRange {
  const { from, to } = fixed(range, nowMs);
  const step = Math.max(1, Math.round((to - from) / 2)) * by;
  return { from: Math.max(0, from + step), to: Math.max(1, to + step) };
}

/** Twice as much time around the same middle; a moving range stays moving. */
export function widened(range: TimeRange): TimeRange {
  if ("last" in range) return { last: Math.min(LAST_MAX, range.last * 2) };
  const more = Math.max(1, Math.round((range.to - range.from) / 2));
  return { from: Math.max(0, range.from - more), to: range.to + more };
}

function fixed(range: TimeRange, nowMs: number): { from: number; to: number } {
  if ("from" in range) return range;
  const to = Math.floor(nowMs / 1000);
  return { from: to - range.last, to };
}
