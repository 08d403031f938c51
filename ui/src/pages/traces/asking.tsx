// The TraceQL box: what the form wrote, or what was typed; what the server says of it stands below.
import { useEffect, useRef, useState } from "preact/hooks";
import type { ApiError } from "../../api/http";
import { EditorBox } from "../../parts/editor/box";
import type { Create } from "../../parts/editor/editor";
import { marksOf } from "../../parts/editor/marks";
import { Mistake } from "../../parts/mistake";
import { Recent } from "../../parts/recent";
import type { TimeRange } from "../../state/url";
import { windowOf } from "./traces";

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
  const latest = useRef(range);
  latest.current = range;
  useEffect(() => setDraft(query), [query]);
  const load = async (): Promise<{ create: Create }> => {
    const [{ createWith }, { catalogueOf }] = await Promise.all([
      import("../../parts/traceql/language"),
      import("../../parts/traceql/catalogue"),
    ]);
    return { create: createWith(catalogueOf(() => windowOf(latest.current))) };
  };
  const about = draft.trim() === query.trim() ? error : null;
  return (
    <div class="asking">
      <div class="query-line">
        <EditorBox
          load={load}
          text={draft}
          label="TraceQL query"
          placeholder={'TraceQL, for example { resource.service.name = "api" && duration > 100ms }'}
          marks={marksOf(about, [], [])}
          onChange={setDraft}
          onRun={onRun}
          onFocusable={onFocusable}
        />
        <Recent language="traces" onPick={onRun} />
        <button type="button" class="button query-run" title="Ctrl+Enter" onClick={() => onRun(draft.trim())}>
          Run
        </button>
      </div>
      {about && <Mistake query={query} error={about} />}
    </div>
  );
}
