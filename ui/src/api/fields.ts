// What lines are made of, as the server sees it: detected fields with their values, and templates of lines.
import { array, type Labels, labels, nanosToMs, number, object, text } from "./decode";
import { getJson, withQuery } from "./http";
import { BASE, nanos } from "./loki";

/** A field that lines have in their metadata or text. `parsers` find it; none for structured metadata. */
export interface DetectedField {
  readonly name: string;
  readonly type: string;
  readonly cardinality: number;
  readonly parsers: readonly string[];
}

/** Lines that differ in their variables only. */
export interface Template {
  /** `<_>` stands for what varies; a pattern for `|>`. */
  readonly pattern: string;
  readonly example: string;
  readonly labels: Labels;
  readonly count: number;
  readonly firstMs: number;
  readonly lastMs: number;
  readonly isNew: boolean;
  /** `[Unix seconds, lines]`. */
  readonly samples: readonly (readonly [number, number])[];
}

/** Templates of a range; `truncated` when there are more. */
export interface Templates {
  readonly templates: readonly Template[];
  readonly truncated: boolean;
}

/** How templates are ordered. */
export type TemplateSort = "count" | "rare" | "new";

/** Which lines: a query and two times in milliseconds. */
export interface Scope {
  readonly query: string;
  readonly startMs: number;
  readonly endMs: number;
}

const FIELDS_MAX = 200;

function parameters(scope: Scope): { query: string; start: string; end: string } {
  return { query: scope.query, start: nanos(scope.startMs), end: nanos(scope.endMs) };
}

/** Decodes `/detected_fields`. */
export function decodeFields(json: unknown): DetectedField[] {
  const fields = object(json, "the answer");
  const list = fields.fields ?? (fields.data === undefined ? [] : object(fields.data, "data").fields);
  return array(list, "fields").map((each) => {
    const one = object(each, "a field");
    return {
      name: text(one.label),
      type: text(one.type, "string"),
      cardinality: number(one.cardinality) || 0,
      parsers: array(one.parsers, "parsers").map((parser) => text(parser)),
    };
  });
}

/** Fields of the lines in scope. */
export function detectedFields(scope: Scope, signal?: AbortSignal): Promise<DetectedField[]> {
  const path = withQuery(`${BASE}/detected_fields`, { ...parameters(scope), limit: FIELDS_MAX });
  return getJson(path, decodeFields, signal);
}

/** Values of one detected field, at most `limit`. */
export function fieldValues(
  name: string,
  scope: Scope,
  limit: number,
  signal?: AbortSignal,
): Promise<string[]> {
  const path = `${BASE}/detected_field/${encodeURIComponent(name)}/values`;
  const decode = (json: unknown): string[] =>
    array(object(json, "the answer").values, "values").map((value) => text(value));
  return getJson(withQuery(path, { ...parameters(scope), limit }), decode, signal);
}

/** Decodes `/api/v1/logs/templates`. */
export function decodeTemplates(json: unknown): Templates {
  const data = object(object(json, "the answer").data, "data");
  const templates = array(data.templates, "templates").map((each): Template => {
    const one = object(each, "a template");
    return {
      pattern: text(one.pattern),
      example: text(one.example),
      labels: labels(one.labels),
      count: number(one.count) || 0,
      firstMs: nanosToMs(one.firstSeen),
      lastMs: nanosToMs(one.lastSeen),
      isNew: one.new === true,
      samples: array(one.samples, "samples").map((sample) => {
        const [at, lines] = array(sample, "a sample");
        return [number(at), number(lines)] as const;
      }),
    };
  });
  return { templates, truncated: data.truncated === true };
}

/** Templates of the lines in scope, counted per `step` seconds; new are those not seen before `sinceMs`. */
export function queryTemplates(
  scope: Scope,
  step: number,
  sort: TemplateSort,
  sinceMs: number,
  limit: number,
  signal?: AbortSignal,
): Promise<Templates> {
  const asked = { ...parameters(scope), step, limit, sort, since: nanos(sinceMs) };
  return getJson(withQuery("/api/v1/logs/templates", asked), decodeTemplates, signal);
}
