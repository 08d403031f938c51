// The query with its button, what the server says of it, and the queries run before.
import { useEffect, useRef, useState } from "preact/hooks";
import type { ApiError } from "../../api/http";
import { EditorBox } from "../../parts/editor/box";
import type { Create } from "../../parts/editor/editor";
import { marksOf } from "../../parts/editor/marks";
import { Mistake } from "../../parts/mistake";
import { Recent } from "../../parts/recent";
import { resolveRange, type TimeRange } from "../../state/url";

interface AskingProps {
  readonly query: string;
  readonly range: TimeRange;
  readonly error: ApiError | null;
  readonly onRun: (query: string) => void;
  readonly onFocusable: (focus: () => void) => void;
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
        <Recent language="logs" onPick={onRun} />
        <button type="button" class="button query-run" title="Ctrl+Enter" onClick={() => onRun(draft.trim())}>
          Run
        </button>
      </div>
      {about && <Mistake query={query} error={about} />}
    </div>
  );
}
