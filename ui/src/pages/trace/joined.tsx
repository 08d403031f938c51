// What the correlator knows of a trace: its correlations, and the ids whose stories it is part of.
import { type Correlation, findCorrelations } from "../../api/correlate";
import type { NamedId } from "../../correlate/kinds";
import { clock } from "../../format";
import { IdChips } from "../../parts/idchips";
import { useLive } from "../../state/live";
import { correlationRoute, formatRoute } from "../../state/url";

/** A trace that goes on for long has one for each of its windows. */
const SHOWN_MAX = 4;
const CHIPS_MAX = 8;

/** Its correlations, newest first; none while they are asked for, or where nobody can be asked. */
export function useCorrelationsOf(traceId: string, asked: number): readonly Correlation[] {
  const loaded = useLive(
    `joined ${traceId} ${asked}`,
    (signal) =>
      /^[0-9a-f]{32}$/.test(traceId)
        ? findCorrelations(
            { ids: [{ kind: "trace_id", value: traceId }], service: "", errors: false },
            { sinceNs: 0n },
            50,
            signal,
          ).catch(() => [])
        : Promise.resolve([]),
    "once",
  );
  return loaded.data ?? [];
}

/** Buttons to them. */
export function CorrelationLinks({ of }: { of: readonly Correlation[] }) {
  const [only] = of;
  if (!only) return null;
  if (of.length === 1)
    return (
      <a class="button-quiet to-correlation" href={formatRoute(correlationRoute(only.id))}>
        Correlation
      </a>
    );
  return (
    <>
      {of.slice(0, SHOWN_MAX).map((one) => (
        <a key={one.id} class="button-quiet to-correlation" href={formatRoute(correlationRoute(one.id))}>
          Correlation {clock(one.startMs)}
        </a>
      ))}
      {of.length > SHOWN_MAX && (
        <a class="button-quiet" href={formatRoute(correlationRoute(only.traceId))}>
          All {of.length}
        </a>
      )}
    </>
  );
}

/** Ids that its lines and spans name. */
export function StoryChips({ of }: { of: readonly Correlation[] }) {
  const seen = new Map<string, NamedId>();
  for (const id of of.flatMap((one) => one.ids)) seen.set(`${id.kind} ${id.value}`, id);
  return <IdChips ids={[...seen.values()]} most={CHIPS_MAX} />;
}
