// One span: its place in the tree, its bar in time, and below it all about it when it is opened.
import { duration } from "../../format";
import { type Laid, remarksOn, type Stretch } from "../../traces/laid";
import { strokePath, within } from "../../traces/shown";
import type { Node } from "../../traces/tree";
import type { TracedLine } from "./logs";

const INDENT = 12;
/** Deeper rows are not moved further: a chain of thousands must stay on the page. */
const DEPTH_MAX = 24;
/** Marks on one bar; more could not be told apart. */
const MARKS_MAX = 60;

interface RowProps {
  readonly node: Node;
  readonly laid: Laid;
  readonly view: Stretch;
  readonly lines: readonly TracedLine[];
  readonly folded: boolean;
  readonly open: boolean;
  readonly selected: boolean;
  readonly sought: boolean;
  /** Of another service than the one asked for: shown only for its descendants. */
  readonly dimmed: boolean;
  readonly onToggle: () => void;
  readonly onFold: () => void;
}

function Marks({ node, view, lines }: { node: Node; view: Stretch; lines: readonly TracedLine[] }) {
  const at = (ns: number): string | null => {
    const place = within(view, ns, ns);
    return place && `${place.left * 100}%`;
  };
  return (
    <>
      {node.span.events.slice(0, MARKS_MAX).map((event, index) => {
        const left = at(event.at);
        if (left === null) return null;
        const bad = event.name === "exception" || /error|fail/i.test(event.name);
        return (
          <s
            key={`e${index}`}
            class={bad ? "is-bad" : ""}
            style={{ left }}
            title={`${event.name || "event"} at ${duration(event.at / 1e6)}`}
          />
        );
      })}
      {lines.slice(0, MARKS_MAX).map((one) => {
        const left = at(one.at);
        if (left === null) return null;
        return (
          <u
            key={one.line.id}
            class={`level-${one.line.level}`}
            style={{ left }}
            title={`${one.line.level}: ${one.line.line.slice(0, 200)}`}
          />
        );
      })}
    </>
  );
}

/** The bar, the part of it that the trace waited for, and its length beside it where there is room. */
function Track({
  node,
  laid,
  view,
  lines,
}: {
  node: Node;
  laid: Laid;
  view: Stretch;
  lines: readonly TracedLine[];
}) {
  const { span } = node;
  const bar = within(view, span.start, span.end);
  const pieces = laid.pieces.get(node.index);
  const colour = laid.colours.get(span.service) ?? "var(--metrics)";
  const end = bar ? bar.left + bar.width : span.start > view.to ? 1 : 0;
  const text = duration((span.end - span.start) / 1e6);
  const before = bar !== null && end > 0.86 && bar.left > 0.14;
  const inside = bar !== null && end > 0.86 && !before;
  return (
    <span class="span-track">
      {bar && <i style={{ left: `${bar.left * 100}%`, width: `${bar.width * 100}%`, "--service": colour }} />}
      {pieces && (
        <svg class="span-path" viewBox="0 0 1000 2" preserveAspectRatio="none" aria-hidden="true">
          <path d={strokePath(view, pieces)} vector-effect="non-scaling-stroke" />
        </svg>
      )}
      <em
        class={inside ? "is-inside" : before ? "is-before" : ""}
        style={
          before && bar
            ? { right: `${(1 - bar.left) * 100}%` }
            : inside
              ? { right: 0 }
              : { left: `${end * 100}%` }
        }
      >
        {bar === null ? (span.start > view.to ? "›" : "‹") : text}
      </em>
      <Marks node={node} view={view} lines={lines} />
    </span>
  );
}

/** The row. */
export function SpanRow(props: RowProps) {
  const { node, laid, view, lines, folded, open, selected, sought, dimmed, onToggle, onFold } = props;
  const { span } = node;
  const failed = span.status === "error";
  const odd = remarksOn(laid, node);
  const name = `${span.service} ${span.name}`;
  const classes = [
    "span",
    failed ? "is-failed" : "",
    open ? "is-open" : "",
    selected ? "is-selected" : "",
    sought ? "is-sought" : "",
    dimmed ? "is-dimmed" : "",
  ];
  return (
    <div class={classes.join(" ")}>
      <span class="span-name" style={{ paddingLeft: `${Math.min(node.depth, DEPTH_MAX) * INDENT}px` }}>
        {node.children.length > 0 ? (
          <button
            type="button"
            class="fold"
            aria-expanded={!folded}
            aria-label={`${folded ? "Unfold" : "Fold"} ${name}`}
            title={`${node.size - 1} below`}
            onClick={onFold}
          >
            {folded && <small>{node.size - 1}</small>}
          </button>
        ) : (
          <i class="fold-none" />
        )}
        <button type="button" class="span-open" aria-expanded={open} title={name} onClick={onToggle}>
          <i class="dot" style={{ "--dot": laid.colours.get(span.service) ?? "var(--metrics)" }} />
          {failed && (
            <b class="span-failed" role="img" title={span.message || "failed"} aria-label="failed" />
          )}
          <b>{span.service || "unknown"}</b> <span>{span.name}</span>
        </button>
        {odd.length > 0 && <b class="span-odd" role="img" title={odd.join("\n")} aria-label="odd" />}
      </span>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: the button in the row does the same for the keyboard */}
      {/* biome-ignore lint/a11y/useKeyWithClickEvents: the button in the row does the same for the keyboard */}
      <span class="span-lane" onClick={onToggle}>
        <Track node={node} laid={laid} view={view} lines={lines} />
      </span>
    </div>
  );
}
