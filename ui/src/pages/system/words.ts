// What is said of the machine's slots and of an update on its way.
import type { System, UpdateState } from "../../api/system";

const STEPS: Readonly<Record<UpdateState, string>> = {
  idle: "No update on its way",
  receiving: "Receiving",
  writing: "Writing to the other slot",
  verifying: "Reading it back",
  ready: "Ready: it starts with the next restart",
  failed: "The update failed",
};

/** Whether something is being done. */
export function isBusy(state: UpdateState): boolean {
  return state === "receiving" || state === "writing" || state === "verifying";
}

/** A line of where the update is. */
export function stepOf(state: UpdateState): string {
  return STEPS[state];
}

/** The share that is done, 0 to 1; null where that cannot be told. */
export function shareOf(update: System["update"]): number | null {
  if (update.state === "ready") return 1;
  if (!isBusy(update.state) || update.bytesTotal <= 0) return null;
  return Math.min(1, update.bytesDone / update.bytesTotal);
}

/** What a slot is: running, under trial, the one before, failed, empty. */
export function slotIs(system: System, slot: string): { text: string; tone: "" | "is-good" | "is-bad" } {
  const version = system.slots.find((one) => one.name === slot)?.version ?? "";
  if (system.bad === slot && version !== "") return { text: "failed, or half written", tone: "is-bad" };
  if (system.slot === slot) {
    return system.trying === slot
      ? { text: "running, on trial", tone: "is-good" }
      : { text: "running", tone: "is-good" };
  }
  if (system.trying === slot) return { text: "starts next, on trial", tone: "" };
  return { text: version === "" ? "empty" : "the one before", tone: "" };
}
