// The same pattern in several streams is one pattern to whoever reads it.
import type { Template, TemplateSort } from "../../api/fields";

/** A pattern over all its streams; `labels` are those that the streams share. */
export interface Pattern extends Template {
  readonly streams: number;
}

function shared(a: Template["labels"], b: Template["labels"]): Template["labels"] {
  return Object.fromEntries(Object.entries(a).filter(([name, value]) => b[name] === value));
}

function both(a: Pattern, b: Template): Pattern {
  return {
    pattern: a.pattern,
    example: a.example,
    labels: shared(a.labels, b.labels),
    count: a.count + b.count,
    firstMs: Math.min(a.firstMs, b.firstMs),
    lastMs: Math.max(a.lastMs, b.lastMs),
    // Known in one stream, it is not new in another.
    isNew: a.isNew && b.isNew,
    samples: [...a.samples, ...b.samples],
    streams: a.streams + 1,
  };
}

const ORDERS: Readonly<Record<TemplateSort, (a: Pattern, b: Pattern) => number>> = {
  count: (a, b) => b.count - a.count,
  rare: (a, b) => a.count - b.count,
  new: (a, b) => Number(b.isNew) - Number(a.isNew) || b.firstMs - a.firstMs,
};

/** Joins templates by their pattern, in the order asked for. */
export function joinedTemplates(templates: readonly Template[], sort: TemplateSort): Pattern[] {
  const found = new Map<string, Pattern>();
  for (const one of templates) {
    const known = found.get(one.pattern);
    found.set(one.pattern, known ? both(known, one) : { ...one, streams: 1 });
  }
  return [...found.values()].sort(ORDERS[sort]);
}
