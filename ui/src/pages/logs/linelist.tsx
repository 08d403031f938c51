// The list of lines with its tools: what is on top, wrapping, UTC, following.
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ApiError } from "../../api/http";
import { type LogLine, lineService } from "../../api/loki";
import { count } from "../../format";
import { ALL_LINES, looser } from "../../logql/edit";
import { soughtBy } from "../../logql/highlight";
import { useKeys } from "../../parts/keys";
import { Body, Trouble, Warnings } from "../../parts/panel";
import { type ListHandle, VirtualList } from "../../parts/virtual/list";
import { go } from "../../state/route";
import type { LogsRoute } from "../../state/url";
import type { Actions } from "./actions";
import type { Lines } from "./lines";
import { LineRow } from "./row";
import { TailBar } from "./tailbar";

interface LineListProps {
  readonly lines: Lines;
  readonly route: LogsRoute;
  readonly actions: Actions;
  /** The query has a mistake that is said elsewhere. */
  readonly refused: boolean;
}

/** Pixels of a row that is not wrapped; the style sheet says the same. */
const ROW_PX = 24;
/** The bar over the list sticks under the page's own, pixels. */
const STICKY_PX = 100;

function Switch({
  name,
  on,
  title,
  onClick,
}: {
  name: string;
  on: boolean;
  title: string;
  onClick: () => void;
}) {
  return (
    <button type="button" class="switch" aria-pressed={on} title={title} onClick={onClick}>
      {name}
    </button>
  );
}

function Tools({ route }: { route: LogsRoute }) {
  const set = (next: Partial<LogsRoute>): void => go({ ...route, ...next }, true);
  return (
    <div class="list-tools">
      <fieldset class="segments segments-small" aria-label="On top">
        {(["newest", "oldest"] as const).map((order) => (
          <button
            type="button"
            key={order}
            aria-pressed={route.order === order}
            onClick={() => set({ order })}
          >
            {order === "newest" ? "Newest" : "Oldest"}
            <span class="wide-only"> first</span>
          </button>
        ))}
      </fieldset>
      <Switch
        name="Wrap"
        on={route.wrap}
        title="Break long lines (w)"
        onClick={() => set({ wrap: !route.wrap })}
      />
      <Switch name="UTC" on={route.utc} title="Times in UTC (u)" onClick={() => set({ utc: !route.utc })} />
    </div>
  );
}

function Nothing({ route, actions }: { route: LogsRoute; actions: Actions }) {
  const tries = looser(actions.query).slice(-4);
  const length = "last" in route.range ? route.range.last : route.range.to - route.range.from;
  const traced = /\|\s*trace_id\s*=\s*["`]([0-9a-f]+)["`]/.exec(actions.query);
  return (
    <>
      <p>
        No lines match in this range. {route.live ? "New ones appear here as they come." : null}
        {!route.live && (tries.length > 0 ? "Try a longer range, or fewer conditions:" : "Try a longer one:")}
      </p>
      <ul class="tries">
        {length < 86_400 && (
          <li>
            <button
              type="button"
              class="button-quiet"
              onClick={() => go({ ...route, range: { last: length < 21_600 ? 21_600 : 7 * 86_400 } })}
            >
              {length < 21_600 ? "The last 6 hours" : "The last 7 days"}
            </button>
          </li>
        )}
        {traced && (
          <li>
            <button
              type="button"
              class="button-quiet"
              onClick={() => actions.run(`{service_name=~".+"} |= "${traced[1]}"`)}
            >
              Any line that contains the trace id
            </button>
          </li>
        )}
        {tries.map((one) => (
          <li key={one.without}>
            <button type="button" class="button-quiet" onClick={() => actions.run(one.query)}>
              without <code>{one.without}</code>
            </button>
          </li>
        ))}
      </ul>
      {actions.query === ALL_LINES && (
        <p>
          How lines are sent here is on the <a href="#/">overview</a>.
        </p>
      )}
    </>
  );
}

function More({ lines, order }: { lines: Lines; order: LogsRoute["order"] }) {
  const { more, book, full } = lines;
  if (more instanceof ApiError)
    return (
      <div class="more">
        <Trouble error={more} />
        <button type="button" class="button-quiet" onClick={lines.loadMore}>
          Try again
        </button>
      </div>
    );
  if (full)
    return (
      <p class="more">
        {count(book.lines.length)} lines are as many as are kept here: choose a shorter range.
      </p>
    );
  if (book.complete) return <p class="more">That is all in this range.</p>;
  return (
    <p class="more">
      {more === "loading" ? `Asking for ${order === "newest" ? "older" : "newer"} lines…` : ""}
    </p>
  );
}

function aside(lines: Lines): string {
  const { book } = lines;
  if (book.lines.length === 0) return "";
  return `${count(book.lines.length)}${book.complete ? "" : " loaded, more as you scroll"}`;
}

/** The panel. */
export function LineList({ lines, route, actions, refused }: LineListProps) {
  const { book } = lines;
  const shown = useMemo(
    () => (route.order === "newest" ? book.lines : [...book.lines].reverse()),
    [book.lines, route.order],
  );
  const sought = useMemo(() => soughtBy(actions.query), [actions.query]);
  const named = useMemo(() => new Set(book.lines.slice(0, 2000).map(lineService)).size > 1, [book.lines]);
  const [open, setOpen] = useState<ReadonlySet<string>>(() => new Set(route.line === "" ? [] : [route.line]));
  const [selected, setSelected] = useState("");
  const [where, setWhere] = useState({ atFirst: true, atLast: false });
  const list = useRef<ListHandle | null>(null);
  const current = useRef({ open });
  current.current = { open };

  const toggle = useCallback((line: LogLine | undefined): void => {
    if (!line) return;
    const next = new Set(current.current.open);
    if (!next.delete(line.id)) next.add(line.id);
    setOpen(next);
    setSelected(line.id);
  }, []);
  const move = (by: number): void => {
    const from = shown.findIndex((line) => line.id === selected);
    const to = Math.min(Math.max(0, from + by), shown.length - 1);
    setSelected(shown[to]?.id ?? "");
    list.current?.show(to);
  };
  useKeys({
    j: () => move(1),
    k: () => move(-1),
    Enter: () => toggle(shown.find((line) => line.id === selected)),
    Escape: () => setOpen(new Set()),
    w: () => go({ ...route, wrap: !route.wrap }, true),
    u: () => go({ ...route, utc: !route.utc }, true),
    g: () => list.current?.toEdge("first"),
    G: () => list.current?.toEdge("last"),
  });

  // A linked line is brought into view once it is here.
  const linked = useRef("");
  useEffect(() => {
    if (route.line === "" || linked.current === route.line) return;
    const index = shown.findIndex((line) => line.id === route.line);
    if (index < 0) return;
    linked.current = route.line;
    setOpen(new Set([route.line]));
    setSelected(route.line);
    list.current?.show(index);
  }, [shown, route.line]);

  // Following with the newest below keeps the end in view for as long as the reader stays there.
  const following = lines.tail !== null && (route.order === "newest" ? where.atFirst : where.atLast);
  useEffect(() => {
    if (following && route.order === "oldest") list.current?.toEdge("last");
  }, [shown]);

  return (
    <section class="panel line-list" aria-label="Log lines">
      <div class={`list-head ${where.atFirst ? "" : "is-stuck"}`}>
        <h3>Log lines</h3>
        <Tools route={route} />
        <span class="panel-aside">{aside(lines)}</span>
        {lines.tail && (
          <TailBar
            state={lines.tail}
            following={following}
            onPause={lines.pause}
            onFollow={() => list.current?.toEdge(route.order === "newest" ? "first" : "last")}
          />
        )}
      </div>
      <Warnings of={lines.warnings} />
      {refused ? (
        <div class="body body-wait" style={{ minHeight: "200px" }}>
          <p class="wait">The query has a mistake: see above.</p>
        </div>
      ) : (
        <Body
          of={{
            data: lines.first ? undefined : shown,
            error: lines.error,
            atMs: null,
            loading: lines.loading,
          }}
          height={320}
          isEmpty={(all) => all.length === 0}
          empty={<Nothing route={route} actions={actions} />}
        >
          {(all) => (
            <>
              <VirtualList
                items={all}
                keyOf={(line) => line.id}
                estimate={ROW_PX}
                layout={route.wrap ? "wrap" : "cut"}
                class={`entries ${route.wrap ? "is-wrapped" : ""}`}
                label="Log lines"
                covered={STICKY_PX}
                onNearEnd={lines.loadMore}
                onWhere={(next) =>
                  setWhere((old) => (old.atFirst === next.atFirst && old.atLast === next.atLast ? old : next))
                }
                handle={(handle) => {
                  list.current = handle;
                }}
                row={(line) => (
                  <LineRow
                    line={line}
                    lines={book.lines}
                    route={route}
                    actions={actions}
                    sought={sought}
                    named={named}
                    open={open.has(line.id)}
                    selected={line.id === selected}
                    onToggle={() => toggle(line)}
                  />
                )}
              />
              {lines.tail === null && <More lines={lines} order={route.order} />}
            </>
          )}
        </Body>
      )}
      {!where.atFirst && (
        <button type="button" class="button to-top" onClick={() => list.current?.toEdge("first")}>
          ↑ Top
        </button>
      )}
    </section>
  );
}
