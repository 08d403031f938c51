// How the editor looks: the colours of the page, in both themes.
import { HighlightStyle } from "@codemirror/language";
import { EditorView } from "@codemirror/view";
import { tags } from "@lezer/highlight";

/** Syntax, in the tokens of the page. */
export const COLOURS = HighlightStyle.define([
  { tag: [tags.keyword, tags.operatorKeyword, tags.modifier], color: "var(--plum)", fontWeight: "600" },
  { tag: [tags.function(tags.variableName), tags.standard(tags.variableName)], color: "var(--sky)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--logs)" },
  { tag: [tags.number, tags.bool], color: "var(--rust)" },
  { tag: [tags.labelName], color: "var(--berry)" },
  { tag: [tags.operator, tags.compareOperator, tags.arithmeticOperator], color: "var(--ink-2)" },
  { tag: tags.comment, color: "var(--ink-3)", fontStyle: "italic" },
  { tag: tags.invalid, color: "var(--bad)" },
]);

/** The editor itself, its marks and its lists. */
export const THEME = EditorView.theme({
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
