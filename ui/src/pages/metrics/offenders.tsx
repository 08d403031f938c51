// Whose labels fill the head: the largest metrics, labels and label values, each leading to a query about it.
import { useState } from "preact/hooks";
import { type Cardinality, cardinality, type Tally } from "../../api/prometheus";
import { count } from "../../format";
import { Body, Panel } from "../../parts/panel";
import { useLive } from "../../state/live";
import { startingQuery } from "./starting";

const SHOWN = 10;

const KINDS = [
  { key: "byMetric", name: "Metrics", unit: "series" },
  { key: "byLabel", name: "Labels", unit: "values" },
  { key: "byPair", name: "Pairs", unit: "series" },
] as const;

type Kind = (typeof KINDS)[number]["key"];

/** The query that shows what a row counts. */
export function queryAbout(kind: Kind, name: string): string {
  if (kind === "byMetric") return startingQuery(name);
  if (kind === "byLabel") return `topk(20, count by (${name}) ({${name}!=""}))`;
  const cut = name.indexOf("=");
  return `topk(20, count by (__name__) ({${name.slice(0, cut)}=${JSON.stringify(name.slice(cut + 1))}}))`;
}

function Rows({ of, kind, onQuery }: { of: readonly Tally[]; kind: Kind; onQuery: (query: string) => void }) {
  const most = Math.max(...of.map((one) => one.value), 1);
  return (
    <ol class="offenders">
      {of.map((one) => (
        <li key={one.name}>
          <button
            type="button"
            title={`Ask about ${one.name}`}
            onClick={() => onQuery(queryAbout(kind, one.name))}
          >
            <i style={{ width: `${(one.value / most) * 100}%` }} />
            <code>{one.name}</code>
            <b>{count(one.value)}</b>
          </button>
        </li>
      ))}
    </ol>
  );
}

/** The panel. */
export function Offenders({ onQuery }: { onQuery: (query: string) => void }) {
  const [kind, setKind] = useState<Kind>("byMetric");
  const loaded = useLive("cardinality", (signal) => cardinality(SHOWN, signal), 12);
  const data: Cardinality | undefined = loaded.data;
  return (
    <Panel title="Cardinality" aside={data && `${count(data.series)} series`}>
      <fieldset class="segments segments-small" aria-label="Count by">
        {KINDS.map((one) => (
          <button
            type="button"
            key={one.key}
            aria-pressed={kind === one.key}
            onClick={() => setKind(one.key)}
          >
            {one.name}
          </button>
        ))}
      </fieldset>
      <Body
        of={loaded}
        isEmpty={(found) => found[kind].length === 0}
        empty={<p>Nothing is in memory yet.</p>}
      >
        {(found) => <Rows of={found[kind].slice(0, SHOWN)} kind={kind} onQuery={onQuery} />}
      </Body>
    </Panel>
  );
}
