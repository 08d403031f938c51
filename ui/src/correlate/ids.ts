// Ids as people and programs write them: of traces, requests and of what requests are about.
//
// The server finds ids by the same names (crate `line`, `ids`): letters and digits count, case, underscores, dashes and
// dots do not. No server, no DOM.

import { BUSINESS_KINDS, ID_KINDS, type IdKind, type NamedId } from "./kinds";

/** Longer ones are no ids to the server either. */
const VALUE_MAX = 128;
const PLAIN = new Map(ID_KINDS.map((kind) => [kind.replaceAll("_", ""), kind] as const));
/** What loggers put before a name: `http_request_id`, `x-b3-traceid`, `otelTraceID`, `mdc.circuit_id`. */
const BEFORE = /^(?:xb3|x|b3|otel|dd|http|ctx|context|mdc|attributes|attrs|labels|fields|extra|event|data)/;

/** What a field of this name has; null for anything else. */
export function kindOf(name: string): IdKind | null {
  const plain = name.replace(/[^A-Za-z0-9]/g, "").toLowerCase();
  return PLAIN.get(plain) ?? PLAIN.get(plain.replace(BEFORE, "")) ?? null;
}

/** Whether a value can be an id of this kind; a trace's in lower case without dashes. Null when it cannot. */
export function idOf(kind: IdKind, value: string): NamedId | null {
  const text = value.trim();
  if (text === "" || text.length > VALUE_MAX || !/^[\x21-\x7e]+$/.test(text)) return null;
  if (kind !== "trace_id")
    return /^(?:null|none|nil|undefined|-)$/i.test(text) ? null : { kind, value: text };
  const hex = text.replace(/-/g, "").toLowerCase();
  return /^(?:[0-9a-f]{32}|[0-9a-f]{16})$/.test(hex) && !/^0+$/.test(hex) ? { kind, value: hex } : null;
}

/** A name that ends in `id`, and its value. */
const PAIR =
  /(?<![A-Za-z0-9])([A-Za-z][\w.-]{1,60}?id)["']?\s*[=:]\s*(?:"([^"\\]{1,128})"|'([^'\\]{1,128})'|([^\s"',;&)\]}]{1,128}))/gi;
const TRACEPARENT = /\b[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}\b/i;
const B3 = /\bb3["']?\s*[=:]\s*["']?([0-9a-f]{32}|[0-9a-f]{16})-[0-9a-f]{16}\b/i;
const FOUND_MAX = 12;

/** Ids written into a text, in the order of their kinds, each once. */
export function idsInText(text: string): NamedId[] {
  const found: NamedId[] = [];
  for (const [, name = "", double, single, bare] of text.matchAll(PAIR)) {
    const kind = kindOf(name);
    const id = kind && idOf(kind, double ?? single ?? bare ?? "");
    if (id) found.push(id);
    if (found.length >= FOUND_MAX) break;
  }
  const header = TRACEPARENT.exec(text)?.[1] ?? B3.exec(text)?.[1];
  const id = header === undefined ? null : idOf("trace_id", header);
  return distinct(id ? [id, ...found] : found);
}

/** Ids of named fields. A `traceparent` counts as its trace. */
export function idsInFields(fields: Readonly<Record<string, string>>): NamedId[] {
  const found: NamedId[] = [];
  for (const [name, value] of Object.entries(fields)) {
    const kind = kindOf(name);
    const id = kind ? idOf(kind, value) : /traceparent$/i.test(name) ? idsInText(value)[0] : undefined;
    if (id) found.push(id);
    if (found.length >= FOUND_MAX) break;
  }
  return found;
}

/** Each id once, kinds in their order. */
export function distinct(ids: readonly NamedId[]): NamedId[] {
  const seen = new Map(ids.map((id) => [`${id.kind}=${id.value}`, id]));
  return [...seen.values()].sort((a, b) => ID_KINDS.indexOf(a.kind) - ID_KINDS.indexOf(b.kind));
}

/** What somebody who pasted `text` means. */
export type Asked =
  | { readonly is: "id"; readonly id: NamedId }
  | { readonly is: "service"; readonly service: string }
  /** A correlation's own id. */
  | { readonly is: "correlation"; readonly correlation: string }
  /** Something that could be any of these kinds. */
  | { readonly is: "value"; readonly value: string; readonly kinds: readonly IdKind[] }
  | null;

/** Reads an id, `key=value`, `"key": "value"`, a header or a link; null when nothing is in it. */
export function readAsked(text: string): Asked {
  const trimmed = text.trim();
  if (trimmed === "") return null;
  const correlation = /(?:^|[/\s])([0-9a-f]{32}-\d{10,14})(?:$|[?\s])/i.exec(trimmed)?.[1];
  if (correlation !== undefined) return { is: "correlation", correlation: correlation.toLowerCase() };
  const linked = /\/traces?\/([0-9a-f]{16,32})\b/i.exec(trimmed)?.[1];
  const inside = idsInText(trimmed)[0] ?? (linked === undefined ? null : idOf("trace_id", linked));
  if (inside) return { is: "id", id: inside };
  const service = /^"?service(?:[._]?name)?"?\s*[=:]\s*"?([^"\s]+)"?$/i.exec(trimmed)?.[1];
  if (service !== undefined) return { is: "service", service };
  const value = trimmed.replace(/^["']|["',;]+$/g, "");
  if (/^[0-9a-f]{32}$/i.test(value) && !/^0+$/.test(value))
    return { is: "id", id: { kind: "trace_id", value: value.toLowerCase() } };
  if (value.length > VALUE_MAX || /\s/.test(value) || value === "") return null;
  const kinds = idOf("trace_id", value) ? ID_KINDS : BUSINESS_KINDS;
  return { is: "value", value, kinds };
}
