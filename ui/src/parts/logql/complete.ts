// Completion for LogQL: labels and their values, stages, fields known to this server, functions.
import type { Completion, CompletionContext, CompletionResult } from "@codemirror/autocomplete";
import { quoted } from "../../logql/tokens";
import { placeOf } from "./place";

/** A field that lines have, and what finds it. */
export interface KnownField {
  readonly name: string;
  readonly detail: string;
  readonly parsers: readonly string[];
}

/** What this server knows; all of it may fail, then nothing is offered. */
export interface Catalogue {
  labels(): Promise<readonly string[]>;
  values(label: string, selector: string): Promise<readonly string[]>;
  fields(query: string): Promise<readonly KnownField[]>;
  fieldValues(field: string, query: string): Promise<readonly string[]>;
}

const VALUES_MAX = 200;

const option = (label: string, info: string, type: string, apply = label): Completion => ({
  label,
  info,
  type,
  apply,
});

const RANGES: readonly Completion[] = [
  option("count_over_time", "Lines within the range", "function", "count_over_time("),
  option("rate", "Lines per second", "function", "rate("),
  option("bytes_over_time", "Bytes of lines within the range", "function", "bytes_over_time("),
  option("bytes_rate", "Bytes of lines per second", "function", "bytes_rate("),
  option("sum_over_time", "Sum of unwrapped values", "function", "sum_over_time("),
  option("avg_over_time", "Mean of unwrapped values", "function", "avg_over_time("),
  option("max_over_time", "Largest unwrapped value", "function", "max_over_time("),
  option("min_over_time", "Smallest unwrapped value", "function", "min_over_time("),
  option("quantile_over_time", "Quantile of unwrapped values", "function", "quantile_over_time(0.95, "),
  option("first_over_time", "First unwrapped value", "function", "first_over_time("),
  option("last_over_time", "Last unwrapped value", "function", "last_over_time("),
  option("stddev_over_time", "Standard deviation of unwrapped values", "function", "stddev_over_time("),
  option("stdvar_over_time", "Variance of unwrapped values", "function", "stdvar_over_time("),
  option("rate_counter", "Rate of an unwrapped counter", "function", "rate_counter("),
  option("absent_over_time", "1 when there are no lines", "function", "absent_over_time("),
];

const AGGREGATIONS: readonly Completion[] = [
  ["sum", "Adds series up"],
  ["avg", "Mean of series"],
  ["min", "Smallest of series"],
  ["max", "Largest of series"],
  ["count", "How many series"],
  ["topk", "The largest series", "topk(10, "],
  ["bottomk", "The smallest series", "bottomk(10, "],
  ["approx_topk", "About the largest series, of very many", "approx_topk(10, "],
  ["stddev", "Standard deviation over series"],
  ["stdvar", "Variance over series"],
  ["sort", "Smallest first"],
  ["sort_desc", "Largest first"],
  ["label_replace", "A label made from another"],
  ["vector", "A number as a series"],
].map(([name = "", info = "", apply]) => option(name, info, "function", apply ?? `${name}(`));

const STARTS: readonly Completion[] = [option("{", "Select streams", "keyword"), ...RANGES, ...AGGREGATIONS];

const STAGES: readonly Completion[] = [
  option("json", "Fields of JSON lines", "keyword"),
  option("logfmt", "Fields of key=value lines", "keyword"),
  option("pattern", "Fields by a pattern such as <ip> - <_>", "keyword", 'pattern "'),
  option("regexp", "Fields by named groups", "keyword", 'regexp "'),
  option("unpack", "Labels that Promtail packed", "keyword"),
  option("line_format", "Write the line anew", "keyword", 'line_format "{{.'),
  option("label_format", "Rename or make labels", "keyword", "label_format "),
  option("unwrap", "A label's number as the value", "keyword", "unwrap "),
  option("decolorize", "Take terminal colours away", "keyword"),
  option("drop", "Leave labels out", "keyword", "drop "),
  option("keep", "Keep these labels only", "keyword", "keep "),
];

/** Parsers before fields, fields before the rest, and each in the order of the list. */
const RANKED = STAGES.map((stage, at) => ({ ...stage, boost: at < 5 ? 50 - at : 10 - at }));

const FILTERS: readonly Completion[] = [
  option("|=", "Line contains", "operator", '|= "'),
  option("!=", "Line does not contain", "operator", '!= "'),
  option("|~", "Line matches the expression", "operator", '|~ "'),
  option("!~", "Line does not match the expression", "operator", '!~ "'),
  option("|>", "Line has the pattern", "operator", '|> "'),
  option("!>", "Line does not have the pattern", "operator", '!> "'),
  option("|", "Parse, filter or format", "operator", "| "),
];

const DURATIONS: readonly Completion[] = ["30s", "1m", "5m", "15m", "1h", "6h", "1d"].map((one) =>
  option(one, "", "constant", `${one}]`),
);

const WORD = /^[\w.:]*$/;

function valueOptions(values: readonly string[], quote: string, closed: boolean): Completion[] {
  return values.slice(0, VALUES_MAX).map((value) => {
    const whole = quoted(value);
    if (quote === "") return option(value, "", "text", whole);
    const inner = quote === "`" ? value : JSON.stringify(value).slice(1, -1);
    return option(value, "", "text", closed ? inner : inner + quote);
  });
}

function fieldOptions(fields: readonly KnownField[], suffix: string, withParser: boolean): Completion[] {
  return fields.map((field) => {
    const parser = withParser ? field.parsers[0] : undefined;
    const apply = `${parser === undefined ? "" : `${parser} | `}${field.name}${suffix}`;
    return { label: field.name, detail: field.detail, type: "property", apply, boost: 20 };
  });
}

/** The completion source. */
export function completer(
  catalogue: Catalogue,
): (context: CompletionContext) => Promise<CompletionResult | null> {
  return async (context) => {
    const text = context.state.sliceDoc(0, context.pos);
    const after = context.state.sliceDoc(context.pos, context.pos + 1);
    const place = placeOf(text);
    const give = (options: readonly Completion[], validFor = WORD): CompletionResult | null =>
      place.kind === "nothing" || options.length === 0
        ? null
        : { from: place.from, options: [...options], validFor };
    try {
      switch (place.kind) {
        case "start":
          return place.from === context.pos && !context.explicit && text.trim() !== "" ? null : give(STARTS);
        case "label": {
          const labels = (await catalogue.labels()).filter((label) => !place.taken.includes(label));
          return give(labels.map((label) => option(label, "", "property", `${label}="`)));
        }
        case "value": {
          const values = await catalogue.values(place.label, place.selector);
          return give(valueOptions(values, place.quote, after === place.quote), /^[^"`]*$/);
        }
        case "stage": {
          const fields = await catalogue.fields(place.query).catch(() => []);
          if (!place.afterPipe) return context.explicit ? give(FILTERS, /^[|!]?[=~>]?$/) : null;
          return give([...RANKED, ...fieldOptions(fields, "=", true)]);
        }
        case "field":
          return give(fieldOptions(await catalogue.fields(place.query), "", false));
        case "grouping": {
          const [labels, fields] = await Promise.all([
            catalogue.labels(),
            catalogue.fields("").catch(() => []),
          ]);
          return give([
            ...labels.map((label) => option(label, "", "property")),
            ...fieldOptions(
              fields.filter((field) => !labels.includes(field.name)),
              "",
              false,
            ),
          ]);
        }
        case "field-value": {
          const values = await catalogue.fieldValues(place.field, place.query);
          return give(valueOptions(values, place.quote, after === place.quote), /^[^"`]*$/);
        }
        case "range":
          return give(DURATIONS);
        case "nothing":
          return null;
      }
    } catch {
      // Without an answer there is nothing to offer; typing goes on.
      return null;
    }
  };
}
