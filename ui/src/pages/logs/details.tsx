// Everything about one line: its text laid out, where it came from, what is in it, what to do with it.
import { useState } from "preact/hooks";
import { type LogLine, spanIdOf } from "../../api/loki";
import { idOf, kindOf } from "../../correlate/ids";
import { withoutAnsi } from "../../logql/ansi";
import { jsonOf } from "../../logql/fields";
import { IdChips } from "../../parts/idchips";
import { copyText } from "../../parts/panel";
import { correlationRoute, formatRoute, type LogsRoute, storyRoute, traceRoute } from "../../state/url";
import { type Actions, lineLink, ownField } from "./actions";
import { Context } from "./context";
import { idsOfLine } from "./ids";
import { FilterButtons, Json } from "./json";
import { Stats } from "./stats";
import { LineText } from "./text";
import { exactTime } from "./time";
import { type Field, type Origin, ownFieldsOf } from "./values";

interface DetailsProps {
  readonly line: LogLine;
  readonly lines: readonly LogLine[];
  readonly route: LogsRoute;
  readonly actions: Actions;
  readonly sought: readonly RegExp[];
}

function CopyButton({ name, text }: { name: string; text: () => string }) {
  const [said, setSaid] = useState(name);
  const copy = async (): Promise<void> => {
    setSaid((await copyText(text())) ? "Copied" : "Not allowed");
    setTimeout(() => setSaid(name), 1500);
  };
  return (
    <button type="button" class="button-quiet" onClick={copy}>
      {said}
    </button>
  );
}

interface Row {
  readonly field: Field;
  readonly value: string;
}

function FieldTable({
  title,
  rows,
  ...rest
}: { title: string; rows: readonly Row[] } & Omit<DetailsProps, "line" | "sought">) {
  const { lines, route, actions } = rest;
  const [open, setOpen] = useState<string | null>(null);
  if (rows.length === 0) return null;
  return (
    <section class="line-fields" aria-label={title}>
      <h4>{title}</h4>
      <dl>
        {rows.map(({ field, value }) => (
          <div key={field.name}>
            <dt>
              <button
                type="button"
                title="How its values are distributed"
                aria-expanded={open === field.name}
                onClick={() => setOpen(open === field.name ? null : field.name)}
              >
                {field.name}
              </button>
            </dt>
            <dd>
              <FieldValue name={field.name} value={value} />
              <FilterButtons
                name={field.name}
                value={value}
                onFilter={(sense) => actions.filter(field, sense, value)}
              />
            </dd>
            {open === field.name && (
              <div class="line-stats">
                <Stats field={field} lines={lines} route={route} actions={actions} />
              </div>
            )}
          </div>
        ))}
      </dl>
    </section>
  );
}

/** A value; an id leads to what is known of it. */
function FieldValue({ name, value }: { name: string; value: string }) {
  if (value === "") return <em>empty</em>;
  const kind = kindOf(name);
  const id = kind && idOf(kind, value);
  if (!id) return <>{value}</>;
  const route = id.kind === "trace_id" ? traceRoute(id.value) : storyRoute(id);
  return (
    <a
      href={formatRoute(route)}
      title={id.kind === "trace_id" ? "Open the trace" : `Story of this ${id.kind}`}
    >
      {value}
    </a>
  );
}

function rowsOf(values: Readonly<Record<string, string>>, origin: Origin, parser: Field["parser"]): Row[] {
  return Object.entries(values)
    .filter(([name]) => !name.startsWith("__"))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => ({ field: { name, origin, parser, cardinality: 0 }, value }));
}

/** The panel under an opened line. */
export function Details({ line, lines, route, actions, sought }: DetailsProps) {
  const [around, setAround] = useState(false);
  const ids = idsOfLine(line);
  const trace = ids.find((id) => id.kind === "trace_id")?.value;
  const json = jsonOf(line.line);
  const own = ownFieldsOf(line);
  const error = line.parsed.__error__;
  const shared = { lines, route, actions };
  const parsed = rowsOf(line.parsed, "parsed", null);
  // Laid out above, JSON has its filters there.
  const found = parsed.length === 0 && json === null ? rowsOf(own.fields, "parsed", own.parser) : [];
  return (
    <div class="line-details">
      <div class="line-actions">
        <CopyButton name="Copy line" text={() => withoutAnsi(line.line)} />
        <CopyButton name="Copy link" text={() => lineLink(route, line)} />
        <button type="button" class="button-quiet" aria-pressed={around} onClick={() => setAround(!around)}>
          Context
        </button>
        {trace !== undefined && (
          <>
            <a class="button-quiet to-trace" href={formatRoute(traceRoute(trace, spanIdOf(line)))}>
              Open trace
            </a>
            <a
              class="button-quiet to-correlation"
              href={formatRoute(correlationRoute(trace))}
              title="All lines and spans of the same trace, on one timeline"
            >
              Correlation
            </a>
          </>
        )}
        <IdChips ids={ids.filter((id) => id.kind !== "trace_id")} most={6} />
        <time>{exactTime(line.atNs, line.atMs, route.utc)}</time>
      </div>
      {around && <Context line={line} utc={route.utc} newestFirst={route.order === "newest"} />}
      <div class="line-whole">
        {json === null ? (
          <pre>
            <LineText line={line.line} sought={sought} whole />
          </pre>
        ) : (
          <pre class="json">
            <Json
              value={json}
              path=""
              depth={0}
              end=""
              onFilter={(name, sense, value) => actions.filter(ownField(line, name), sense, value)}
            />
          </pre>
        )}
      </div>
      {error !== undefined && (
        <p class="trouble">
          <strong>{error}</strong> {line.parsed.__error_details__}
        </p>
      )}
      <div class="line-tables">
        <FieldTable title="Labels" rows={rowsOf(line.stream, "label", null)} {...shared} />
        <FieldTable title="Metadata" rows={rowsOf(line.metadata, "metadata", null)} {...shared} />
        <FieldTable title="Parsed" rows={parsed} {...shared} />
        <FieldTable title="In the line" rows={found} {...shared} />
      </div>
    </div>
  );
}
