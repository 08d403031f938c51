// The graph: uPlot in a box that follows its parent's width, the theme and new data without being rebuilt
// for the latter.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { clock } from "../format";
import { useTheme } from "../state/theme";
import { colour } from "./colours";

/** One line. `colour` is a CSS colour expression; `values` are as long as the graph's `times`. */
export interface Line {
  readonly name: string;
  readonly colour: string;
  readonly values: readonly (number | null)[];
  readonly hidden?: boolean;
}

/** How lines are drawn: over each other with a light area, on top of each other, as plain lines, or as stacked bars. */
export type Shape = "area" | "stack" | "lines" | "bars";

/** A point on top of the lines that leads somewhere. */
export interface Spot {
  /** Unix seconds. */
  readonly at: number;
  readonly value: number;
  readonly href: string | null;
  readonly title: string;
  /** Where else it leads, shown beside it while it is pointed at. */
  readonly links?: readonly { readonly name: string; readonly href: string }[];
}

interface PlotProps {
  readonly times: readonly number[];
  readonly lines: readonly Line[];
  readonly shape: Shape;
  readonly height: number;
  /** Axis labels; zero is always `0`. */
  readonly format: (value: number) => string;
  /** Values are bytes: the axis is divided at powers of two. */
  readonly binary?: boolean;
  /** Top of the scale at least; the graph grows beyond it. */
  readonly max?: number;
  /** The scale ends exactly at `max`. */
  readonly fixed?: boolean;
  /** Values may be negative: the scale is not anchored at zero. */
  readonly free?: boolean;
  /** Graphs with the same key share the cursor. */
  readonly sync?: string;
  /** Drawn as links over the lines; a value beyond the scale sits at its edge. */
  readonly spots?: readonly Spot[];
  readonly onCursor?: (index: number | null) => void;
  /** Dragging selects a time range, Unix seconds. */
  readonly onSelect?: (from: number, to: number) => void;
  readonly label: string;
}

type Values = (number | null)[];

function stacked(lines: readonly Line[]): Values[] {
  let below: Values = [];
  return lines.map((line) => {
    if (line.hidden) return line.values.map(() => null);
    below = line.values.map((value, index) =>
      value == null ? (below[index] ?? null) : value + (below[index] ?? 0),
    );
    return below;
  });
}

/** Stacks are drawn from the top down, so that each paints over the one above it. */
function columnsOf(times: readonly number[], lines: readonly Line[], shape: Shape): uPlot.AlignedData {
  const piled = shape === "stack" || shape === "bars";
  const columns = piled ? stacked(lines).reverse() : lines.map((line) => [...line.values]);
  return [[...times], ...columns] as uPlot.AlignedData;
}

const POWERS_OF_TWO = Array.from({ length: 54 }, (_, power) => 2 ** power);

function niceMax(highest: number, floor: number): number {
  const top = Math.max(highest * 1.08, floor);
  return top > 0 ? top : 1;
}

function fade(hue: string): (self: uPlot) => CanvasGradient | string {
  return (self) => {
    const { top, height } = self.bbox;
    if (!Number.isFinite(top) || height <= 0) return "transparent";
    const gradient = self.ctx.createLinearGradient(0, top, 0, top + height);
    gradient.addColorStop(0, colour(`color-mix(in srgb, ${hue} 26%, transparent)`));
    gradient.addColorStop(1, colour(`color-mix(in srgb, ${hue} 3%, transparent)`));
    return gradient;
  };
}

/** From one time to the next: what a bar stands for. */
function stepOf(times: ArrayLike<number>): number {
  return times.length > 1 ? (times[1] ?? 0) - (times[0] ?? 0) : 60;
}

/** Bars on whole pixels, each from its time to the next: stacked ones cover each other without fringes. */
const bars: uPlot.Series.PathBuilder = (self, series, from, to) => {
  const fill = new Path2D();
  const [times, values] = [self.data[0], self.data[series] ?? []];
  const step = stepOf(times);
  const bottom = Math.round(self.valToPos(0, "y", true));
  for (let at = from; at <= to; at += 1) {
    const value = values[at];
    const time = times[at];
    if (value == null || value === 0 || time === undefined) continue;
    const left = Math.round(self.valToPos(time, "x", true));
    const width = Math.round(self.valToPos(time + step, "x", true)) - left;
    const gap = width >= 4 ? Math.max(1, Math.round(width * 0.16)) : width >= 2 ? 1 : 0;
    const top = Math.round(self.valToPos(value, "y", true));
    fill.rect(left, top, Math.max(1, width - gap), bottom - top);
  }
  return {
    fill,
    stroke: null,
    clip: null,
    band: null,
    gaps: null,
    flags: 0,
  } as unknown as uPlot.Series.Paths;
};

function seriesOf(lines: readonly Line[], shape: Shape): uPlot.Series[] {
  const drawn = shape === "stack" || shape === "bars" ? [...lines].reverse() : lines;
  return drawn.map((line) => ({
    label: line.name,
    show: line.hidden !== true,
    stroke: shape === "bars" ? "transparent" : colour(line.colour),
    width: shape === "bars" ? 0 : 1.5,
    points: { show: false },
    spanGaps: false,
    ...(shape === "area" ? { fill: fade(line.colour) } : {}),
    ...(shape === "stack" ? { fill: colour(`color-mix(in srgb, ${line.colour} 42%, var(--surface))`) } : {}),
    ...(shape === "bars" ? { fill: colour(line.colour) } : {}),
    ...(shape === "bars" ? { paths: bars } : {}),
  }));
}

/** A label that would be cut off at the right edge is left out. */
function timeTicks(self: uPlot, ticks: number[]): string[] {
  const length = (ticks.at(-1) ?? 0) - (ticks[0] ?? 0);
  const edge = self.bbox.width / devicePixelRatio - 12;
  return ticks.map((at) => {
    if (self.valToPos(at, "x") > edge) return "";
    const when = new Date(at * 1000);
    if (length >= 2 * 86_400) return `${when.getDate()}.${when.getMonth() + 1}.`;
    const text = clock(at * 1000);
    return at % 60 === 0 ? text.slice(0, 5) : text;
  });
}

function optionsOf(props: PlotProps, width: number): uPlot.Options {
  const grid = { stroke: colour("var(--grid)"), width: 1 };
  const axis = { stroke: colour("var(--ink-3)"), font: "11px system-ui, sans-serif", ticks: { show: false } };
  const { format, max = 0, fixed = false, free = false } = props;
  return {
    width,
    height: props.height,
    padding: [8, 6, 0, 0],
    legend: { show: false },
    series: [{}, ...seriesOf(props.lines, props.shape)],
    scales: {
      x: {
        time: true,
        // The last bar has a width, too.
        ...(props.shape === "bars"
          ? { range: (self, low, high) => [low, high + stepOf(self.data[0])] as [number, number] }
          : {}),
      },
      y: {
        range: (_self, low, high) => {
          if (fixed) return [0, max];
          if (free && low !== null && high !== null && low < 0) {
            const margin = (high - low || 1) * 0.08;
            return [low - margin, high + margin];
          }
          return [0, niceMax(high ?? 0, max)];
        },
      },
    },
    axes: [
      { ...axis, grid: { show: false }, size: 22, gap: 5, space: 62, values: timeTicks },
      {
        ...axis,
        grid,
        size: 50,
        gap: 6,
        space: props.height > 200 ? 40 : 22,
        values: (_self, ticks) => ticks.map((tick) => (tick === 0 ? "0" : format(tick))),
        ...(props.binary ? { incrs: POWERS_OF_TWO } : {}),
      },
    ],
    cursor: {
      y: false,
      points: { size: 7 },
      drag: { x: props.onSelect !== undefined, y: false, setScale: false },
      ...(props.sync ? { sync: { key: props.sync, setSeries: false } } : {}),
    },
    hooks: {
      draw: [(self) => placeSpots(self, props.spots ?? [])],
      setCursor: [(self) => props.onCursor?.(self.cursor.idx ?? null)],
      setSelect: [
        (self) => {
          if (self.select.width < 8) return;
          const from = self.posToVal(self.select.left, "x");
          const to = self.posToVal(self.select.left + self.select.width, "x");
          self.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          props.onSelect?.(Math.floor(from), Math.ceil(to));
        },
      ],
    },
  };
}

/** What a spot is and where it leads; on the side where there is room. */
function cardOf(spot: Spot, left: boolean, above: boolean): HTMLElement {
  const card = document.createElement("span");
  card.className = `spot-card ${left ? "is-left" : ""} ${above ? "is-above" : ""}`;
  const said = document.createElement("span");
  said.textContent = spot.title;
  const links = (spot.links ?? []).map(({ name, href }) => {
    const link = document.createElement("a");
    link.href = href;
    link.textContent = name;
    return link;
  });
  card.append(said, ...links);
  return card;
}

/** Puts a link for each spot where the scales say, over the drawn lines. */
function placeSpots(self: uPlot, spots: readonly Spot[]): void {
  let layer = self.over.querySelector<HTMLElement>(".spots");
  if (!layer) {
    if (spots.length === 0) return;
    layer = document.createElement("div");
    layer.className = "spots";
    self.over.append(layer);
  }
  const [width, height] = [self.over.clientWidth, self.over.clientHeight];
  const marks = spots.flatMap((spot) => {
    const x = self.valToPos(spot.at, "x");
    if (!(x >= 0 && x <= width)) return [];
    const y = Math.min(Math.max(self.valToPos(spot.value, "y"), 4), height - 4);
    const mark = document.createElement(spot.href === null ? "span" : "a");
    if (spot.href !== null) mark.setAttribute("href", spot.href);
    mark.className = "spot";
    const place = document.createElement("span");
    place.className = "spot-place";
    place.style.left = `${x}px`;
    place.style.top = `${Number.isFinite(y) ? y : height - 4}px`;
    place.append(mark);
    if (spot.links === undefined) mark.title = spot.title;
    else place.append(cardOf(spot, x > width / 2, y > height / 2));
    // A press here is for the links, not the beginning of a selection.
    place.addEventListener("mousedown", (event) => event.stopPropagation());
    return [place];
  });
  layer.replaceChildren(...marks);
}

/** A graph. Rebuilt when its lines' identity, the theme or its format changes; otherwise only given new data. */
export function Plot(props: PlotProps) {
  const box = useRef<HTMLDivElement>(null);
  const graph = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const { dark } = useTheme();
  const identity = JSON.stringify([
    props.shape,
    props.height,
    props.sync,
    props.max,
    props.fixed,
    props.binary,
    props.lines.map((line) => [line.name, line.colour, line.hidden]),
    dark,
  ]);

  // Identity stands for everything that needs a rebuild
  useEffect(() => {
    const parent = box.current;
    if (!parent) return;
    const now = latest.current;
    const live: PlotProps = {
      ...now,
      format: (value) => latest.current.format(value),
      get spots() {
        return latest.current.spots ?? [];
      },
      onCursor: (index) => latest.current.onCursor?.(index),
      ...(now.onSelect
        ? { onSelect: (from: number, to: number) => latest.current.onSelect?.(from, to) }
        : {}),
    };
    const plot = new uPlot(
      optionsOf(live, parent.clientWidth),
      columnsOf(now.times, now.lines, now.shape),
      parent,
    );
    graph.current = plot;
    const resize = new ResizeObserver(() => {
      if (parent.clientWidth > 0) plot.setSize({ width: parent.clientWidth, height: latest.current.height });
    });
    resize.observe(parent);
    return () => {
      resize.disconnect();
      plot.destroy();
      graph.current = null;
    };
  }, [identity]);

  useEffect(() => {
    graph.current?.setData(columnsOf(props.times, props.lines, props.shape));
  }, [props.times, props.lines, props.shape]);

  useEffect(() => {
    if (graph.current) placeSpots(graph.current, props.spots ?? []);
  }, [props.spots]);

  return (
    <div class="plot" ref={box} style={{ height: `${props.height}px` }} role="img" aria-label={props.label} />
  );
}
