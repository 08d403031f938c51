// A correlation's events in lanes: one lane per service, its spans packed into rows, its lines and exemplars as ticks.
//
// Times are nanoseconds after the first event's, as numbers: a window is a minute or so. Either corrected ones, as the
// server made the clocks one, or as they were sent.
import type { Participant, TimelineEvent } from "../api/correlate";

/** An event and when it was. */
export interface PlacedEvent {
  readonly event: TimelineEvent;
  readonly from: number;
  /** `from` for all but spans. */
  readonly to: number;
  /** By how much it was moved from where it was sent, ns. */
  readonly moved: number;
}

/** A span in its lane. */
export interface Bar extends PlacedEvent {
  readonly row: number;
}

/** One service's lane. */
export interface Lane {
  readonly service: string;
  readonly rows: number;
  readonly bars: readonly Bar[];
  readonly ticks: readonly PlacedEvent[];
  readonly errors: number;
}

/** All of it. `axis` is never empty. */
export interface Laned {
  readonly events: readonly PlacedEvent[];
  readonly lanes: readonly Lane[];
  readonly axis: { readonly from: number; readonly to: number };
  /** Unix nanoseconds of time zero. */
  readonly baseNs: bigint;
}

/** More spans at once than this share the last row. */
const ROWS_MAX = 8;

/** Events at their times, in the order of time. */
export function placeEvents(
  events: readonly TimelineEvent[],
  sent: boolean,
): { placed: PlacedEvent[]; baseNs: bigint } {
  const when = (event: TimelineEvent): bigint => (sent ? event.sentNs : event.atNs);
  // The base is the same for both, so that switching between them moves only what was corrected.
  let baseNs: bigint | null = null;
  for (const event of events) if (baseNs === null || event.atNs < baseNs) baseNs = event.atNs;
  const base = baseNs ?? 0n;
  const placed = events.map((event): PlacedEvent => {
    const from = Number(when(event) - base);
    return { event, from, to: from + event.durationMs * 1e6, moved: Number(event.atNs - event.sentNs) };
  });
  // Parents before what they contain.
  placed.sort((a, b) => a.from - b.from || b.to - a.to);
  return { placed, baseNs: base };
}

function laneOf(service: string, placed: readonly PlacedEvent[], errors: number): Lane {
  const ends: number[] = [];
  const bars: Bar[] = [];
  for (const one of placed) {
    if (one.event.kind !== "span") continue;
    const free = ends.findIndex((end) => end <= one.from);
    const row = free >= 0 ? free : Math.min(ends.length, ROWS_MAX - 1);
    ends[row] = Math.max(ends[row] ?? 0, one.to);
    bars.push({ ...one, row });
  }
  const ticks = placed.filter((one) => one.event.kind !== "span");
  return { service, rows: Math.max(ends.length, 1), bars, ticks, errors };
}

/** Lays events out: lanes in the order of `services`, others after them as they appear. */
export function layLanes(
  events: readonly TimelineEvent[],
  services: readonly Participant[],
  sent: boolean,
  isBad: (event: TimelineEvent) => boolean,
): Laned {
  const { placed, baseNs } = placeEvents(events, sent);
  const byService = new Map<string, PlacedEvent[]>(services.map((one) => [one.service, []]));
  let [from, to] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const one of placed) {
    const list = byService.get(one.event.service);
    if (list) list.push(one);
    else byService.set(one.event.service, [one]);
    from = Math.min(from, one.from);
    to = Math.max(to, one.to);
  }
  const lanes = [...byService].map(([service, list]) =>
    laneOf(service, list, list.filter((one) => isBad(one.event)).length),
  );
  if (!Number.isFinite(from)) [from, to] = [0, 1];
  // What happens at the edges has room to be seen.
  const room = Math.max((to - from) * 0.01, 500);
  return { events: placed, lanes, axis: { from: from - room, to: to + room }, baseNs };
}
