// The ids that a line names: in its labels, metadata, parsed fields and text, under any of their usual spellings.
import type { LogLine } from "../../api/loki";
import { distinct, idsInFields, idsInText } from "../../correlate/ids";
import type { NamedId } from "../../correlate/kinds";
import { ownFieldsOf } from "./values";

/** Each once, traces first. */
export function idsOfLine(line: LogLine): NamedId[] {
  return distinct([
    ...idsInFields(line.metadata),
    ...idsInFields(line.stream),
    ...idsInFields(line.parsed),
    ...idsInFields(ownFieldsOf(line).fields),
    ...idsInText(line.line),
  ]);
}
