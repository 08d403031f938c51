import { describe, expect, it } from "vitest";
import { decodeNodes, type Node } from "../src/api/nodes";
import {
  forecastOf,
  healthOf,
  heatOf,
  queueOf,
  seenOf,
  settingsFor,
  skewOf,
  summary,
} from "../src/pages/nodes/words";
import { formatRoute, parseRoute } from "../src/state/url";

const answer = (more: object): Node => {
  const node = { id: "a", name: "pi", role: "node", health: "up", ...more };
  const first = decodeNodes({ hub: { port: 4317 }, nodes: [node] }).nodes[0];
  if (first === undefined) throw new Error("a node");
  return first;
};

describe("nodes", () => {
  it("have a link", () => {
    expect(formatRoute(parseRoute("#/nodes?x=1"))).toBe("#/nodes");
  });

  it("are silent when they say nothing that is known", () => {
    const node = answer({ health: "asleep" });
    expect([healthOf(node).text, seenOf(node).text, heatOf(node).text]).toEqual(["Silent", "never", "–"]);
    expect(queueOf(node.queue).text).toBe("–");
    expect(forecastOf(node.queue).text).toBe("–");
    expect(skewOf(node).text).toBe("–");
  });

  it("say what waits and how long that lasts", () => {
    const queue = {
      bytes: 6e8,
      bytes_max: 1e9,
      items: 5,
      age_seconds: 60,
      lasts_seconds: 7200,
      dropped_items: 0,
    };
    const node = answer({ queue, silent_seconds: 4, temperature_celsius: 84.6 });
    expect([queueOf(node.queue).tone, forecastOf(node.queue).text]).toEqual(["is-warn", "2\u202fh"]);
    expect([seenOf(node).text, heatOf(node).tone]).toEqual(["4\u202fs ago", "is-bad"]);
    expect(forecastOf(answer({ queue: { ...queue, dropped_items: 12 } }).queue)).toMatchObject({
      text: "12 dropped",
      tone: "is-bad",
    });
  });

  it("run by a clock that is no better known than the way is long", () => {
    expect(skewOf(answer({ clock_skew_ms: 4, round_trip_ms: 10 })).text).toBe("in step");
    expect(skewOf(answer({ clock_skew_ms: -30, round_trip_ms: 10 })).text).toBe("30\u202fms behind");
    expect(skewOf(answer({ clock_skew_ms: 2000 })).tone).toBe("is-warn");
  });

  it("are summed up", () => {
    expect(summary([answer({})])).toBe("1 node, all up");
    expect(summary([answer({}), answer({ health: "silent" }), answer({ health: "problem" })])).toBe(
      "3 nodes, 1 silent, 1 with a problem",
    );
  });

  it("are told where the hub is unless they find it", () => {
    expect(settingsFor("attic", 4317, false)).toContain('hubs = ["attic:4317"]');
    expect(settingsFor("attic", 4317, true)).not.toContain("hubs");
  });
});
