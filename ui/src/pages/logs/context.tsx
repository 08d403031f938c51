// What the same stream said just before a line and just after it.
import { useState } from "preact/hooks";
import { type LogLine, queryPage, shiftedNs } from "../../api/loki";
import { quoted } from "../../logql/tokens";
import { Trouble } from "../../parts/panel";
import { useLive } from "../../state/live";
import { LineText } from "./text";
import { timeOf } from "./time";

const STEP = 10;
const DAY_NS = 86_400_000_000_000;

/** Labels that differ from line to line: with them there would be no neighbours. */
const OF_ONE_LINE = /^(trace_?id|span_?id|request_?id)$/i;

/** The selector of a line's stream. */
export function streamOf(line: LogLine): string {
  const kept = Object.entries(line.stream).filter(
    ([name]) => !OF_ONE_LINE.test(name) && !name.startsWith("__"),
  );
  return `{${kept.map(([name, value]) => `${name}=${quoted(value)}`).join(", ")}}`;
}

interface Around {
  readonly before: readonly LogLine[];
  readonly after: readonly LogLine[];
}

/** `count` lines on each side; the line itself is on neither. */
async function ask(line: LogLine, before: number, after: number, signal: AbortSignal): Promise<Around> {
  const query = streamOf(line);
  const [older, newer] = await Promise.all([
    queryPage(
      {
        query,
        startNs: shiftedNs(line.atNs, -DAY_NS),
        endNs: shiftedNs(line.atNs, 1),
        limit: before + 1,
        direction: "backward",
      },
      signal,
    ),
    queryPage(
      {
        query,
        startNs: line.atNs,
        endNs: shiftedNs(line.atNs, DAY_NS),
        limit: after + 1,
        direction: "forward",
      },
      signal,
    ),
  ]);
  const same = (other: LogLine): boolean => other.atNs === line.atNs && other.line === line.line;
  const known = new Set(older.data.map((one) => one.id));
  return {
    before: older.data.filter((one) => !same(one)).slice(0, before),
    after: newer.data.filter((one) => !same(one) && !known.has(one.id)).slice(-after),
  };
}

function Neighbours({
  of,
  utc,
  sought,
}: {
  of: readonly LogLine[];
  utc: boolean;
  sought: readonly RegExp[];
}) {
  return (
    <>
      {of.map((one) => (
        <li key={one.id} class={`level-${one.level}`}>
          <time>{timeOf(one.atMs, utc)}</time>
          <span>
            <LineText line={one.line} sought={sought} />
          </span>
        </li>
      ))}
    </>
  );
}

/** The lines around `line`, newest on top as everywhere, or oldest on top. */
export function Context({ line, utc, newestFirst }: { line: LogLine; utc: boolean; newestFirst: boolean }) {
  const [wanted, setWanted] = useState({ before: STEP, after: STEP });
  const loaded = useLive(
    `context ${line.id} ${wanted.before} ${wanted.after}`,
    (signal) => ask(line, wanted.before, wanted.after, signal),
    "once",
  );
  const [kept, setKept] = useState<Around>({ before: [], after: [] });
  if (loaded.data && loaded.data !== kept) setKept(loaded.data);
  const { before, after } = loaded.data ?? kept;
  const more = (side: "before" | "after"): void => setWanted({ ...wanted, [side]: wanted[side] * 3 });
  const Side = ({ side }: { side: "before" | "after" }) => {
    const have = side === "before" ? before : after;
    const ended = have.length < wanted[side];
    const ordered = newestFirst ? have : [...have].reverse();
    const outer = (
      <li class="context-more" key="more">
        {loaded.data === undefined ? (
          "Asking…"
        ) : ended ? (
          side === "before" ? (
            "nothing earlier within a day"
          ) : (
            "nothing later within a day"
          )
        ) : (
          <button type="button" class="link-button" onClick={() => more(side)}>
            {side === "before" ? "Earlier" : "Later"}
          </button>
        )}
      </li>
    );
    const onTop = (side === "after") === newestFirst;
    return (
      <>
        {onTop && outer}
        <Neighbours of={ordered} utc={utc} sought={[]} />
        {!onTop && outer}
      </>
    );
  };
  return (
    <section class="context" aria-label="Lines of the same stream around this one">
      <h4>
        Around it in <code>{streamOf(line)}</code>
      </h4>
      {loaded.error && <Trouble error={loaded.error} />}
      <ol>
        <Side side={newestFirst ? "after" : "before"} />
        <li class={`context-here level-${line.level}`} aria-current="true">
          <time>{timeOf(line.atMs, utc)}</time>
          <span>
            <LineText line={line.line} sought={[]} />
          </span>
        </li>
        <Side side={newestFirst ? "before" : "after"} />
      </ol>
    </section>
  );
}
