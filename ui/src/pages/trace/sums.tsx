// Where the time went: a row for each operation or service, most own time first.
import { useMemo, useState } from "preact/hooks";
import { duration, percent } from "../../format";
import { Panel } from "../../parts/panel";
import { formatRoute, type TraceRoute } from "../../state/url";
import type { Laid } from "../../traces/laid";
import { type Sum, sumsOf } from "../../traces/stats";

const COLUMNS = [
  { key: "spans", name: "Spans", title: "How many" },
  { key: "errors", name: "Failed", title: "How many failed" },
  { key: "self", name: "Own time", title: "Time that no child covers" },
  { key: "critical", name: "Critical path", title: "Time that the whole trace waited for" },
  { key: "total", name: "Total", title: "Sum of durations, children included" },
  { key: "mean", name: "Mean", title: "Total by spans" },
  { key: "longest", name: "Longest", title: "The longest span" },
] as const;
type Key = (typeof COLUMNS)[number]["key"];

const numberOf = (sum: Sum, key: Key): number => (key === "mean" ? sum.total / sum.spans : sum[key]);

function Cell({ sum, column, whole }: { sum: Sum; column: Key; whole: number }) {
  const value = numberOf(sum, column);
  if (column === "spans") return <td>{value.toLocaleString("en")}</td>;
  if (column === "errors") return <td class={value > 0 ? "is-bad" : "nil"}>{value > 0 ? value : "–"}</td>;
  const isShare = column === "self" || column === "critical";
  return (
    <td class={isShare ? "share" : value === 0 ? "nil" : ""}>
      {isShare && <i style={{ width: `${Math.min(100, (value / whole) * 100)}%` }} />}
      <span title={isShare ? percent((value / whole) * 100) : undefined}>
        {value === 0 ? "–" : duration(value / 1e6)}
      </span>
    </td>
  );
}

/** The table. */
export function Sums({ laid, route }: { laid: Laid; route: TraceRoute }) {
  const [by, setBy] = useState<"service" | "operation">("operation");
  const [sort, setSort] = useState<Key>("self");
  const sums = useMemo(() => sumsOf(laid.tree.rows, laid.self, laid.critical, by), [laid, by]);
  const rows = [...sums].sort((a, b) => numberOf(b, sort) - numberOf(a, sort));
  const whole = {
    self: Math.max(
      1,
      sums.reduce((total, one) => total + one.self, 0),
    ),
    critical: Math.max(
      1,
      sums.reduce((total, one) => total + one.critical, 0),
    ),
  };
  return (
    <Panel
      title="Where the time went"
      aside={
        <fieldset class="segments segments-small" aria-label="Sums by">
          {(["operation", "service"] as const).map((one) => (
            <button type="button" key={one} aria-pressed={by === one} onClick={() => setBy(one)}>
              {one === "operation" ? "Operations" : "Services"}
            </button>
          ))}
        </fieldset>
      }
    >
      <div class="wide-table">
        <table class="figures sums">
          <thead>
            <tr>
              <th scope="col">{by === "operation" ? "Service, operation" : "Service"}</th>
              {COLUMNS.map(({ key, name, title }) => (
                <th scope="col" key={key} aria-sort={sort === key ? "descending" : "none"}>
                  <button type="button" title={title} onClick={() => setSort(key)}>
                    {name}
                  </button>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((sum) => (
              <tr key={`${sum.service} ${sum.name}`}>
                <th scope="row">
                  <a
                    href={formatRoute({ ...route, view: "spans", service: sum.service, find: sum.name })}
                    title="Show these spans"
                  >
                    <i class="dot" style={{ "--dot": laid.colours.get(sum.service) ?? "var(--metrics)" }} />
                    <b>{sum.service || "unknown"}</b> <span>{sum.name}</span>
                  </a>
                </th>
                {COLUMNS.map(({ key }) => (
                  <Cell
                    key={key}
                    sum={sum}
                    column={key}
                    whole={key === "critical" ? whole.critical : whole.self}
                  />
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}
