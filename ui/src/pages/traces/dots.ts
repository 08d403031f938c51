// Where the dots of the scatter plot are: time to the right, duration upwards by powers of ten.
import type { TraceSummary, Window } from "../../api/tempo";

/** A trace's place in the plot, pixels. */
export interface Dot {
  readonly trace: TraceSummary;
  readonly x: number;
  readonly y: number;
}

/** The plot's area, pixels, and what its edges stand for; durations in ms. */
export interface Frame {
  readonly width: number;
  readonly height: number;
  readonly window: Window;
  readonly low: number;
  readonly high: number;
}

/** Lengths are whole milliseconds in a search's answer: what took less is drawn at half of one. */
const LEAST_MS = 0.5;

const lengthOf = (trace: TraceSummary): number => Math.max(trace.durationMs, LEAST_MS);

/** A frame that holds all traces with some room; at least a power of ten high, so that equals are no noise. */
export function frameOf(
  traces: readonly TraceSummary[],
  window: Window,
  width: number,
  height: number,
): Frame {
  let [low, high] = [Number.POSITIVE_INFINITY, 0];
  for (const trace of traces) {
    low = Math.min(low, lengthOf(trace));
    high = Math.max(high, lengthOf(trace));
  }
  if (!Number.isFinite(low)) [low, high] = [1, 1000];
  low /= 1.3;
  high *= 1.3;
  const room = Math.sqrt(10 / (high / low));
  return room > 1
    ? { width, height, window, low: low / room, high: high * room }
    : { width, height, window, low, high };
}

/** Pixels from the left of a time, ms. */
export function xOf({ window, width }: Frame, ms: number): number {
  return ((ms - window.startMs) / Math.max(1, window.endMs - window.startMs)) * width;
}

/** Pixels from the top of a duration, ms. */
export function yOf({ low, high, height }: Frame, ms: number): number {
  return (1 - Math.log(ms / low) / Math.log(high / low)) * height;
}

/** The time at `x` and the duration at `y`: the inverse of both. */
export function at(frame: Frame, x: number, y: number): { timeMs: number; durationMs: number } {
  const { window, width, height, low, high } = frame;
  return {
    timeMs: window.startMs + (x / width) * (window.endMs - window.startMs),
    durationMs: low * (high / low) ** (1 - y / height),
  };
}

/** All dots, what failed last so that it lies on top. */
export function dotsOf(frame: Frame, traces: readonly TraceSummary[]): Dot[] {
  return traces
    .map((trace) => ({ trace, x: xOf(frame, trace.startMs), y: yOf(frame, lengthOf(trace)) }))
    .sort((a, b) => (a.trace.errors ?? 0) - (b.trace.errors ?? 0));
}

/** The dot nearest to a point, within `reach` pixels. */
export function nearest(dots: readonly Dot[], x: number, y: number, reach: number): Dot | null {
  let best: Dot | null = null;
  let least = reach * reach;
  for (const dot of dots) {
    const distance = (dot.x - x) ** 2 + (dot.y - y) ** 2;
    if (distance <= least) [best, least] = [dot, distance];
  }
  return best;
}

/** Round durations within the frame: 1, 10, 100 …, and 2 and 5 between where there is room. */
export function lengthMarks(frame: Frame, leastGap: number): number[] {
  const found: number[] = [];
  const powers = Math.log10(frame.high / frame.low);
  const perPower = frame.height / powers;
  const steps = perPower / 3 > leastGap ? [1, 2, 5] : [1];
  for (let power = Math.floor(Math.log10(frame.low)); power <= Math.log10(frame.high); power += 1) {
    for (const step of steps) {
      const value = step * 10 ** power;
      if (value >= frame.low && value <= frame.high) found.push(value);
    }
  }
  return found;
}
