// What comes in: one small graph per signal, in the signal's colour.
import { type Door, doorPort } from "../../api/status";
import type { Line } from "../../chart/plot";
import { countParts } from "../../format";
import { Snippet } from "../../parts/panel";
import type { Grid } from "../../series";
import { GraphPanel } from "./graph";
import { column, useWindow } from "./machine";
import { INGEST } from "./queries";

const SIGNALS = [
  { signal: "metrics", title: "Samples", colour: "var(--metrics)" },
  { signal: "logs", title: "Log lines", colour: "var(--logs)" },
  { signal: "traces", title: "Spans", colour: "var(--traces)" },
] as const;

function SendMetrics({ doors }: { doors: readonly Door[] }) {
  const port = doorPort(doors, ["prometheus", "remote_write"], 9090);
  return (
    <>
      <p>No samples have come in yet. A Prometheus sends here with:</p>
      <Snippet code={`remote_write:\n  - url: http://${location.hostname}:${port}/api/v1/write`} />
    </>
  );
}

/** Three graphs from one query. */
export function Ingest({
  lastSeconds,
  step,
  doors,
}: {
  lastSeconds: number;
  step: number;
  doors: readonly Door[];
}) {
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
            max={1}
            height={96}
            empty={
              signal === "metrics" ? (
                <SendMetrics doors={doors} />
              ) : (
                <p>No {title.toLowerCase()} have come in yet. Below is how to send some.</p>
              )
            }
          />
        );
      })}
    </div>
  );
}
