// Times of lines: to the millisecond in the list, to the nanosecond where one is opened.
import { dateTime, utcTime } from "../../format";

/** `11-21 14:03:09.123`, local or UTC. */
export function timeOf(ms: number, utc: boolean): string {
  if (!Number.isFinite(ms)) return "–";
  return (utc ? utcTime(ms) : dateTime(ms, true)).slice(5);
}

/** `2026-11-21 14:03:09.123456789`. */
export function exactTime(ns: string, ms: number, utc: boolean): string {
  if (!Number.isFinite(ms)) return ns;
  return `${utc ? utcTime(ms) : dateTime(ms, true)}${ns.slice(-6)}${utc ? " UTC" : ""}`;
}
