// The fields that a line's own text has, as Loki's parsers would name them: of JSON objects and of logfmt.
import { fieldName } from "./edit";

/** Fields found in a text and the parser that finds them. */
export interface OwnFields {
  readonly parser: "json" | "logfmt" | null;
  readonly fields: Readonly<Record<string, string>>;
}

const NONE: OwnFields = { parser: null, fields: {} };
const FIELDS_MAX = 200;

/** The object that a line is; null when it is none. */
export function jsonOf(line: string): Readonly<Record<string, unknown>> | null {
  const text = line.trim();
  if (!text.startsWith("{") || !text.endsWith("}")) return null;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

function flatten(prefix: string, value: unknown, into: Record<string, string>): void {
  if (Object.keys(into).length >= FIELDS_MAX || Array.isArray(value) || value === null) return;
  if (typeof value !== "object") {
    into[prefix] = String(value);
    return;
  }
  for (const [key, inner] of Object.entries(value)) {
    flatten(prefix === "" ? fieldName(key) : `${prefix}_${fieldName(key)}`, inner, into);
  }
}

const PAIR = /([A-Za-z_][\w.\-/]*)=("(?:[^"\\]|\\.)*"|[^\s"]*)/g;

function logfmtOf(line: string): Record<string, string> | null {
  const fields: Record<string, string> = {};
  let covered = 0;
  for (const match of line.matchAll(PAIR)) {
    const [whole, key = "", raw = ""] = match;
    const value = raw.startsWith('"') ? raw.slice(1, -1).replace(/\\(.)/g, "$1") : raw;
    if (Object.keys(fields).length < FIELDS_MAX) fields[fieldName(key)] = value;
    covered += whole.length;
  }
  // Prose with one assignment in it is not logfmt.
  return Object.keys(fields).length >= 2 && covered >= line.trim().length / 2 ? fields : null;
}

/** Fields of a line's text. */
export function ownFields(line: string): OwnFields {
  const json = jsonOf(line);
  if (json) {
    const fields: Record<string, string> = {};
    flatten("", json, fields);
    return { parser: "json", fields };
  }
  const pairs = logfmtOf(line);
  return pairs ? { parser: "logfmt", fields: pairs } : NONE;
}
