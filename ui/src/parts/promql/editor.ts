// The PromQL editor: CodeMirror with Prometheus' own language support, completing from this server.
//
// It lives in a shadow root: there CodeMirror uses constructed style sheets, which a strict content security policy
// allows, instead of <style> elements. This module is loaded on demand: only the metrics page pays for it.
import {
  acceptCompletion,
  autocompletion,
  closeBrackets,
  completionKeymap,
  startCompletion,
} from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, insertNewline } from "@codemirror/commands";
import { bracketMatching, HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { type Diagnostic, setDiagnostics } from "@codemirror/lint";
import { Annotation, EditorState, Prec } from "@codemirror/state";
import { drawSelection, EditorView, keymap, placeholder } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { PromQLExtension } from "@prometheus-io/codemirror-promql";
import type { Mark } from "./marks";

/** What the editor is told at its birth. */
export interface EditorOptions {
  readonly text: string;
  readonly label: string;
  readonly placeholder: string;
  readonly onChange: (text: string) => void;
  readonly onRun: (text: string) => void;
}

/** The living editor. */
export interface Editor {
  setText(text: string): void;
  setMarks(marks: readonly Mark[]): void;
  focus(): void;
  destroy(): void;
}

const COLOURS = HighlightStyle.define([
  { tag: [tags.keyword, tags.operatorKeyword, tags.modifier], color: "var(--plum)", fontWeight: "600" },
  { tag: [tags.function(tags.variableName), tags.standard(tags.variableName)], color: "var(--sky)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--logs)" },
  { tag: [tags.number, tags.bool], color: "var(--rust)" },
  { tag: [tags.labelName], color: "var(--berry)" },
  { tag: [tags.operator, tags.compareOperator, tags.arithmeticOperator], color: "var(--ink-2)" },
  { tag: tags.comment, color: "var(--ink-3)", fontStyle: "italic" },
  { tag: tags.invalid, color: "var(--bad)" },
]);

const THEME = EditorView.theme({
  "&": { fontSize: "13.5px", color: "var(--ink)", backgroundColor: "transparent" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.6" },
  ".cm-content": { padding: "9px 0", caretColor: "var(--ink)" },
  ".cm-line": { padding: "0 12px" },
  ".cm-cursor": { borderLeftColor: "var(--ink)" },
  ".cm-placeholder": { color: "var(--ink-3)" },
  "&.cm-focused .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "var(--berry-soft) !important",
  },
  "&.cm-focused .cm-matchingBracket": { backgroundColor: "var(--thorn-soft)", outline: "none" },
  ".cm-lintRange-error": {
    backgroundImage: "none",
    borderBottom: "2px wavy var(--bad)",
    textDecoration: "underline wavy var(--bad)",
  },
  ".cm-lintRange-warning": { backgroundImage: "none", textDecoration: "underline wavy var(--warn)" },
  ".cm-lintRange-info": { backgroundImage: "none", textDecoration: "underline dotted var(--sky)" },
  ".cm-tooltip": {
    border: "1px solid var(--line-strong)",
    borderRadius: "8px",
    overflow: "hidden",
    backgroundColor: "var(--surface)",
    color: "var(--ink)",
    boxShadow: "0 6px 24px #0003",
  },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", maxHeight: "260px" },
  ".cm-tooltip-autocomplete > ul > li": { padding: "3px 10px !important", lineHeight: "1.5" },
  ".cm-tooltip-autocomplete > ul > li[aria-selected]": {
    backgroundColor: "var(--berry-soft)",
    color: "var(--ink)",
  },
  ".cm-completionMatchedText": { textDecoration: "none", color: "var(--berry)", fontWeight: "600" },
  ".cm-completionDetail": { color: "var(--ink-3)", fontStyle: "normal", marginLeft: "12px" },
  ".cm-completionInfo": {
    padding: "6px 10px",
    maxWidth: "320px",
    fontFamily: "var(--sans)",
    whiteSpace: "pre-line",
  },
  ".cm-diagnostic": { padding: "5px 10px", fontFamily: "var(--sans)", borderLeft: "3px solid var(--bad)" },
  ".cm-diagnostic-warning": { borderLeftColor: "var(--warn)" },
  ".cm-diagnostic-info": { borderLeftColor: "var(--sky)" },
});

/** A change that the page made, not the person. */
const FROM_OUTSIDE = Annotation.define<boolean>();

function language(): ReturnType<PromQLExtension["asExtension"]> {
  // The page shows what the server says of a query; the linter beside it would say it twice.
  return new PromQLExtension()
    .activateLinter(false)
    .setComplete({
      remote: { url: "/prometheus", httpMethod: "GET", cache: { maxAge: 60_000 } },
      maxMetricsMetadata: 10_000,
    })
    .asExtension();
}

/** A place in the text as a range that can be underlined; the word there, or one character. */
function rangeOf(state: EditorState, mark: Mark): { from: number; to: number } {
  const line = state.doc.line(Math.min(Math.max(mark.line, 1), state.doc.lines));
  const from = Math.min(line.from + mark.column - 1, line.to);
  const word = state.wordAt(from);
  const to = word && word.to > from ? word.to : Math.min(from + 1, line.to);
  return from === to ? { from: Math.max(line.from, from - 1), to } : { from, to };
}

/** Puts an editor into `host`. */
export function createEditor(host: HTMLElement, options: EditorOptions): Editor {
  const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
  const run = (view: EditorView): boolean => {
    options.onRun(view.state.doc.toString());
    return true;
  };
  const view = new EditorView({
    root,
    parent: root as unknown as HTMLElement,
    state: EditorState.create({
      doc: options.text,
      extensions: [
        history(),
        drawSelection(),
        closeBrackets(),
        bracketMatching(),
        autocompletion({ icons: false, maxRenderedOptions: 100 }),
        language(),
        syntaxHighlighting(COLOURS),
        THEME,
        placeholder(options.placeholder),
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({
          "aria-label": options.label,
          autocapitalize: "off",
          spellcheck: "false",
        }),
        EditorView.updateListener.of((update) => {
          const told = update.transactions.some((one) => one.annotation(FROM_OUTSIDE));
          if (update.docChanged && !told) options.onChange(update.state.doc.toString());
        }),
        Prec.high(
          keymap.of([
            { key: "Tab", run: acceptCompletion },
            { key: "Ctrl-Space", run: startCompletion },
            { key: "Shift-Enter", run: insertNewline },
          ]),
        ),
        keymap.of([...completionKeymap, { key: "Enter", run }, ...historyKeymap, ...defaultKeymap]),
      ],
    }),
  });
  return {
    setText(text) {
      const old = view.state.doc.toString();
      const changes = { from: 0, to: old.length, insert: text };
      if (old !== text) view.dispatch({ changes, annotations: FROM_OUTSIDE.of(true) });
    },
    setMarks(marks) {
      const diagnostics = marks.map(
        (mark): Diagnostic => ({
          ...rangeOf(view.state, mark),
          severity: mark.severity,
          message: mark.message,
        }),
      );
      view.dispatch(setDiagnostics(view.state, diagnostics));
    },
    focus: () => view.focus(),
    destroy: () => view.destroy(),
  };
}
