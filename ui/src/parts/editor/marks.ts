// What the server says of a query, at its place in the text.
import { type ApiError, positionIn } from "../../api/http";

/** A remark with a place; line and column from 1. */
export interface Mark {
  readonly line: number;
  readonly column: number;
  readonly severity: "error" | "warning" | "info";
  readonly message: string;
}

/** Remarks that name a place. */
export function marksOf(
  error: ApiError | null,
  warnings: readonly string[],
  infos: readonly string[],
): Mark[] {
  const said = [
    ...(error ? [{ severity: "error" as const, message: error.message }] : []),
    ...warnings.map((message) => ({ severity: "warning" as const, message })),
    ...infos.map((message) => ({ severity: "info" as const, message })),
  ];
  return said.flatMap(({ severity, message }) => {
    const at = positionIn(message);
    return at ? [{ ...at, severity, message: withoutPosition(message) }] : [];
  });
}

/** Prometheus ends its remarks with the place, as in `… (1:6)`: people see the place marked instead. */
export function withoutPosition(message: string): string {
  return message.replace(/ \(\d+:\d+\)$/, "").replace(/^PromQL (warning|info): /, "");
}
