// Numbers and times as people read them. Pure functions; every one accepts NaN and infinities.

/** What is shown where there is no number. */
export const NONE = "–";

/** 3 significant digits, no trailing zeros: 0.123, 1.23, 12.3, 123, 1230 is never reached by the callers. */
function short(value: number): string {
  const magnitude = Math.abs(value);
  if (magnitude >= 100) return value.toFixed(0);
  if (magnitude >= 10) return value.toFixed(1).replace(/\.0$/, "");
  if (magnitude === 0) return "0";
  if (magnitude < 0.01) return value.toExponential(0);
  return value.toFixed(2).replace(/\.?0+$/, "");
}

function scaled(value: number, base: number, units: readonly string[]): { text: string; unit: string } {
  let scale = 0;
  let left = value;
  // 999.5 would print as 1000 of the smaller unit.
  while (Math.abs(left) >= (base === 1024 ? 1023.5 : 999.5) && scale < units.length - 1) {
    left /= base;
    scale += 1;
  }
  return { text: short(left), unit: units[scale] ?? "" };
}

/** A number and its unit apart, so that the unit can be set smaller. */
export interface Quantity {
  readonly text: string;
  readonly unit: string;
}

const none: Quantity = { text: NONE, unit: "" };

/** Bytes in powers of 1024: `1.5 GiB`. */
export function bytesParts(value: number | null | undefined): Quantity {
  if (value == null || !Number.isFinite(value)) return none;
  if (Math.abs(value) < 1024) return { text: String(Math.round(value)), unit: "B" };
  return scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]);
}

/** Counts in powers of 1000: `12.3 k`. Below 1000 without a unit. */
export function countParts(value: number | null | undefined): Quantity {
  if (value == null || !Number.isFinite(value)) return none;
  return scaled(value, 1000, ["", "k", "M", "G", "T"]);
}

/** Percent, 0–100 in. */
export function percentParts(value: number | null | undefined): Quantity {
  if (value == null || !Number.isFinite(value)) return none;
  return { text: value < 9.95 ? value.toFixed(1) : value.toFixed(0), unit: "%" };
}

/** Joins the parts with a narrow no-break space. */
export function joined(parts: Quantity): string {
  return parts.unit === "" ? parts.text : `${parts.text}\u202f${parts.unit}`;
}

/** `1.5 GiB`. */
export const bytes = (value: number | null | undefined): string => joined(bytesParts(value));
/** `12.3 k`. */
export const count = (value: number | null | undefined): string => joined(countParts(value));
/** `42 %`. */
export const percent = (value: number | null | undefined): string => joined(percentParts(value));

/** `1.5 MiB/s`. */
export function byteRate(value: number | null | undefined): string {
  const parts = bytesParts(value);
  return parts === none ? NONE : joined({ text: parts.text, unit: `${parts.unit}/s` });
}

/** `12.3 k/s`. */
export function rate(value: number | null | undefined): string {
  const parts = countParts(value);
  return parts === none ? NONE : joined({ text: parts.text, unit: `${parts.unit}/s` });
}

/** How often: per second, or per minute or hour where that is a handier number. */
export function frequency(perSecond: number | null | undefined): string {
  if (perSecond == null || !Number.isFinite(perSecond)) return NONE;
  if (perSecond === 0 || perSecond >= 0.0995) return rate(perSecond);
  const [value, unit] = perSecond * 60 >= 0.0995 ? [perSecond * 60, "min"] : [perSecond * 3600, "h"];
  const parts = countParts(value);
  return joined({ text: parts.text, unit: `${parts.unit}/${unit}` });
}

/** Any sample of unknown unit: plain up to 6 digits, then k, M, …; NaN and infinities by name. */
export function sample(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value);
  if (Math.abs(value) >= 1e4) return joined(countParts(value));
  return Number(value.toPrecision(5)).toString();
}

const SPANS: readonly [number, string][] = [
  [31_557_600, "y"],
  [86_400, "d"],
  [3600, "h"],
  [60, "min"],
  [1, "s"],
];

/** A long time, two largest units: `12 d 4 h`. Seconds in; below one second `0 s`. */
export function span(seconds: number | null | undefined): string {
  if (seconds == null || Number.isNaN(seconds)) return NONE;
  if (!Number.isFinite(seconds)) return "∞";
  let left = Math.max(0, Math.floor(seconds));
  const out: string[] = [];
  for (const [size, unit] of SPANS) {
    const whole = Math.floor(left / size);
    if (whole > 0) {
      out.push(`${whole}\u202f${unit}`);
      left -= whole * size;
    } else if (out.length > 0) {
      break;
    }
    if (out.length === 2) break;
  }
  return out.length === 0 ? "0\u202fs" : out.join(" ");
}

/** A measured duration: `870 µs`, `12.3 ms`, `1.25 s`, `2 min 5 s`. Milliseconds in. */
export function duration(ms: number | null | undefined): string {
  if (ms == null || !Number.isFinite(ms)) return NONE;
  if (ms === 0) return "0\u202fms";
  if (ms < 0.001) return `${short(ms * 1e6)}\u202fns`;
  if (ms < 0.9995) return `${short(ms * 1000)}\u202fµs`;
  if (ms < 999.5) return `${short(ms)}\u202fms`;
  if (ms < 60_000) return `${short(ms / 1000)}\u202fs`;
  return span(ms / 1000);
}

/** How long ago: `now`, `12 s ago`, `3 min ago`. */
export function ago(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 1) return "now";
  if (seconds < 60) return `${seconds}\u202fs ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}\u202fmin ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}\u202fh ago`;
  return `${Math.floor(seconds / 86_400)}\u202fd ago`;
}

const two = (value: number): string => String(value).padStart(2, "0");

/** Local wall clock `14:03:09`, with milliseconds on request. */
export function clock(ms: number, withMs = false): string {
  const at = new Date(ms);
  const hms = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return withMs ? `${hms}.${String(at.getMilliseconds()).padStart(3, "0")}` : hms;
}

/** Date and time in UTC `2026-11-21 14:03:09.123`. */
export function utcTime(ms: number): string {
  return new Date(ms).toISOString().slice(0, 23).replace("T", " ");
}

/** Local date and time `2026-11-21 14:03:09`. */
export function dateTime(ms: number, withMs = false): string {
  const at = new Date(ms);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(ms, withMs)}`;
}
