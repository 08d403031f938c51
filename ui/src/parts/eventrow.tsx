// A span, a line or an exemplar as one row: when, whose, what; what was inferred says so.
import type { ComponentChildren } from "preact";
import "../style/events.css";
import type { TimelineEvent } from "../api/correlate";
import { serviceColour } from "../correlate/colours";
import { inferredText } from "../correlate/joined";
import { duration, sample } from "../format";

interface EventRowProps {
  readonly event: TimelineEvent;
  /** What stands first: an offset or a time of day. */
  readonly when: string;
  readonly whenTitle: string;
  readonly open: boolean;
  readonly selected: boolean;
  readonly onToggle: () => void;
  readonly children?: ComponentChildren;
}

const SHOWN_MAX = 600;

function What({ event }: { event: TimelineEvent }) {
  if (event.kind === "span")
    return (
      <>
        <b>{event.name || "span"}</b>
        {event.failed && <span class="is-bad"> {event.message || "failed"}</span>}
      </>
    );
  if (event.kind === "exemplar")
    return (
      <>
        <b>{sample(event.value)}</b> {event.series}
      </>
    );
  return <>{event.line.length > SHOWN_MAX ? `${event.line.slice(0, SHOWN_MAX)}…` : event.line}</>;
}

function kindOf(event: TimelineEvent): string {
  if (event.kind === "span") return event.spanKind === "" ? "span" : event.spanKind;
  if (event.kind === "exemplar") return "exemplar";
  return event.level === "unknown" ? "log" : event.level;
}

/** The row; below it what is given, when it is open. */
export function EventRow({ event, when, whenTitle, open, selected, onToggle, children }: EventRowProps) {
  const inferred = inferredText(event.joined);
  const classes = [
    "event",
    `event-${event.kind}`,
    event.kind === "log" ? `level-${event.level}` : "",
    event.failed ? "is-failed" : "",
    inferred === "" ? "" : "is-inferred",
    selected ? "is-selected" : "",
    open ? "is-open" : "",
  ];
  return (
    <div class={classes.join(" ")} style={{ "--service": serviceColour(event.service) }}>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: the button in the row does the same for the keyboard */}
      {/* biome-ignore lint/a11y/useKeyWithClickEvents: the button in the row does the same for the keyboard */}
      <div
        class="event-row"
        onClick={(click) => {
          const target = click.target as HTMLElement;
          if (!target.closest("a, button") && (getSelection()?.toString() ?? "") === "") onToggle();
        }}
      >
        <button
          type="button"
          class="event-open"
          aria-expanded={open}
          aria-label={`${open ? "Close" : "Open"} ${kindOf(event)} of ${event.service} at ${when}`}
          onClick={onToggle}
        />
        <time title={whenTitle}>{when}</time>
        <span
          class="event-service"
          title={event.node === "" ? event.service : `${event.service} on ${event.node}`}
        >
          <i class="dot" style={{ "--dot": "var(--service)" }} />
          {event.service || "unknown"}
        </span>
        <span class="event-kind">{kindOf(event)}</span>
        <span class="event-what">
          <What event={event} />
          {inferred !== "" && <span class="mark mark-inferred">{inferred}</span>}
        </span>
        <span class="event-length">{event.kind === "span" ? duration(event.durationMs) : ""}</span>
      </div>
      {open && children}
    </div>
  );
}
