// Who owns this Bramble and whether that is us; asked once, and again after it changed.
import { useEffect, useState } from "preact/hooks";
import { getOwner, type Owner, signOut } from "../api/owner";

let owner: Owner | null = null;
let isAsked = false;
const listeners = new Set<() => void>();

/** Asks again. */
export async function askOwner(): Promise<void> {
  try {
    owner = await getOwner();
  } catch {
    // A server of before knows no owner: nothing is shown of one.
    owner = null;
  }
  for (const listener of [...listeners]) listener();
}

/** The owner; null until it is known. */
export function useOwner(): Owner | null {
  const [now, setNow] = useState(owner);
  useEffect(() => {
    const update = (): void => setNow(owner);
    listeners.add(update);
    if (!isAsked) void askOwner();
    isAsked = true;
    update();
    return () => {
      listeners.delete(update);
    };
  }, []);
  return now;
}

/** Signs out and goes where one signs in. */
export async function leave(everywhere: boolean): Promise<void> {
  await signOut(everywhere);
  location.replace("/login");
}
