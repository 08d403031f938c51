// The machine's own graphs: CPU, memory, disk, network.
import { useMemo } from "preact/hooks";
import { type Answer, queryRange, type Series } from "../../api/prometheus";
import type { Line } from "../../chart/plot";
import { bytes, bytesParts, percentParts } from "../../format";
import { type Column, type Grid, MovingWindow, newest } from "../../series";
import { type Loaded, useLive } from "../../state/live";
import { GraphPanel } from "./graph";
import { machine } from "./queries";

/** A grid, and what keeps it from being the whole truth: the server's warnings, or a query of several that failed. */
export interface Windowed extends Grid {
  readonly warnings: readonly string[];
}

/**
 * Asks several range queries as one: the columns get the label `query` with the name of theirs. One that fails is a
 * warning; only when all fail is it an error.
 */
export function useWindow(
  queries: Readonly<Record<string, string>>,
  lastSeconds: number,
  step: number,
): Loaded<Windowed> {
  const key = JSON.stringify([queries, lastSeconds, step]);
  // The key stands for all three.
  const windows = useMemo(
    () =>
      Object.entries(queries).map(([name, query]) => ({
        name,
        query,
        window: new MovingWindow(lastSeconds, step),
      })),
    [key],
  );
  return useLive(key, async (signal): Promise<Windowed> => {
    const now = Date.now();
    const warnings: string[] = [];
    const answers = await Promise.allSettled(
      windows.map(async ({ name, query, window }) => {
        const grid = await window.advance(now, async (start, end, by) => {
          const answer: Answer<Series[]> = await queryRange(query, start, end, by, signal);
          warnings.push(...answer.warnings, ...answer.infos);
          return answer.data;
        });
        return {
          ...grid,
          columns: grid.columns.map((one) => ({ ...one, labels: { ...one.labels, query: name } })),
        };
      }),
    );
    const good = answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []));
    const bad = answers.flatMap((answer) => (answer.status === "rejected" ? [answer.reason as unknown] : []));
    const first = good[0];
    if (first === undefined) throw bad[0];
    warnings.push(...bad.map((reason) => (reason instanceof Error ? reason.message : String(reason))));
    return {
      times: first.times,
      columns: good.flatMap((grid) => grid.columns),
      warnings: [...new Set(warnings)],
    };
  });
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

/** Used as people mean it (total less available), and on top of it what is cache and can be given back. */
function memoryLines(grid: Grid): Line[] {
  const [total, available, free] = ["total", "available", "free"].map(
    (query) => column(grid, { query })?.values,
  );
  const difference = (from: Values, less: Values): (number | null)[] =>
    grid.times.map((_, slot) => {
      const [a, b] = [from?.[slot], less?.[slot]];
      return a == null || b == null ? null : Math.max(0, a - b);
    });
  return [
    { name: "used", colour: "var(--metrics)", values: difference(total, available) },
    { name: "cache", colour: "var(--plum)", values: difference(available, free) },
  ];
}

type Values = readonly (number | null)[] | undefined;

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
    {
      total: machine.memoryTotal(host),
      available: machine.memoryAvailable(host),
      free: machine.memoryFree(host),
    },
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
        max={25}
        {...(load === null ? {} : { note: `load ${load.toFixed(2)}` })}
        legend={true}
        empty={<p>No CPU samples yet. The first appear within a minute of the start.</p>}
      />
      <GraphPanel
        title="Memory"
        of={memory}
        lines={memoryLines}
        shape="stack"
        total={(values) => values[0] ?? null}
        quantity={bytesParts}
        binary={true}
        {...(totalBytes === null ? {} : { max: totalBytes, fixed: true, note: `of ${bytes(totalBytes)}` })}
        legend={true}
        empty={<p>No memory samples yet.</p>}
      />
      <GraphPanel
        title="Disk"
        of={disk}
        lines={diskLines}
        shape="area"
        quantity={bytesParts}
        binary={true}
        suffix="/s"
        max={64 * 1024}
        legend={true}
        empty={<p>No disk counters here: this machine shows none to us.</p>}
      />
      <GraphPanel
        title="Network"
        of={net}
        lines={netLines}
        shape="area"
        quantity={bytesParts}
        binary={true}
        suffix="/s"
        max={4 * 1024}
        legend={true}
        empty={<p>No network interface with a wire or antenna reports yet.</p>}
      />
    </div>
  );
}
