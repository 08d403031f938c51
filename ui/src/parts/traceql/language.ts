// TraceQL for the editor: Grafana's grammar for the colours, our own completion from this server.
import { autocompletion } from "@codemirror/autocomplete";
import { LanguageSupport, LRLanguage } from "@codemirror/language";
import { parser } from "@grafana/lezer-traceql";
import { styleTags, tags } from "@lezer/highlight";
import { type Create, createEditor } from "../editor/editor";
import { type Catalogue, completer } from "./complete";

const COLOURED = parser.configure({
  props: [
    styleTags({
      "LineComment BlockComment": tags.comment,
      "AttributeField/... Parent Resource Span Event Link Instrumentation Identifier": tags.labelName,
      "IntrinsicField/...": tags.function(tags.variableName),
      IntrinsicField: tags.function(tags.variableName),
      String: tags.string,
      "Integer Float Duration": tags.number,
      Static: tags.number,
      "Aggregate MetricsOperationBasicType MetricsOverTimeType": tags.keyword,
      "MetricsAggregatorFunctionType MetricsOperationQuantile MetricsOperationCompare": tags.keyword,
      "MetricsOperationHistogram GroupOperation SelectOperation CoalesceOperation With": tags.keyword,
      "ComparisonOp FieldOp ScalarOp": tags.compareOperator,
      "And Or Gt Lt Anc Desc ExperimentalOp UnionStructuralOp Pipe": tags.operator,
      "⚠": tags.invalid,
    }),
  ],
});

const LANGUAGE = LRLanguage.define({
  name: "traceql",
  parser: COLOURED,
  languageData: { closeBrackets: { brackets: ["(", "{", '"', "`"] }, commentTokens: { line: "//" } },
});

/** Makes editors for TraceQL that complete from `catalogue`. */
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
