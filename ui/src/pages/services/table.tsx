// Services or operations, one row each, sorted by any column; most time spent first.
import type { ComponentChildren } from "preact";
import type { Performance } from "../../api/derived";
import type { Series } from "../../api/prometheus";
import { duration, frequency, percent } from "../../format";
import { go } from "../../state/route";
import { formatRoute, type ServicesRoute, tracesRoute } from "../../state/url";
import { durationTerm, EMPTY_FORM, type Form, formQuery } from "../../traceql/form";
import { sparkPath } from "./spark";

const WIDTH = 96;
const HEIGHT = 20;

const COLUMNS = [
  { key: "rate", name: "Rate", title: "Spans per second", of: (row: Performance) => row.rate },
  {
    key: "failed",
    name: "Failed",
    title: "Share of spans that failed",
    of: (row: Performance) => row.failed / row.rate,
  },
  { key: "p50", name: "p50", title: "Median duration", of: (row: Performance) => row.quantiles[0] ?? 0 },
  { key: "p95", name: "p95", title: "95th percentile", of: (row: Performance) => row.quantiles[1] ?? 0 },
  { key: "p99", name: "p99", title: "99th percentile", of: (row: Performance) => row.quantiles[2] ?? 0 },
  {
    key: "impact",
    name: "Impact",
    title: "Time spent in it: rate by mean duration",
    of: (row: Performance) => row.impact,
  },
] as const;

function Spark({ of }: { of: Series | undefined }) {
  const path = of ? sparkPath(of.points, WIDTH, HEIGHT) : "";
  return (
    <svg class="spark" width={WIDTH} height={HEIGHT} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true">
      {path !== "" && (
        <>
          <path class="spark-area" d={`${path}V${HEIGHT}H0Z`} />
          <path class="spark-line" d={path} />
        </>
      )}
    </svg>
  );
}

interface TableProps {
  readonly rows: readonly Performance[];
  readonly route: ServicesRoute;
  readonly trendOf: (row: Performance) => Series | undefined;
}

/** The table. */
export function Table({ rows, route, trendOf }: TableProps) {
  const one = route.service !== "";
  const column = COLUMNS.find((each) => each.key === route.sort) ?? COLUMNS[5];
  const sorted = [...rows].sort((a, b) => column.of(b) - column.of(a));
  const most = Math.max(...rows.map((row) => row.impact), 1e-9);
  const total = Math.max(
    rows.reduce((sum, row) => sum + row.impact, 0),
    1e-9,
  );
  const found = (row: Performance, more: Partial<Form>, children: ComponentChildren, title: string) => {
    // The overflow operation stands for many: a search by that name would find none.
    const operation = one && row.name !== "other" ? row.name : "";
    const query = formQuery({ ...EMPTY_FORM, service: row.service, operation, ...more });
    return (
      <a href={formatRoute(tracesRoute(query, route.range))} title={title}>
        {children}
      </a>
    );
  };
  const slow = (row: Performance, index: 0 | 1 | 2) => {
    const value = row.quantiles[index];
    if (value === null) return <span class="nil">–</span>;
    const tags = [{ tag: "duration", op: ">=" as const, value: durationTerm(value) }];
    return found(row, { tags }, duration(value), "Traces with spans of at least this duration");
  };
  return (
    <div class="wide-table">
      <table class="figures operations">
        <thead>
          <tr>
            <th scope="col">{one ? "Operation" : "Service"}</th>
            <th scope="col" class="wide-only" aria-label="Course of the rate" />
            {COLUMNS.map(({ key, name, title }) => (
              <th scope="col" key={key} aria-sort={column.key === key ? "descending" : "none"}>
                <button
                  type="button"
                  title={title}
                  onClick={() => go({ ...route, sort: key === "impact" ? "" : key }, true)}
                >
                  {name}
                </button>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {sorted.map((row) => {
            const bad = (row.failed / row.rate) * 100;
            const failed = bad > 0 ? percent(bad) : "–";
            return (
              <tr key={`${row.service} ${row.name} ${row.kind}`}>
                <th scope="row">
                  {one ? (
                    <>
                      {found(row, {}, row.name || "unnamed", "Its traces")}
                      {row.kind !== "" && <small> {row.kind}</small>}
                    </>
                  ) : (
                    <a href={formatRoute({ ...route, service: row.service })}>{row.service || "unknown"}</a>
                  )}
                </th>
                <td class="wide-only">
                  <Spark of={trendOf(row)} />
                </td>
                <td>{frequency(row.rate)}</td>
                <td class={bad >= 5 ? "is-bad" : bad >= 1 ? "is-warn" : bad > 0 ? "" : "nil"}>
                  {bad > 0 ? found(row, { status: "error" }, failed, "Traces that failed") : failed}
                </td>
                <td>{slow(row, 0)}</td>
                <td>{slow(row, 1)}</td>
                <td>{slow(row, 2)}</td>
                <td class="share">
                  <i style={{ width: `${(row.impact / most) * 100}%` }} />
                  <span title={`${duration(row.impact)} per second`}>
                    {percent((row.impact / total) * 100)}
                  </span>
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
