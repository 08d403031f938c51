// Small readers of untrusted JSON. A wrong shape throws `ApiError("shape")` naming the field.
import { ApiError } from "./http";

/** An object whose fields are not known yet. */
export type Fields = Readonly<Record<string, unknown>>;

function wrong(what: string, expected: string): ApiError {
  return new ApiError("shape", `Unexpected answer: ${what} is not ${expected}.`);
}

/** An object. */
export function object(value: unknown, what: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong(what, "an object");
  return value as Fields;
}

/** An array; `null` and absent count as empty, as Go servers write them so. */
export function array(value: unknown, what: string): readonly unknown[] {
  if (value === null || value === undefined) return [];
  if (!Array.isArray(value)) throw wrong(what, "a list");
  return value;
}

/** A string; numbers and booleans are written out. */
export function text(value: unknown, fallback = ""): string {
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : fallback;
}

/** A number, or a string that holds one (Prometheus samples, 64-bit integers). Otherwise NaN. */
export function number(value: unknown): number {
  if (typeof value === "number") return value;
  if (typeof value !== "string" || value === "") return Number.NaN;
  if (value === "+Inf" || value === "Inf") return Number.POSITIVE_INFINITY;
  if (value === "-Inf") return Number.NEGATIVE_INFINITY;
  return Number(value);
}

/** Decimal nanoseconds → milliseconds, without losing the milliseconds to rounding. */
export function nanosToMs(value: unknown): number {
  const digits = text(value);
  if (!/^\d+$/.test(digits)) return Number.NaN;
  return Number(digits.slice(0, -6) || "0") + Number(`0.${digits.slice(-6).padStart(6, "0")}`);
}

/** Name–value pairs of an identity. */
export type Labels = Readonly<Record<string, string>>;

/** An object of strings. */
export function labels(value: unknown): Labels {
  if (typeof value !== "object" || value === null) return {};
  return Object.fromEntries(Object.entries(value).map(([name, content]) => [name, text(content)]));
}
