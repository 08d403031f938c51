// Bramble's own `GET /api/nodes`: the hub and the nodes that send to it.
import { array, type Fields, number, object, text } from "./decode";
import { getJson } from "./http";

/** The hub, as nodes need to know it. */
export interface Hub {
  readonly name: string;
  readonly version: string;
  /** Of the door that nodes use; 0 when it is closed. */
  readonly port: number;
  /** Whether nodes in the local network find it by themselves. */
  readonly announced: boolean;
}

/** What waits on a node. */
export interface Queue {
  readonly bytes: number;
  readonly bytesMax: number;
  readonly items: number;
  readonly ageSeconds: number;
  /** What would be queued if the hub did not answer, bytes a second. */
  readonly rate: number;
  /** Until the oldest is dropped, if the hub stayed away from now on; NaN where not known. */
  readonly lastsSeconds: number;
  readonly dropped: number;
}

/** A node. Numbers are NaN and texts empty where it does not say. */
export interface Node {
  readonly id: string;
  readonly name: string;
  readonly role: string;
  readonly version: string;
  readonly address: string;
  readonly health: "up" | "problem" | "silent";
  readonly problem: string;
  readonly silentSeconds: number;
  readonly queue: Queue;
  readonly clockSkewMs: number;
  readonly roundTripMs: number;
  readonly rssBytes: number;
  readonly celsius: number;
  readonly accepted: number;
  readonly rejected: number;
}

/** The answer. */
export interface Nodes {
  readonly hub: Hub;
  readonly nodes: readonly Node[];
}

function decodeQueue(fields: Fields): Queue {
  return {
    bytes: number(fields.bytes),
    bytesMax: number(fields.bytes_max),
    items: number(fields.items),
    ageSeconds: number(fields.age_seconds),
    rate: number(fields.rate_bytes_per_second),
    lastsSeconds: number(fields.lasts_seconds),
    dropped: number(fields.dropped_items),
  };
}

/** Decodes the answer. */
export function decodeNodes(json: unknown): Nodes {
  const fields = object(json, "the answer");
  const hub = object(fields.hub ?? {}, "hub");
  return {
    hub: {
      name: text(hub.name),
      version: text(hub.version),
      port: number(hub.port) || 0,
      announced: hub.announced === true,
    },
    nodes: array(fields.nodes, "nodes").map((each) => {
      const node = object(each, "a node");
      const health = text(node.health);
      return {
        id: text(node.id),
        name: text(node.name),
        role: text(node.role),
        version: text(node.version),
        address: text(node.address),
        health: health === "up" || health === "problem" ? health : "silent",
        problem: text(node.problem),
        silentSeconds: number(node.silent_seconds),
        queue: decodeQueue(object(node.queue ?? {}, "queue")),
        clockSkewMs: number(node.clock_skew_ms),
        roundTripMs: number(node.round_trip_ms),
        rssBytes: number(node.rss_bytes),
        celsius: number(node.temperature_celsius),
        accepted: number(node.items_accepted),
        rejected: number(node.items_rejected),
      };
    }),
  };
}

/** Asks the hub. */
export function getNodes(signal?: AbortSignal): Promise<Nodes> {
  return getJson("/api/nodes", decodeNodes, signal);
}
