// The fields of the lines: labels of their streams, metadata, what parsers find in them; values by share.
import { useMemo, useState } from "preact/hooks";
import { detectedFields } from "../../api/fields";
import type { LogLine } from "../../api/loki";
import { Panel } from "../../parts/panel";
import { useLive } from "../../state/live";
import { type LogsRoute, resolveRange } from "../../state/url";
import type { Actions } from "./actions";
import { Stats } from "./stats";
import { type Field, fieldsOf, type Origin, sampleOf } from "./values";

const TITLES: Readonly<Record<Origin, string>> = {
  label: "Labels",
  metadata: "Metadata",
  parsed: "In the lines",
};
const ORIGINS: readonly Origin[] = ["label", "metadata", "parsed"];

interface FieldsProps {
  readonly lines: readonly LogLine[];
  readonly route: LogsRoute;
  readonly actions: Actions;
  readonly off: boolean;
}

function Name({ field, open, onToggle }: { field: Field; open: boolean; onToggle: () => void }) {
  return (
    <button type="button" class="field-name" aria-expanded={open} onClick={onToggle}>
      <span>{field.name}</span>
      {field.cardinality > 1 && (
        <small title={`About ${field.cardinality} values`}>{field.cardinality}</small>
      )}
    </button>
  );
}

/** The panel. */
export function Fields({ lines, route, actions, off }: FieldsProps) {
  const [filter, setFilter] = useState("");
  const [open, setOpen] = useState<string | null>(null);
  const detected = useLive(
    `fields ${actions.query} ${JSON.stringify(route.range)} ${off}`,
    async (signal) => {
      if (off) return [];
      const { start, end } = resolveRange(route.range, Date.now() + 1000, 1);
      return detectedFields({ query: actions.query, startMs: start * 1000, endMs: end * 1000 }, signal);
    },
    "once",
  );
  const sample = useMemo(() => sampleOf(lines), [lines]);
  const fields = useMemo(
    () => fieldsOf(sample, detected.data ?? [], actions.parsed),
    [sample, detected.data, actions.parsed],
  );
  const needle = filter.trim().toLowerCase();
  const shown = fields.filter((field) => field.name.toLowerCase().includes(needle));
  return (
    <Panel title="Fields" class="names fields" aside={fields.length > 0 ? fields.length : undefined}>
      <input
        type="search"
        placeholder="Filter fields"
        aria-label="Filter fields by name"
        value={filter}
        onInput={(event) => setFilter(event.currentTarget.value)}
      />
      {shown.length === 0 && (
        <p class="stats-note">
          {fields.length > 0
            ? "No field has this in its name."
            : detected.data === undefined && detected.error === null
              ? "Asking…"
              : "Fields appear with the lines."}
        </p>
      )}
      {ORIGINS.map((origin) => {
        const group = shown.filter((field) => field.origin === origin);
        if (group.length === 0) return null;
        return (
          <section key={origin} aria-label={TITLES[origin]}>
            <h4>{TITLES[origin]}</h4>
            <ul>
              {group.map((field) => (
                <li key={field.name} class={open === field.name ? "is-open" : ""}>
                  <Name
                    field={field}
                    open={open === field.name}
                    onToggle={() => setOpen(open === field.name ? null : field.name)}
                  />
                  {open === field.name && (
                    <Stats field={field} lines={lines} route={route} actions={actions} />
                  )}
                </li>
              ))}
            </ul>
          </section>
        );
      })}
    </Panel>
  );
}
