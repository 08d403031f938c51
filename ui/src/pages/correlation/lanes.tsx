// Lanes: who did what when. A bar is a span, a tick a line, a diamond an exemplar; dashed is what was inferred.
import { useRef, useState } from "preact/hooks";
import { isBad } from "../../api/correlate";
import { serviceColour } from "../../correlate/colours";
import { inferredText } from "../../correlate/joined";
import type { Lane, Laned, PlacedEvent } from "../../correlate/lanes";
import { duration } from "../../format";
import type { Stretch } from "../../traces/laid";
import { marks, within } from "../../traces/shown";

/** Marks of one lane: more could not be told apart, and a page of them is slow. */
const BARS_MAX = 600;
const TICKS_MAX = 600;
const BAR_PX = 13;
const TICK_PX = 15;
/** Less than this, pixels, is a click. */
const DRAG_MIN = 5;

interface LanesProps {
  readonly laned: Laned;
  readonly view: Stretch;
  readonly onView: (view: Stretch) => void;
  readonly selected: string;
  readonly onSelect: (key: string) => void;
  /** Only this service is looked at; empty for all. */
  readonly service: string;
  readonly onService: (service: string) => void;
  /** What there is to say of a service's clock. */
  readonly clockOf: (service: string) => string;
}

function titleOf({ event, from, to }: PlacedEvent): string {
  const what =
    event.kind === "span"
      ? `${event.name} (${duration((to - from) / 1e6)})${event.failed ? ` failed ${event.message}` : ""}`
      : event.kind === "log"
        ? `${event.level === "unknown" ? "" : `${event.level}: `}${event.line.slice(0, 300)}`
        : `${event.series} = ${event.value}`;
  const inferred = inferredText(event.joined);
  return `+${duration(Math.max(0, from) / 1e6)} ${event.service}\n${what}${inferred === "" ? "" : `\n${inferred}`}`;
}

/** The longest bars that are in view, in the order of time; ticks at most one a place, the worst. */
function barsIn(lane: Lane, view: Stretch): readonly Lane["bars"][number][] {
  const seen = lane.bars.filter((bar) => within(view, bar.from, bar.to));
  if (seen.length <= BARS_MAX) return seen;
  const kept = [...seen].sort((a, b) => b.to - b.from - (a.to - a.from)).slice(0, BARS_MAX);
  return [...kept, ...seen.filter((bar) => bar.event.failed).slice(0, BARS_MAX)].sort(
    (a, b) => a.from - b.from,
  );
}

function ticksIn(lane: Lane, view: Stretch): readonly PlacedEvent[] {
  const seen = lane.ticks.filter((tick) => within(view, tick.from, tick.to));
  if (seen.length <= TICKS_MAX) return seen;
  const slots = new Map<number, PlacedEvent>();
  for (const tick of seen) {
    const slot = Math.floor(((tick.from - view.from) / (view.to - view.from)) * TICKS_MAX);
    const old = slots.get(slot);
    if (!old || (isBad(tick.event) && !isBad(old.event))) slots.set(slot, tick);
  }
  return [...slots.values()];
}

function Track({
  lane,
  view,
  selected,
  onSelect,
}: { lane: Lane } & Pick<LanesProps, "view" | "selected" | "onSelect">) {
  const tall = lane.rows * BAR_PX + (lane.ticks.length > 0 ? TICK_PX : 0) + 8;
  const colour = serviceColour(lane.service);
  return (
    <div class="lane-track" style={{ height: `${tall}px`, "--service": colour }}>
      {barsIn(lane, view).map((bar) => {
        const place = within(view, bar.from, bar.to);
        if (!place) return null;
        const { key, failed, joined } = bar.event;
        const classes = [
          "lane-bar",
          failed && "is-failed",
          !joined.certain && "is-inferred",
          key === selected && "is-selected",
        ];
        return (
          <button
            type="button"
            tabIndex={-1}
            key={key}
            class={classes.filter(Boolean).join(" ")}
            style={{
              left: `${place.left * 100}%`,
              width: `${place.width * 100}%`,
              top: `${4 + bar.row * BAR_PX}px`,
            }}
            title={titleOf(bar)}
            aria-label={titleOf(bar)}
            onClick={() => onSelect(key)}
          />
        );
      })}
      {ticksIn(lane, view).map((tick) => {
        const place = within(view, tick.from, tick.to);
        if (!place) return null;
        const { key, kind, level, joined } = tick.event;
        const classes = [
          kind === "exemplar" ? "lane-diamond" : `lane-tick level-${level}`,
          !joined.certain && "is-inferred",
          key === selected && "is-selected",
        ];
        return (
          <button
            type="button"
            tabIndex={-1}
            key={key}
            class={classes.filter(Boolean).join(" ")}
            style={{ left: `${place.left * 100}%`, top: `${tall - TICK_PX - 2}px` }}
            title={titleOf(tick)}
            aria-label={titleOf(tick)}
            onClick={() => onSelect(key)}
          />
        );
      })}
    </div>
  );
}

/** The lanes. Dragging over them chooses a stretch of time. */
export function Lanes(props: LanesProps) {
  const { laned, view, onView, selected, service, onService, clockOf } = props;
  const area = useRef<HTMLDivElement>(null);
  const [drag, setDrag] = useState<{ from: number; to: number } | null>(null);
  const shareAt = (event: PointerEvent): number => {
    const box = area.current?.querySelector(".lane-ruler")?.getBoundingClientRect();
    return box ? Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) : 0;
  };
  const timeAt = (share: number): number => view.from + share * (view.to - view.from);
  const chosen = laned.events.find((one) => one.event.key === selected);
  const cursor = chosen && within(view, chosen.from, chosen.to);
  const isWhole = view.from === laned.axis.from && view.to === laned.axis.to;
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: dragging is a shortcut; rows below tell the same by keyboard
    <div
      class="lanes"
      ref={area}
      onPointerDown={(event) => {
        if (event.button !== 0 || event.pointerType === "touch") return;
        const target = event.target as HTMLElement;
        if (target.closest(".lane-name") || !target.closest(".lane-track, .lane-ruler")) return;
        const at = shareAt(event);
        setDrag({ from: at, to: at });
      }}
      onPointerMove={(event) => drag && setDrag({ from: drag.from, to: shareAt(event) })}
      onPointerUp={() => {
        if (!drag) return;
        setDrag(null);
        const [from, to] = [Math.min(drag.from, drag.to), Math.max(drag.from, drag.to)];
        const wide = area.current?.querySelector(".lane-ruler")?.clientWidth ?? 1;
        if ((to - from) * wide >= DRAG_MIN) onView({ from: timeAt(from), to: timeAt(to) });
      }}
      onPointerLeave={() => setDrag(null)}
      onDblClick={() => onView(laned.axis)}
    >
      <div class="lane lane-head">
        <span class="lane-name">
          {!isWhole && (
            <button type="button" class="button-quiet" title="z" onClick={() => onView(laned.axis)}>
              Whole time
            </button>
          )}
        </span>
        <div class="lane-ruler" aria-hidden="true">
          {marks(view, 5)
            .filter((at) => (at - view.from) / (view.to - view.from) < 0.95)
            .map((at) => (
              <span key={at} style={{ left: `${((at - view.from) / (view.to - view.from)) * 100}%` }}>
                {at === 0 ? "0" : at < 0 ? `−${duration(-at / 1e6)}` : duration(at / 1e6)}
              </span>
            ))}
        </div>
      </div>
      {laned.lanes.map((lane) => {
        const clock = clockOf(lane.service);
        return (
          <div
            class={`lane ${service !== "" && service !== lane.service ? "is-dimmed" : ""}`}
            key={lane.service}
          >
            <button
              type="button"
              class="lane-name"
              aria-pressed={service === lane.service}
              title={service === lane.service ? "Show all services" : `Only ${lane.service}`}
              onClick={() => onService(service === lane.service ? "" : lane.service)}
            >
              <span>
                <i class="dot" style={{ "--dot": serviceColour(lane.service) }} />
                <b>{lane.service || "unknown"}</b>
                {lane.errors > 0 && <em>{lane.errors}</em>}
              </span>
              {clock !== "" && <small title={clock}>{clock}</small>}
            </button>
            <Track lane={lane} view={view} selected={selected} onSelect={props.onSelect} />
          </div>
        );
      })}
      <div class="lanes-over" aria-hidden="true">
        {cursor && <i class="lane-cursor" style={{ left: `${cursor.left * 100}%` }} />}
        {drag && (
          <i
            class="lane-brush"
            style={{
              left: `${Math.min(drag.from, drag.to) * 100}%`,
              width: `${Math.abs(drag.to - drag.from) * 100}%`,
            }}
          />
        )}
      </div>
    </div>
  );
}
