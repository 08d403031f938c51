// Services out of the calls between them.
import type { Graph } from "../../api/derived";

/** A service as its callers see it. `others` is what made it appear: a database, a queue, a user. */
export interface Service {
  readonly name: string;
  readonly rate: number;
  readonly failed: number;
  readonly p95: number | null;
  readonly kind: "service" | "user" | "database" | "messaging_system" | "virtual_node";
}

/** The services that calls name, with the sums of what came to them (of the user: what went out). */
export function servicesOf({ calls, p95 }: Graph): Service[] {
  const names = [...new Set(calls.flatMap((call) => [call.client, call.server]))];
  return names.map((name) => {
    const to = calls.filter((call) => call.server === name);
    const from = calls.filter((call) => call.client === name);
    const counted = to.length > 0 ? to : from;
    const only = to.length > 0 && from.length === 0 ? to[0]?.kind : "";
    const kind: Service["kind"] =
      to.length === 0 && from.every((call) => call.kind === "virtual_node")
        ? "user"
        : only === "database" || only === "messaging_system" || only === "virtual_node"
          ? only
          : "service";
    return {
      name,
      kind,
      rate: counted.reduce((sum, call) => sum + call.rate, 0),
      failed: counted.reduce((sum, call) => sum + call.failed, 0),
      p95: p95.get(name) ?? null,
    };
  });
}
