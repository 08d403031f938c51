// A distribution over time: a column per step, a row per bucket, the more spans the stronger the colour.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Series } from "../../api/prometheus";
import { colour } from "../../chart/colours";
import { dateTime, duration, sample } from "../../format";
import { useTheme } from "../../state/theme";
import { heatOf } from "./heat";

const HEIGHT = 300;
const EDGE = { left: 62, right: 8, top: 6, bottom: 22 };

interface HeatmapProps {
  readonly series: readonly Series[];
  readonly window: { readonly start: number; readonly end: number };
  readonly step: number;
  readonly onSelect: (from: number, to: number) => void;
}

/** The map. Dragging chooses a time range. */
export function Heatmap({ series, window, step, onSelect }: HeatmapProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [width, setWidth] = useState(0);
  const [pointed, setPointed] = useState<{ slot: number; row: number } | null>(null);
  const [drag, setDrag] = useState<{ from: number; to: number } | null>(null);
  const { dark } = useTheme();
  const heat = useMemo(() => heatOf(series, window.start, window.end, step), [series, window, step]);
  const slots = heat.rows[0]?.length ?? 1;
  const inner = Math.max(1, width - EDGE.left - EDGE.right);
  const tall = HEIGHT - EDGE.top - EDGE.bottom;
  useEffect(() => {
    const element = canvas.current;
    if (!element) return;
    const resize = new ResizeObserver(() => setWidth(element.clientWidth));
    resize.observe(element);
    return () => resize.disconnect();
  }, []);
  useEffect(() => {
    const element = canvas.current;
    const context = element?.getContext("2d");
    if (!element || !context || width === 0) return;
    element.width = width * devicePixelRatio;
    element.height = HEIGHT * devicePixelRatio;
    context.scale(devicePixelRatio, devicePixelRatio);
    context.translate(EDGE.left, EDGE.top);
    const [cellWidth, cellHeight] = [inner / slots, tall / Math.max(1, heat.rows.length)];
    const shades = Array.from({ length: 11 }, (_, share) =>
      colour(`color-mix(in srgb, var(--traces) ${12 + share * 8.8}%, var(--surface))`),
    );
    heat.rows.forEach((row, at) => {
      const y = tall - (at + 1) * cellHeight;
      row.forEach((value, slot) => {
        if (value <= 0) return;
        context.fillStyle = shades[Math.round((10 * Math.log1p(value)) / Math.log1p(heat.most))] ?? "";
        context.fillRect(slot * cellWidth, y, Math.max(1, cellWidth - 1), Math.max(1, cellHeight - 1));
      });
    });
    context.fillStyle = colour("var(--ink-3)");
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "right";
    context.textBaseline = "middle";
    const every = Math.ceil(18 / cellHeight);
    heat.bounds.forEach((bound, at) => {
      if (at % every === 0) context.fillText(duration(bound * 1000), -7, tall - (at + 1) * cellHeight);
    });
    context.textAlign = "center";
    context.textBaseline = "top";
    const marks = Math.max(2, Math.floor(inner / 110));
    for (let mark = 0; mark < marks; mark += 1) {
      const slot = Math.floor((slots * (mark + 0.5)) / marks);
      const text = dateTime((window.start + slot * step) * 1000).slice(step >= 3600 ? 5 : 11, 16);
      context.fillText(text, (slot + 0.5) * cellWidth, tall + 7);
    }
  }, [heat, width, dark, step]);

  const placeOf = (event: PointerEvent): { slot: number; row: number } => {
    const rect = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const slot = Math.floor(((event.clientX - rect.left - EDGE.left) / inner) * slots);
    const row = Math.floor(((EDGE.top + tall - (event.clientY - rect.top)) / tall) * heat.rows.length);
    return { slot: Math.min(slots - 1, Math.max(0, slot)), row };
  };
  const count = pointed ? (heat.rows[pointed.row]?.[pointed.slot] ?? null) : null;
  const bound = pointed ? heat.bounds[pointed.row] : undefined;
  return (
    <>
      <div
        class="heatmap"
        role="img"
        aria-label="Spans by duration over time"
        onPointerDown={(event) => {
          (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
          const { slot } = placeOf(event);
          setDrag({ from: slot, to: slot });
        }}
        onPointerMove={(event) => {
          const place = placeOf(event);
          setPointed(place);
          if (drag) setDrag({ ...drag, to: place.slot });
        }}
        onPointerUp={() => {
          if (drag && drag.from !== drag.to) {
            const [from, to] = [Math.min(drag.from, drag.to), Math.max(drag.from, drag.to) + 1];
            onSelect(window.start + from * step, window.start + to * step);
          }
          setDrag(null);
        }}
        onPointerLeave={() => setPointed(null)}
      >
        <canvas ref={canvas} style={{ height: `${HEIGHT}px` }} />
        {drag && (
          <i
            class="scatter-brush"
            style={{
              left: `${EDGE.left + (Math.min(drag.from, drag.to) * inner) / slots}px`,
              width: `${((Math.abs(drag.to - drag.from) + 1) * inner) / slots}px`,
              top: `${EDGE.top}px`,
              height: `${tall}px`,
            }}
          />
        )}
      </div>
      <p class="heat-said">
        {pointed && bound !== undefined && count !== null
          ? `${dateTime((window.start + pointed.slot * step) * 1000)}: ${sample(count)} between ${duration((bound / 2) * 1000)} and ${duration(bound * 1000)}`
          : `Darkest: ${sample(heat.most)} in one cell`}
      </p>
    </>
  );
}
