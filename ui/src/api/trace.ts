// One trace by its id, from Tempo's API under /tempo: OTLP's JSON, with ids in hex or in base64.
import type { Attribute, Scope, Span, SpanEvent, SpanKind, SpanLink, Trace } from "../traces/model";
import { array, type Fields, number, object, text } from "./decode";
import { ApiError, getJson } from "./http";

/** A large trace is some megabytes; a slow card and a busy machine need their time for it. */
const TIMEOUT_MS = 60_000;

/** Hex of an id that is hex or base64; empty stays empty, and an id of zeros is none. */
export function hexId(value: unknown, bytes: number): string {
  const given = text(value);
  let hex = given.toLowerCase();
  if (!(given.length === bytes * 2 && /^[0-9a-f]+$/.test(hex))) {
    try {
      hex = [...atob(given)].map((char) => char.charCodeAt(0).toString(16).padStart(2, "0")).join("");
    } catch {
      // Neither: as it came.
    }
  }
  return /^0*$/.test(hex) ? "" : hex;
}

function plain(value: unknown): { value: string; isText: boolean } {
  const fields = object(value ?? {}, "a value");
  if (typeof fields.stringValue === "string") return { value: fields.stringValue, isText: true };
  for (const key of ["intValue", "doubleValue", "boolValue"]) {
    if (fields[key] !== undefined) return { value: text(fields[key]), isText: false };
  }
  if (typeof fields.bytesValue === "string") return { value: fields.bytesValue, isText: true };
  return { value: JSON.stringify(inner(fields)) ?? "", isText: true };
}

/** A nested value as plain JSON. */
function inner(value: unknown): unknown {
  const fields = object(value ?? {}, "a value");
  if (fields.arrayValue !== undefined)
    return array(object(fields.arrayValue ?? {}, "a list").values, "values").map(inner);
  if (fields.kvlistValue !== undefined) {
    const pairs = array(object(fields.kvlistValue ?? {}, "pairs").values, "values");
    return Object.fromEntries(
      pairs.map((each) => {
        const pair = object(each, "a pair");
        return [text(pair.key), inner(pair.value)];
      }),
    );
  }
  if (fields.intValue !== undefined) return number(fields.intValue);
  return fields.stringValue ?? fields.doubleValue ?? fields.boolValue ?? fields.bytesValue ?? null;
}

function attributes(value: unknown): Attribute[] {
  return array(value, "attributes").map((each) => {
    const pair = object(each, "an attribute");
    return { key: text(pair.key), ...plain(pair.value) };
  });
}

const KINDS: readonly SpanKind[] = ["", "internal", "server", "client", "producer", "consumer"];

function kindOf(value: unknown): SpanKind {
  if (typeof value === "number") return KINDS[value] ?? "";
  const word = text(value).replace("SPAN_KIND_", "").toLowerCase();
  return KINDS.find((kind) => kind === word) ?? "";
}

function statusOf(value: unknown): Span["status"] {
  const word = text(value).replace("STATUS_CODE_", "").toLowerCase();
  return word === "error" || word === "2" ? "error" : word === "ok" || word === "1" ? "ok" : "unset";
}

function nanosOf(value: unknown): bigint {
  const digits = text(value);
  return /^\d+$/.test(digits) ? BigInt(digits) : 0n;
}

interface Raw {
  readonly span: Fields;
  readonly service: string;
  readonly resource: readonly Attribute[];
  readonly scope: Scope;
  readonly startNs: bigint;
}

function rawSpans(groups: readonly unknown[]): Raw[] {
  return groups.flatMap((each) => {
    const group = object(each, "spans of a resource");
    const resource = attributes(object(group.resource ?? {}, "a resource").attributes);
    const service = resource.find((one) => one.key === "service.name")?.value ?? "";
    const scopes = array(group.scopeSpans ?? group.instrumentationLibrarySpans, "spans of a scope");
    return scopes.flatMap((one) => {
      const part = object(one, "spans of a scope");
      const from = object(part.scope ?? {}, "a scope");
      const scope = {
        name: text(from.name),
        version: text(from.version),
        attributes: attributes(from.attributes),
      };
      return array(part.spans, "spans").map((value): Raw => {
        const span = object(value, "a span");
        return { span, service, resource, scope, startNs: nanosOf(span.startTimeUnixNano) };
      });
    });
  });
}

function spanOf({ span, service, resource, scope, startNs }: Raw, base: bigint): Span {
  const rest = Number(nanosOf(span.endTimeUnixNano) - startNs);
  const start = Number(startNs - base);
  const status = object(span.status ?? {}, "a status");
  const warnings: string[] = [];
  if (rest < 0) warnings.push("Ends before it starts, as its sender says: shown without a length.");
  const parent = hexId(span.parentSpanId, 8);
  const dropped = [span.droppedAttributesCount, span.droppedEventsCount, span.droppedLinksCount];
  return {
    id: hexId(span.spanId, 8),
    parent: parent === "" ? null : parent,
    service,
    name: text(span.name),
    start,
    end: start + Math.max(0, rest),
    kind: kindOf(span.kind),
    status: statusOf(status.code),
    message: text(status.message),
    attributes: attributes(span.attributes),
    resource,
    scope,
    events: array(span.events, "events").map((each): SpanEvent => {
      const event = object(each, "an event");
      const at = Number(nanosOf(event.timeUnixNano) - base);
      return { at, name: text(event.name), attributes: attributes(event.attributes) };
    }),
    links: array(span.links, "links").map((each): SpanLink => {
      const link = object(each, "a link");
      return {
        traceId: hexId(link.traceId, 16),
        spanId: hexId(link.spanId, 8),
        attributes: attributes(link.attributes),
      };
    }),
    traceState: text(span.traceState),
    dropped: dropped.reduce<number>((sum, one) => sum + (number(one) || 0), 0),
    warnings,
  };
}

/** Decodes `{"trace": {"resourceSpans": […]}}`, or a bare trace of the older API. */
export function decodeTrace(json: unknown, id: string): Trace {
  const answer = object(json, "the answer");
  const trace = object(answer.trace ?? answer, "the trace");
  const raw = rawSpans(array(trace.resourceSpans ?? trace.batches, "resourceSpans"));
  if (raw.length === 0) throw new ApiError("http", "Trace not found.", 404);
  // A start of zero is a missing clock, not the beginning of the trace.
  const known = raw.filter((one) => one.startNs > 0n);
  const base = (known.length > 0 ? known : raw).reduce(
    (least, one) => (one.startNs < least ? one.startNs : least),
    (known[0] ?? raw[0])?.startNs ?? 0n,
  );
  const partial = text(answer.status).toUpperCase() === "PARTIAL" || answer.status === 1;
  return {
    id,
    startNs: base,
    startMs: Number(base / 1000n) / 1000,
    spans: raw.map((one) => spanOf(one, base)),
    partial: partial ? text(answer.message) || "The server sent only a part of this trace." : "",
  };
}

/** The path of a trace; also for downloading it. */
export const tracePath = (id: string): string => `/tempo/api/v2/traces/${encodeURIComponent(id)}`;

/** The trace with this id. 404 when there is none. */
export function getTrace(id: string, signal?: AbortSignal): Promise<Trace> {
  return getJson(tracePath(id), (json) => decodeTrace(json, id), signal, {}, TIMEOUT_MS);
}
