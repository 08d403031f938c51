// The budget of what the first view loads; judged where the page has been built.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";

const dist = join(__dirname, "..", "dist");
const BUDGET_KIB = {
  script: 56,
  style: 8,
  editor: 130,
  logs: 24,
  traces: 14,
  trace: 18,
  services: 6,
  map: 7,
  correlations: 6,
  correlation: 8,
  stories: 6,
  targets: 4,
  nodes: 5,
  entry: 5,
  access: 5,
  system: 5,
};

const packedKib = (name: string): number => gzipSync(readFileSync(join(dist, name))).length / 1024;

describe.skipIf(!existsSync(join(dist, "index.html")))("the built page", () => {
  const html = (): string => readFileSync(join(dist, "index.html"), "utf8");
  const asked = (suffix: string): string[] =>
    [...html().matchAll(/(?:src|href)="\/(assets\/[^"]+)"/g)]
      .map((match) => match[1] ?? "")
      .filter((name) => name.endsWith(suffix));
  const built = (start: string): string[] =>
    readdirSync(join(dist, "assets")).filter((name) => name.startsWith(start) && name.endsWith(".js"));

  it("loads one script and one style sheet at first, both small", () => {
    expect(asked(".js")).toHaveLength(1);
    expect(asked(".css")).toHaveLength(1);
    expect(packedKib(asked(".js")[0] ?? "")).toBeLessThan(BUDGET_KIB.script);
    expect(packedKib(asked(".css")[0] ?? "")).toBeLessThan(BUDGET_KIB.style);
  });

  it("keeps editor and pages apart, within their own budgets", () => {
    expect(built("editor-")).toHaveLength(1);
    expect(packedKib(join("assets", built("editor-")[0] ?? ""))).toBeLessThan(BUDGET_KIB.editor);
    const pages = [
      "logs",
      "traces",
      "trace",
      "services",
      "map",
      "correlations",
      "correlation",
      "stories",
      "targets",
      "nodes",
      "entry",
      "access",
      "system",
    ] as const;
    for (const page of pages) {
      expect(built(`${page}-`)).toHaveLength(1);
      expect(packedKib(join("assets", built(`${page}-`)[0] ?? ""))).toBeLessThan(BUDGET_KIB[page]);
    }
  });
});
