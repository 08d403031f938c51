// What ids name. Apart from their reading, since every address may have one.

/** What an id may name, as the API calls it; a trace first. */
export const ID_KINDS = [
  "trace_id",
  "request_id",
  "circuit_id",
  "product_id",
  "resource_id",
  "resource_type_id",
] as const;
/** One of `ID_KINDS`. */
export type IdKind = (typeof ID_KINDS)[number];

/** Those that outlive a trace: a story can be told of them. */
export const BUSINESS_KINDS: readonly IdKind[] = ID_KINDS.slice(1);

/** An id and what it names. */
export interface NamedId {
  readonly kind: IdKind;
  readonly value: string;
}

/** `circuit_id` → `circuit`. */
export function shortName(kind: IdKind): string {
  return kind.replace(/_id$/, "").replace("_", " ");
}
