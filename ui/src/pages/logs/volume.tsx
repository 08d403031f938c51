// How many lines of which level when: bars over the lines, a range by dragging, a level by a click.
import { useMemo } from "preact/hooks";
import { ApiError } from "../../api/http";
import { countByLevel, type Level, type LogLine, queryCounts } from "../../api/loki";
import { type Line, Plot } from "../../chart/plot";
import { count } from "../../format";
import { counting } from "../../logql/edit";
import { Body, Panel, Warnings } from "../../parts/panel";
import { type Loaded, useLive } from "../../state/live";
import { formatSpan, type LogsRoute, resolveRange, stepOf } from "../../state/url";
import { stacksOf, type Volume } from "./levels";

const BARS = 90;

/** Counts by the server; null where it cannot count this query. */
async function ask(query: string, route: LogsRoute, signal: AbortSignal): Promise<Volume | null> {
  const step = stepOf(route.range, BARS);
  const { start, end } = resolveRange(route.range, Date.now(), step);
  try {
    // A count at `t` is of the step before it.
    const text = counting(query, `${step}s`, "detected_level");
    const answer = await queryCounts(text, start + step, end + step, step, signal);
    const series = answer.data.map((one) => ({
      ...one,
      points: one.points.map(([at, value]) => [at - step, value] as const),
    }));
    return { series, start, end, step, warnings: answer.warnings };
  } catch (error) {
    // What is wrong with the query is said with the lines.
    if (error instanceof ApiError && (error.status === 400 || error.status === 501)) return null;
    throw error;
  }
}

/** The counts, asked for with every beat while following. */
export function useVolume(key: string, query: string, route: LogsRoute, off: boolean): Loaded<Volume | null> {
  const moving = "last" in route.range && route.live;
  return useLive(
    `volume ${key}`,
    (signal) => (off ? Promise.resolve(null) : ask(query, route, signal)),
    moving ? 1 : "once",
  );
}

/** Counts of the lines at hand, for a server that could not count. */
export function countedHere(lines: readonly LogLine[], route: LogsRoute): Volume {
  const step = stepOf(route.range, BARS);
  const { start, end } = resolveRange(route.range, Date.now(), step);
  return { series: countByLevel(lines, start, end, step), start, end, step, warnings: [] };
}

interface VolumePanelProps {
  readonly of: Loaded<Volume | null>;
  readonly fallback: readonly LogLine[];
  readonly route: LogsRoute;
  readonly onSelect: (from: number, to: number) => void;
  readonly onLevel: (names: readonly string[]) => void;
}

/** What needs no eye stays in the background: warnings and errors are seen at once. */
function barColour(level: Level): string {
  const own = `var(--level-${level})`;
  return ["fatal", "error", "warn"].includes(level) ? own : `color-mix(in srgb, ${own} 52%, var(--surface))`;
}

function Bars({ volume, onSelect }: { volume: Volume; onSelect: VolumePanelProps["onSelect"] }) {
  const { times, stacks } = useMemo(() => stacksOf(volume), [volume]);
  const lines = useMemo(
    () =>
      [...stacks]
        .reverse()
        .map((one): Line => ({ name: one.level, colour: barColour(one.level), values: [...one.values] })),
    [stacks],
  );
  return (
    <Plot
      times={times}
      lines={lines}
      shape="bars"
      height={104}
      format={(value) => count(value)}
      onSelect={onSelect}
      label="Lines over time by level. Drag to choose a time range."
    />
  );
}

/** The panel. */
export function VolumePanel({ of, fallback, route, onSelect, onLevel }: VolumePanelProps) {
  const here = of.data === null;
  const volume = useMemo(
    () => (of.data === undefined ? undefined : (of.data ?? countedHere(fallback, route))),
    [of.data, fallback],
  );
  const stacks = useMemo(() => (volume ? stacksOf(volume).stacks : []), [volume]);
  const total = stacks.reduce((sum, one) => sum + one.total, 0);
  return (
    <Panel
      title={volume === undefined ? "Lines" : here ? "Loaded lines by level" : `${count(total)} lines`}
      class="volume"
      aside={
        <ul class="levels" aria-label="Levels">
          {stacks.map((one) => (
            <li key={one.level}>
              <button
                type="button"
                style={{ "--dot": barColour(one.level) }}
                title={`Only lines of level ${one.level}`}
                onClick={() => onLevel(one.names)}
              >
                <i class="dot" />
                {one.level} <b>{count(one.total)}</b>
              </button>
            </li>
          ))}
          {volume && <li class="levels-step">per {formatSpan(volume.step)}</li>}
        </ul>
      }
    >
      <Body
        of={{ ...of, data: volume }}
        height={104}
        isEmpty={() => total === 0}
        empty={<p class="wait">No lines in this range.</p>}
      >
        {(shown) => (
          <>
            <Warnings of={shown.warnings} />
            <Bars volume={shown} onSelect={onSelect} />
          </>
        )}
      </Body>
    </Panel>
  );
}
