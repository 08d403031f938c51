// What is kept: a berry of drupelets (each a hundredth or so of the budget), a table by signal and tier, the forecast.
import { queryInstant, type Sample } from "../../api/prometheus";
import { bytes, percent, span } from "../../format";
import { Body, Panel } from "../../parts/panel";
import { useLive } from "../../state/live";
import { storage } from "./queries";

/** Bytes by `signal` and `tier`; the budget and the forecast are null where unknown. */
export interface StorageView {
  readonly used: readonly { readonly signal: string; readonly tier: string; readonly bytes: number }[];
  readonly budgetBytes: number | null;
  readonly fullSeconds: number | null;
}

const SIGNALS = ["metrics", "logs", "traces"];
const TIERS = ["hot", "warm", "cold"];

function only(samples: readonly Sample[]): number | null {
  const value = samples[0]?.value;
  return value !== undefined && Number.isFinite(value) && value >= 0 ? value : null;
}

/** Orders the answer: known signals and tiers first, in the order of their life. */
export function storageView(
  used: readonly Sample[],
  budget: readonly Sample[],
  full: readonly Sample[],
): StorageView {
  const rank = (list: readonly string[], word: string): number =>
    list.includes(word) ? list.indexOf(word) : list.length;
  const rows = used
    .filter((sample) => Number.isFinite(sample.value))
    .map((sample) => ({
      signal: sample.labels.signal ?? "other",
      tier: sample.labels.tier ?? "hot",
      bytes: sample.value,
    }))
    .sort(
      (a, b) =>
        rank(SIGNALS, a.signal) - rank(SIGNALS, b.signal) || rank(TIERS, a.tier) - rank(TIERS, b.tier),
    );
  return { used: rows, budgetBytes: only(budget), fullSeconds: only(full) };
}

const COLUMNS = 28;
const ROWS = 5;
const CELLS = COLUMNS * ROWS;

function shade(signal: string, tier: string): string {
  const hue = SIGNALS.includes(signal) ? `var(--${signal})` : "var(--ink-3)";
  const strength = tier === "cold" ? 45 : tier === "warm" ? 70 : 100;
  return strength === 100 ? hue : `color-mix(in srgb, ${hue} ${strength}%, var(--surface))`;
}

/** How many drupelets each row gets: at least one when it has bytes, never more than there are. */
export function drupelets(view: StorageView, cells: number): { signal: string; tier: string }[] {
  const budget = view.budgetBytes ?? 0;
  if (budget <= 0) return [];
  const filled = view.used
    .filter((row) => row.bytes > 0)
    .flatMap(({ signal, tier, bytes: size }) =>
      Array.from({ length: Math.min(cells, Math.max(1, Math.round((size / budget) * cells))) }, () => ({
        signal,
        tier,
      })),
    );
  return filled.slice(0, cells);
}

function Berry({ view }: { view: StorageView }) {
  const filled = drupelets(view, CELLS);
  const cells = Array.from({ length: CELLS }, (_, index) => {
    const along = Math.floor(index / ROWS);
    const row = index % ROWS;
    return { x: along * 10 + (row % 2 === 0 ? 5 : 10), y: row * 8.8 + 5, index };
  });
  return (
    <svg
      class="berry"
      viewBox={`0 0 ${COLUMNS * 10 + 5} ${(ROWS - 1) * 8.8 + 10}`}
      role="img"
      aria-label="Share of the storage budget in use"
    >
      {cells.map(({ x, y, index }) => {
        const of = filled[index];
        return (
          <circle
            key={index}
            cx={x}
            cy={y}
            r={4.1}
            style={of ? { fill: shade(of.signal, of.tier) } : {}}
            class={of ? "" : "berry-free"}
          >
            {of && <title>{`${of.signal}, ${of.tier}`}</title>}
          </circle>
        );
      })}
    </svg>
  );
}

function forecast(view: StorageView): string {
  if (view.budgetBytes === null) return "No limit is reported.";
  if (view.fullSeconds === null) return "No end in sight at the present rate.";
  if (view.fullSeconds < 1) return "The budget is in use: each new day replaces the oldest.";
  return `Full in about ${span(view.fullSeconds)} at the present rate; then the oldest days go first.`;
}

function Table({ view }: { view: StorageView }) {
  const signals = [...new Set(view.used.map((row) => row.signal))];
  const tiers = [...new Set([...TIERS, ...view.used.map((row) => row.tier)])];
  const at = (signal: string, tier: string): number =>
    view.used.find((row) => row.signal === signal && row.tier === tier)?.bytes ?? 0;
  return (
    <table class="figures">
      <thead>
        <tr>
          <th scope="col">Signal</th>
          {tiers.map((tier) => (
            <th scope="col" key={tier}>
              {tier}
            </th>
          ))}
          <th scope="col">all</th>
        </tr>
      </thead>
      <tbody>
        {signals.map((signal) => (
          <tr key={signal}>
            <th scope="row">
              <i class="dot" style={{ "--dot": shade(signal, "hot") }} />
              {signal}
            </th>
            {tiers.map((tier) => (
              <td key={tier} class={at(signal, tier) === 0 ? "nil" : ""}>
                {at(signal, tier) === 0 ? "–" : bytes(at(signal, tier))}
              </td>
            ))}
            <td>{bytes(tiers.reduce((total, tier) => total + at(signal, tier), 0))}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** The panel. */
export function Storage() {
  const loaded = useLive(
    "storage",
    async (signal) => {
      const optional = (query: string): Promise<Sample[]> =>
        queryInstant(query, signal).then(
          (answer) => answer.data,
          () => [],
        );
      const [used, budget, full] = await Promise.all([
        queryInstant(storage.used, signal),
        optional(storage.budget),
        optional(storage.full),
      ]);
      return storageView(used.data, budget, full);
    },
    3,
  );
  const view = loaded.data;
  const total = view?.used.reduce((sum, row) => sum + row.bytes, 0) ?? 0;
  return (
    <Panel
      title="Storage"
      class="storage"
      aside={
        view?.budgetBytes ? (
          <>
            <b>{bytes(total)}</b> of {bytes(view.budgetBytes)} · {percent((100 * total) / view.budgetBytes)}
          </>
        ) : undefined
      }
    >
      <Body
        of={loaded}
        height={170}
        isEmpty={(data) => data.used.length === 0}
        empty={<p>Nothing is stored yet. The first blocks are written within minutes of the first data.</p>}
      >
        {(data) => (
          <>
            {data.budgetBytes !== null && <Berry view={data} />}
            <p class="forecast">{forecast(data)}</p>
            <Table view={data} />
          </>
        )}
      </Body>
    </Panel>
  );
}
