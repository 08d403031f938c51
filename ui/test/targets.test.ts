import { describe, expect, it } from "vitest";
import { decodeProblems } from "../src/api/problems";
import { decodeTargets } from "../src/api/targets";
import { foundText, poolsOf, shownLabels, summary } from "../src/pages/targets/words";
import { formatRoute, parseRoute } from "../src/state/url";

const target = (pool: string, health: string, more: object = {}) => ({
  scrapePool: pool,
  scrapeUrl: `http://${pool}/metrics`,
  labels: { job: pool, instance: "h:1" },
  discoveredLabels: { __address__: "h:1" },
  health,
  lastScrape: "2026-11-21T00:00:01Z",
  lastScrapeDuration: 0.25,
  ...more,
});

const answer = (active: object[], counts: object = {}) =>
  decodeTargets({ status: "success", data: { activeTargets: active, droppedTargetCounts: counts } });

describe("problems", () => {
  it("are told in full, and how many more there are", () => {
    const one = { part: "files", what: "/var/log/x", why: "permission denied", hint: "" };
    expect(decodeProblems({ problems: [one], omitted: 3 })).toEqual({ problems: [one], omitted: 3 });
    expect(decodeProblems({})).toEqual({ problems: [], omitted: 0 });
    expect(() => decodeProblems({ problems: "none" })).toThrow("problems");
  });
});

describe("targets", () => {
  it("have a link", () => {
    expect(formatRoute(parseRoute("#/targets?x=1"))).toBe("#/targets");
  });

  it("that are down come first", () => {
    const targets = answer([target("a", "up"), target("b", "up"), target("b", "down")], { a: 0, c: 2 });
    const pools = poolsOf(targets);
    expect(pools.map((pool) => pool.name)).toEqual(["b", "a", "c"]);
    expect(pools[0]?.targets.map((one) => one.health)).toEqual(["down", "up"]);
    expect(pools[2]).toEqual({ name: "c", targets: [], dropped: 2 });
    expect(summary(targets.active)).toBe("2 up, 1 down");
  });

  it("are unknown before their first scrape", () => {
    const [one] = answer([target("a", "asleep", { lastScrape: "0001-01-01T00:00:00Z" })]).active;
    expect([one?.health, one?.lastMs]).toEqual(["unknown", null]);
    expect(summary(one ? [one] : [])).toBe("0 up, 1 not scraped yet");
  });

  it("show labels that say something", () => {
    const [one] = answer([target("a", "up")]).active;
    expect(one && shownLabels(one)).toEqual([["instance", "h:1"]]);
    expect(one && foundText(one)).toBe('__address__="h:1"');
  });

  it("of another shape are refused", () => {
    expect(() => decodeTargets({ data: { activeTargets: 1 } })).toThrow("activeTargets");
    expect(answer([]).active).toEqual([]);
  });
});
