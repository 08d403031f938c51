// LogQL for the editor: Grafana's grammar for the colours, our own completion from this server.
import { autocompletion } from "@codemirror/autocomplete";
import { LanguageSupport, LRLanguage } from "@codemirror/language";
import { parser } from "@grafana/lezer-logql";
import { styleTags, tags } from "@lezer/highlight";
import { type Create, createEditor } from "../editor/editor";
import { type Catalogue, completer } from "./complete";

const COLOURED = parser.configure({
  props: [
    styleTags({
      LineComment: tags.comment,
      "Matcher/Identifier LabelName Labels/Identifier GroupingLabel/Identifier": tags.labelName,
      "LabelFilter/Identifier NumberFilter/Identifier UnitFilter/Identifier": tags.labelName,
      "DropLabel/Identifier KeepLabel/Identifier UnwrapExpr/Identifier": tags.labelName,
      "LabelExtractionExpression/Identifier LabelFormatMatcher/Identifier": tags.labelName,
      String: tags.string,
      "Number Duration Bytes": tags.number,
      "RangeOp/... VectorOp/... ConvOp/... LabelReplace Vector Ip": tags.function(tags.variableName),
      "Json Logfmt Unpack Pattern Regexp Unwrap LabelFormat LineFormat": tags.keyword,
      "Decolorize Drop Keep By Without On Ignoring GroupLeft GroupRight Bool Offset": tags.keyword,
      "And Or Unless": tags.operatorKeyword,
      "Eq Neq Re Nre Eql Gtr Gte Lss Lte": tags.compareOperator,
      "PipeExact PipeMatch PipePattern Npa Pipe": tags.operator,
      "Add Sub Mul Div Mod Pow": tags.arithmeticOperator,
      "⚠": tags.invalid,
    }),
  ],
});

const LANGUAGE = LRLanguage.define({
  name: "logql",
  parser: COLOURED,
  languageData: { closeBrackets: { brackets: ["(", "[", "{", '"', "`"] }, commentTokens: { line: "#" } },
});

/** Makes editors for LogQL that complete from `catalogue`. */
export function createWith(catalogue: Catalogue): Create {
  const complete = completer(catalogue);
  const language = new LanguageSupport(LANGUAGE, [
    LANGUAGE.data.of({
      autocomplete: (context: Parameters<typeof complete>[0]) => complete(context),
    }),
    autocompletion({ activateOnTyping: true }),
  ]);
  return (host, options) => createEditor(host, options, language);
}
