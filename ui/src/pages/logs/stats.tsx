// How often each value of a field occurs: among the lines loaded at once, in the whole range on request.
import { useMemo, useState } from "preact/hooks";
import { fieldValues } from "../../api/fields";
import { type LogLine, queryAt } from "../../api/loki";
import { count, percent } from "../../format";
import { counting } from "../../logql/edit";
import { logPartOf } from "../../logql/shape";
import { Body } from "../../parts/panel";
import { useLive } from "../../state/live";
import { type LogsRoute, resolveRange } from "../../state/url";
import type { Actions } from "./actions";
import { FilterButtons } from "./json";
import { countValues, type Field, sampleOf, type ValueCount } from "./values";

const SHOWN = 12;
const ASKED_MAX = 100;

/** The query that counts the values of a field over a range in seconds. */
export function countQuery(query: string, field: Field, seconds: number): string {
  const parses = logPartOf(query)?.stages.some((stage) => stage.kind === "parser") ?? false;
  const parsed =
    field.origin === "parsed" && field.parser !== null && !parses ? `${query}\n| ${field.parser}` : query;
  return `topk(${SHOWN}, ${counting(parsed, `${seconds}s`, field.name)})`;
}

async function askAll(
  query: string,
  field: Field,
  route: LogsRoute,
  signal: AbortSignal,
): Promise<ValueCount[]> {
  const { start, end } = resolveRange(route.range, Date.now() + 1000, 1);
  const answer = await queryAt(countQuery(query, field, end - start), end, signal);
  return answer.data
    .map((one) => ({ value: one.labels[field.name] ?? "", count: one.value }))
    .filter((one) => one.value !== "")
    .sort((a, b) => b.count - a.count);
}

function Rows({
  of,
  total,
  field,
  actions,
}: {
  of: readonly ValueCount[];
  total: number;
  field: Field;
  actions: Actions;
}) {
  return (
    <ol class="stats">
      {of.slice(0, SHOWN).map((one) => (
        <li key={one.value}>
          <i style={{ width: `${total > 0 ? (one.count / total) * 100 : 0}%` }} />
          <button
            type="button"
            class="stats-value"
            title={`Only ${field.name} = ${one.value}`}
            onClick={() => actions.filter(field, "=", one.value)}
          >
            {one.value === "" ? "(empty)" : one.value}
          </button>
          <FilterButtons
            name={field.name}
            value={one.value}
            onFilter={(sense) => actions.filter(field, sense, one.value)}
          />
          {one.count > 0 && (
            <b title={`${one.count} lines`}>
              {total > 0 ? percent((one.count / total) * 100) : count(one.count)}
            </b>
          )}
        </li>
      ))}
    </ol>
  );
}

interface StatsProps {
  readonly field: Field;
  readonly lines: readonly LogLine[];
  readonly route: LogsRoute;
  readonly actions: Actions;
}

function Everywhere({ field, route, actions }: Omit<StatsProps, "lines">) {
  const key = `stats ${field.name} ${actions.query} ${JSON.stringify(route.range)}`;
  const loaded = useLive(key, (signal) => askAll(actions.query, field, route, signal), "once");
  return (
    <Body
      of={loaded}
      isEmpty={(found) => found.length === 0}
      empty={<p>No line in the range has this field.</p>}
    >
      {(found) => (
        <>
          <p class="stats-note">
            All lines of the range{found.length === SHOWN && `, the ${SHOWN} most frequent values`}.
          </p>
          <Rows
            of={found}
            total={found.reduce((sum, one) => sum + one.count, 0)}
            field={field}
            actions={actions}
          />
        </>
      )}
    </Body>
  );
}

/** Values that the server knows although no loaded line has them. */
function Elsewhere({ field, route, actions }: Omit<StatsProps, "lines">) {
  const loaded = useLive(
    `values ${field.name} ${actions.query} ${JSON.stringify(route.range)}`,
    (signal) => {
      const { start, end } = resolveRange(route.range, Date.now() + 1000, 1);
      const scope = { query: actions.query, startMs: start * 1000, endMs: end * 1000 };
      return fieldValues(field.name, scope, ASKED_MAX, signal);
    },
    "once",
  );
  return (
    <Body of={loaded} isEmpty={(found) => found.length === 0} empty={<p>No value is known in this range.</p>}>
      {(found) => (
        <Rows of={found.map((value) => ({ value, count: 0 }))} total={0} field={field} actions={actions} />
      )}
    </Body>
  );
}

function CountAll({ onClick }: { onClick: () => void }) {
  return (
    <button type="button" class="link-button" onClick={onClick}>
      Count the whole range
    </button>
  );
}

/** The statistics of one field. */
export function Stats({ field, lines, route, actions }: StatsProps) {
  const [all, setAll] = useState(false);
  const sample = useMemo(() => sampleOf(lines), [lines]);
  const counted = useMemo(() => countValues(sample, field), [sample, field.name, field.origin]);
  const having = counted.reduce((sum, one) => sum + one.count, 0);
  if (all) return <Everywhere field={field} route={route} actions={actions} />;
  const countAll = <CountAll onClick={() => setAll(true)} />;
  if (counted.length === 0)
    return (
      <>
        <Elsewhere field={field} route={route} actions={actions} />
        <p class="stats-note">{countAll}</p>
      </>
    );
  return (
    <>
      <Rows of={counted} total={having} field={field} actions={actions} />
      <p class="stats-note">
        {having < sample.length && `In ${percent((having / sample.length) * 100)} of the lines. `}
        {counted.length > SHOWN && `${counted.length} values. `}
        {countAll}
      </p>
    </>
  );
}
