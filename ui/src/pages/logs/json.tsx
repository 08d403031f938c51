// A JSON line laid out, each value with filters for and against it.
import type { ComponentChildren } from "preact";
import { fieldName, type Sense } from "../../logql/edit";

const DEPTH_MAX = 12;
const ENTRIES_MAX = 200;

interface JsonProps {
  readonly value: unknown;
  /** The parsers' name of the value; null inside lists, which they leave out. */
  readonly path: string | null;
  readonly depth: number;
  readonly onFilter: (name: string, sense: Sense, value: string) => void;
}

function kindOf(value: unknown): string {
  return value === null ? "null" : typeof value;
}

function Leaf({ value, path, onFilter }: JsonProps) {
  return (
    <>
      <span class={`json-${kindOf(value)}`}>{JSON.stringify(value)}</span>
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

function Indented({ depth, children }: { depth: number; children: ComponentChildren }) {
  return (
    <span class="json-row" style={{ paddingLeft: `${depth * 16}px` }}>
      {children}
    </span>
  );
}

/** A value and what is in it. */
export function Json(props: JsonProps) {
  const { value, path, depth, onFilter } = props;
  if (typeof value !== "object" || value === null || depth > DEPTH_MAX) return <Leaf {...props} />;
  const isList = Array.isArray(value);
  const entries = Object.entries(value);
  const [open, close] = isList ? ["[", "]"] : ["{", "}"];
  if (entries.length === 0) return <span>{open + close}</span>;
  return (
    <>
      {open}
      {entries.slice(0, ENTRIES_MAX).map(([key, inner], index) => {
        const name = fieldName(key);
        const inside = path === null || isList ? null : path === "" ? name : `${path}_${name}`;
        return (
          <Indented key={key} depth={depth + 1}>
            {!isList && <span class="json-key">{JSON.stringify(key)}: </span>}
            <Json value={inner} path={inside} depth={depth + 1} onFilter={onFilter} />
            {index < entries.length - 1 && ","}
          </Indented>
        );
      })}
      {entries.length > ENTRIES_MAX && (
        <Indented depth={depth + 1}>… {entries.length - ENTRIES_MAX} more</Indented>
      )}
      <Indented depth={depth}>{close}</Indented>
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
