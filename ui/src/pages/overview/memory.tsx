// Memory by named budget: who may use how much, and does.
import { queryInstant, type Sample } from "../../api/prometheus";
import { bytes } from "../../format";
import { Body, Panel } from "../../parts/panel";
import { useLive } from "../../state/live";
import { memory } from "./queries";

/** One budget. */
export interface BudgetRow {
  readonly name: string;
  readonly limitBytes: number;
  readonly usedBytes: number;
}

/** Joins limits and use by the label `budget`; largest limit first. */
export function budgetRows(limits: readonly Sample[], used: readonly Sample[]): BudgetRow[] {
  return limits
    .filter((sample) => Number.isFinite(sample.value))
    .map((sample) => {
      const name = sample.labels.budget ?? "?";
      const use = used.find((one) => one.labels.budget === name)?.value ?? 0;
      return { name, limitBytes: sample.value, usedBytes: Number.isFinite(use) ? use : 0 };
    })
    .sort((a, b) => b.limitBytes - a.limitBytes || (a.name < b.name ? -1 : 1));
}

function Bar({ row }: { row: BudgetRow }) {
  const share = row.limitBytes > 0 ? Math.min(1, row.usedBytes / row.limitBytes) : 0;
  const state = share > 0.95 ? "is-full" : share > 0.8 ? "is-high" : "";
  return (
    <li class={`budget ${state}`}>
      <span class="budget-name">{row.name.replaceAll("_", " ")}</span>
      <span class="budget-track">
        <i style={{ width: `${Math.max(share > 0 ? 1 : 0, share * 100)}%` }} />
      </span>
      <span class="budget-figure">
        {bytes(row.usedBytes)} <small>of {bytes(row.limitBytes)}</small>
      </span>
    </li>
  );
}

/** The panel; `cap` and `rss` (bytes, NaN when unknown) are the process's own. */
export function Memory({ cap, rss }: { cap: number; rss: number }) {
  const loaded = useLive(
    "memory",
    async (signal) => {
      const [limits, used] = await Promise.all([
        queryInstant(memory.limit, signal),
        queryInstant(memory.used, signal),
      ]);
      return budgetRows(limits.data, used.data);
    },
    3,
  );
  return (
    <Panel
      title="Bramble's own memory"
      aside={
        Number.isFinite(rss) ? (
          <>
            <b>{bytes(rss)}</b> resident{Number.isFinite(cap) && ` · cap ${bytes(cap)}`}
          </>
        ) : undefined
      }
    >
      <Body
        of={loaded}
        height={170}
        isEmpty={(rows) => rows.length === 0}
        empty={<p>No budget is reported yet.</p>}
      >
        {(rows) => (
          <ul class="budgets">
            {rows.map((row) => (
              <Bar key={row.name} row={row} />
            ))}
          </ul>
        )}
      </Body>
    </Panel>
  );
}
