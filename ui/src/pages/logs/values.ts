// Which fields the loaded lines have, and how often each value occurs among them.

import type { DetectedField } from "../../api/fields";
import type { LogLine } from "../../api/loki";
import { type OwnFields, ownFields } from "../../logql/fields";

/** Where a field comes from decides how it is filtered by: as a label of the stream, as metadata, or parsed. */
export type Origin = "label" | "metadata" | "parsed";

/** A field of the lines. `cardinality` is the server's estimate; 0 where it said nothing. */
export interface Field {
  readonly name: string;
  readonly origin: Origin;
  readonly parser: "json" | "logfmt" | null;
  readonly cardinality: number;
}

/** A value and how many of the lines have it. */
export interface ValueCount {
  readonly value: string;
  readonly count: number;
}

/** Lines looked at: enough to know what is there. */
const SAMPLE_MAX = 2000;

const own = new WeakMap<LogLine, OwnFields>();

/** Fields of the line's own text, found once. */
export function ownFieldsOf(line: LogLine): OwnFields {
  const known = own.get(line);
  if (known) return known;
  const found = ownFields(line.line);
  own.set(line, found);
  return found;
}

/** A line's value of a field; undefined without. */
export function fieldValue(line: LogLine, field: Field): string | undefined {
  if (field.origin === "label") return line.stream[field.name];
  if (field.origin === "metadata") return line.metadata[field.name];
  return line.parsed[field.name] ?? ownFieldsOf(line).fields[field.name];
}

/** The lines that statistics are made of: spread over all, newest included. */
export function sampleOf(lines: readonly LogLine[]): readonly LogLine[] {
  const stride = Math.ceil(lines.length / SAMPLE_MAX);
  return stride <= 1 ? lines : lines.filter((_, index) => index % stride === 0);
}

/** Most frequent first; of equal ones by name. */
export function countValues(lines: readonly LogLine[], field: Field): ValueCount[] {
  const counts = new Map<string, number>();
  for (const line of lines) {
    const value = fieldValue(line, field);
    if (value !== undefined) counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  return [...counts]
    .map(([value, count]) => ({ value, count }))
    .sort((a, b) => b.count - a.count || (a.value < b.value ? -1 : 1));
}

const ORDER: readonly Origin[] = ["label", "metadata", "parsed"];
const HIDDEN = /^__|^$/;

/**
 * All fields of the lines and of what the server detected, labels first, each by name. `parsed` when the query has a
 * parser of its own: then the server names none for the fields that it finds.
 */
export function fieldsOf(
  lines: readonly LogLine[],
  detected: readonly DetectedField[],
  parsed: boolean,
): Field[] {
  const found = new Map<string, Field>();
  const sizes = new Map(detected.map((one) => [one.name, one.cardinality]));
  const add = (name: string, origin: Origin, parser: Field["parser"]): void => {
    if (found.has(name) || HIDDEN.test(name)) return;
    found.set(name, { name, origin, parser, cardinality: sizes.get(name) ?? 0 });
  };
  for (const line of lines) for (const name of Object.keys(line.stream)) add(name, "label", null);
  for (const line of lines) for (const name of Object.keys(line.metadata)) add(name, "metadata", null);
  for (const line of lines) for (const name of Object.keys(line.parsed)) add(name, "parsed", null);
  for (const one of detected) {
    const parser = one.parsers.includes("json") ? "json" : one.parsers.includes("logfmt") ? "logfmt" : null;
    add(one.name, parsed || one.parsers.length > 0 ? "parsed" : "metadata", parser);
  }
  for (const line of lines) {
    const { parser, fields } = ownFieldsOf(line);
    for (const name of Object.keys(fields)) add(name, "parsed", parser);
  }
  return [...found.values()].sort(
    (a, b) => ORDER.indexOf(a.origin) - ORDER.indexOf(b.origin) || (a.name < b.name ? -1 : 1),
  );
}
