// What a click on a line, a field or a pattern does to the page: always a new address.

import type { LogLine } from "../../api/loki";
import { type Sense, withField, withLevel, withLineFilter, withMatcher } from "../../logql/edit";
import { ownFields } from "../../logql/fields";
import { parserOf } from "../../logql/shape";
import { go } from "../../state/route";
import { formatRoute, type LogsRoute } from "../../state/url";
import type { Field } from "./values";

/** Clicks of one page. */
export interface Actions {
  readonly query: string;
  /** Whether the lines are parsed by the query itself. */
  readonly parsed: boolean;
  filter(field: Field, sense: Sense, value: string): void;
  filterText(op: string, text: string): void;
  filterLevel(names: readonly string[]): void;
  run(query: string): void;
  select(from: number, to: number): void;
}

/** The actions of a route whose query is `query`. */
export function actionsOf(route: LogsRoute, query: string): Actions {
  const run = (next: string): void => go({ ...route, q: next, line: "" });
  return {
    query,
    parsed: parserOf(query) !== null,
    filter: (field, sense, value) =>
      run(
        field.origin === "label"
          ? withMatcher(query, field.name, sense, value)
          : withField(query, field.name, sense, value, field.parser),
      ),
    filterText: (op, text) => run(withLineFilter(query, op, text)),
    filterLevel: (names) => run(withLevel(query, names)),
    run,
    select: (from, to) =>
      go({ ...route, range: { from, to: Math.max(to, from + 1) }, live: false, line: "" }),
  };
}

/** The address of one line: a fixed range around it in which it is among the first lines. */
export function lineLink(route: LogsRoute, line: LogLine): string {
  const at = Math.floor(line.atMs / 1000);
  const range = route.order === "newest" ? { from: at - 300, to: at + 1 } : { from: at, to: at + 301 };
  const hash = formatRoute({ ...route, view: "lines", live: false, range, line: line.id });
  return new URL(hash, location.href).href;
}

/** A field of a line's own text, named as the parsers name it. */
export function ownField(line: LogLine, name: string): Field {
  return { name, origin: "parsed", parser: ownFields(line.line).parser, cardinality: 0 };
}
