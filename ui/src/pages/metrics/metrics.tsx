// PromQL: queries, their graph or table, and what there is to ask about.
import { useEffect, useMemo, useState } from "preact/hooks";
import type { Exemplar, Sample } from "../../api/prometheus";
import { Body, Panel } from "../../parts/panel";
import { RangePicker, RangeSteps } from "../../parts/range";
import { type Loaded, type Pace, useLive } from "../../state/live";
import { go } from "../../state/route";
import {
  formatRoute,
  type MetricView,
  metricsRoute,
  type Route,
  resolveRange,
  type ShownQuery,
  stepOf,
  type TimeRange,
} from "../../state/url";
import { type Answered, askExemplars, askInstant, askRange, type Drawn, draw } from "./answers";
import { Finder } from "./finder";
import { Graph } from "./graph";
import { Offenders } from "./offenders";
import { Queries, type Said } from "./queries";
import { startingQuery } from "./starting";
import { Table } from "./table";

/** More lines than this tell nothing and cost much; the rest is counted. */
const SERIES_SHOWN_MAX = 40;
const EXEMPLARS_SHOWN_MAX = 100;

const EXAMPLES: readonly { name: string; q: string }[] = [
  { name: "CPU by mode", q: "100 * avg by (mode) (rate(node_cpu_seconds_total[1m]))" },
  { name: "Memory available", q: "node_memory_MemAvailable_bytes" },
  { name: "Written to disks", q: "sum by (device) (rate(node_disk_written_bytes_total[1m]))" },
  { name: "Items coming in", q: "sum by (signal) (rate(bramble_ingest_items_total[1m]))" },
];

const VIEWS: readonly { view: MetricView; name: string }[] = [
  { view: "graph", name: "Lines" },
  { view: "stack", name: "Stacked" },
  { view: "table", name: "Table" },
];

type MetricsRoute = Route & { page: "metrics" };

/** What the page has to show: one of both. */
interface Found {
  readonly drawn: Drawn | null;
  readonly values: readonly Answered<Sample[]>[] | null;
  readonly said: ReadonlyMap<number, Said>;
  readonly histograms: readonly string[];
}

function paceOf(range: TimeRange): Pace {
  if (!("last" in range)) return "once";
  return range.last <= 3600 ? 1 : 6;
}

async function find(route: MetricsRoute, step: number, signal: AbortSignal): Promise<Found | null> {
  if (route.queries.every((query) => query.off || query.text === "")) return null;
  const window = resolveRange(route.range, Date.now(), step);
  const saidOf = (answers: readonly Answered<unknown>[]): Map<number, Said> =>
    new Map(answers.map(({ index, error, warnings, infos }) => [index, { error, warnings, infos }]));
  if (route.view === "table") {
    const at = "last" in route.range ? Date.now() / 1000 : route.range.to;
    const values = await askInstant(route.queries, at, signal);
    return { drawn: null, values, said: saidOf(values), histograms: [] };
  }
  const answers = await askRange(route.queries, window, step, signal);
  return {
    drawn: draw(answers, window, step, SERIES_SHOWN_MAX),
    values: null,
    said: saidOf(answers),
    histograms: answers.filter((one) => one.histograms > 0).map((one) => one.query),
  };
}

/** Bytes are printed as such where the only query plainly gives them. */
function givesBytes(queries: readonly ShownQuery[]): boolean {
  const shown = queries.filter((query) => !query.off && query.text !== "");
  return (
    shown.length > 0 &&
    shown.every(
      ({ text }) => /_bytes\b/.test(text) && !/\b(i?rate|count|deriv)\w*\s*(\(|by|without)/.test(text),
    )
  );
}

function Histograms({ of, route }: { of: readonly string[]; route: MetricsRoute }) {
  const [first] = of;
  if (first === undefined) return null;
  const asQuantile = route.queries.map((query) =>
    of.includes(query.text) ? { ...query, text: `histogram_quantile(0.95, ${query.text})` } : query,
  );
  return (
    <p class="hint">
      Native histograms have no line of their own:{" "}
      <a href={formatRoute({ ...route, queries: asQuantile })}>graph their 95th percentile</a> or{" "}
      <a href={formatRoute({ ...route, view: "table" })}>see them as a table</a>.
    </p>
  );
}

interface ResultProps {
  readonly route: MetricsRoute;
  readonly loaded: Loaded<Found | null>;
  readonly exemplars: readonly Exemplar[];
}

function isEmpty(found: Found | null): boolean {
  if (found === null) return true;
  const rows = found.values?.reduce((sum, answer) => sum + answer.data.length, 0) ?? 0;
  return (found.drawn?.columns.length ?? 0) + rows + found.histograms.length === 0;
}

function Result({ route, loaded, exemplars }: ResultProps) {
  const several = route.queries.length > 1;
  const failed = loaded.data ? [...loaded.data.said.values()].some((said) => said.error) : false;
  const empty =
    loaded.data === null ? (
      <p>Write a query, pick a name, or start from an example.</p>
    ) : (
      <p>{failed ? "What the server says of it is at the query." : "No series match in this range."}</p>
    );
  return (
    <Body of={loaded} height={320} isEmpty={isEmpty} empty={empty}>
      {(found) =>
        found && (
          <>
            <Histograms of={found.histograms} route={route} />
            {found.drawn && found.drawn.columns.length > 0 && (
              <Graph
                drawn={found.drawn}
                label={`Graph of ${route.queries.map((query) => query.text).join(" and ")}`}
                stacked={route.view === "stack"}
                several={several}
                inBytes={givesBytes(route.queries)}
                exemplars={exemplars}
                onSelect={(from, to) => go({ ...route, range: { from, to } })}
              />
            )}
            {found.values && <Table answers={found.values} several={several} />}
          </>
        )
      }
    </Body>
  );
}

/** Puts a query where the eye is: in the only box, in the first empty one, else in place of the last. */
export function placed(queries: readonly ShownQuery[], text: string): ShownQuery[] {
  const empty = queries.findIndex((query) => query.text === "");
  const at = empty >= 0 ? empty : queries.length - 1;
  return queries.map((query, index) => (index === at ? { text, off: false } : query));
}

function useExemplars(route: MetricsRoute, step: number): readonly Exemplar[] {
  const key = route.view === "table" ? "none" : `exemplars ${formatRoute(route)}`;
  const ask = async (signal: AbortSignal): Promise<Exemplar[]> =>
    route.view === "table"
      ? []
      : askExemplars(route.queries, resolveRange(route.range, Date.now(), step), EXEMPLARS_SHOWN_MAX, signal);
  return useLive(key, ask, "last" in route.range ? 6 : "once").data ?? [];
}

/** The page. */
export function MetricsPage({ route }: { route: MetricsRoute }) {
  const { queries, range } = route;
  const address = formatRoute(route);
  const [drafts, setDrafts] = useState(queries);
  useEffect(() => setDrafts(queries), [address]);
  const step = stepOf(range, 300);
  const loaded = useLive(address, (signal) => find(route, step, signal), paceOf(range));
  const exemplars = useExemplars(route, step);
  const said = useMemo(() => loaded.data?.said ?? new Map<number, Said>(), [loaded.data]);
  const run = (next: readonly ShownQuery[]): void => {
    setDrafts(next);
    go({ ...route, queries: next.map((query) => ({ ...query, text: query.text.trim() })) });
  };
  const ask = (text: string): void => run(placed(drafts, text));
  const aside = queries.some((query) => query.text !== "") && route.view !== "table" && (
    <>
      {exemplars.length > 0 && (
        <span class="spot-key">
          {exemplars.length === 1 ? "1 exemplar" : `${exemplars.length} exemplars`}
        </span>
      )}
      <span>{`every ${step}\u202fs`}</span>
    </>
  );
  return (
    <div class="explore">
      <h1 class="page-title">Metrics</h1>
      <Queries drafts={drafts} asked={queries} said={said} onDraft={setDrafts} onRun={run} />
      <div class="tools">
        <RangePicker value={range} onChange={(next) => go({ ...route, range: next })} />
        <RangeSteps value={range} onChange={(next) => go({ ...route, range: next })} />
        <fieldset class="segments" aria-label="Shown as">
          {VIEWS.map(({ view, name }) => (
            <button
              type="button"
              key={view}
              aria-pressed={route.view === view}
              onClick={() => go({ ...route, view })}
            >
              {name}
            </button>
          ))}
        </fieldset>
        <ul class="examples" aria-label="Examples">
          {EXAMPLES.map((example) => (
            <li key={example.name}>
              <a href={formatRoute({ ...metricsRoute(example.q, range) })}>{example.name}</a>
            </li>
          ))}
        </ul>
      </div>
      <div class="grid grid-main">
        <Panel title="Result" aside={aside}>
          <Result route={route} loaded={loaded} exemplars={exemplars} />
        </Panel>
        <div class="grid side">
          <Finder onPick={(metric, label, value) => ask(startingQuery(metric, label, value))} />
          <Offenders onQuery={ask} />
        </div>
      </div>
    </div>
  );
}
