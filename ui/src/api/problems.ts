// Bramble's own `GET /api/problems`: what does not work at present.
import { array, number, object, text } from "./decode";
import { getJson } from "./http";

/** Something that does not work now. */
export interface Problem {
  /** What is concerned: `scraping`, `discovery`, `files`, `nodes`, … */
  readonly part: string;
  readonly what: string;
  readonly why: string;
  readonly hint: string;
}

/** The first of them, and how many more there are. */
export interface Problems {
  readonly problems: readonly Problem[];
  readonly omitted: number;
}

/** Decodes the answer. */
export function decodeProblems(json: unknown): Problems {
  const fields = object(json, "the answer");
  return {
    problems: array(fields.problems, "problems").map((each) => {
      const one = object(each, "a problem");
      return { part: text(one.part), what: text(one.what), why: text(one.why), hint: text(one.hint) };
    }),
    omitted: number(fields.omitted) || 0,
  };
}

/** Asks for them. */
export function getProblems(signal?: AbortSignal): Promise<Problems> {
  return getJson("/api/problems", decodeProblems, signal);
}
