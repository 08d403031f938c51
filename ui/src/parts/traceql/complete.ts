// Completion for TraceQL: attributes known to this server and their values, intrinsics, operators, stages.
import type { Completion, CompletionContext, CompletionResult } from "@codemirror/autocomplete";
import type { TagScope, TagValue } from "../../api/tempo";
import { attributeName, quoted } from "../../traceql/tokens";
import { placeOf } from "./place";

/** What this server knows; all of it may fail, then nothing is offered. */
export interface Catalogue {
  tags(): Promise<readonly TagScope[]>;
  values(tag: string, conditions: string): Promise<readonly TagValue[]>;
}

const VALUES_MAX = 200;

const option = (label: string, info: string, type: string, apply = label, boost = 0): Completion => ({
  label,
  info,
  type,
  apply,
  boost,
});

const STARTS: readonly Completion[] = [
  option("{", "Spans that …", "keyword", "{ "),
  option("{}", "All spans", "keyword"),
  option("{ status = error }", "Spans that failed", "keyword"),
  option("{ trace:duration > 1s }", "Long traces", "keyword"),
];

const INTRINSICS: Readonly<Record<string, string>> = {
  name: "Operation of the span",
  status: "error, ok or unset",
  duration: "How long the span took",
  kind: "server, client, producer, consumer or internal",
  statusMessage: "Why it failed, as its sender says",
  "trace:duration": "From the first start to the last end",
  "trace:rootName": "Operation of the root",
  "trace:rootService": "Service of the root",
  "trace:id": "Id of the trace",
  "span:id": "Id of the span",
  "span:parentID": "Id of its parent",
  "event:name": "Name of an event",
  "event:timeSinceStart": "From the span's start to an event",
  "link:traceID": "Trace of a link",
  "link:spanID": "Span of a link",
  "instrumentation:name": "Library that made the span",
  "instrumentation:version": "Its version",
};

const COMPARISONS: readonly Completion[] = [
  ["=", "Is"],
  ["!=", "Is not"],
  ["=~", "Matches the whole expression"],
  ["!~", "Does not match"],
  [">", "More than"],
  [">=", "At least"],
  ["<", "Less than"],
  ["<=", "At most"],
].map(([label = "", info = ""]) => option(label, info, "operator", `${label} `));

const JOINTS: readonly Completion[] = [
  option("&&", "And, of the same span", "operator", "&& "),
  option("||", "Or", "operator", "|| "),
  option("}", "End of the spans", "keyword"),
];

const SPANSETS: readonly Completion[] = [
  ["|", "Count, group or measure"],
  ["&&", "And other spans of the trace"],
  ["||", "Or other spans"],
  [">", "Whose child …"],
  [">>", "Whose descendant …"],
  ["<", "Whose parent …"],
  ["<<", "Whose ancestor …"],
  ["~", "Whose sibling …"],
  ["!>>", "That are no descendant"],
  ["&>>", "Both, ancestor and descendant"],
].map(([label = "", info = ""]) => option(label, info, "operator", `${label} `));

const STAGES: readonly Completion[] = [
  ["rate()", "Spans per second, drawn over time"],
  ["count_over_time()", "Spans, drawn over time"],
  ["quantile_over_time", "Quantiles over time", "quantile_over_time(duration, .5, .95, .99)"],
  ["histogram_over_time", "Distribution over time", "histogram_over_time(duration)"],
  ["avg_over_time", "Mean over time", "avg_over_time(duration)"],
  ["max_over_time", "Largest over time", "max_over_time(duration)"],
  ["min_over_time", "Smallest over time", "min_over_time(duration)"],
  ["sum_over_time", "Sum over time", "sum_over_time(duration)"],
  ["compare", "What these spans have that others have not", "compare({ status = error })"],
  ["count()", "Traces with so many such spans", "count() > 2"],
  ["avg", "Traces by the mean of their spans", "avg(duration) > 20ms"],
  ["max", "Traces by the largest of their spans", "max(duration) > 1s"],
  ["min", "Traces by the smallest of their spans", "min(duration) < 1ms"],
  ["sum", "Traces by the sum of their spans", "sum(duration) > 1s"],
  ["by", "Group the spans", "by("],
  ["coalesce()", "One group again"],
  ["select", "Show attributes of the spans", "select("],
  ["topk", "Only the largest series", "topk(10)"],
  ["bottomk", "Only the smallest series", "bottomk(10)"],
].map(([label = "", info = "", apply], at) => option(label, info, "function", apply ?? label, 20 - at));

const BY: readonly Completion[] = [
  option("by", "A series for each value", "keyword", "by ("),
  option("|", "Next stage", "operator", "| "),
];
const DURATIONS = ["1ms", "10ms", "100ms", "500ms", "1s", "5s"].map((one) => option(one, "", "constant"));
const WORD = /^[\w.:/@$"-]*$/;

function tagOptions(scopes: readonly TagScope[], suffix: string): Completion[] {
  return scopes.flatMap(({ scope, tags }) =>
    scope === "intrinsic"
      ? tags.map((tag) => ({
          ...option(tag, INTRINSICS[tag] ?? "", "keyword", tag + suffix, tag in INTRINSICS ? 10 : -10),
          detail: "intrinsic",
        }))
      : tags.map((tag) => ({
          ...option(attributeName(scope, tag), "", "property", attributeName(scope, tag) + suffix, 5),
        })),
  );
}

/** The completion source. */
export function completer(
  catalogue: Catalogue,
): (context: CompletionContext) => Promise<CompletionResult | null> {
  return async (context) => {
    const text = context.state.sliceDoc(0, context.pos);
    const after = context.state.sliceDoc(context.pos, context.pos + 1);
    const place = placeOf(text);
    const give = (options: readonly Completion[], validFor: RegExp = WORD): CompletionResult | null =>
      place.kind === "nothing" || options.length === 0
        ? null
        : { from: place.from, options: [...options], validFor };
    try {
      switch (place.kind) {
        case "start":
          return text.trim() === "" && !context.explicit ? null : give(STARTS, /^[{\s]*$/);
        case "tag":
          return give(tagOptions(await catalogue.tags(), " "));
        case "operator":
          return give(COMPARISONS, /^[=!<>~]*$/);
        case "value": {
          const values = await catalogue.values(place.tag, place.conditions);
          if (values.length === 0 && /duration$/i.test(place.tag)) return give(DURATIONS);
          const found = values.slice(0, VALUES_MAX).map(({ type, value }) => {
            const inner = quoted(value).slice(1, -1);
            if (place.quote !== "")
              return option(value, "", "text", after === place.quote ? inner : inner + place.quote);
            const bare = type !== "string" && !place.isMatch;
            return option(value, "", bare ? "constant" : "text", bare ? value : quoted(value));
          });
          return give(found, /^[^"`]*$/);
        }
        case "joint":
          return context.explicit ? give(JOINTS, /^[&|}]*$/) : null;
        case "spansets":
          return context.explicit ? give([...SPANSETS, ...BY], /^[|&<>~!\w]*$/) : null;
        case "stage":
          return give(STAGES);
        case "argument":
          return give(tagOptions(await catalogue.tags(), ""));
        case "nothing":
          return null;
      }
    } catch {
      // Without an answer there is nothing to offer; typing goes on.
      return null;
    }
  };
}
