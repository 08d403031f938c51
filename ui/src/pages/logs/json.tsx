// A JSON line laid out, each value with filters for and against it.
import { fieldName, type Sense } from "../../logql/edit";

const DEPTH_MAX = 12;
const ENTRIES_MAX = 200;

interface JsonProps {
  readonly value: unknown;
  /** The parsers' name of the value; null inside lists, which they leave out. */
  readonly path: string | null;
  readonly depth: number;
  /** What follows the value on its line. */
  readonly end: string;
  readonly onFilter: (name: string, sense: Sense, value: string) => void;
}

function Leaf({ value, path, end, onFilter }: JsonProps) {
  const kind = value === null ? "null" : typeof value;
  return (
    <>
      <span class={`json-${kind}`}>{JSON.stringify(value)}</span>
      {end}
      {path !== null && path !== "" && value !== null && (
        <FilterButtons
          name={path}
          value={String(value)}
          onFilter={(sense) => onFilter(path, sense, String(value))}
        />
      )}
    </>
  );
}

/** A value and what is in it. */
export function Json(props: JsonProps) {
  const { value, path, depth, end, onFilter } = props;
  if (typeof value !== "object" || value === null || depth > DEPTH_MAX) return <Leaf {...props} />;
  const isList = Array.isArray(value);
  const entries = Object.entries(value);
  const [open, close] = isList ? ["[", "]"] : ["{", "}"];
  if (entries.length === 0) return <>{open + close + end}</>;
  return (
    <>
      {open}
      {entries.slice(0, ENTRIES_MAX).map(([key, inner], index) => {
        const name = fieldName(key);
        const inside = path === null || isList ? null : path === "" ? name : `${path}_${name}`;
        return (
          <span class="json-row" key={key}>
            {!isList && <span class="json-key">{JSON.stringify(key)}: </span>}
            <Json
              value={inner}
              path={inside}
              depth={depth + 1}
              end={index < entries.length - 1 ? "," : ""}
              onFilter={onFilter}
            />
          </span>
        );
      })}
      {entries.length > ENTRIES_MAX && <span class="json-row">… {entries.length - ENTRIES_MAX} more</span>}
      {close + end}
    </>
  );
}

/** A pair of buttons: for a value, and against it. */
export function FilterButtons({
  name,
  value,
  onFilter,
}: {
  name: string;
  value: string;
  onFilter: (sense: Sense) => void;
}) {
  const short = value.length > 60 ? `${value.slice(0, 60)}…` : value;
  return (
    <span class="filters">
      <button
        type="button"
        aria-label={`Only ${name} = ${short}`}
        title={`Only ${name} = ${short}`}
        onClick={() => onFilter("=")}
      >
        +
      </button>
      <button
        type="button"
        aria-label={`Without ${name} = ${short}`}
        title={`Without ${name} = ${short}`}
        onClick={() => onFilter("!=")}
      >
        −
      </button>
    </span>
  );
}
