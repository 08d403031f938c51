import { describe, expect, it } from "vitest";
import { ago, byteRate, bytes, count, duration, frequency, percent, rate, sample, span } from "../src/format";

/** Narrow no-break spaces read as plain ones. */
const plain = (text: string): string => text.replaceAll("\u202f", " ");

describe("numbers", () => {
  it.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1 KiB"],
    [1536, "1.5 KiB"],
    [1024 ** 2 - 1, "1 MiB"],
    [268_435_456, "256 MiB"],
    [12.6 * 1024 ** 3, "12.6 GiB"],
    [Number.NaN, "–"],
    [null, "–"],
    [Number.POSITIVE_INFINITY, "–"],
  ])("%s bytes", (value, text) => {
    expect(plain(bytes(value))).toBe(text);
  });

  it("rates carry their unit", () => {
    expect(plain(byteRate(2048))).toBe("2 KiB/s");
    expect(plain(rate(1234))).toBe("1.23 k/s");
    expect(plain(rate(12))).toBe("12 /s");
    expect(rate(undefined)).toBe("–");
    expect([12, 0.1, 0.05, 0.0005, 0].map((one) => plain(frequency(one)))).toEqual([
      "12 /s",
      "0.1 /s",
      "3 /min",
      "1.8 /h",
      "0 /s",
    ]);
  });

  it("counts never reach 1000 of a unit", () => {
    expect(plain(count(999.6))).toBe("1 k");
    expect(plain(count(999))).toBe("999");
    expect(plain(count(0))).toBe("0");
    expect(plain(count(0.05))).toBe("0.05");
  });

  it("percent", () => {
    expect(plain(percent(4.26))).toBe("4.3 %");
    expect(plain(percent(99.6))).toBe("100 %");
  });

  it("samples of unknown unit", () => {
    expect(sample(42)).toBe("42");
    expect(sample(0.934271)).toBe("0.93427");
    expect(sample(Number.NaN)).toBe("NaN");
    expect(sample(Number.NEGATIVE_INFINITY)).toBe("-Inf");
    expect(plain(sample(1_234_567))).toBe("1.23 M");
  });
});

describe("times", () => {
  it.each([
    [0, "0 s"],
    [59.9, "59 s"],
    [3600, "1 h"],
    [3660, "1 h 1 min"],
    [12 * 86_400 + 4 * 3600 + 59, "12 d 4 h"],
    [86_400 + 5, "1 d"],
    [Number.POSITIVE_INFINITY, "∞"],
    [Number.NaN, "–"],
  ])("%s seconds of uptime", (seconds, text) => {
    expect(plain(span(seconds))).toBe(text);
  });

  it.each([
    [0, "0 ms"],
    [0.0005, "500 ns"],
    [0.87, "870 µs"],
    [12.34, "12.3 ms"],
    [999.7, "1 s"],
    [1250, "1.25 s"],
    [125_000, "2 min 5 s"],
  ])("%s ms took", (ms, text) => {
    expect(plain(duration(ms))).toBe(text);
  });

  it("ago", () => {
    expect(ago(200)).toBe("now");
    expect(plain(ago(12_000))).toBe("12 s ago");
    expect(plain(ago(3_700_000))).toBe("1 h ago");
  });
});
