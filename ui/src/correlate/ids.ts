// Ids as people and programs write them: of traces, requests and of what requests are about.
//
// The server finds ids by the same names (crate `line`, `ids/name.rs`; what is said there holds here): letters and digits
// count, case, underscores, dashes and dots do not. No server, no DOM.

import { BUSINESS_KINDS, ID_KINDS, type IdKind, type NamedId } from "./kinds";

/** Longer ones are no ids to the server either. */
const VALUE_MAX = 128;
/** What stands before `id`, and what it is the id of; longer ones first where one ends in another. */
const STEMS: readonly (readonly [string, IdKind])[] = [
  ["trace", "trace_id"],
  ["resourcetype", "resource_type_id"],
  ["resource", "resource_id"],
  ["correlation", "request_id"],
  ["request", "request_id"],
  ["circuit", "circuit_id"],
  ["product", "product_id"],
  ["req", "request_id"],
];
/** Words that say where a field was taken from: `http.request.header.x-request-id`, `otelTraceID`. */
const AROUND =
  /^(?:cf|xms|sw)?(?:opentelemetry|attributes|contextmap|properties|parameters|attribute|structured|metadata|datadog|context|baggage|elastic|headers|logging|message|payload|request|tracing|traefik|zipkin|common|fields|github|header|jaeger|labels|lambda|params|record|sentry|sleuth|attrs|entry|envoy|event|extra|field|label|nginx|param|props|query|trace|uber|amzn|args|attr|body|data|http|json|kong|meta|otel|rest|span|tags|amz|apm|app|aws|ctx|ecs|log|mdc|msg|req|tag|b3|dd|x)*$/;
/** Namespaces whose ids are not those of the item itself: `parent.trace_id`. */
const OTHERS =
  /(?:^|[^a-z0-9])(?:parent|root|links?|linked|previous|prev|old|new|next|child|source|target|other|related|last|first|cloud|user|original|origin|remote)$/i;

/** What stands before a stem's first letter in the name as it is written. */
function before(name: string, letters: number): string {
  let at = name.length;
  for (let left = letters; left > 0 && at > 0; ) {
    at -= 1;
    if (/[A-Za-z0-9]/.test(name[at] ?? "")) left -= 1;
  }
  return name.slice(0, at).replace(/x-$/i, "");
}

/** What a field of this name has; null for anything else. */
export function kindOf(name: string): IdKind | null {
  const plain = name.replace(/[^A-Za-z0-9]/g, "").toLowerCase();
  if (plain === "trace") return "trace_id";
  if (!plain.endsWith("id") || name.length > 96) return null;
  const stem = plain.slice(0, -2);
  const [word, kind] = STEMS.find(([word]) => stem.endsWith(word)) ?? [];
  if (word === undefined || kind === undefined) return null;
  if (AROUND.test(stem.slice(0, -word.length))) return kind;
  const space = before(name, word.length + 2);
  return /[./]$/.test(space) && !OTHERS.test(space.slice(0, -1)) ? kind : null;
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
