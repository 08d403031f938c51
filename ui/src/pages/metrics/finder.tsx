// Finding a metric by name, then its labels and their values.
import { Fragment } from "preact";
import { useState } from "preact/hooks";
import { labelNames, labelValues, metadataOf, metricNames } from "../../api/prometheus";
import { Body, Panel } from "../../parts/panel";
import { useLive } from "../../state/live";

const NAMES_MAX = 400;
const VALUES_MAX = 50;

/** A name that may break after its underscores, and nowhere else if it fits. */
function Breakable({ name }: { name: string }) {
  const parts = name.split(/(?<=_)/);
  return (
    <>
      {parts.map((part, index) => (
        <Fragment key={`${part} ${index}`}>
          {part}
          <wbr />
        </Fragment>
      ))}
    </>
  );
}

interface PickProps {
  /** Takes a metric, with one label pinned to a value or without. */
  readonly onPick: (metric: string, label?: string, value?: string) => void;
}

function Values({ metric, label, onPick }: PickProps & { metric: string; label: string }) {
  const ask = (signal: AbortSignal): Promise<string[]> => labelValues(label, metric, VALUES_MAX, signal);
  const loaded = useLive(`values ${metric} ${label}`, ask, "once");
  return (
    <Body of={loaded} isEmpty={(values) => values.length === 0} empty={<p>No values now.</p>}>
      {(values) => (
        <ul class="label-values">
          {values.map((value) => (
            <li key={value}>
              <button
                type="button"
                title={`Only ${label}="${value}"`}
                onClick={() => onPick(metric, label, value)}
              >
                {value}
              </button>
            </li>
          ))}
          {values.length === VALUES_MAX && <li class="more-values">the first {VALUES_MAX}</li>}
        </ul>
      )}
    </Body>
  );
}

function Metric({ metric, onPick }: PickProps & { metric: string }) {
  const [open, setOpen] = useState<string | null>(null);
  const loaded = useLive(
    `metric ${metric}`,
    async (signal) => {
      const [labels, metadata] = await Promise.all([
        labelNames(metric, signal),
        metadataOf(metric, signal).catch(() => null),
      ]);
      return { labels, metadata };
    },
    "once",
  );
  return (
    <Body of={loaded} isEmpty={() => false} empty={null}>
      {({ labels, metadata }) => (
        <div class="metric-details">
          {metadata && (
            <p>
              <em>{[metadata.type, metadata.unit].filter((part) => part !== "").join(", ")}</em>{" "}
              {metadata.help}
            </p>
          )}
          {labels.length === 0 && <p>It has no labels.</p>}
          <ul>
            {labels.map((label) => (
              <li key={label}>
                <button
                  type="button"
                  class="label-name"
                  aria-expanded={open === label}
                  onClick={() => setOpen(open === label ? null : label)}
                >
                  {label}
                </button>
                {open === label && <Values metric={metric} label={label} onPick={onPick} />}
              </li>
            ))}
          </ul>
        </div>
      )}
    </Body>
  );
}

/** The panel. A click on a name takes it and opens its labels. */
export function Finder({ onPick }: PickProps) {
  const [filter, setFilter] = useState("");
  const [open, setOpen] = useState<string | null>(null);
  const loaded = useLive("metric-names", metricNames, "once");
  const needle = filter.toLowerCase();
  const found = (loaded.data ?? []).filter((name) => name.toLowerCase().includes(needle));
  return (
    <Panel title="Find" class="names" aside={loaded.data ? `${loaded.data.length} names` : undefined}>
      <input
        type="search"
        placeholder="Filter names"
        aria-label="Filter metric names"
        value={filter}
        onInput={(event) => setFilter(event.currentTarget.value)}
      />
      <Body
        of={loaded}
        isEmpty={() => found.length === 0}
        empty={<p>{needle === "" ? "No metric is stored yet." : "No name contains this."}</p>}
      >
        {() => (
          <ul>
            {found.slice(0, NAMES_MAX).map((name) => (
              <li key={name} class={open === name ? "is-open" : ""}>
                <button
                  type="button"
                  class="metric-name"
                  aria-expanded={open === name}
                  onClick={() => {
                    if (open !== name) onPick(name);
                    setOpen(open === name ? null : name);
                  }}
                >
                  <Breakable name={name} />
                </button>
                {open === name && <Metric metric={name} onPick={onPick} />}
              </li>
            ))}
          </ul>
        )}
      </Body>
    </Panel>
  );
}
