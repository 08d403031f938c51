// The order of the list.
import type { TraceSummary } from "../../api/tempo";
import type { TraceSort } from "../../state/url";

/** Sorted; of equals the newest first. */
export function sorted(traces: readonly TraceSummary[], sort: TraceSort): TraceSummary[] {
  const by = (trace: TraceSummary): number =>
    sort === "longest" ? trace.durationMs : sort === "errors" ? (trace.errors ?? 0) : 0;
  return [...traces].sort((a, b) => by(b) - by(a) || b.startMs - a.startMs);
}
