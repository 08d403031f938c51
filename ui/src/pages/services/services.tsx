// Services and their operations: how often, how many failed, how long, and where most time goes.
import { useState } from "preact/hooks";
import {
  courseOf,
  durationExemplars,
  type Performance,
  performance,
  type SpanNames,
  type Subject,
  spanNames,
  trendKey,
  trendsOf,
} from "../../api/derived";
import type { Exemplar, Series } from "../../api/prometheus";
import { Body, Panel } from "../../parts/panel";
import { RangePicker, RangeSteps } from "../../parts/range";
import { TraceNav } from "../../parts/tracenav";
import { Underived } from "../../parts/underived";
import { useLive } from "../../state/live";
import { go } from "../../state/route";
import { formatRoute, resolveRange, type ServicesRoute, stepOf, tracesRoute } from "../../state/url";
import { EMPTY_FORM, formQuery } from "../../traceql/form";
import "../../style/traces.css";
import { type Charted, Charts } from "./charts";
import { spread } from "./spark";
import { Table } from "./table";

const POINTS = 120;
const TREND_POINTS = 40;
const EXEMPLARS_MAX = 40;

interface Found {
  readonly names: SpanNames | null;
  readonly rows: readonly Performance[];
  readonly trends: ReadonlyMap<string, Series>;
  readonly charted: Charted;
}

async function ask(subject: Subject, range: ServicesRoute["range"], signal: AbortSignal): Promise<Found> {
  const step = Math.max(15, stepOf(range, POINTS));
  const period = resolveRange(range, Date.now(), step);
  const nothing: Found = {
    names: null,
    rows: [],
    trends: new Map(),
    charted: { period, step, course: { rates: [], quantiles: [] }, exemplars: [] },
  };
  const names = await spanNames(period, signal);
  if (names === null) return nothing;
  const trendStep = Math.max(15, stepOf(range, TREND_POINTS));
  const [rows, trends, course, exemplars] = await Promise.all([
    performance(names, subject, period, signal),
    trendsOf(names, subject, resolveRange(range, Date.now(), trendStep), trendStep, signal),
    courseOf(names, subject, period, step, signal),
    subject.service === ""
      ? Promise.resolve<Exemplar[]>([])
      : durationExemplars(names, subject, period, signal),
  ]);
  return {
    names,
    rows,
    trends,
    charted: { period, step, course, exemplars: spread(exemplars, EXEMPLARS_MAX) },
  };
}

/** The page: all services, or one of them. */
export function ServicesPage({ route }: { route: ServicesRoute }) {
  const [entries, setEntries] = useState(true);
  const one = route.service !== "";
  const subject: Subject = { service: route.service, entries };
  const loaded = useLive(
    `services ${route.service} ${entries} ${JSON.stringify(route.range)}`,
    (signal) => ask(subject, route.range, signal),
    "last" in route.range ? 6 : "once",
  );
  const search = formQuery({ ...EMPTY_FORM, service: route.service });
  return (
    <div class="explore services-page">
      <TraceNav tab="services" range={route.range} />
      {one && (
        <div class="service-head">
          <h2>
            <a href={formatRoute({ ...route, service: "", sort: "" })}>Services</a> <span>/</span>{" "}
            {route.service}
          </h2>
          <p>
            <a href={formatRoute(tracesRoute(search, route.range))}>Its traces</a>
            <a href={formatRoute({ page: "map", range: route.range, focus: route.service })}>On the map</a>
          </p>
        </div>
      )}
      <div class="tools">
        <RangePicker value={route.range} onChange={(range) => go({ ...route, range })} />
        <RangeSteps value={route.range} onChange={(range) => go({ ...route, range })} />
        <fieldset class="segments" aria-label="Which spans">
          <button
            type="button"
            aria-pressed={entries}
            title="Spans of servers and consumers: what others ask of it"
            onClick={() => setEntries(true)}
          >
            Requests
          </button>
          <button
            type="button"
            aria-pressed={!entries}
            title="Also what it does inside and asks of others"
            onClick={() => setEntries(false)}
          >
            All spans
          </button>
        </fieldset>
      </div>
      {(loaded.data === undefined || loaded.data.rows.length > 0) && (
        <Charts of={loaded.data?.charted} route={route} waiting={loaded} />
      )}
      <Panel title={one ? "Operations" : "Services"} aside={loaded.data && `${loaded.data.rows.length}`}>
        <Body
          of={loaded}
          height={90}
          isEmpty={({ rows }) => rows.length === 0}
          empty={
            entries && loaded.data?.names ? (
              <>
                <p>
                  Nothing was asked of {one ? route.service : "any service"} in this range: there are no spans
                  of servers or consumers.
                </p>
                <p>
                  <button type="button" class="button-quiet" onClick={() => setEntries(false)}>
                    Show all spans
                  </button>
                </p>
              </>
            ) : (
              <Underived what="Nothing is known of services" />
            )
          }
        >
          {({ rows, trends }) => (
            <Table
              rows={rows}
              route={route}
              trendOf={(row) => trends.get(one ? trendKey(row.name, row.kind) : row.service)}
            />
          )}
        </Body>
      </Panel>
    </div>
  );
}
