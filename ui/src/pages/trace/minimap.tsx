// The whole trace in a strip: where the view is in it, and dragging to choose what is in view.
import { useEffect, useRef } from "preact/hooks";
import { colour } from "../../chart/colours";
import { useTheme } from "../../state/theme";
import type { Laid, Stretch } from "../../traces/laid";
import { within } from "../../traces/shown";
import type { Node } from "../../traces/tree";

const HEIGHT = 56;
/** Less than this, pixels, is a click. */
const DRAG_MIN = 4;

/** Every row a line: at most one per pixel and row of pixels, so that 20,000 are drawn as fast as 200. */
function draw(canvas: HTMLCanvasElement, laid: Laid, rows: readonly Node[]): void {
  const ratio = devicePixelRatio;
  const [width, height] = [canvas.clientWidth, HEIGHT];
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const context = canvas.getContext("2d");
  if (!context) return;
  context.scale(ratio, ratio);
  const lane = height / Math.max(rows.length, 1);
  const thick = Math.max(1, Math.min(4, lane * 0.7));
  const resolved = new Map([...laid.colours].map(([service, one]) => [service, colour(one)]));
  const bad = colour("var(--bad)");
  const stride = Math.max(1, Math.floor(rows.length / (height * 12)));
  for (let at = 0; at < rows.length; at += stride) {
    const node = rows[at];
    const bar = node && within(laid.axis, node.span.start, node.span.end);
    if (!node || !bar) continue;
    context.fillStyle = resolved.get(node.span.service) ?? bad;
    context.fillRect(bar.left * width, at * lane, Math.max(1, bar.width * width), thick);
  }
  // What failed has a red end, seen whatever lies over it.
  context.fillStyle = bad;
  rows.forEach((node, at) => {
    const bar = node.span.status === "error" ? within(laid.axis, node.span.start, node.span.end) : null;
    if (bar) context.fillRect((bar.left + bar.width) * width - 4, at * lane, 4, Math.max(thick, 1.5));
  });
}

interface MinimapProps {
  readonly laid: Laid;
  readonly rows: readonly Node[];
  readonly view: Stretch;
  /** Rows in view, `[first, last)`. */
  readonly seen: { readonly first: number; readonly last: number };
  readonly onView: (view: Stretch) => void;
  readonly onRow: (row: number) => void;
}

/** The strip. Drag across: that time is in view. Drag within the view: it moves. Double click: all again. */
export function Minimap({ laid, rows, view, seen, onView, onRow }: MinimapProps) {
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const brush = useRef<HTMLElement>(null);
  const { dark } = useTheme();
  const { axis } = laid;
  const length = axis.to - axis.from;
  useEffect(() => {
    const element = canvas.current;
    if (!element) return;
    draw(element, laid, rows);
    const resize = new ResizeObserver(() => draw(element, laid, rows));
    resize.observe(element);
    return () => resize.disconnect();
  }, [laid, rows, dark]);

  const press = (event: PointerEvent): void => {
    const element = box.current;
    if (!element || event.button !== 0) return;
    const rect = element.getBoundingClientRect();
    const shareAt = (x: number): number => Math.min(1, Math.max(0, (x - rect.left) / rect.width));
    const from = shareAt(event.clientX);
    const zoomed = view.from > axis.from || view.to < axis.to;
    const at = axis.from + from * length;
    const moves = zoomed && at > view.from && at < view.to;
    element.setPointerCapture(event.pointerId);
    const move = (next: PointerEvent): void => {
      const to = shareAt(next.clientX);
      if (moves) {
        const span = view.to - view.from;
        const start = Math.min(Math.max(view.from + (to - from) * length, axis.from), axis.to - span);
        onView({ from: start, to: start + span });
      } else if (brush.current) {
        brush.current.style.left = `${Math.min(from, to) * 100}%`;
        brush.current.style.width = `${Math.abs(to - from) * 100}%`;
      }
    };
    const up = (last: PointerEvent): void => {
      element.removeEventListener("pointermove", move);
      element.removeEventListener("pointerup", up);
      element.removeEventListener("pointercancel", up);
      if (brush.current) brush.current.style.width = "0";
      const to = shareAt(last.clientX);
      if (Math.abs(to - from) * rect.width < DRAG_MIN) {
        onRow(Math.floor(((last.clientY - rect.top) / rect.height) * rows.length));
      } else if (!moves) {
        const [left, right] = [Math.min(from, to), Math.max(from, to)];
        onView({ from: axis.from + left * length, to: axis.from + right * length });
      }
    };
    element.addEventListener("pointermove", move);
    element.addEventListener("pointerup", up);
    element.addEventListener("pointercancel", up);
  };
  const left = ((view.from - axis.from) / length) * 100;
  const right = ((axis.to - view.to) / length) * 100;
  const [top, bottom] = [seen.first / Math.max(rows.length, 1), seen.last / Math.max(rows.length, 1)];
  return (
    <div class="minimap">
      <div
        class="minimap-box"
        ref={box}
        role="img"
        aria-label="All spans; drag to choose the time in view, double click for all"
        onPointerDown={press}
        onDblClick={() => onView(axis)}
      >
        <canvas ref={canvas} style={{ height: `${HEIGHT}px` }} />
        <i class="minimap-out" style={{ left: 0, width: `${left}%` }} />
        <i class="minimap-out" style={{ right: 0, width: `${right}%` }} />
        <i
          class="minimap-view"
          style={{
            left: `${left}%`,
            right: `${right}%`,
            top: `${top * 100}%`,
            height: `${Math.max(4, (bottom - top) * 100)}%`,
          }}
        />
        <i class="minimap-brush" ref={brush} />
      </div>
    </div>
  );
}
