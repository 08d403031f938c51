// Lines grouped by what they have in common: how many, since when, their trend; for and against each.
import { useState } from "preact/hooks";
import { queryTemplates, type Template, type TemplateSort } from "../../api/fields";
import { type LogLine, lineLevel, queryLines } from "../../api/loki";
import { ago, count, dateTime, percent } from "../../format";
import { patternQuery, withLineFilter } from "../../logql/edit";
import { Body } from "../../parts/panel";
import { useLive } from "../../state/live";
import { type LogsRoute, resolveRange, stepOf } from "../../state/url";
import type { Actions } from "./actions";
import { joinedTemplates, type Pattern } from "./joined";
import { LineText } from "./text";
import { timeOf } from "./time";

const SHOWN_MAX = 200;
/** Templates are counted by stream: more are asked for than are shown. */
const ASKED_MAX = 2000;
const BARS = 40;
const EXAMPLES = 5;
const WIDTH = 120;
const HEIGHT = 24;

const SORTS: readonly { sort: TemplateSort; name: string }[] = [
  { sort: "count", name: "Most" },
  { sort: "rare", name: "Rarest" },
  { sort: "new", name: "New first" },
];

const SINCE: readonly { name: string; last: number | null }[] = [
  { name: "before this range", last: null },
  { name: "before the last hour", last: 3600 },
  { name: "before the last 24 hours", last: 86_400 },
  { name: "before the last 7 days", last: 7 * 86_400 },
];

interface Found {
  readonly patterns: readonly Pattern[];
  readonly truncated: boolean;
  readonly start: number;
  readonly end: number;
  readonly step: number;
}

/** Heights, 0–1, of bars from `start` to `end`. */
export function trendOf(
  samples: Template["samples"],
  start: number,
  end: number,
  step: number,
): readonly number[] {
  const bars = new Array<number>(Math.max(1, Math.ceil((end - start) / step))).fill(0);
  for (const [at, lines] of samples) {
    const slot = Math.floor((at - start) / step);
    if (slot >= 0 && slot < bars.length) bars[slot] = (bars[slot] ?? 0) + lines;
  }
  const highest = Math.max(...bars, 1);
  return bars.map((bar) => bar / highest);
}

function Trend({ of, found }: { of: Template; found: Found }) {
  const bars = trendOf(of.samples, found.start, found.end, found.step);
  const width = WIDTH / bars.length;
  return (
    <svg class="trend" width={WIDTH} height={HEIGHT} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true">
      {bars.map((bar, at) =>
        bar === 0 ? null : (
          <rect
            // A bar is its place.
            key={at}
            x={at * width}
            y={HEIGHT - Math.max(1.5, bar * HEIGHT)}
            width={Math.max(1, width - 0.6)}
            height={Math.max(1.5, bar * HEIGHT)}
          />
        ),
      )}
    </svg>
  );
}

/** Control characters, such as those of terminal colours, as programs write them. */
function visible(text: string): string {
  const written = (char: string): string =>
    char === "\x1b" ? "\\e" : `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`;
  return [...text].map((char) => (char < " " && char !== "\t" ? written(char) : char)).join("");
}

/** The pattern with its variables set apart. */
function PatternText({ of }: { of: string }) {
  return (
    <code>
      {visible(of)
        .split(/(<[^<>\s]*>)/)
        .map((part, index) => {
          const key = `${index} ${part}`;
          return /^<[^<>\s]*>$/.test(part) ? <i key={key}>{part}</i> : part;
        })}
    </code>
  );
}

function Examples({ of, route, actions }: { of: Pattern; route: LogsRoute; actions: Actions }) {
  const query = withLineFilter(actions.query, "|>", of.pattern);
  const loaded = useLive(
    `examples ${query} ${JSON.stringify(route.range)}`,
    (signal): Promise<readonly LogLine[]> => {
      const { start, end } = resolveRange(route.range, Date.now() + 1000, 1);
      return queryLines(query, start * 1000, end * 1000, EXAMPLES, signal);
    },
    "once",
  );
  return (
    <div class="examples-of">
      <p class="stats-note">
        First {dateTime(of.firstMs)}, last {dateTime(of.lastMs)}
        {of.streams > 1 && `, in ${of.streams} streams`}.
      </p>
      <Body of={loaded} isEmpty={(lines) => lines.length === 0} empty={<pre>{of.example}</pre>}>
        {(lines) => (
          <ol class="context-lines">
            {lines.map((line) => (
              <li key={line.id} class={`level-${line.level}`}>
                <time>{timeOf(line.atMs, route.utc)}</time>
                <span>
                  <LineText line={line.line} sought={[]} />
                </span>
              </li>
            ))}
          </ol>
        )}
      </Body>
    </div>
  );
}

interface RowProps {
  readonly of: Pattern;
  readonly found: Found;
  readonly total: number;
  readonly open: boolean;
  readonly onToggle: () => void;
  readonly route: LogsRoute;
  readonly actions: Actions;
}

function Row({ of, found, total, open, onToggle, route, actions }: RowProps) {
  const share = total > 0 ? (of.count / total) * 100 : 0;
  const level = lineLevel(of.labels, of.example);
  return (
    <li class={`pattern level-${level} ${open ? "is-open" : ""}`}>
      <div class="pattern-row">
        <Trend of={of} found={found} />
        <span class="pattern-count">
          <b>{count(of.count)}</b> <small>{share > 0 && share < 0.1 ? "<0.1\u202f%" : percent(share)}</small>
        </span>
        <button type="button" class="pattern-text" aria-expanded={open} onClick={onToggle}>
          {of.isNew && (
            <em class="badge" title={`First seen ${dateTime(of.firstMs)}`}>
              new, {ago(Math.max(0, Date.now() - of.firstMs))}
            </em>
          )}
          <PatternText of={of.pattern} />
        </button>
        <span class="pattern-filters">
          <button
            type="button"
            class="button-quiet"
            title="Only lines of this pattern"
            onClick={() => actions.filterText("|>", of.pattern)}
          >
            Only
          </button>
          <button
            type="button"
            class="button-quiet"
            title="Lines without this pattern"
            onClick={() => actions.filterText("!>", of.pattern)}
          >
            Hide
          </button>
        </span>
      </div>
      {open && <Examples of={of} route={route} actions={actions} />}
    </li>
  );
}

function saidOf({ patterns, truncated }: Found): string {
  const news = patterns.filter((one) => one.isNew).length;
  return `${patterns.length}${truncated ? " and more" : ""}${news > 0 ? `, ${news} new` : ""}`;
}

/** The panel. */
export function Patterns({ route, actions, off }: { route: LogsRoute; actions: Actions; off: boolean }) {
  const [sort, setSort] = useState<TemplateSort>("count");
  const [since, setSince] = useState(0);
  const [open, setOpen] = useState<string | null>(null);
  const asked = patternQuery(actions.query);
  const loaded = useLive(
    `patterns ${actions.query} ${JSON.stringify(route.range)} ${sort} ${since} ${off}`,
    async (signal): Promise<Found> => {
      const step = stepOf(route.range, BARS);
      const { start, end } = resolveRange(route.range, Date.now() + step * 1000, step);
      const last = SINCE[since]?.last ?? null;
      const sinceMs = last === null ? start * 1000 : Date.now() - last * 1000;
      if (off) return { patterns: [], truncated: false, start, end, step };
      const scope = { query: asked.query, startMs: start * 1000, endMs: end * 1000 };
      const found = await queryTemplates(scope, step, sort, sinceMs, ASKED_MAX, signal);
      const patterns = joinedTemplates(found.templates, sort).filter(
        ({ pattern }) =>
          !asked.hidden.includes(pattern) && (asked.only.length === 0 || asked.only.includes(pattern)),
      );
      const truncated = found.truncated || patterns.length > SHOWN_MAX;
      return { patterns: patterns.slice(0, SHOWN_MAX), truncated, start, end, step };
    },
    "last" in route.range && route.live ? 2 : "once",
  );
  return (
    <section class="panel patterns" aria-label="Patterns">
      <div class="list-head">
        <h3>Patterns</h3>
        <div class="list-tools">
          <fieldset class="segments segments-small" aria-label="Order">
            {SORTS.map((one) => (
              <button
                type="button"
                key={one.sort}
                aria-pressed={sort === one.sort}
                onClick={() => setSort(one.sort)}
              >
                {one.name}
              </button>
            ))}
          </fieldset>
          <label class="since">
            New means not seen{" "}
            <select value={since} onChange={(event) => setSince(Number(event.currentTarget.value))}>
              {SINCE.map((one, index) => (
                <option key={one.name} value={index}>
                  {one.name}
                </option>
              ))}
            </select>
          </label>
        </div>
        <span class="panel-aside">{loaded.data && saidOf(loaded.data)}</span>
      </div>
      {asked.leftOut.length > 0 && (
        <p class="stats-note patterns-note">
          Patterns are known by stream and line: these are counted without{" "}
          {asked.leftOut.map((stage) => (
            <code key={stage}>{stage} </code>
          ))}
        </p>
      )}
      <Body
        of={loaded}
        height={320}
        isEmpty={(found) => found.patterns.length === 0}
        empty={
          <p>
            {off
              ? "The query has a mistake: see above."
              : "No lines match in this range. Try a longer one, or fewer conditions."}
          </p>
        }
      >
        {(found) => {
          const total = found.patterns.reduce((sum, one) => sum + one.count, 0);
          return (
            <ol class="pattern-list">
              {found.patterns.map((one) => {
                const key = one.pattern;
                return (
                  <Row
                    key={key}
                    of={one}
                    found={found}
                    total={total}
                    open={open === key}
                    onToggle={() => setOpen(open === key ? null : key)}
                    route={route}
                    actions={actions}
                  />
                );
              })}
            </ol>
          );
        }}
      </Body>
    </section>
  );
}
