// TraceQL that computes: drawn and listed as the metrics page does, distributions as a heat map.
import { useEffect } from "preact/hooks";
import type { ApiError } from "../../api/http";
import { measure } from "../../api/tempo";
import { Body, Panel, Warnings } from "../../parts/panel";
import { useLive } from "../../state/live";
import { go } from "../../state/route";
import { resolveRange, stepOf, type TracesRoute } from "../../state/url";
import { isHistogram } from "../../traceql/shape";
import { draw } from "../metrics/answers";
import { Graph } from "../metrics/graph";
import { Heatmap } from "./heatmap";

const POINTS = 240;
const HEAT_POINTS = 120;
const EXEMPLARS = 100;
const SERIES_SHOWN_MAX = 40;

interface ComputedProps {
  readonly route: TracesRoute;
  readonly onError: (error: ApiError | null) => void;
}

/** The answer. */
export function Computed({ route, onError }: ComputedProps) {
  const isHeat = isHistogram(route.q);
  const step = stepOf(route.range, isHeat ? HEAT_POINTS : POINTS);
  const loaded = useLive(
    `computed ${route.q} ${JSON.stringify(route.range)}`,
    async (signal) => {
      const window = resolveRange(route.range, Date.now(), step);
      return { window, ...(await measure(route.q, window, step, EXEMPLARS, signal)) };
    },
    "last" in route.range ? 6 : "once",
  );
  const { error } = loaded;
  const refused = error?.kind === "http" && error.status < 500 && error.status !== 429 ? error : null;
  useEffect(() => onError(refused), [refused]);
  if (refused) return null;
  const select = (from: number, to: number): void =>
    go({ ...route, range: { from, to: Math.max(to, from + 1) } });
  return (
    <Panel title={isHeat ? "Distribution over time" : "Over time"}>
      <Body
        of={loaded}
        height={320}
        isEmpty={({ series }) => series.length === 0}
        empty={<p>No spans match in this range, so there is nothing to compute.</p>}
      >
        {({ window, series, exemplars, partial }) => {
          const none = { index: 0, query: route.q, warnings: [], infos: [], error: null, histograms: 0 };
          return (
            <>
              <Warnings of={partial === "" ? [] : [`Partial: ${partial}`]} />
              {isHeat ? (
                <Heatmap series={series} window={window} step={step} onSelect={select} />
              ) : (
                <Graph
                  drawn={draw([{ ...none, data: [...series] }], window, step, SERIES_SHOWN_MAX)}
                  label={`Graph of ${route.q}`}
                  stacked={false}
                  several={false}
                  inBytes={false}
                  exemplars={exemplars}
                  onSelect={select}
                />
              )}
            </>
          );
        }}
      </Body>
    </Panel>
  );
}
