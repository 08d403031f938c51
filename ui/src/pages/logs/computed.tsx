// Queries that count or compute: drawn and listed as the metrics page does.
import { useEffect, useMemo } from "preact/hooks";
import type { ApiError } from "../../api/http";
import { queryAt, queryCounts } from "../../api/loki";
import type { Sample } from "../../api/prometheus";
import { Body, Panel, Warnings } from "../../parts/panel";
import { useLive } from "../../state/live";
import { formatSpan, type LogsRoute, resolveRange, stepOf } from "../../state/url";
import { type Answered, type Drawn, draw } from "../metrics/answers";
import { Graph } from "../metrics/graph";
import { Table } from "../metrics/table";

const POINTS = 300;
const SERIES_SHOWN_MAX = 40;

interface Found {
  readonly drawn: Drawn;
  readonly values: readonly Answered<Sample[]>[];
  readonly warnings: readonly string[];
}

async function ask(query: string, route: LogsRoute, step: number, signal: AbortSignal): Promise<Found> {
  const window = resolveRange(route.range, Date.now(), step);
  const [over, at] = await Promise.all([
    queryCounts(query, window.start, window.end, step, signal),
    queryAt(query, window.end, signal),
  ]);
  const none = { index: 0, query, warnings: [], infos: [], error: null, histograms: 0 };
  return {
    drawn: draw([{ ...none, data: over.data }], window, step, SERIES_SHOWN_MAX),
    values: [{ ...none, data: at.data }],
    warnings: over.warnings,
  };
}

interface ComputedProps {
  readonly query: string;
  readonly route: LogsRoute;
  readonly onSelect: (from: number, to: number) => void;
  readonly onError: (error: ApiError | null) => void;
}

/** The graph over the range and the values at its end. */
export function Computed({ query, route, onSelect, onError }: ComputedProps) {
  const step = stepOf(route.range, POINTS);
  const loaded = useLive(
    `computed ${query} ${JSON.stringify(route.range)}`,
    (signal) => ask(query, route, step, signal),
    "last" in route.range && route.live ? 1 : "once",
  );
  useEffect(() => onError(loaded.error), [loaded.error]);
  const bytes = useMemo(() => /\bbytes_(rate|over_time)\b/.test(query), [query]);
  const empty = <p>Nothing was counted in this range. A longer range or fewer conditions may find lines.</p>;
  return (
    <>
      <Panel title="Over time" aside={`every ${formatSpan(step)}`}>
        <Body of={loaded} height={320} isEmpty={(found) => found.drawn.columns.length === 0} empty={empty}>
          {(found) => (
            <>
              <Warnings of={found.warnings} />
              <Graph
                drawn={found.drawn}
                label="The query's answer over time"
                stacked={false}
                several={false}
                inBytes={bytes}
                exemplars={[]}
                onSelect={onSelect}
              />
            </>
          )}
        </Body>
      </Panel>
      {loaded.data && (loaded.data.values[0]?.data.length ?? 0) > 0 && (
        <Panel title="At the end of the range">
          <Table answers={loaded.data.values} several={false} />
        </Panel>
      )}
    </>
  );
}
