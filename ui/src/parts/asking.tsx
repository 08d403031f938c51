// A query with its button, what the server says of it, and the queries run before.
import { useEffect, useRef, useState } from "preact/hooks";
import type { ApiError } from "../api/http";
import { resolveRange, type TimeRange } from "../state/url";
import { EditorBox } from "./editor/box";
import type { Create } from "./editor/editor";
import { marksOf } from "./editor/marks";
import { Mistake } from "./mistake";
import { Recent } from "./recent";

/** Two times in milliseconds. */
export interface Times {
  readonly startMs: number;
  readonly endMs: number;
}

/** A language of queries. `load` gets its editor; `times` tell of which range to complete names and values. */
export interface Language {
  /** Whose queries are kept. */
  readonly page: "logs" | "traces";
  readonly name: string;
  readonly example: string;
  readonly load: (times: () => Times) => Promise<Create>;
}

interface AskingProps {
  readonly language: Language;
  readonly query: string;
  readonly range: TimeRange;
  readonly error: ApiError | null;
  readonly onRun: (query: string) => void;
  readonly onFocusable: (focus: () => void) => void;
}

/** A range in milliseconds, its end a second ahead for what arrives now. */
export function timesOfRange(range: TimeRange): Times {
  const { start, end } = resolveRange(range, Date.now() + 1000, 1);
  return { startMs: start * 1000, endMs: end * 1000 };
}

/** The box. */
export function Asking({ language, query, range, error, onRun, onFocusable }: AskingProps) {
  const [draft, setDraft] = useState(query);
  const latest = useRef(range);
  latest.current = range;
  useEffect(() => setDraft(query), [query]);
  const about = draft.trim() === query.trim() ? error : null;
  return (
    <div class="asking">
      <div class="query-line">
        <EditorBox
          load={async () => ({ create: await language.load(() => timesOfRange(latest.current)) })}
          text={draft}
          label={`${language.name} query`}
          placeholder={`${language.name}, for example ${language.example}`}
          marks={marksOf(about, [], [])}
          onChange={setDraft}
          onRun={onRun}
          onFocusable={onFocusable}
        />
        <Recent language={language.page} onPick={onRun} />
        <button type="button" class="button query-run" title="Ctrl+Enter" onClick={() => onRun(draft.trim())}>
          Run
        </button>
      </div>
      {about && <Mistake query={query} error={about} />}
    </div>
  );
}
