// One correlation: spans, log lines and exemplars of one window of a trace on one timeline.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import {
  findCorrelations,
  getCorrelation,
  isBad,
  msOf,
  type Timeline,
  type TimelineEvent,
} from "../../api/correlate";
import { layLanes, type PlacedEvent } from "../../correlate/lanes";
import { count, dateTime, duration } from "../../format";
import { EventDetails } from "../../parts/eventdetails";
import { EventRow } from "../../parts/eventrow";
import { useKeys } from "../../parts/keys";
import { Body, Panel, Warnings } from "../../parts/panel";
import { type ListHandle, VirtualList } from "../../parts/virtual/list";
import { useLive } from "../../state/live";
import { go } from "../../state/route";
import {
  type CorrelationRoute,
  correlationRoute,
  correlationsRoute,
  type EventsShown,
  formatRoute,
  traceRoute,
} from "../../state/url";
import type { Stretch } from "../../traces/laid";
import "../../style/traces.css";
import "../../style/waterfall.css";
import "../../style/correlate.css";
import "../../style/correlation.css";
import { firstErrorOf, Head } from "./head";
import { Lanes } from "./lanes";

const SHOWN: readonly { show: EventsShown; name: string }[] = [
  { show: "all", name: "All" },
  { show: "spans", name: "Spans" },
  { show: "logs", name: "Lines" },
  { show: "errors", name: "Errors" },
];
const ROW_PX = 27;
const COVERED = 56 + 46;
/** Clocks are not better than this. */
const SKEW_SHOWN_MS = 1;

const KEYS: readonly (readonly [string, string])[] = [
  ["j k", "move"],
  ["Enter", "open"],
  ["e", "next error"],
  ["t", "times as sent"],
  ["z", "whole time"],
];

function wanted({ event, from, to }: PlacedEvent, route: CorrelationRoute, view: Stretch): boolean {
  if (route.service !== "" && event.service !== route.service) return false;
  if (to < view.from || from > view.to) return false;
  if (route.show === "all") return true;
  if (route.show === "errors") return isBad(event);
  return route.show === "spans" ? event.kind === "span" : event.kind === "log";
}

/** `+12.3 ms` after the beginning; before it with a minus. */
export function offsetText(ns: number): string {
  return `${ns < 0 ? "−" : "+"}${duration(Math.abs(ns) / 1e6)}`;
}

/** What there is to say of a service's clock, seen from the first service's. */
function clocksOf({ correlation, skew }: Timeline): Map<string, number> {
  const clocks = new Map<string, number>();
  for (const one of correlation.services)
    if (Math.abs(one.skewMs) >= SKEW_SHOWN_MS) clocks.set(one.service, one.skewMs);
  for (const one of skew)
    if (
      !clocks.has(one.server) &&
      Math.abs(one.offsetMs) >= SKEW_SHOWN_MS &&
      correlation.services.length === 0
    )
      clocks.set(one.server, one.offsetMs);
  return clocks;
}

function clockText(ms: number, sent: boolean): string {
  return `clock ${duration(Math.abs(ms))} ${ms > 0 ? "ahead" : "behind"}, ${sent ? "not corrected" : "corrected"}`;
}

function Skew({
  clocks,
  route,
  moved,
  marked,
}: {
  clocks: Map<string, number>;
  route: CorrelationRoute;
  moved: boolean;
  marked: boolean;
}) {
  if (clocks.size === 0 && !moved && !marked) return null;
  return (
    <div class="corr-skew">
      <p>
        {[...clocks].map(([service, ms], index) => (
          <span key={service}>
            {index > 0 && ", "}
            The clock of <b>{service}</b> is {duration(Math.abs(ms))} {ms > 0 ? "ahead" : "behind"}
          </span>
        ))}
        {clocks.size === 0 && "Clocks of these services differ"}
        {route.sent ? "; times are as they were sent." : "; times are corrected."}
      </p>
      <fieldset class="segments segments-small" aria-label="Times">
        {[false, true].map((sent) => (
          <button
            type="button"
            key={String(sent)}
            aria-pressed={route.sent === sent}
            onClick={() => go({ ...route, sent }, true)}
          >
            {sent ? "As sent" : "Corrected"}
          </button>
        ))}
      </fieldset>
    </div>
  );
}

function Loaded({ of, route, onReload }: { of: Timeline; route: CorrelationRoute; onReload: () => void }) {
  const { correlation, events } = of;
  const laned = useMemo(() => layLanes(events, correlation.services, route.sent, isBad), [of, route.sent]);
  const [view, setView] = useState<Stretch>(laned.axis);
  const [selected, setSelected] = useState("");
  const [open, setOpen] = useState("");
  const list = useRef<ListHandle | null>(null);
  useEffect(() => setView(laned.axis), [laned]);
  const rows = useMemo(
    () => laned.events.filter((one) => wanted(one, route, view)),
    [laned, route.service, route.show, view],
  );
  const places = useMemo(() => new Map(rows.map((one, at) => [one.event.key, at])), [rows]);
  const clocks = useMemo(() => clocksOf(of), [of]);
  const moved = useMemo(
    () => laned.events.some((one) => Math.abs(one.moved) >= SKEW_SHOWN_MS * 1e6),
    [laned],
  );

  // What is to be brought into view may only be there after a filter was taken away.
  const sought = useRef("");
  useEffect(() => {
    const at = sought.current === "" ? undefined : places.get(sought.current);
    if (at === undefined) return;
    sought.current = "";
    requestAnimationFrame(() => list.current?.show(at));
  });
  const reveal = (event: TimelineEvent | undefined): void => {
    if (!event) return;
    setSelected(event.key);
    sought.current = event.key;
    if (!places.has(event.key)) {
      setView(laned.axis);
      go({ ...route, service: "", show: "all" }, true);
    }
  };
  const toggle = (key: string): void => {
    setSelected(key);
    setOpen(open === key ? "" : key);
  };
  const step = (by: number): void => {
    const at = places.get(selected);
    const next = rows[at === undefined ? 0 : Math.min(rows.length - 1, Math.max(0, at + by))];
    if (!next) return;
    setSelected(next.event.key);
    list.current?.show(places.get(next.event.key) ?? 0);
  };
  const nextError = (): void => {
    const bad = laned.events.filter((one) => isBad(one.event));
    const at = bad.findIndex((one) => one.event.key === selected);
    reveal(bad[(at + 1) % Math.max(1, bad.length)]?.event);
  };
  useKeys({
    j: () => step(1),
    k: () => step(-1),
    ArrowDown: () => step(1),
    ArrowUp: () => step(-1),
    Enter: () => selected !== "" && toggle(selected),
    e: nextError,
    t: () => (moved || clocks.size > 0) && go({ ...route, sent: !route.sent }, true),
    z: () => setView(laned.axis),
    Escape: () => (open === "" ? setSelected("") : setOpen("")),
  });
  const inferred = events.filter((one) => !one.joined.certain).length;
  return (
    <>
      <Head
        of={of}
        onReload={onReload}
        onFirstError={() => reveal(firstErrorOf(of))}
        onWorst={() =>
          reveal(events.find((one) => one.kind === "span" && one.spanId === correlation.worstSpan?.spanId))
        }
      />
      <Skew clocks={clocks} route={route} moved={moved} marked={correlation.marks.includes("skewed")} />
      {of.truncated && (
        <Warnings
          of={[`The timeline has the ${count(events.length)} events that matter most; there are more.`]}
        />
      )}
      <section class="panel corr-panel" aria-label="Timeline">
        <Lanes
          laned={laned}
          view={view}
          onView={setView}
          selected={selected}
          onSelect={(key) => reveal(events.find((one) => one.key === key))}
          service={route.service}
          onService={(service) => go({ ...route, service }, true)}
          clockOf={(service) => {
            const ms = clocks.get(service);
            return ms === undefined ? "" : clockText(ms, route.sent);
          }}
        />
        <div class="corr-tools">
          <fieldset class="segments segments-small" aria-label="Rows">
            {SHOWN.map(({ show, name }) => (
              <button
                type="button"
                key={show}
                aria-pressed={route.show === show}
                onClick={() => go({ ...route, show }, true)}
              >
                {name}
              </button>
            ))}
          </fieldset>
          <span class="corr-shown">
            {count(rows.length)} of {count(events.length)} events
            {inferred > 0 && (
              <span class="corr-key" title="Joined without a trace id: likely, not certain">
                <i /> {count(inferred)} inferred
              </span>
            )}
          </span>
          <ul class="keys" aria-label="Keys">
            {KEYS.map(([key, what]) => (
              <li key={key}>
                <kbd>{key}</kbd> {what}
              </li>
            ))}
          </ul>
        </div>
        {rows.length === 0 && (
          <p class="more">
            {events.length === 0
              ? "Its spans and lines are no longer kept: this summary is all that is left."
              : "No event is like that."}
          </p>
        )}
        <VirtualList
          items={rows}
          keyOf={(one) => one.event.key}
          estimate={ROW_PX}
          row={(one) => (
            <EventRow
              event={one.event}
              when={offsetText(one.from)}
              whenTitle={dateTime(msOf(route.sent ? one.event.sentNs : one.event.atNs), true)}
              open={open === one.event.key}
              selected={selected === one.event.key}
              onToggle={() => toggle(one.event.key)}
            >
              <EventDetails event={one.event} />
            </EventRow>
          )}
          label="Events"
          class="events"
          layout={`${correlation.id} ${correlation.revision}`}
          covered={COVERED}
          onNearEnd={() => undefined}
          onWhere={() => undefined}
          handle={(handle) => {
            list.current = handle;
          }}
        />
      </section>
    </>
  );
}

const isTrace = (id: string): boolean => /^[0-9a-f]{32}$/.test(id);

/** By its own id, or the only one of a trace; null when there is none, "several" for a choice. */
async function lookUp(id: string, signal: AbortSignal): Promise<Timeline | "several" | null> {
  if (!isTrace(id)) return getCorrelation(id, signal);
  const sinceNs = BigInt(Date.now() - 90 * 86_400_000) * 1_000_000n;
  const filter = { ids: [{ kind: "trace_id" as const, value: id }], service: "", errors: false };
  const found = await findCorrelations(filter, { sinceNs }, 20, signal);
  const [only] = found;
  if (found.length > 1) return "several";
  return only ? getCorrelation(only.id, signal) : null;
}

function NotFound({ id }: { id: string }) {
  const trace = /^[0-9a-f]{32}/.exec(id)?.[0];
  return (
    <div class="empty">
      <p>
        <strong>{isTrace(id) ? "This trace has no correlation." : "No correlation with this id."}</strong>
      </p>
      <p>
        A trace's window is published when it closes, about a minute after its first item. One signal of one
        service is only counted: there is nothing to join. Correlations are kept for 90 days.
      </p>
      <p class="tries">
        {trace !== undefined && (
          <a class="button-quiet" href={formatRoute(traceRoute(trace))}>
            Open the trace
          </a>
        )}
        <a class="button-quiet" href={formatRoute(correlationsRoute())}>
          Newest correlations
        </a>
      </p>
    </div>
  );
}

/** The page. */
export function CorrelationPage({ route }: { route: CorrelationRoute }) {
  const [asked, setAsked] = useState(0);
  const loaded = useLive(`correlation ${route.id} ${asked}`, (signal) => lookUp(route.id, signal), "once");
  const { data } = loaded;
  useEffect(() => {
    if (data === "several")
      go(correlationsRoute([{ kind: "trace_id", value: route.id }], { last: 90 * 86_400 }), true);
    else if (data && isTrace(route.id)) go({ ...correlationRoute(data.correlation.id) }, true);
  }, [data]);
  return (
    <div class="explore correlation-page">
      <p class="back">
        <a href={formatRoute(correlationsRoute())}>← Correlations</a>
      </p>
      {data && data !== "several" ? (
        <Loaded key={data.correlation.id} of={data} route={route} onReload={() => setAsked(asked + 1)} />
      ) : (
        <>
          <h1 class="page-title">
            Correlation <code>{route.id}</code>
          </h1>
          <Panel title="Timeline">
            {data === null ? (
              <NotFound id={route.id} />
            ) : (
              <Body of={loaded} height={160} isEmpty={() => true} empty={<p>Laying out…</p>}>
                {() => null}
              </Body>
            )}
          </Panel>
        </>
      )}
    </div>
  );
}
