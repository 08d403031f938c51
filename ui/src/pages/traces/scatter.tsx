// Every trace a dot: when it began and how long it took. A click opens it, dragging narrows the search.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { TraceSummary, Window } from "../../api/tempo";
import { colour, seriesColour } from "../../chart/colours";
import { clock, dateTime, duration } from "../../format";
import { go } from "../../state/route";
import { useTheme } from "../../state/theme";
import { traceRoute } from "../../state/url";
import { durationTerm } from "../../traceql/form";
import { at, type Dot, dotsOf, type Frame, frameOf, lengthMarks, nearest, xOf, yOf } from "./dots";

const HEIGHT = 216;
const EDGE = { left: 56, right: 10, top: 8, bottom: 22 };
const REACH = 14;
const DRAG_MIN = 6;

interface ScatterProps {
  readonly traces: readonly TraceSummary[];
  readonly window: Window;
  /** There are older traces that were not asked for. */
  readonly isCut: boolean;
  readonly colour: "status" | "service";
  readonly onZoom: (from: number, to: number, min: string, max: string) => void;
}

/** Colours of root services, in the order of their names. */
export function serviceColours(traces: readonly TraceSummary[]): ReadonlyMap<string, string> {
  const names = [...new Set(traces.map((trace) => trace.service))].sort();
  return new Map(names.map((name, index) => [name, seriesColour(index)]));
}

const STEPS_S = [10, 30, 60, 300, 600, 900, 1800, 3600, 3 * 3600, 6 * 3600, 86_400, 7 * 86_400];

function timeMarks({ window, width }: Frame): { ms: number; text: string }[] {
  const length = (window.endMs - window.startMs) / 1000;
  const step = STEPS_S.find((one) => (one / length) * width >= 76) ?? length;
  const marks: { ms: number; text: string }[] = [];
  const zone = new Date(window.startMs).getTimezoneOffset() * 60_000;
  for (
    let ms = Math.ceil((window.startMs - zone) / (step * 1000)) * step * 1000 + zone;
    ms <= window.endMs;
    ms += step * 1000
  ) {
    const when = new Date(ms);
    const text = step >= 86_400 ? `${when.getDate()}.${when.getMonth() + 1}.` : clock(ms);
    marks.push({ ms, text: step >= 60 && step < 86_400 ? text.slice(0, 5) : text });
  }
  return marks;
}

function paint(
  canvas: HTMLCanvasElement,
  frame: Frame,
  dots: readonly Dot[],
  hueOf: (dot: Dot) => string,
): void {
  const ratio = devicePixelRatio;
  const width = frame.width + EDGE.left + EDGE.right;
  canvas.width = width * ratio;
  canvas.height = HEIGHT * ratio;
  const context = canvas.getContext("2d");
  if (!context) return;
  context.scale(ratio, ratio);
  context.font = "11px system-ui, sans-serif";
  const [grid, ink] = [colour("var(--grid)"), colour("var(--ink-3)")];
  context.translate(EDGE.left, EDGE.top);
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const length of lengthMarks(frame, 22)) {
    const y = Math.round(yOf(frame, length)) + 0.5;
    context.fillStyle = grid;
    context.fillRect(0, y - 0.5, frame.width, 1);
    context.fillStyle = ink;
    context.fillText(duration(length), -7, y);
  }
  context.textAlign = "center";
  context.textBaseline = "top";
  for (const { ms, text } of timeMarks(frame)) {
    const x = xOf(frame, ms);
    if (x > 16 && x < frame.width - 16) context.fillText(text, x, frame.height + 7);
  }
  const resolved = new Map<string, string>();
  const edge = colour("var(--surface)");
  for (const dot of dots) {
    const hue = hueOf(dot);
    let fill = resolved.get(hue);
    if (fill === undefined) {
      fill = colour(`color-mix(in srgb, ${hue} 82%, transparent)`);
      resolved.set(hue, fill);
    }
    context.beginPath();
    context.arc(dot.x, dot.y, dots.length > 600 ? 3 : 4, 0, Math.PI * 2);
    context.fillStyle = fill;
    context.fill();
    context.strokeStyle = edge;
    context.lineWidth = 1;
    context.stroke();
  }
}

function Tip({ dot, width }: { dot: Dot; width: number }) {
  const { trace } = dot;
  const right = dot.x > width / 2;
  const style = {
    top: `${Math.max(0, dot.y + EDGE.top - 30)}px`,
    ...(right ? { right: `${width - dot.x + EDGE.right + 12}px` } : { left: `${dot.x + EDGE.left + 12}px` }),
  };
  return (
    <div class="scatter-tip" style={style}>
      <b>{trace.service || "unknown service"}</b> {trace.name || "root not received"}
      <p>
        <b>{duration(trace.durationMs)}</b>
        {trace.spans !== null && `, ${trace.spans} spans`}
        {(trace.errors ?? 0) > 0 && <em>, {trace.errors} failed</em>}
      </p>
      <p>{dateTime(trace.startMs, true)}</p>
    </div>
  );
}

/** The plot. */
export function Scatter({ traces, window, isCut, colour: by, onZoom }: ScatterProps) {
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const brush = useRef<HTMLElement>(null);
  const [width, setWidth] = useState(0);
  const [pointed, setPointed] = useState<Dot | null>(null);
  const { dark } = useTheme();
  const frame = useMemo(
    () =>
      frameOf(traces, window, Math.max(1, width - EDGE.left - EDGE.right), HEIGHT - EDGE.top - EDGE.bottom),
    [traces, window, width],
  );
  const dots = useMemo(() => dotsOf(frame, traces), [frame, traces]);
  const colours = useMemo(() => serviceColours(traces), [traces]);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const resize = new ResizeObserver(() => setWidth(element.clientWidth));
    resize.observe(element);
    setWidth(element.clientWidth);
    return () => resize.disconnect();
  }, []);
  useEffect(() => {
    if (!canvas.current || width === 0) return;
    const hueOf = (dot: Dot): string =>
      by === "service"
        ? (colours.get(dot.trace.service) ?? "var(--traces)")
        : (dot.trace.errors ?? 0) > 0
          ? "var(--bad)"
          : "var(--traces)";
    paint(canvas.current, frame, dots, hueOf);
  }, [frame, dots, by, colours, dark, width]);

  const oldest = Math.min(...dots.map((dot) => dot.x)) - 6;
  const place = (event: PointerEvent): { x: number; y: number } => {
    const rect = box.current?.getBoundingClientRect();
    return {
      x: event.clientX - (rect?.left ?? 0) - EDGE.left,
      y: event.clientY - (rect?.top ?? 0) - EDGE.top,
    };
  };
  const press = (event: PointerEvent): void => {
    const element = box.current;
    if (!element || event.button !== 0) return;
    const start = place(event);
    element.setPointerCapture(event.pointerId);
    const corners = (end: { x: number; y: number }) => {
      const clip = (value: number, most: number): number => Math.min(most, Math.max(0, value));
      return {
        left: clip(Math.min(start.x, end.x), frame.width),
        right: clip(Math.max(start.x, end.x), frame.width),
        top: clip(Math.min(start.y, end.y), frame.height),
        bottom: clip(Math.max(start.y, end.y), frame.height),
      };
    };
    const move = (next: PointerEvent): void => {
      const { left, right, top, bottom } = corners(place(next));
      if (!brush.current) return;
      brush.current.style.cssText = `left:${left + EDGE.left}px;top:${top + EDGE.top}px;width:${right - left}px;height:${bottom - top}px`;
    };
    const up = (last: PointerEvent): void => {
      element.removeEventListener("pointermove", move);
      element.removeEventListener("pointerup", up);
      element.removeEventListener("pointercancel", up);
      if (brush.current) brush.current.style.cssText = "";
      if (last.type === "pointercancel") return;
      const end = place(last);
      if (Math.hypot(end.x - start.x, end.y - start.y) < DRAG_MIN) {
        const dot = nearest(dots, end.x, end.y, REACH);
        if (dot) go(traceRoute(dot.trace.id));
        return;
      }
      const { left, right, top, bottom } = corners(end);
      const [first, second] = [at(frame, left, bottom), at(frame, right, top)];
      onZoom(
        first.timeMs / 1000,
        second.timeMs / 1000,
        durationTerm(first.durationMs),
        durationTerm(second.durationMs),
      );
    };
    element.addEventListener("pointermove", move);
    element.addEventListener("pointerup", up);
    element.addEventListener("pointercancel", up);
  };
  return (
    <>
      <div
        class={`scatter ${pointed ? "is-pointed" : ""}`}
        ref={box}
        role="img"
        aria-label={`${traces.length} traces by start and duration; the list below has them as links`}
        onPointerDown={press}
        onPointerMove={(event) => {
          const { x, y } = place(event);
          setPointed(nearest(dots, x, y, REACH));
        }}
        onPointerLeave={() => setPointed(null)}
      >
        <canvas ref={canvas} style={{ height: `${HEIGHT}px` }} />
        {isCut && dots.length > 0 && (
          <span class="scatter-cut" style={{ left: `${EDGE.left}px`, width: `${Math.max(0, oldest)}px` }}>
            {oldest > 150 && "Older traces are beyond the limit"}
          </span>
        )}
        {pointed && (
          <i
            class="scatter-ring"
            style={{ left: `${pointed.x + EDGE.left}px`, top: `${pointed.y + EDGE.top}px` }}
          />
        )}
        <i class="scatter-brush" ref={brush} />
        {pointed && <Tip dot={pointed} width={frame.width} />}
      </div>
      {by === "service" && (
        <ul class="legend scatter-legend">
          {[...colours].slice(0, 12).map(([service, hue]) => (
            <li key={service} style={{ "--dot": hue }}>
              {service || "unknown"}
            </li>
          ))}
        </ul>
      )}
    </>
  );
}
