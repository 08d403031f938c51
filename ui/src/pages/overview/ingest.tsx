// What comes in: one small graph per signal, in the signal's colour.
import type { Line } from "../../chart/plot";
import { countParts } from "../../format";
import type { Grid } from "../../series";
import { GraphPanel } from "./graph";
import { column, useWindow } from "./machine";
import { INGEST } from "./queries";

const SIGNALS = [
  { signal: "metrics", title: "Samples", colour: "var(--metrics)" },
  { signal: "logs", title: "Log lines", colour: "var(--logs)" },
  { signal: "traces", title: "Spans", colour: "var(--traces)" },
] as const;

/** Three graphs from one query. */
export function Ingest({ lastSeconds, step }: { lastSeconds: number; step: number }) {
  const rates = useWindow({ ingest: INGEST }, lastSeconds, step);
  return (
    <div class="grid grid-3">
      {SIGNALS.map(({ signal, title, colour }) => {
        const lines = (grid: Grid): Line[] => [
          { name: title, colour, values: column(grid, { signal })?.values ?? grid.times.map(() => null) },
        ];
        return (
          <GraphPanel
            key={signal}
            title={title}
            of={rates}
            lines={lines}
            shape="area"
            quantity={countParts}
            suffix="/s"
            note="coming in"
            max={1}
            height={96}
            empty={`No ${title.toLowerCase()} have come in yet. Below is how to send some.`}
          />
        );
      })}
    </div>
  );
}
