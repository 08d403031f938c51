// A trace as the page holds it.
//
// Shape: times of spans, events and the trace's end are nanoseconds after `Trace.startNs`, as numbers: exact for traces
// of up to a hundred days. `end >= start` always; what the sender said differently is in `Span.warnings`.

/** An attribute, written out. */
export interface Attribute {
  readonly key: string;
  readonly value: string;
  /** Whether the value was text: then a query for it needs quotes. */
  readonly isText: boolean;
}

/** Something that happened at one moment of a span. */
export interface SpanEvent {
  readonly at: number;
  readonly name: string;
  readonly attributes: readonly Attribute[];
}

/** A pointer to a span of this or another trace. */
export interface SpanLink {
  readonly traceId: string;
  readonly spanId: string;
  readonly attributes: readonly Attribute[];
}

/** The library that made a span. */
export interface Scope {
  readonly name: string;
  readonly version: string;
  readonly attributes: readonly Attribute[];
}

/** What an operation was to others. */
export type SpanKind = "" | "internal" | "server" | "client" | "producer" | "consumer";

/** One timed operation. `parent` is null for a root; it may name a span that is missing. */
export interface Span {
  readonly id: string;
  readonly parent: string | null;
  readonly service: string;
  readonly name: string;
  readonly start: number;
  readonly end: number;
  readonly kind: SpanKind;
  readonly status: "unset" | "ok" | "error";
  readonly message: string;
  readonly attributes: readonly Attribute[];
  readonly resource: readonly Attribute[];
  readonly scope: Scope;
  readonly events: readonly SpanEvent[];
  readonly links: readonly SpanLink[];
  readonly traceState: string;
  /** Attributes, events and links that the sender left out. */
  readonly dropped: number;
  /** What is odd about the span itself. */
  readonly warnings: readonly string[];
}

/** Whether Bramble wrote a span itself, to say what it found in the trace. */
export function isSynthetic(span: Span): boolean {
  return span.resource.some((one) => one.key === "bramble.synthetic" && one.value === "true");
}

/** The trace as it was sent. What has no other spans is left as it is. */
export function withoutSynthetic(trace: Trace): Trace {
  const spans = trace.spans.filter((span) => !isSynthetic(span));
  return spans.length === 0 || spans.length === trace.spans.length ? trace : { ...trace, spans };
}

/** A whole trace; spans in the order of the answer. */
export interface Trace {
  readonly id: string;
  /** Unix nanoseconds of the earliest start. */
  readonly startNs: bigint;
  readonly startMs: number;
  readonly spans: readonly Span[];
  /** The server's word on an answer that is not whole; empty when it is. */
  readonly partial: string;
}
