// What is said of a node. Pure functions.
import type { Node, Queue } from "../../api/nodes";
import { ago, bytes, count, duration, NONE, span } from "../../format";

/** A clock that is off by more than this is worth a look: spans of two machines no longer line up. */
export const SKEW_WORTH_MS = 500;
const HOT_CELSIUS = 80;

/** How a figure is to be seen. */
export type Tone = "" | "is-warn" | "is-bad" | "nil";

/** A text and its tone. */
export interface Said {
  readonly text: string;
  readonly tone: Tone;
  readonly title?: string;
}

/** Up, silent, or what the node says is wrong. */
export function healthOf(node: Node): Said {
  if (node.health === "silent") return { text: "Silent", tone: "is-bad" };
  if (node.health === "problem") return { text: "Problem", tone: "is-warn", title: node.problem };
  return { text: "Up", tone: "" };
}

/** `5 s ago`. */
export function seenOf(node: Node): Said {
  if (Number.isNaN(node.silentSeconds)) return { text: "never", tone: "nil" };
  return { text: ago(node.silentSeconds * 1000), tone: node.health === "silent" ? "is-bad" : "" };
}

/** What waits, of how much may. */
export function queueOf(queue: Queue): Said {
  if (!(queue.bytesMax > 0)) return { text: NONE, tone: "nil" };
  if (!(queue.bytes > 0)) return { text: "empty", tone: "nil", title: `holds ${bytes(queue.bytesMax)}` };
  const share = queue.bytes / queue.bytesMax;
  const title = `${count(queue.items)} items in ${bytes(queue.bytes)} of ${bytes(queue.bytesMax)}, the oldest ${span(queue.ageSeconds)} old`;
  return { text: bytes(queue.bytes), tone: share >= 0.9 ? "is-bad" : share >= 0.5 ? "is-warn" : "", title };
}

/** How long the queue would last if the hub stayed away from now on. */
export function forecastOf(queue: Queue): Said {
  if (queue.dropped > 0) {
    return {
      text: `${count(queue.dropped)} dropped`,
      tone: "is-bad",
      title: "Items dropped since the node's start: its queue was full, or they were too old",
    };
  }
  if (Number.isNaN(queue.lastsSeconds)) return { text: NONE, tone: "nil" };
  const tone = queue.lastsSeconds < 3600 ? "is-bad" : queue.lastsSeconds < 6 * 3600 ? "is-warn" : "";
  return { text: span(queue.lastsSeconds), tone, title: `at ${bytes(queue.rate)} a second` };
}

/** `12 ms ahead`. */
export function skewOf(node: Node): Said {
  const ms = node.clockSkewMs;
  if (Number.isNaN(ms)) return { text: NONE, tone: "nil" };
  const title = Number.isNaN(node.roundTripMs) ? undefined : `round trip ${duration(node.roundTripMs)}`;
  // A measurement is no better than the round trip that it was made over.
  if (Math.abs(ms) <= Math.max(1, (node.roundTripMs || 0) / 2))
    return { text: "in step", tone: "nil", ...(title && { title }) };
  const tone = Math.abs(ms) >= SKEW_WORTH_MS ? "is-warn" : "";
  return { text: `${duration(Math.abs(ms))} ${ms > 0 ? "ahead" : "behind"}`, tone, ...(title && { title }) };
}

/** `48 °C`. */
export function heatOf(node: Node): Said {
  if (Number.isNaN(node.celsius)) return { text: NONE, tone: "nil" };
  return { text: `${node.celsius.toFixed(0)}\u202f°C`, tone: node.celsius >= HOT_CELSIUS ? "is-bad" : "" };
}

/** One sentence for the head of the page. */
export function summary(nodes: readonly Node[]): string {
  const silent = nodes.filter((node) => node.health === "silent").length;
  const wrong = nodes.filter((node) => node.health === "problem").length;
  const all = `${nodes.length} ${nodes.length === 1 ? "node" : "nodes"}`;
  const parts = [silent > 0 ? `${silent} silent` : "", wrong > 0 ? `${wrong} with a problem` : ""];
  const said = parts.filter((part) => part !== "").join(", ");
  return said === "" ? `${all}, all up` : `${all}, ${said}`;
}

/** The settings of a node that is to send to this hub. */
export function settingsFor(host: string, port: number, announced: boolean): string {
  const hubs = announced ? [] : [`hubs = ["${host}:${port}"]`];
  return ['role = "node"', "", "[node]", ...hubs, 'token = "…"'].join("\n");
}
