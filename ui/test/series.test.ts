import { describe, expect, it } from "vitest";
import type { Series } from "../src/api/prometheus";
import { MovingWindow, mergeSeries, newest, toGrid } from "../src/series";

const one = (points: [number, number][], labels: Record<string, string> = { a: "1" }): Series => ({
  labels,
  points,
});

describe("grid", () => {
  it("puts points into their slots and leaves gaps", () => {
    const grid = toGrid(
      [
        one([
          [10, 1],
          [20, 3],
          [25, Number.NaN],
          [99, 9],
        ]),
      ],
      10,
      25,
      5,
    );
    expect(grid.times).toEqual([10, 15, 20, 25]);
    expect(grid.columns[0]?.values).toEqual([1, null, 3, null]);
  });

  it("knows the newest value, unless it is too old", () => {
    const column = { labels: {}, values: [5, null, null, null] };
    expect(newest(column, 4)).toBe(5);
    expect(newest(column, 3)).toBeNull();
    expect(newest(undefined)).toBeNull();
  });
});

describe("merge", () => {
  it("replaces the overlap, drops what is too old, keeps series apart", () => {
    const old = [
      one([
        [0, 1],
        [5, 2],
        [10, 3],
      ]),
      one([[0, 7]], { a: "2" }),
    ];
    const fresh = [
      one([
        [10, 30],
        [15, 40],
      ]),
      one([[15, 8]], { b: "3" }),
    ];
    expect(mergeSeries(old, fresh, 10, 5)).toEqual([
      one([
        [5, 2],
        [10, 30],
        [15, 40],
      ]),
      one([[15, 8]], { b: "3" }),
    ]);
  });
});

describe("moving window", () => {
  it("asks for everything once, then only for the end", async () => {
    const asked: [number, number][] = [];
    const ask = async (start: number, end: number, step: number): Promise<Series[]> => {
      asked.push([start, end]);
      const points: [number, number][] = [];
      for (let at = start; at <= end; at += step) points.push([at, at]);
      return [one(points)];
    };
    const window = new MovingWindow(60, 5);
    await window.advance(1_000_000, ask);
    const grid = await window.advance(1_007_000, ask);
    expect(asked).toEqual([
      [940, 1000],
      [985, 1005],
    ]);
    expect(grid.times).toEqual(Array.from({ length: 13 }, (_, slot) => 945 + 5 * slot));
    expect(grid.columns[0]?.values).toEqual(grid.times);
  });

  it("keeps what it has when asking fails", async () => {
    const window = new MovingWindow(10, 5);
    await window.advance(100_000, async () => [
      one([
        [90, 1],
        [95, 2],
        [100, 3],
      ]),
    ]);
    await expect(window.advance(105_000, async () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    const grid = await window.advance(105_000, async () => [one([[105, 4]])]);
    expect(grid.columns[0]?.values.at(-1)).toBe(4);
  });

  it("asks for everything again after a pause longer than the window", async () => {
    const starts: number[] = [];
    const window = new MovingWindow(10, 5);
    const ask = async (start: number): Promise<Series[]> => {
      starts.push(start);
      return [one([[start, 1]])];
    };
    await window.advance(100_000, ask);
    await window.advance(900_000, ask);
    expect(starts).toEqual([90, 890]);
  });
});
