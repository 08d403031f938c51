// How an event came to be part of a correlation or story, in words.
import type { Joined } from "../api/correlate";

const BY: Readonly<Record<string, string>> = {
  place: "same pod or unit, time and peer address",
  node: "same machine and time",
};

/** `same request id`. */
export function joinedBy({ by }: Joined): string {
  if (by === "") return "nearby";
  return BY[by] ?? (by.endsWith("_id") ? `same ${by.replaceAll("_", " ")}` : by.replaceAll("_", " "));
}

/** `inferred, 90 %, same request id`; empty for what is certain. */
export function inferredText(joined: Joined): string {
  if (joined.certain) return "";
  return `inferred, ${Math.round(joined.confidence * 100)}\u202f%, ${joinedBy(joined)}`;
}
