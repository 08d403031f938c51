// A story as chapters: what belongs to one trace stands together, what names no trace stands where it happened.
import { type Correlation, isBad, type Participant, type TimelineEvent } from "../api/correlate";
import { duration, span } from "../format";

/** Events of one trace, or a run of events without one, in the order of time. */
export interface Chapter {
  readonly key: string;
  /** Empty for events that name no trace. */
  readonly traceId: string;
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly events: readonly TimelineEvent[];
  /** In the order in which they appear. */
  readonly services: readonly Participant[];
  readonly errors: number;
  readonly inferred: number;
  /** The correlation that tells of the same. */
  readonly correlation: Correlation | null;
}

/** A row of the page. */
export type StoryRow =
  | { readonly is: "gap"; readonly key: string; readonly ms: number; readonly within: boolean }
  | { readonly is: "chapter"; readonly key: string; readonly chapter: Chapter; readonly folded: boolean }
  | { readonly is: "event"; readonly key: string; readonly chapter: Chapter; readonly event: TimelineEvent };

/** The same trace after so long is a chapter of its own. */
const TRACE_GAP_NS = 300_000_000_000n;
/** Events without a trace that are further apart are told apart. */
const LOOSE_GAP_NS = 60_000_000_000n;
/** Shorter silence within a chapter is not worth a word. */
const SILENCE_MS = 1000;

/** An inferred event belongs to a trace that was at most this far away; so many of the last are looked at. */
const AROUND_NS = 1_000_000_000n;
const AROUND_MAX = 16;

const endOf = (event: TimelineEvent): bigint => event.atNs + BigInt(Math.round(event.durationMs * 1e6));

interface Draft {
  readonly traceId: string;
  readonly events: TimelineEvent[];
  startNs: bigint;
  endNs: bigint;
}

function participants(events: readonly TimelineEvent[]): Participant[] {
  const found = new Map<
    string,
    { service: string; node: string; logs: number; spans: number; errors: number }
  >();
  for (const event of events) {
    const one = found.get(event.service) ?? {
      service: event.service,
      node: event.node,
      logs: 0,
      spans: 0,
      errors: 0,
    };
    if (event.kind === "log") one.logs += 1;
    if (event.kind === "span") one.spans += 1;
    if (isBad(event)) one.errors += 1;
    found.set(event.service, one);
  }
  return [...found.values()].map((one) => ({ ...one, env: "", skewMs: 0 }));
}

/** The correlation of a draft's trace and time; any of its trace when none fits. */
function tellsOf(draft: Draft, correlations: readonly Correlation[]): Correlation | null {
  if (draft.traceId === "") return null;
  const same = correlations.filter((one) => one.traceId === draft.traceId);
  const fits = same.find((one) => {
    const endNs = one.startNs + BigInt(Math.round((one.durationMs + one.windowSeconds * 1000) * 1e6));
    return one.startNs <= draft.endNs && draft.startNs <= endNs;
  });
  return fits ?? same[0] ?? null;
}

/** The one trace that an inferred event without a trace happened in; none where there are several, or none. */
function around(event: TimelineEvent, drafts: readonly Draft[]): Draft | undefined {
  if (event.joined.certain || event.traceId !== "") return undefined;
  const near = drafts
    .slice(-AROUND_MAX)
    .filter(
      (one) =>
        one.traceId !== "" && event.atNs >= one.startNs - AROUND_NS && event.atNs <= one.endNs + AROUND_NS,
    );
  return near.length === 1 ? near[0] : undefined;
}

/** Chapters in the order of their beginnings. */
export function chaptersOf(
  events: readonly TimelineEvent[],
  correlations: readonly Correlation[],
): Chapter[] {
  const drafts: Draft[] = [];
  const open = new Map<string, Draft>();
  const ordered = [...events].sort((a, b) => (a.atNs < b.atNs ? -1 : a.atNs > b.atNs ? 1 : 0));
  for (const event of ordered) {
    const within = around(event, drafts);
    if (within) {
      within.events.push(event);
      continue;
    }
    const old = open.get(event.traceId);
    const patience = event.traceId === "" ? LOOSE_GAP_NS : TRACE_GAP_NS;
    // A trace that began meanwhile ends a run of events without one.
    const cut = event.traceId === "" && drafts.at(-1) !== old;
    if (old && !cut && event.atNs - old.endNs <= patience) {
      old.events.push(event);
      if (endOf(event) > old.endNs) old.endNs = endOf(event);
      continue;
    }
    const draft = { traceId: event.traceId, events: [event], startNs: event.atNs, endNs: endOf(event) };
    drafts.push(draft);
    open.set(event.traceId, draft);
  }
  return drafts.map((draft, index) => ({
    key: `${draft.traceId || "loose"} ${index}`,
    ...draft,
    services: participants(draft.events),
    errors: draft.events.filter(isBad).length,
    inferred: draft.events.filter((one) => !one.joined.certain).length,
    correlation: tellsOf(draft, correlations),
  }));
}

/** The rows of a story; those of folded chapters are left out. */
export function storyRows(chapters: readonly Chapter[], folded: ReadonlySet<string>): StoryRow[] {
  const rows: StoryRow[] = [];
  let until: bigint | null = null;
  for (const chapter of chapters) {
    if (until !== null) {
      const ms = Number(chapter.startNs - until) / 1e6;
      rows.push({ is: "gap", key: `before ${chapter.key}`, ms, within: false });
    }
    const isFolded = folded.has(chapter.key);
    rows.push({ is: "chapter", key: chapter.key, chapter, folded: isFolded });
    if (!isFolded) {
      let last: bigint | null = null;
      for (const event of chapter.events) {
        const ms = last === null ? 0 : Number(event.atNs - last) / 1e6;
        if (ms >= SILENCE_MS)
          rows.push({ is: "gap", key: `in ${chapter.key} ${event.key}`, ms, within: true });
        rows.push({ is: "event", key: `${chapter.key} ${event.key}`, chapter, event });
        if (last === null || event.atNs > last) last = event.atNs;
      }
    }
    if (until === null || chapter.endNs > until) until = chapter.endNs;
  }
  return rows;
}

/** `3 min later`, `meanwhile`. */
export function gapText(ms: number): string {
  if (ms < 0) return "meanwhile";
  if (ms < 1000) return ms < 1 ? "at once" : `${duration(ms)} later`;
  return `${span(ms / 1000)} later`;
}
