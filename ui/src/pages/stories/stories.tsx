// A story: everything about one id, over traces, services and nodes, in the order in which it happened.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { getStory, msOf, type Story } from "../../api/correlate";
import { serviceColour } from "../../correlate/colours";
import { BUSINESS_KINDS, ID_KINDS } from "../../correlate/kinds";
import { type Chapter, chaptersOf, gapText, type StoryRow, storyRows } from "../../correlate/story";
import { clock, count, dateTime, duration } from "../../format";
import { Chain } from "../../parts/chain";
import { EventDetails } from "../../parts/eventdetails";
import { EventRow } from "../../parts/eventrow";
import { useKeys } from "../../parts/keys";
import { Body, Panel, Warnings } from "../../parts/panel";
import { LONG_CHOICES, RangePicker, RangeSteps } from "../../parts/range";
import { type ListHandle, VirtualList } from "../../parts/virtual/list";
import { useLive } from "../../state/live";
import { go } from "../../state/route";
import {
  correlationRoute,
  correlationsRoute,
  formatRoute,
  type StoriesRoute,
  storyRoute,
  traceRoute,
} from "../../state/url";
import "../../style/traces.css";
import "../../style/correlate.css";
import { type Choice, Finder, KEPT_SECONDS } from "../correlations/finder";
import { timesOf } from "../correlations/loading";

const EVENTS_MAX = 2000;
const ROW_PX = 27;
const COVERED = 60;
/** More chapters than this are folded, but for those with errors and the first. */
const OPEN_MAX = 6;
/** Clocks differ: what is dated a little ahead is part of the story. */
const AHEAD_NS = 3_600_000_000_000n;

const KEYS: readonly (readonly [string, string])[] = [
  ["j k", "move"],
  ["Enter", "open"],
  ["f", "fold all"],
];

const many = (of: number, one: string): string => `${count(of)} ${one}${of === 1 ? "" : "s"}`;

function ChapterHead({
  chapter,
  folded,
  selected,
  onFold,
}: {
  chapter: Chapter;
  folded: boolean;
  selected: boolean;
  onFold: () => void;
}) {
  const { correlation, traceId, services } = chapter;
  const startMs = msOf(chapter.startNs);
  return (
    <div class={`chapter ${folded ? "is-folded" : ""} ${selected ? "is-selected" : ""}`}>
      <button
        type="button"
        class="fold"
        aria-expanded={!folded}
        aria-label={`${folded ? "Unfold" : "Fold"} what happened at ${dateTime(startMs)}`}
        onClick={onFold}
      />
      <time title={dateTime(startMs, true)}>{dateTime(startMs)}</time>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: the button in the row does the same for the keyboard */}
      {/* biome-ignore lint/a11y/useKeyWithClickEvents: the button in the row does the same for the keyboard */}
      <span class="chapter-who" onClick={onFold}>
        <Chain services={correlation ? correlation.services : services} colourOf={serviceColour} />
      </span>
      <span class="corr-counts">
        {traceId === "" && <i>without a trace</i>}
        <span>{many(chapter.events.length, "event")}</span>
        {chapter.inferred > 0 && <i>{count(chapter.inferred)} inferred</i>}
        {chapter.errors > 0 && <em>{many(chapter.errors, "error")}</em>}
        <b>{duration(Number(chapter.endNs - chapter.startNs) / 1e6)}</b>
      </span>
      <span class="chapter-links">
        {correlation && (
          <a class="button-quiet" href={formatRoute(correlationRoute(correlation.id))}>
            Correlation
          </a>
        )}
        {traceId !== "" && (
          <a class="button-quiet to-trace" href={formatRoute(traceRoute(traceId))}>
            Trace
          </a>
        )}
      </span>
    </div>
  );
}

function foldedAtFirst(chapters: readonly Chapter[]): ReadonlySet<string> {
  if (chapters.length <= OPEN_MAX) return new Set();
  return new Set(chapters.filter((one, at) => at > 0 && one.errors === 0).map((one) => one.key));
}

function Facts({ story, chapters }: { story: Story; chapters: readonly Chapter[] }) {
  const [first, last] = [chapters[0], chapters.at(-1)];
  if (!first || !last) return null;
  const endNs = chapters.reduce((end, one) => (one.endNs > end ? one.endNs : end), last.endNs);
  const errors = chapters.reduce((sum, one) => sum + one.errors, 0);
  const inferred = chapters.reduce((sum, one) => sum + one.inferred, 0);
  return (
    <p class="details-facts story-facts">
      <span>
        <b>{many(story.events.length, "event")}</b>
      </span>
      <span>{many(story.traces.length, "trace")}</span>
      <span title={story.services.join(", ")}>{many(story.services.length, "service")}</span>
      {story.nodes.length > 0 && (
        <span title={story.nodes.join(", ")}>
          on {story.nodes.length <= 3 ? story.nodes.join(", ") : many(story.nodes.length, "node")}
        </span>
      )}
      {errors > 0 && <em>{many(errors, "error")}</em>}
      {inferred > 0 && <span>{count(inferred)} inferred</span>}
      <span>
        {dateTime(msOf(first.startNs))} –{" "}
        {sameDay(first.startNs, endNs) ? clock(msOf(endNs)) : dateTime(msOf(endNs))}
      </span>
    </p>
  );
}

function sameDay(a: bigint, b: bigint): boolean {
  return new Date(msOf(a)).toDateString() === new Date(msOf(b)).toDateString();
}

function Told({ story, route }: { story: Story; route: StoriesRoute }) {
  const chapters = useMemo(() => chaptersOf(story.events, story.correlations), [story]);
  const [folded, setFolded] = useState(() => foldedAtFirst(chapters));
  const [selected, setSelected] = useState("");
  const [open, setOpen] = useState("");
  const list = useRef<ListHandle | null>(null);
  const rows = useMemo(() => storyRows(chapters, folded), [chapters, folded]);
  const fold = (key: string): void => {
    setSelected(key);
    const next = new Set(folded);
    if (!next.delete(key)) next.add(key);
    setFolded(next);
  };
  const act = (row: StoryRow | undefined): void => {
    if (!row || row.is === "gap") return;
    if (row.is === "chapter") fold(row.key);
    else {
      setSelected(row.key);
      setOpen(open === row.key ? "" : row.key);
    }
  };
  const step = (by: number): void => {
    const at = rows.findIndex((row) => row.key === selected);
    let next = at < 0 ? 0 : at + by;
    while (rows[next]?.is === "gap") next += by;
    const row = rows[next];
    if (!row) return;
    setSelected(row.key);
    list.current?.show(next);
  };
  const foldAll = (): void =>
    setFolded(folded.size > 0 ? new Set() : new Set(chapters.map((chapter) => chapter.key)));
  useKeys({
    j: () => step(1),
    k: () => step(-1),
    ArrowDown: () => step(1),
    ArrowUp: () => step(-1),
    Enter: () => act(rows.find((row) => row.key === selected)),
    f: foldAll,
    Escape: () => (open === "" ? setSelected("") : setOpen("")),
  });
  return (
    <>
      <div class="story-head">
        <Facts story={story} chapters={chapters} />
        {chapters.length > 1 && (
          <button type="button" class="button-quiet" title="f" onClick={foldAll}>
            {folded.size > 0 ? "Unfold all" : "Fold all"}
          </button>
        )}
        <ul class="legend" aria-label="Services">
          {story.services.map((service) => (
            <li key={service} style={{ "--dot": serviceColour(service) }}>
              {service || "unknown"}
            </li>
          ))}
        </ul>
      </div>
      {story.truncated && (
        <Warnings
          of={["There is more to this story than is shown; a shorter range tells a part of it in full."]}
        />
      )}
      <VirtualList
        items={rows}
        keyOf={(row) => row.key}
        estimate={ROW_PX}
        row={(row) => {
          if (row.is === "gap")
            return (
              <p class={`story-gap ${row.within ? "is-within" : ""}`}>
                <span>{gapText(row.ms)}</span>
              </p>
            );
          if (row.is === "chapter")
            return (
              <ChapterHead
                chapter={row.chapter}
                folded={row.folded}
                selected={selected === row.key}
                onFold={() => fold(row.key)}
              />
            );
          return (
            <div class={`in-chapter ${row.event === row.chapter.events.at(-1) ? "is-last" : ""}`}>
              <EventRow
                event={row.event}
                when={clock(msOf(row.event.atNs), true)}
                whenTitle={dateTime(msOf(row.event.sentNs), true)}
                open={open === row.key}
                selected={selected === row.key}
                onToggle={() => act(row)}
              >
                <EventDetails event={row.event} />
              </EventRow>
            </div>
          );
        }}
        label="Events"
        class="events story"
        layout={formatRoute(route)}
        covered={COVERED}
        onNearEnd={() => undefined}
        onWhere={() => undefined}
        handle={(handle) => {
          list.current = handle;
        }}
      />
    </>
  );
}

function Nothing({ route }: { route: StoriesRoute }) {
  const longer = "last" in route.range && route.range.last < KEPT_SECONDS;
  return (
    <>
      <p>
        <strong>Nothing is known of this in this range.</strong> Ids are found in metadata, labels, JSON,
        logfmt and text of lines and in attributes of spans, in any usual spelling, from the time that Bramble
        began to look.
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
        <a class="button-quiet" href={formatRoute(correlationsRoute())}>
          Newest correlations
        </a>
      </p>
    </>
  );
}

/** The page. */
export function StoriesPage({ route }: { route: StoriesRoute }) {
  const focus = useRef<() => void>(() => undefined);
  const key = `story ${JSON.stringify([route.ids, route.range])}`;
  const loaded = useLive(
    key,
    async (signal): Promise<Story | null> => {
      if (route.ids.length === 0) return null;
      const times = timesOf(route.range, Date.now());
      const untilNs = times.untilNs ?? BigInt(Date.now()) * 1_000_000n + AHEAD_NS;
      return getStory(route.ids, { sinceNs: times.sinceNs, untilNs }, EVENTS_MAX, signal);
    },
    "once",
  );
  useKeys({ "/": () => focus.current() });
  const choose = (choice: Choice): void => {
    if (choice.is === "correlation") go(correlationRoute(choice.correlation));
    else if (choice.is === "service") go({ ...correlationsRoute(), service: choice.service });
    else go({ ...storyRoute(choice.id), range: route.range });
  };
  useEffect(() => {
    if (route.ids.length === 0) focus.current();
  }, []);
  return (
    <div class="explore stories-page">
      <p class="back">
        <a href={formatRoute(correlationsRoute(route.ids.slice(0, 1)))}>← Correlations</a>
      </p>
      <div class="corr-head">
        <h1 class="page-title">
          Story{" "}
          {route.ids.map((id) => (
            <span key={id.kind}>
              of {id.kind.replace(/_id$/, "").replaceAll("_", " ")} <code>{id.value}</code>{" "}
            </span>
          ))}
        </h1>
        <Finder
          onChoose={choose}
          placeholder="Another id, or key=value"
          onFocusable={(next) => {
            focus.current = next;
          }}
        />
      </div>
      <div class="tools">
        <RangePicker
          value={route.range}
          choices={LONG_CHOICES}
          onChange={(range) => go({ ...route, range })}
        />
        <RangeSteps value={route.range} onChange={(range) => go({ ...route, range })} />
        <ul class="keys" aria-label="Keys">
          {KEYS.map(([name, what]) => (
            <li key={name}>
              <kbd>{name}</kbd> {what}
            </li>
          ))}
        </ul>
      </div>
      <Panel title="What happened" class="story-panel">
        <Body
          of={loaded}
          height={160}
          isEmpty={(story) => story === null || story.events.length === 0}
          empty={
            route.ids.length === 0 ? (
              <p>
                <strong>A story is about an id:</strong> {BUSINESS_KINDS.join(", ")}, or a {ID_KINDS[0]}.
                Paste one above; it is told over all traces, services and nodes that name it.
              </p>
            ) : (
              <Nothing route={route} />
            )
          }
        >
          {(story) => story && <Told key={key} story={story} route={route} />}
        </Body>
      </Panel>
    </div>
  );
}
