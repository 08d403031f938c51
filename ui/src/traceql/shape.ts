// What kind of query a text is, and queries made from it, judged by its tokens: no server is asked.
import { formQuery, queryForm } from "./form";
import { type Token, tokensOf } from "./tokens";

/** Functions that turn spans into numbers over time. */
export const METRICS = [
  "rate",
  "count_over_time",
  "min_over_time",
  "max_over_time",
  "avg_over_time",
  "sum_over_time",
  "quantile_over_time",
  "histogram_over_time",
  "compare",
] as const;

interface Stage {
  readonly name: string;
  readonly from: number;
}

/** Stages of the pipeline outside of braces: the word behind each `|`, and where the `|` is. */
function stagesOf(query: string, tokens: readonly Token[] = tokensOf(query)): Stage[] {
  const stages: Stage[] = [];
  let depth = 0;
  tokens.forEach((token, at) => {
    if (token.text === "{" || token.text === "(") depth += 1;
    else if (token.text === "}" || token.text === ")") depth -= 1;
    else if (token.text === "|" && depth === 0)
      stages.push({ name: tokens[at + 1]?.text ?? "", from: token.from });
  });
  return stages;
}

/** Whether the query computes numbers over time instead of finding traces. */
export function isMetricsQuery(query: string): boolean {
  return stagesOf(query).some((stage) => METRICS.some((name) => name === stage.name));
}

/** Whether its answer is a histogram: drawn as a heat map. */
export function isHistogram(query: string): boolean {
  return stagesOf(query).some((stage) => stage.name === "histogram_over_time");
}

/**
 * The spans of a search as numbers over time: `query | rate() by (status)`. What a search selects or filters in its
 * pipeline cannot go before such a function in every case, so it is cut off. Null for a query that computes already.
 */
export function measured(query: string, by: string): string | null {
  if (isMetricsQuery(query)) return null;
  const tokens = tokensOf(query);
  const [first] = stagesOf(query, tokens);
  const spans = (first ? query.slice(0, first.from) : query).trim();
  return `${spans === "" ? "{}" : spans} | ${by}`;
}

/** The query with bounds on the length of its traces; null where it cannot be told how. */
export function withDuration(query: string, min: string, max: string): string | null {
  const form = queryForm(query);
  if (form) return formQuery({ ...form, min, max });
  if (stagesOf(query).length > 0) return null;
  return `{ trace:duration >= ${min} && trace:duration <= ${max} } && (${query.trim()})`;
}

/** The query with one more condition on the same span; a query that the form cannot say is replaced. */
export function withCondition(query: string, tag: string, op: "=" | "!=", value: string): string {
  const form = queryForm(query) ?? {
    service: "",
    operation: "",
    status: "" as const,
    min: "",
    max: "",
    tags: [],
  };
  return formQuery({ ...form, tags: [...form.tags, { tag, op, value }] });
}
