// Bramble's own `GET /api/v1/system`: the machine, its two slots and an update on its way.
import { number, object, text } from "./decode";
import { getJson, sendJson } from "./http";

/** Where an update is. */
export type UpdateState = "idle" | "receiving" | "writing" | "verifying" | "ready" | "failed";

/** The machine. Texts are empty and numbers NaN where it does not say. */
export interface System {
  /** Whether it is Bramble's own image, which updates itself. */
  readonly appliance: boolean;
  readonly version: string;
  readonly buildId: string;
  readonly slot: string;
  readonly slots: readonly { readonly name: string; readonly version: string }[];
  /** The slot under trial, or that failed last. */
  readonly trying: string;
  readonly bad: string;
  readonly model: string;
  readonly uptimeSeconds: number;
  readonly update: {
    readonly state: UpdateState;
    readonly bytesDone: number;
    readonly bytesTotal: number;
    readonly message: string;
  };
}

const STATES: readonly UpdateState[] = ["idle", "receiving", "writing", "verifying", "ready", "failed"];

/** Decodes the answer. */
export function decodeSystem(json: unknown): System {
  const fields = object(json, "the answer");
  const update = object(fields.update ?? {}, "update");
  const slots = object(fields.slots ?? {}, "slots");
  return {
    appliance: fields.appliance === true,
    version: text(fields.version),
    buildId: text(fields.build_id),
    slot: text(fields.slot),
    slots: Object.entries(slots).map(([name, slot]) => ({
      name,
      version: text(object(slot ?? {}, "a slot").version),
    })),
    trying: text(fields.trying),
    bad: text(fields.bad),
    model: text(fields.model),
    uptimeSeconds: number(fields.uptime_seconds),
    update: {
      state: STATES.find((state) => state === update.state) ?? "idle",
      bytesDone: number(update.bytes_done) || 0,
      bytesTotal: number(update.bytes_total) || 0,
      message: text(update.message),
    },
  };
}

/** Asks the machine. */
export function getSystem(signal?: AbortSignal): Promise<System> {
  return getJson("/api/v1/system", decodeSystem, signal);
}

/** Lets it fetch an update by itself. */
export function updateFrom(url: string): Promise<null> {
  return sendJson("POST", "/api/v1/system/update", { url }, () => null);
}

/** Restarts it or switches it off. */
export function power(what: "reboot" | "poweroff"): Promise<null> {
  return sendJson("POST", `/api/v1/system/${what}`, {}, () => null);
}

/** Hands it an update; `told` hears what share of it is on its way. By XMLHttpRequest, since `fetch` tells nothing of it. */
export function updateWith(file: File, told: (share: number) => void): Promise<void> {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/api/v1/system/update");
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = (event) => told(event.total > 0 ? event.loaded / event.total : 0);
    request.onload = () => {
      if (request.status < 300) return done();
      let message = request.responseText.trim();
      try {
        message = text(object(JSON.parse(message), "the answer").error, message);
      } catch {
        // Not JSON: the text itself is the message.
      }
      failed(new Error(message || `The server answered ${request.status}.`));
    };
    request.onerror = () => failed(new Error("The connection broke while the file was sent."));
    request.send(file);
  });
}
