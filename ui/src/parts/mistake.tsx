// What the server says is wrong with a query, at its place.
import type { ApiError } from "../api/http";

/** The error; when it names a position, the query's line with a mark under it. */
export function Mistake({ query, error }: { query: string; error: ApiError }) {
  const at = error.kind === "http" ? error.position : null;
  const line = at ? query.split("\n")[at.line - 1] : undefined;
  return (
    <div class="mistake" role="alert">
      {at && line !== undefined && at.column <= line.length + 1 && (
        <pre>
          {line}
          {"\n"}
          <b>{`${" ".repeat(at.column - 1)}▲`}</b>
        </pre>
      )}
      <p>{error.message}</p>
    </div>
  );
}
