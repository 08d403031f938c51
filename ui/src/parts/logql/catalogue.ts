// What completion offers, asked from this server for the page's time range and kept for a minute.
import { detectedFields, fieldValues } from "../../api/fields";
import { labelNames, labelValues } from "../../api/loki";
import { ALL_LINES } from "../../logql/edit";
import { isLogQuery } from "../../logql/shape";
import type { Catalogue, KnownField } from "./complete";

const KEPT_MS = 60_000;
const ENTRIES_MAX = 100;
const VALUES_MAX = 200;

/** Remembers answers for a minute; a failure is not remembered. */
export class Kept {
  private readonly answers = new Map<string, { atMs: number; answer: Promise<unknown> }>();

  get<T>(key: string, ask: () => Promise<T>): Promise<T> {
    const known = this.answers.get(key);
    if (known && Date.now() - known.atMs < KEPT_MS) return known.answer as Promise<T>;
    const answer = ask();
    if (this.answers.size >= ENTRIES_MAX) this.answers.clear();
    this.answers.set(key, { atMs: Date.now(), answer });
    answer.catch(() => this.answers.delete(key));
    return answer;
  }
}

/** A catalogue of what is there within `window` (milliseconds). */
export function catalogueOf(window: () => { startMs: number; endMs: number }): Catalogue {
  const kept = new Kept();
  const scope = (query: string): { query: string; startMs: number; endMs: number } => ({
    query: query !== "" && isLogQuery(query) ? query : ALL_LINES,
    ...window(),
  });
  return {
    labels: () => kept.get("labels", () => labelNames(window().startMs, window().endMs)),
    values: (label, selector) =>
      kept.get(`values ${label} ${selector}`, () =>
        labelValues(label, selector, window().startMs, window().endMs),
      ),
    fields: (query) =>
      kept.get(`fields ${query}`, async () =>
        (await detectedFields(scope(query))).map(
          (field): KnownField => ({
            name: field.name,
            detail: field.parsers.length > 0 ? field.parsers.join(", ") : "metadata",
            parsers: field.parsers,
          }),
        ),
      ),
    fieldValues: (field, query) =>
      kept.get(`field ${field} ${query}`, () => fieldValues(field, scope(query), VALUES_MAX)),
  };
}
