// The query editor: CodeMirror with the language it is given, which also completes.
//
// It lives in a shadow root: there CodeMirror uses constructed style sheets, which a strict content security policy
// allows, instead of <style> elements. This module is loaded on demand, by the languages beside it.
import {
  acceptCompletion,
  autocompletion,
  closeBrackets,
  completionKeymap,
  startCompletion,
} from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, insertNewline } from "@codemirror/commands";
import { bracketMatching, syntaxHighlighting } from "@codemirror/language";
import { type Diagnostic, setDiagnostics } from "@codemirror/lint";
import { Annotation, EditorState, type Extension, Prec } from "@codemirror/state";
import { drawSelection, EditorView, keymap, placeholder } from "@codemirror/view";
import type { Mark } from "./marks";
import { COLOURS, THEME } from "./theme";

/** What the editor is told at its birth. */
export interface EditorOptions {
  readonly text: string;
  readonly label: string;
  readonly placeholder: string;
  readonly onChange: (text: string) => void;
  readonly onRun: (text: string) => void;
}

/** Makes an editor of one language: what a language's module gives. */
export type Create = (host: HTMLElement, options: EditorOptions) => Editor;

/** The living editor. */
export interface Editor {
  setText(text: string): void;
  setMarks(marks: readonly Mark[]): void;
  focus(): void;
  destroy(): void;
}

/** A change that the page made, not the person. */
const FROM_OUTSIDE = Annotation.define<boolean>();

/** A place in the text as a range that can be underlined; the word there, or one character. */
function rangeOf(state: EditorState, mark: Mark): { from: number; to: number } {
  const line = state.doc.line(Math.min(Math.max(mark.line, 1), state.doc.lines));
  const from = Math.min(line.from + mark.column - 1, line.to);
  const word = state.wordAt(from);
  const to = word && word.to > from ? word.to : Math.min(from + 1, line.to);
  return from === to ? { from: Math.max(line.from, from - 1), to } : { from, to };
}

/** Puts an editor for `language` into `host`. */
export function createEditor(host: HTMLElement, options: EditorOptions, language: Extension): Editor {
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
        language,
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
            { key: "Mod-Enter", run },
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
