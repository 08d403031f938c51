// The query box: what is typed stays the reader's until Enter or Run; a mistake is marked at its place.
import { useEffect, useRef, useState } from "preact/hooks";
import type { ApiError } from "../api/http";

interface QueryBoxProps {
  readonly value: string;
  readonly label: string;
  readonly placeholder: string;
  readonly error: ApiError | null;
  readonly onRun: (query: string) => void;
}

/** Text area that grows with its text. Enter runs, Shift+Enter makes a new line. */
export function QueryBox({ value, label, placeholder, error, onRun }: QueryBoxProps) {
  const [draft, setDraft] = useState(value);
  const area = useRef<HTMLTextAreaElement>(null);
  useEffect(() => setDraft(value), [value]);
  // The height follows the text.
  useEffect(() => {
    const element = area.current;
    if (!element) return;
    element.style.height = "0";
    element.style.height = `${element.scrollHeight + 2}px`;
  }, [draft]);
  const run = (): void => onRun(draft.trim());
  return (
    <div class="query">
      <form
        class="query-row"
        onSubmit={(event) => {
          event.preventDefault();
          run();
        }}
      >
        <textarea
          ref={area}
          rows={1}
          spellcheck={false}
          autocapitalize="off"
          autocomplete="off"
          aria-label={label}
          aria-invalid={error !== null}
          placeholder={placeholder}
          value={draft}
          onInput={(event) => setDraft(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter" && !event.shiftKey) {
              event.preventDefault();
              run();
            }
          }}
        />
        <button type="submit" class="button">
          Run
        </button>
      </form>
      {error && <Mistake query={value} error={error} />}
    </div>
  );
}

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
