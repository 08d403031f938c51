// Services out of the calls between them.
import type { Call, Graph } from "../../api/derived";

/** A service as its callers see it, or what is called without sending spans itself. */
export interface Service {
  /** Unique on the map: a database may be called as the service that uses it. */
  readonly id: string;
  readonly name: string;
  readonly rate: number;
  readonly failed: number;
  readonly p95: number | null;
  readonly kind: "service" | "user" | "database" | "virtual";
}

/** What calls from outside are counted under. */
const OUTSIDE = "user";

const isOutside = (call: Call): boolean => call.kind === "virtual_node" && call.client === OUTSIDE;

/** The node that a call starts from. */
export const clientId = (call: Call): string => (isOutside(call) ? `${OUTSIDE}\n` : call.client);

/** The node that a call goes to. */
export const serverId = (call: Call): string =>
  call.kind === "database" ? `${call.server}\ndatabase` : call.server;

/** The services that calls name, with the sums of what came to them (of callers from outside: what went out). */
export function servicesOf({ calls, p95 }: Graph): Service[] {
  const ids = [...new Set(calls.flatMap((call) => [clientId(call), serverId(call)]))];
  return ids.map((id) => {
    const to = calls.filter((call) => serverId(call) === id);
    const from = calls.filter((call) => clientId(call) === id);
    const counted = to.length > 0 ? to : from;
    const only = from.length === 0 ? to : [];
    const isVirtual =
      only.length > 0 && only.every((call) => call.kind === "virtual_node" && !isOutside(call));
    const name = id.split("\n")[0] ?? "";
    return {
      id,
      name,
      kind: id.endsWith("\n")
        ? "user"
        : id.endsWith("\ndatabase")
          ? "database"
          : isVirtual
            ? "virtual"
            : "service",
      rate: counted.reduce((sum, call) => sum + call.rate, 0),
      failed: counted.reduce((sum, call) => sum + call.failed, 0),
      p95: p95.get(name) ?? null,
    };
  });
}
