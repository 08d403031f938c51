import { describe, expect, it } from "vitest";
import { decodeOwner, decodeTokens } from "../src/api/owner";
import { decodeSystem } from "../src/api/system";
import { strengthOf } from "../src/pages/entry/strength";
import { shareOf, slotIs } from "../src/pages/system/words";
import { formatRoute, parseRoute } from "../src/state/url";

describe("the owner's API", () => {
  it("says whether there is one, and no more to strangers", () => {
    expect(decodeOwner({ set: true, required: true, signed_in: false })).toEqual({
      set: true,
      required: true,
      signedIn: false,
      name: "",
      ingest: "private",
    });
    expect(decodeOwner({ set: true, signed_in: true, name: "Ada", ingest: "token" }).ingest).toBe("token");
    expect(() => decodeOwner(null)).toThrow();
  });

  it("lists tokens with the scopes that are known", () => {
    const [token] = decodeTokens({
      tokens: [{ id: "a1", name: "vector", scopes: ["ingest", "fly"], created_ms: 5, last_used_ms: null }],
    });
    expect(token?.scopes).toEqual(["ingest"]);
    expect(token?.lastUsedMs).toBeNaN();
  });
});

describe("how good a password is", () => {
  it("asks for ten characters first", () => {
    expect(strengthOf("")).toMatchObject({ level: 0 });
    expect(strengthOf("abc").text).toBe("7 more characters");
  });

  it("is not taken in by steps, repetitions and usual words", () => {
    for (const bad of ["aaaaaaaaaaaa", "1234567890", "abcdefghijkl", "password123", "Raspberry1!"]) {
      expect(strengthOf(bad).level, bad).toBeLessThanOrEqual(1);
    }
    expect(strengthOf("correct horse battery").level).toBeGreaterThanOrEqual(3);
    expect(strengthOf("vB7#kq!2Zp0w").level).toBeGreaterThanOrEqual(3);
  });
});

describe("the machine", () => {
  const system = decodeSystem({
    appliance: true,
    version: "0.8.0",
    slot: "B",
    slots: { A: { version: "0.7.0" }, B: { version: "0.8.0" } },
    trying: "B",
    bad: "",
    update: { state: "writing", bytes_done: 30, bytes_total: 120 },
  });

  it("tells its slots apart", () => {
    expect(slotIs(system, "B").text).toBe("running, on trial");
    expect(slotIs(system, "A").text).toBe("the one before");
    expect(slotIs({ ...system, bad: "A" }, "A").tone).toBe("is-bad");
    expect(slotIs({ ...system, slots: [{ name: "A", version: "" }] }, "A").text).toBe("empty");
  });

  it("knows how far an update is, or that it does not", () => {
    expect(shareOf(system.update)).toBe(0.25);
    expect(shareOf({ ...system.update, bytesTotal: 0 })).toBeNull();
    expect(shareOf({ ...system.update, state: "failed" })).toBeNull();
    expect(decodeSystem({ update: { state: "dancing" } }).update.state).toBe("idle");
  });

  it("has pages with links", () => {
    for (const page of ["access", "system"] as const) {
      expect(parseRoute(formatRoute({ page }))).toEqual({ page });
    }
  });
});
