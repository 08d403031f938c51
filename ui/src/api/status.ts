// Bramble's own `GET /api/v1/status`: who this is and how it is.
import { array, number, object, text } from "./decode";
import { getJson } from "./http";

/** A protocol we listen on. `state`: `open`, `off`, `taken`, … as the server words it. */
export interface Door {
  readonly name: string;
  readonly address: string;
  readonly state: string;
}

/** The answer. Numbers are NaN and strings empty where the server does not say. */
export interface Status {
  readonly hostname: string;
  readonly version: string;
  readonly uptimeSeconds: number;
  readonly ready: boolean;
  readonly partial: boolean;
  readonly role: string;
  readonly disk: { readonly kind: string; readonly why: string };
  readonly memory: { readonly capBytes: number; readonly rssBytes: number };
  readonly doors: readonly Door[];
  /** Things that do not work; `/api/problems` tells them. */
  readonly problems: number;
}

/** Decodes the answer; only the outer object is required. */
export function decodeStatus(json: unknown): Status {
  const fields = object(json, "the answer");
  const disk = object(fields.disk ?? {}, "disk");
  const memory = object(fields.memory ?? {}, "memory");
  return {
    hostname: text(fields.hostname),
    version: text(fields.version),
    uptimeSeconds: number(fields.uptime_seconds),
    ready: fields.ready === true,
    partial: fields.partial === true,
    role: text(fields.role),
    disk: { kind: text(disk.kind), why: text(disk.why) },
    memory: { capBytes: number(memory.cap_bytes), rssBytes: number(memory.rss_bytes) },
    problems: number(fields.problems) || 0,
    doors: array(fields.doors, "doors").map((each) => {
      const door = object(each, "a door");
      return { name: text(door.name), address: text(door.address), state: text(door.state) };
    }),
  };
}

/** Asks the server. */
export function getStatus(signal?: AbortSignal): Promise<Status> {
  return getJson("/api/v1/status", decodeStatus, signal);
}

/** Whether data can go in and out through the door. */
export function doorIsOpen(door: Door): boolean {
  return /^(open|listening|ok|ready|serving|up)$/i.test(door.state);
}

/** The port of the first door whose name contains one of `names`, or `fallback`. */
export function doorPort(doors: readonly Door[], names: readonly string[], fallback: number): number {
  const door = doors.find((one) => names.some((name) => one.name.toLowerCase().includes(name)));
  const port = Number(/:(\d+)$/.exec(door?.address ?? "")?.[1] ?? Number.NaN);
  return Number.isInteger(port) && port > 0 ? port : fallback;
}
