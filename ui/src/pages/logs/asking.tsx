// The query with its button, what the server says of it, and the queries run before.
import { useEffect, useRef, useState } from "preact/hooks";
import type { ApiError } from "../../api/http";
import { EditorBox } from "../../parts/editor/box";
import type { Create } from "../../parts/editor/editor";
import { marksOf } from "../../parts/editor/marks";
import { Mistake } from "../../parts/mistake";
import { resolveRange, type TimeRange } from "../../state/url";
import { recentQueries } from "./recent";

interface AskingProps {
  readonly query: string;
  readonly range: TimeRange;
  readonly error: ApiError | null;
  readonly onRun: (query: string) => void;
  readonly onFocusable: (focus: () => void) => void;
}

function Recent({ onPick }: { onPick: (query: string) => void }) {
  const [list, setList] = useState<readonly string[] | null>(null);
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (list === null) return;
    const away = (event: Event): void => {
      if (!box.current?.contains(event.target as Node)) setList(null);
    };
    const onKey = (event: KeyboardEvent): void => {
      if (event.key === "Escape") setList(null);
    };
    document.addEventListener("pointerdown", away);
    document.addEventListener("keydown", onKey);
    return () => {
      document.removeEventListener("pointerdown", away);
      document.removeEventListener("keydown", onKey);
    };
  }, [list !== null]);
  return (
    <div class="recent" ref={box}>
      <button
        type="button"
        class="button-quiet"
        aria-expanded={list !== null}
        onClick={() => setList(list === null ? recentQueries() : null)}
      >
        Recent
      </button>
      {list && (
        <ul class="recent-list" aria-label="Recent queries">
          {list.length === 0 && (
            <li class="stats-note">Queries that you run are kept here, in this browser.</li>
          )}
          {list.map((query) => (
            <li key={query}>
              <button
                type="button"
                onClick={() => {
                  setList(null);
                  onPick(query);
                }}
              >
                {query}
              </button>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

/** The box. */
export function Asking({ query, range, error, onRun, onFocusable }: AskingProps) {
  const [draft, setDraft] = useState(query);
  const window = useRef(range);
  window.current = range;
  useEffect(() => setDraft(query), [query]);
  const load = async (): Promise<{ create: Create }> => {
    const [{ createWith }, { catalogueOf }] = await Promise.all([
      import("../../parts/logql/language"),
      import("../../parts/logql/catalogue"),
    ]);
    const times = (): { startMs: number; endMs: number } => {
      const { start, end } = resolveRange(window.current, Date.now() + 1000, 1);
      return { startMs: start * 1000, endMs: end * 1000 };
    };
    return { create: createWith(catalogueOf(times)) };
  };
  const about = draft.trim() === query.trim() ? error : null;
  return (
    <div class="asking">
      <div class="query-line">
        <EditorBox
          load={load}
          text={draft}
          label="LogQL query"
          placeholder={'LogQL, for example {service_name="api"} |= "error"'}
          marks={marksOf(about, [], [])}
          onChange={setDraft}
          onRun={onRun}
          onFocusable={onFocusable}
        />
        <Recent onPick={onRun} />
        <button type="button" class="button query-run" title="Ctrl+Enter" onClick={() => onRun(draft.trim())}>
          Run
        </button>
      </div>
      {about && <Mistake query={query} error={about} />}
    </div>
  );
}
