import { describe, expect, it } from "vitest";
import type { Sample } from "../src/api/prometheus";
import { budgetRows } from "../src/pages/overview/memory";
import { barShare } from "../src/pages/overview/newest";
import { chooseHost, hostMatcher, machine } from "../src/pages/overview/queries";
import { drupelets, storageView } from "../src/pages/overview/storage";
import { rootFilesystem } from "../src/pages/overview/vitals";
import { isDuration } from "../src/traceql/form";

const sample = (value: number, labels: Record<string, string> = {}): Sample => ({
  labels,
  value,
  histogram: null,
});

describe("queries", () => {
  it("put the machine's matcher beside the others, and nothing where there is none", () => {
    expect(machine.memoryTotal("")).toBe("sum(node_memory_MemTotal_bytes)");
    expect(machine.memoryTotal(hostMatcher('a"b'))).toBe('sum(node_memory_MemTotal_bytes{instance="a\\"b"})');
    expect(machine.diskRead(hostMatcher("pi"))).toMatch(/\{device!~".*",instance="pi"\}\[1m\]/);
  });

  it("choose our own machine among several", () => {
    expect(chooseHost(["pi-1:9100", "pi-2:9100"], "", "pi-2")).toBe("pi-2:9100");
    expect(chooseHost(["a", "b"], "", "elsewhere")).toBe("a");
    expect(chooseHost(["only"], "", "other")).toBe("");
    expect(chooseHost(["a", "b"], "b", "a")).toBe("b");
  });
});

describe("storage", () => {
  const used = [
    sample(50, { signal: "logs", tier: "warm" }),
    sample(1, { signal: "metrics", tier: "cold" }),
    sample(0, { signal: "metrics", tier: "hot" }),
    sample(Number.NaN, { signal: "traces", tier: "hot" }),
  ];

  it("orders signals and tiers, leaves out what is no number", () => {
    const view = storageView(used, [sample(100)], [sample(Number.POSITIVE_INFINITY)]);
    expect(view.used.map((row) => `${row.signal} ${row.tier}`)).toEqual([
      "metrics hot",
      "metrics cold",
      "logs warm",
    ]);
    expect(view).toMatchObject({ budgetBytes: 100, fullSeconds: null });
  });

  it("gives every signal with bytes a drupelet, and never more than there are", () => {
    const view = storageView(used, [sample(1000)], []);
    expect(drupelets(view, 20).map((one) => one.signal)).toEqual(["metrics", "logs"]);
    expect(drupelets(storageView(used, [sample(10)], []), 20)).toHaveLength(20);
    expect(drupelets(storageView(used, [], []), 20)).toEqual([]);
  });
});

describe("memory, disks, bars", () => {
  it("joins limits and use by name", () => {
    const limits = [sample(10, { budget: "small" }), sample(90, { budget: "big" })];
    expect(budgetRows(limits, [sample(7, { budget: "small" })])).toEqual([
      { name: "big", limitBytes: 90, usedBytes: 0 },
      { name: "small", limitBytes: 10, usedBytes: 7 },
    ]);
  });

  it("takes / for the machine's disk, else the largest", () => {
    const of = (mountpoint: string, value: number): Sample =>
      sample(value, { mountpoint, device: mountpoint });
    expect(rootFilesystem([of("/data", 9), of("/", 5)], [of("/", 2), of("/data", 1)])).toMatchObject({
      mount: "/",
      availableBytes: 2,
    });
    expect(rootFilesystem([of("/data", 9), of("/boot", 5)], [of("/boot", 2), of("/data", 1)])?.mount).toBe(
      "/data",
    );
    expect(rootFilesystem([of("/", 5)], [])).toBeNull();
  });

  it("keeps bars visible and inside their track", () => {
    expect(barShare(1, 4)).toBe(0.25);
    expect(barShare(0, 4)).toBeGreaterThan(0);
    expect(barShare(9, 4)).toBe(1);
    expect(barShare(0, 0)).toBeGreaterThan(0);
  });

  it("knows durations", () => {
    expect(["", "100ms", "1.5s", "300µs", "2h"].every(isDuration)).toBe(true);
    expect(["100", "ms", "1 s", "-1s", "1s && true"].some(isDuration)).toBe(false);
  });
});
