// The lines logged within a trace: asked for once, by its id, and kept with the spans that they name.
import { useMemo } from "preact/hooks";
import type { ApiError } from "../../api/http";
import { compareNs, type LogLine, queryPage, shiftedNs, spanIdOf } from "../../api/loki";
import { ALL_LINES } from "../../logql/edit";
import { quoted } from "../../logql/tokens";
import { useLive } from "../../state/live";
import type { Laid } from "../../traces/laid";

/** More are not asked for: the logs page has the rest. */
export const LINES_MAX = 1000;
const MARGIN_NS = 60_000_000_000n;

/** A line and when it was, ns after the trace's start. */
export interface TracedLine {
  readonly line: LogLine;
  readonly at: number;
  readonly span: string;
}

/** Lines in the order of time. */
export interface TraceLogs {
  readonly lines: readonly TracedLine[];
  readonly bySpan: ReadonlyMap<string, readonly TracedLine[]>;
  readonly error: ApiError | null;
  readonly loading: boolean;
  readonly isCut: boolean;
}

/** Puts lines to their spans. */
export function tracedLines(lines: readonly LogLine[], startNs: bigint): TracedLine[] {
  return [...lines]
    .sort((a, b) => compareNs(a.atNs, b.atNs))
    .map((line) => ({ line, at: Number(BigInt(line.atNs || "0") - startNs), span: spanIdOf(line) }));
}

/** The lines of a trace. */
export function useTraceLogs(laid: Laid): TraceLogs {
  const { trace, axis } = laid;
  const loaded = useLive(
    `trace-logs ${trace.id} ${trace.spans.length}`,
    (signal) => {
      const from = trace.startNs + BigInt(Math.floor(axis.from)) - MARGIN_NS;
      return queryPage(
        {
          query: `${ALL_LINES} | trace_id=${quoted(trace.id)}`,
          startNs: String(from < 0n ? 0n : from),
          endNs: shiftedNs(String(trace.startNs + BigInt(Math.ceil(axis.to)) + MARGIN_NS), 0),
          limit: LINES_MAX,
          direction: "forward",
        },
        signal,
      );
    },
    "once",
  );
  const data = loaded.data?.data;
  return useMemo(() => {
    const lines = tracedLines(data ?? [], trace.startNs);
    const bySpan = new Map<string, TracedLine[]>();
    for (const one of lines) {
      const list = bySpan.get(one.span);
      if (list) list.push(one);
      else bySpan.set(one.span, [one]);
    }
    return { lines, bySpan, error: loaded.error, loading: loaded.loading, isCut: lines.length >= LINES_MAX };
  }, [data, loaded.error, loaded.loading]);
}
