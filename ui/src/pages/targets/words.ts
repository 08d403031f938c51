// What the page of targets says, apart from how it is drawn.
import type { Target, Targets } from "../../api/targets";

/** The targets of a job. */
export interface Pool {
  readonly name: string;
  readonly targets: readonly Target[];
  readonly dropped: number;
}

const RANK = { down: 0, unknown: 1, up: 2 } as const;

/** Jobs by name, those with a target that is down first; targets likewise. */
export function poolsOf({ active, dropped }: Targets): Pool[] {
  const names = new Set([...active.map((target) => target.pool), ...Object.keys(dropped)]);
  const worst = (pool: Pool): number => Math.min(3, ...pool.targets.map((target) => RANK[target.health]));
  return [...names]
    .map((name) => ({
      name,
      targets: active
        .filter((target) => target.pool === name)
        .sort((a, b) => RANK[a.health] - RANK[b.health] || a.url.localeCompare(b.url)),
      dropped: dropped[name] ?? 0,
    }))
    .sort((a, b) => Number(worst(a) !== 0) - Number(worst(b) !== 0) || a.name.localeCompare(b.name));
}

/** "7 up, 2 down, 1 not scraped yet". */
export function summary(targets: readonly Target[]): string {
  const count = (health: Target["health"]): number =>
    targets.filter((target) => target.health === health).length;
  const parts = [`${count("up")} up`];
  if (count("down") > 0) parts.push(`${count("down")} down`);
  if (count("unknown") > 0) parts.push(`${count("unknown")} not scraped yet`);
  return parts.join(", ");
}

/** Labels but for the job, which is said above them. */
export function shownLabels(target: Target): [string, string][] {
  return Object.entries(target.labels).filter(([name, value]) => name !== "job" || value !== target.pool);
}

/** What was found, one label a line. */
export function foundText(target: Target): string {
  return Object.entries(target.found)
    .map(([name, value]) => `${name}="${value}"`)
    .join("\n");
}
