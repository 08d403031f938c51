// The newest correlations, live: found by any id, by service, by failure.
import { useEffect, useRef, useState } from "preact/hooks";
import { count } from "../../format";
import { useKeys } from "../../parts/keys";
import { Panel, Trouble } from "../../parts/panel";
import { LONG_CHOICES, RangePicker, RangeSteps } from "../../parts/range";
import { type ListHandle, VirtualList } from "../../parts/virtual/list";
import { go } from "../../state/route";
import {
  type CorrelationsRoute,
  correlationRoute,
  correlationsRoute,
  formatRoute,
  storyRoute,
} from "../../state/url";
import "../../style/traces.css";
import "../../style/correlate.css";
import { type Choice, Finder, KEPT_SECONDS } from "./finder";
import type { FollowState } from "./following";
import { LIST_MAX, type Listed, useCorrelations } from "./loading";
import { NoneYet } from "./none";
import { CorrelationRow } from "./row";

const ROW_PX = 62;
/** New rows are marked for so long. */
const FRESH_MS = 4000;
/** What the page's own bar covers. */
const COVERED = 60;

const KEYS: readonly (readonly [string, string])[] = [
  ["/", "find"],
  ["j k", "move"],
  ["Enter", "open"],
  ["e", "errors"],
  ["p", "pause"],
];

function chosen(route: CorrelationsRoute, choice: Choice): void {
  if (choice.is === "correlation") go(correlationRoute(choice.correlation));
  else if (choice.is === "service") go({ ...route, service: choice.service });
  else {
    const ids = [...route.ids.filter((id) => id.kind !== choice.id.kind), choice.id];
    // What is looked for by its id may be of any time.
    go({ ...route, ids, range: "last" in route.range ? { last: KEPT_SECONDS } : route.range });
  }
}

/** What is filtered by; a click takes it away. */
function Filters({ route }: { route: CorrelationsRoute }) {
  if (route.ids.length === 0 && route.service === "") return null;
  return (
    <ul class="id-filters" aria-label="Filters">
      {route.ids.map((id) => (
        <li key={id.kind}>
          <span>
            <small>{id.kind}</small> <code>{id.value}</code>
          </span>
          <button
            type="button"
            aria-label={`Without ${id.kind}`}
            onClick={() => go({ ...route, ids: route.ids.filter((one) => one !== id) })}
          >
            ×
          </button>
        </li>
      ))}
      {route.service !== "" && (
        <li>
          <span>
            <small>service</small> <code>{route.service}</code>
          </span>
          <button type="button" aria-label="Of any service" onClick={() => go({ ...route, service: "" })}>
            ×
          </button>
        </li>
      )}
      {route.ids.map((id) => (
        <li key={`story ${id.kind}`} class="id-story">
          <a href={formatRoute(storyRoute(id))}>Story of this {id.kind.replaceAll("_", " ")}</a>
        </li>
      ))}
    </ul>
  );
}

function said(state: FollowState): string {
  if (state.paused) return state.waiting > 0 ? `Paused, ${count(state.waiting)} waiting` : "Paused";
  if (state.link === "open") return "Live";
  if (state.link === "polling") return "Asking every 5 s";
  return state.link === "lost" ? "Connection lost, trying again…" : "Connecting…";
}

function FollowBar({ state, onPause }: { state: FollowState; onPause: (on: boolean) => void }) {
  const look = state.paused ? "paused" : state.link === "polling" ? "waiting" : state.link;
  return (
    <span class={`follow follow-${look}`}>
      <span class="follow-state" aria-live="polite">
        {said(state)}
      </span>
      {state.missed > 0 && (
        <span class="is-warn" title="Too many at once, or the connection was away: asked for again">
          {count(state.missed)} missed
        </span>
      )}
      <button
        type="button"
        class="button-quiet"
        aria-pressed={state.paused}
        onClick={() => onPause(!state.paused)}
      >
        {state.paused ? "Resume" : "Pause"}
      </button>
    </span>
  );
}

function Nothing({ route }: { route: CorrelationsRoute }) {
  const filtered = route.ids.length > 0 || route.service !== "" || route.errors;
  const longer = "last" in route.range && route.range.last < KEPT_SECONDS;
  if (!filtered) return <NoneYet route={route} longer={longer} />;
  return (
    <>
      <p>
        <strong>No correlation is like that</strong> in this range. A window is published when it closes,
        about a minute after its first item.
      </p>
      <p class="tries">
        {longer && (
          <button
            type="button"
            class="button-quiet"
            onClick={() => go({ ...route, range: { last: KEPT_SECONDS } })}
          >
            Look back 90 days
          </button>
        )}
        {route.errors && (
          <button type="button" class="button-quiet" onClick={() => go({ ...route, errors: false })}>
            Also without errors
          </button>
        )}
        <button type="button" class="button-quiet" onClick={() => go(correlationsRoute([], route.range))}>
          Without filters
        </button>
        {route.ids.map((id) => (
          <a key={id.kind} class="button-quiet" href={formatRoute(storyRoute(id))}>
            Lines and spans of this {id.kind.replaceAll("_", " ")}
          </a>
        ))}
      </p>
    </>
  );
}

/** When each correlation was first seen here, but for those that were there from the beginning. */
function useFresh(list: Listed): (id: string) => boolean {
  const seen = useRef(new Map<string, number>());
  const [, again] = useState(0);
  const had = useRef(false);
  const now = Date.now();
  for (const one of list.all) {
    const key = `${one.id} ${one.revision}`;
    if (!seen.current.has(key)) seen.current.set(key, had.current ? now : 0);
  }
  if (!list.first) had.current = true;
  useEffect(() => {
    const timer = setTimeout(() => again((count) => count + 1), FRESH_MS);
    return () => clearTimeout(timer);
  }, [list.all]);
  return (key) => now - (seen.current.get(key) ?? 0) < FRESH_MS;
}

function List({ list, route }: { list: Listed; route: CorrelationsRoute }) {
  const [selected, setSelected] = useState("");
  const handle = useRef<ListHandle | null>(null);
  const isFresh = useFresh(list);
  const { all } = list;
  const longest = all.reduce((most, one) => Math.max(most, one.durationMs), 0);
  const step = (by: number): void => {
    const at = all.findIndex((one) => one.id === selected);
    const next = Math.min(all.length - 1, Math.max(0, at < 0 ? 0 : at + by));
    setSelected(all[next]?.id ?? "");
    handle.current?.show(next);
  };
  useKeys({
    j: () => step(1),
    k: () => step(-1),
    ArrowDown: () => step(1),
    ArrowUp: () => step(-1),
    Enter: () => selected !== "" && go(correlationRoute(selected)),
    Escape: () => setSelected(""),
  });
  return (
    <>
      <VirtualList
        items={all}
        keyOf={(one) => one.id}
        estimate={ROW_PX}
        row={(one) => (
          <CorrelationRow
            of={one}
            longest={longest}
            selected={one.id === selected}
            fresh={isFresh(`${one.id} ${one.revision}`)}
          />
        )}
        label="Correlations"
        class="corr-list"
        layout={formatRoute(route)}
        covered={COVERED}
        onNearEnd={list.loadMore}
        onWhere={() => undefined}
        handle={(next) => {
          handle.current = next;
        }}
      />
      {list.more === "loading" && <p class="more">Asking for older ones…</p>}
      {list.more instanceof Error && (
        <p class="more">
          {list.more.message}{" "}
          <button type="button" class="button-quiet" onClick={list.loadMore}>
            Ask again
          </button>
        </p>
      )}
      {all.length >= LIST_MAX && (
        <p class="more">The {count(LIST_MAX)} newest; a filter or a shorter range finds the others.</p>
      )}
    </>
  );
}

/** The page. */
export function CorrelationsPage({ route }: { route: CorrelationsRoute }) {
  const list = useCorrelations(route);
  const focus = useRef<() => void>(() => undefined);
  const { follow } = list;
  const setErrors = (): void => go({ ...route, errors: !route.errors });
  useKeys({
    "/": () => focus.current(),
    e: setErrors,
    p: () => follow && list.pause(!follow.paused),
  });
  const failed = list.all.filter((one) => one.hasError).length;
  return (
    <div class="explore correlations-page">
      <div class="corr-head">
        <h1 class="page-title">Correlations</h1>
        <Finder
          onChoose={(choice) => chosen(route, choice)}
          onFocusable={(next) => {
            focus.current = next;
          }}
        />
      </div>
      <Filters route={route} />
      <div class="tools">
        <RangePicker
          value={route.range}
          choices={LONG_CHOICES}
          onChange={(range) => go({ ...route, range })}
        />
        <RangeSteps value={route.range} onChange={(range) => go({ ...route, range })} />
        <button type="button" class="switch" aria-pressed={route.errors} title="e" onClick={setErrors}>
          Only with errors
        </button>
        <ul class="keys" aria-label="Keys">
          {KEYS.map(([key, what]) => (
            <li key={key}>
              <kbd>{key}</kbd> {what}
            </li>
          ))}
        </ul>
      </div>
      <Panel
        title="Newest"
        aside={
          <span class="list-aside">
            {list.all.length > 0 && (
              <span>
                <b>{count(list.all.length)}</b>
                {list.more === "done" ? "" : "+"} shown
                {failed > 0 && !route.errors && `, ${count(failed)} with errors`}
              </span>
            )}
            {follow && <FollowBar state={follow} onPause={list.pause} />}
          </span>
        }
      >
        <div class="body" style={{ minHeight: "160px" }}>
          {list.error && <Trouble error={list.error} atMs={list.all.length > 0 ? list.atMs : null} />}
          {list.first && !list.error && <p class="wait">Asking…</p>}
          {!list.first && list.all.length === 0 && !list.error && (
            <div class="empty">
              <Nothing route={route} />
            </div>
          )}
          {list.all.length > 0 && <List list={list} route={route} />}
        </div>
      </Panel>
    </div>
  );
}
