// The queries of the page, each with what the server says of it.
import type { ApiError } from "../../api/http";
import { EditorBox } from "../../parts/editor/box";
import { type Mark, marksOf, withoutPosition } from "../../parts/editor/marks";
import { Mistake } from "../../parts/mistake";
import { QUERIES_MAX, type ShownQuery } from "../../state/url";
import { letter } from "./answers";

/** What was said of one query. */
export interface Said {
  readonly error: ApiError | null;
  readonly warnings: readonly string[];
  readonly infos: readonly string[];
}

const language = () => import("../../parts/promql/language");

const NOTHING: Said = { error: null, warnings: [], infos: [] };
const NO_MARKS: readonly Mark[] = [];

interface QueriesProps {
  /** As typed, by place. */
  readonly drafts: readonly ShownQuery[];
  /** As run: remarks are about these. */
  readonly asked: readonly ShownQuery[];
  readonly said: ReadonlyMap<number, Said>;
  readonly onDraft: (drafts: readonly ShownQuery[]) => void;
  readonly onRun: (queries: readonly ShownQuery[]) => void;
}

function Notes({ query, said }: { query: string; said: Said }) {
  const notes = [
    ...said.warnings.map((text) => ({ kind: "warning", text })),
    ...said.infos.map((text) => ({ kind: "info", text })),
  ];
  return (
    <>
      {said.error && <Mistake query={query} error={said.error} />}
      {notes.length > 0 && (
        <ul class="notes">
          {notes.map(({ kind, text }) => (
            <li key={text} class={`note-${kind}`}>
              {withoutPosition(text)}
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

/** Boxes with buttons. Enter in any box runs all. */
export function Queries({ drafts, asked, said, onDraft, onRun }: QueriesProps) {
  const with_ = (index: number, next: Partial<ShownQuery>): ShownQuery[] =>
    drafts.map((query, at) => (at === index ? { ...query, ...next } : query));
  const several = drafts.length > 1;
  return (
    <div class="queries">
      <ul>
        {drafts.map((query, index) => {
          const remarks = (asked[index]?.text === query.text && said.get(index)) || NOTHING;
          const marks =
            remarks === NOTHING ? NO_MARKS : marksOf(remarks.error, remarks.warnings, remarks.infos);
          return (
            // A query is its place on the page.
            <li key={index} class={query.off ? "is-off" : ""}>
              <div class="query-line">
                {several && (
                  <button
                    type="button"
                    class="query-letter"
                    aria-pressed={!query.off}
                    title={query.off ? "Show this query" : "Hide this query"}
                    onClick={() => onRun(with_(index, { off: !query.off }))}
                  >
                    {letter(index)}
                  </button>
                )}
                <EditorBox
                  load={language}
                  text={query.text}
                  label={several ? `PromQL query ${letter(index)}` : "PromQL query"}
                  placeholder="PromQL, for example rate(node_cpu_seconds_total[1m])"
                  marks={marks}
                  onChange={(text) => onDraft(with_(index, { text }))}
                  onRun={(text) => onRun(with_(index, { text, off: false }))}
                />
                {several && (
                  <button
                    type="button"
                    class="button-quiet query-remove"
                    aria-label={`Remove query ${letter(index)}`}
                    title="Remove"
                    onClick={() => onRun(drafts.filter((_, at) => at !== index))}
                  >
                    ×
                  </button>
                )}
                {index === 0 && (
                  <button type="button" class="button query-run" onClick={() => onRun(drafts)}>
                    Run
                  </button>
                )}
              </div>
              <Notes query={query.text} said={remarks} />
            </li>
          );
        })}
      </ul>
      {drafts.length < QUERIES_MAX && drafts.some((query) => query.text !== "") && (
        <button
          type="button"
          class="button-quiet query-add"
          onClick={() => onDraft([...drafts, { text: "", off: false }])}
        >
          + Add query
        </button>
      )}
    </div>
  );
}
