// The strip of single figures under the host's name: asked together, each may be missing.
import { queryInstant, type Sample } from "../../api/prometheus";
import { type Loaded, useLive } from "../../state/live";
import { vitals } from "./queries";

/** A file system; bytes. */
export interface Filesystem {
  readonly mount: string;
  readonly sizeBytes: number;
  readonly availableBytes: number;
}

/** Null where the machine does not say. */
export interface Vitals {
  readonly load: number | null;
  readonly celsius: number | null;
  readonly root: Filesystem | null;
}

function first(samples: readonly Sample[]): number | null {
  const value = samples[0]?.value;
  return value !== undefined && Number.isFinite(value) ? value : null;
}

/** The file system of `/`; without one, the largest. */
export function rootFilesystem(sizes: readonly Sample[], available: readonly Sample[]): Filesystem | null {
  const all = sizes.flatMap((size): Filesystem[] => {
    const mount = size.labels.mountpoint ?? "";
    const free = available.find(
      (one) => one.labels.mountpoint === mount && one.labels.device === size.labels.device,
    );
    return free && size.value > 0 ? [{ mount, sizeBytes: size.value, availableBytes: free.value }] : [];
  });
  return all.find((one) => one.mount === "/") ?? all.sort((a, b) => b.sizeBytes - a.sizeBytes)[0] ?? null;
}

/** Refreshes every second beat: these move slowly. */
export function useVitals(host: string): Loaded<Vitals> {
  return useLive(
    `vitals ${host}`,
    async (signal) => {
      // Each figure alone may be missing: it shows as a dash.
      const ask = (query: string): Promise<Sample[]> =>
        queryInstant(query, signal).then(
          (answer) => answer.data,
          () => [],
        );
      const [load, thermal, hwmon, sizes, available] = await Promise.all([
        ask(vitals.load(host)),
        ask(vitals.thermal(host)),
        ask(vitals.hwmon(host)),
        ask(vitals.size(host)),
        ask(vitals.available(host)),
      ]);
      return {
        load: first(load),
        celsius: first(thermal) ?? first(hwmon),
        root: rootFilesystem(sizes, available),
      };
    },
    2,
  );
}
