// What to ask of a metric that was picked by its name.

const IDENTIFIER = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

/** A selector of the metric, with one label pinned or none; names that are no identifiers are quoted. */
export function selector(metric: string, label?: string, value?: string): string {
  const plain = IDENTIFIER.test(metric);
  const pairs = [
    ...(plain ? [] : [JSON.stringify(metric)]),
    ...(label === undefined
      ? []
      : [`${LABEL.test(label) ? label : JSON.stringify(label)}=${JSON.stringify(value ?? "")}`]),
  ];
  return `${plain ? metric : ""}${pairs.length > 0 || !plain ? `{${pairs.join(", ")}}` : ""}`;
}

/** A counter is asked for its rate, a histogram's buckets for their 95th percentile, everything else as it is. */
export function startingQuery(metric: string, label?: string, value?: string): string {
  const chosen = selector(metric, label, value);
  if (/_bucket$/.test(metric)) return `histogram_quantile(0.95, sum by (le) (rate(${chosen}[5m])))`;
  return /_(total|count|sum)$/.test(metric) ? `rate(${chosen}[5m])` : chosen;
}
