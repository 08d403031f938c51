// The machine's own graphs: CPU, memory, disk, network.
import { useMemo } from "preact/hooks";
import { type Answer, queryRange, type Series } from "../../api/prometheus";
import type { Line } from "../../chart/plot";
import { bytes, bytesParts, percentParts } from "../../format";
import { type Column, type Grid, MovingWindow, newest } from "../../series";
import { type Loaded, useLive } from "../../state/live";
import { GraphPanel } from "./graph";
import { machine } from "./queries";

/** Asks several range queries as one: the columns get the label `query` with the name of theirs. */
export function useWindow(
  queries: Readonly<Record<string, string>>,
  lastSeconds: number,
  step: number,
): Loaded<Grid> {
  const key = JSON.stringify([queries, lastSeconds, step]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the key stands for all three
  const window = useMemo(() => new MovingWindow(lastSeconds, step), [key]);
  return useLive(key, (signal) =>
    window.advance(Date.now(), async (start, end, by) => {
      const named = Object.entries(queries).map(async ([name, query]): Promise<Series[]> => {
        const answer: Answer<Series[]> = await queryRange(query, start, end, by, signal);
        return answer.data.map((one) => ({ ...one, labels: { ...one.labels, query: name } }));
      });
      return (await Promise.all(named)).flat();
    }),
  );
}

/** The column whose labels include these. */
export function column(grid: Grid, wanted: Readonly<Record<string, string>>): Column | undefined {
  return grid.columns.find((one) =>
    Object.entries(wanted).every(([name, value]) => one.labels[name] === value),
  );
}

function empty(grid: Grid): (number | null)[] {
  return grid.times.map(() => null);
}

const CPU_MODES: readonly { name: string; modes: readonly string[]; colour: string }[] = [
  { name: "user", modes: ["user", "nice"], colour: "var(--metrics)" },
  { name: "system", modes: ["system", "irq", "softirq", "steal"], colour: "var(--plum)" },
  { name: "I/O wait", modes: ["iowait"], colour: "var(--traces)" },
];

function cpuLines(grid: Grid): Line[] {
  return CPU_MODES.map(({ name, modes, colour }) => {
    const columns = grid.columns.filter((one) => modes.includes(one.labels.mode ?? ""));
    const values = grid.times.map((_, slot) => {
      const given = columns.map((one) => one.values[slot]).filter((value): value is number => value != null);
      return given.length === 0
        ? null
        : Math.max(
            0,
            given.reduce((total, value) => total + value, 0),
          );
    });
    return { name, colour, values };
  });
}

function memoryLines(grid: Grid): Line[] {
  const total = column(grid, { query: "total" });
  const available = column(grid, { query: "available" });
  const values = grid.times.map((_, slot) => {
    const all = total?.values[slot];
    const free = available?.values[slot];
    return all == null || free == null ? null : all - free;
  });
  return [{ name: "used", colour: "var(--metrics)", values }];
}

function pair(names: readonly [string, string], colours: readonly [string, string]): (grid: Grid) => Line[] {
  return (grid) =>
    names.map((name, index) => ({
      name,
      colour: colours[index] ?? "var(--metrics)",
      values: column(grid, { query: name })?.values ?? empty(grid),
    }));
}

const diskLines = pair(["read", "written"], ["var(--sky)", "var(--metrics)"]);
const netLines = pair(["in", "out"], ["var(--logs)", "var(--plum)"]);

interface MachineProps {
  readonly host: string;
  readonly lastSeconds: number;
  readonly step: number;
  readonly load: number | null;
}

/** Four graphs with one cursor. */
export function Machine({ host, lastSeconds, step, load }: MachineProps) {
  const cpu = useWindow({ cpu: machine.cpu(host) }, lastSeconds, step);
  const memory = useWindow(
    { total: machine.memoryTotal(host), available: machine.memoryAvailable(host) },
    lastSeconds,
    step,
  );
  const disk = useWindow(
    { read: machine.diskRead(host), written: machine.diskWritten(host) },
    lastSeconds,
    step,
  );
  const net = useWindow({ in: machine.received(host), out: machine.sent(host) }, lastSeconds, step);
  const totalBytes = memory.data ? newest(column(memory.data, { query: "total" })) : null;
  return (
    <div class="grid grid-4">
      <GraphPanel
        title="CPU"
        of={cpu}
        lines={cpuLines}
        shape="stack"
        quantity={percentParts}
        max={10}
        {...(load === null ? {} : { note: `load ${load.toFixed(2)}` })}
        empty="No CPU samples yet. The first appear within a minute of the start."
      />
      <GraphPanel
        title="Memory"
        of={memory}
        lines={memoryLines}
        shape="area"
        quantity={bytesParts}
        {...(totalBytes === null ? {} : { max: totalBytes, fixed: true, note: `of ${bytes(totalBytes)}` })}
        empty="No memory samples yet."
      />
      <GraphPanel
        title="Disk"
        of={disk}
        lines={diskLines}
        shape="area"
        quantity={bytesParts}
        suffix="/s"
        max={64 * 1024}
        empty="No disk counters here: this machine shows none to us."
      />
      <GraphPanel
        title="Network"
        of={net}
        lines={netLines}
        shape="area"
        quantity={bytesParts}
        suffix="/s"
        max={4 * 1024}
        empty="No network interface with a wire or antenna reports yet."
      />
    </div>
  );
}
