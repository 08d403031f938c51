// Places for the services of a map: in layers, callers before what they call, with few crossings.
//
// Layers by the longest way from a caller (Sugiyama's method, small): circles are broken at the edge that leads back;
// an edge over several layers bends around the nodes between; within a layer nodes are ordered by the middle of their
// neighbours, then moved towards them as far as the others leave room. Deterministic: the same calls, the same map.

/** From a caller to what it calls. */
export interface Edge {
  readonly from: string;
  readonly to: string;
}

/** A point; for nodes the upper left corner. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

/** Sizes in pixels; `down` puts layers below each other instead of beside. */
export interface Sizes {
  readonly width: number;
  readonly height: number;
  /** Between layers. */
  readonly along: number;
  /** Between nodes of a layer. */
  readonly across: number;
  readonly down: boolean;
}

/** Everything's place. An edge's way goes from node to node, over its bends. */
export interface Layout {
  readonly nodes: ReadonlyMap<string, Point>;
  readonly ways: readonly { readonly edge: Edge; readonly points: readonly Point[] }[];
  readonly width: number;
  readonly height: number;
}

interface Item {
  readonly id: string;
  readonly isBend: boolean;
  layer: number;
  order: number;
  /** Middle across the layers. */
  middle: number;
  before: Item[];
  after: Item[];
}

const SWEEPS = 12;

/** Edges that do not lead back, by depth-first search from what nobody calls. */
function forward(names: readonly string[], edges: readonly Edge[]): Set<Edge> {
  const out = new Map<string, Edge[]>(names.map((name) => [name, []]));
  const called = new Map<string, number>(names.map((name) => [name, 0]));
  for (const edge of edges) {
    out.get(edge.from)?.push(edge);
    called.set(edge.to, (called.get(edge.to) ?? 0) + 1);
  }
  const starts = [...names].sort((a, b) => (called.get(a) ?? 0) - (called.get(b) ?? 0) || (a < b ? -1 : 1));
  const state = new Map<string, "open" | "done">();
  const kept = new Set<Edge>();
  for (const start of starts) {
    if (state.has(start)) continue;
    const path = [{ name: start, next: 0 }];
    state.set(start, "open");
    for (let top = path.at(-1); top; top = path.at(-1)) {
      const edge = out.get(top.name)?.[top.next];
      top.next += 1;
      if (!edge) {
        state.set(top.name, "done");
        path.pop();
        continue;
      }
      if (state.get(edge.to) === "open") continue;
      kept.add(edge);
      if (state.has(edge.to)) continue;
      state.set(edge.to, "open");
      path.push({ name: edge.to, next: 0 });
    }
  }
  return kept;
}

/** The layer of each node: one beyond its furthest caller. */
function layersOf(
  names: readonly string[],
  edges: readonly { from: string; to: string }[],
): Map<string, number> {
  const layer = new Map<string, number>(names.map((name) => [name, 0]));
  const open = new Map<string, number>(names.map((name) => [name, 0]));
  for (const edge of edges) open.set(edge.to, (open.get(edge.to) ?? 0) + 1);
  const ready = names.filter((name) => open.get(name) === 0);
  for (let name = ready.pop(); name !== undefined; name = ready.pop()) {
    for (const edge of edges) {
      if (edge.from !== name) continue;
      layer.set(edge.to, Math.max(layer.get(edge.to) ?? 0, (layer.get(name) ?? 0) + 1));
      const left = (open.get(edge.to) ?? 1) - 1;
      open.set(edge.to, left);
      if (left === 0) ready.push(edge.to);
    }
  }
  // Who is called by nobody stands right before what it calls first.
  for (const name of names) {
    if (edges.some((edge) => edge.to === name)) continue;
    const targets = edges.filter((edge) => edge.from === name).map((edge) => layer.get(edge.to) ?? 1);
    if (targets.length > 0) layer.set(name, Math.min(...targets) - 1);
  }
  return layer;
}

const mean = (items: readonly Item[], of: (item: Item) => number): number =>
  items.reduce((sum, item) => sum + of(item), 0) / items.length;

function crossings(layers: readonly (readonly Item[])[]): number {
  let count = 0;
  for (const layer of layers) {
    const pairs = layer.flatMap((item) => item.after.map((next) => [item.order, next.order] as const));
    pairs.forEach(([a, b], at) => {
      for (const [c, d] of pairs.slice(at + 1)) if ((a - c) * (b - d) < 0) count += 1;
    });
  }
  return count;
}

function numbered(layer: readonly Item[]): void {
  layer.forEach((item, at) => {
    item.order = at;
  });
}

/** Orders each layer by its neighbours, forwards and backwards in turn; keeps the best found. */
function order(layers: Item[][]): void {
  for (const layer of layers) numbered(layer);
  let best = layers.map((layer) => [...layer]);
  let fewest = crossings(layers);
  for (let sweep = 0; sweep < SWEEPS && fewest > 0; sweep += 1) {
    const ahead = sweep % 2 === 0;
    for (const layer of ahead ? layers : [...layers].reverse()) {
      const wish = new Map(
        layer.map((item) => {
          const near = ahead ? item.before : item.after;
          return [item, near.length > 0 ? mean(near, (one) => one.order) : item.order];
        }),
      );
      layer.sort((a, b) => (wish.get(a) ?? 0) - (wish.get(b) ?? 0));
      numbered(layer);
    }
    const now = crossings(layers);
    if (now < fewest) {
      fewest = now;
      best = layers.map((layer) => [...layer]);
    }
  }
  best.forEach((layer, at) => {
    layers[at] = layer;
    numbered(layer);
  });
}

/** Moves nodes towards the middle of their neighbours, keeping order and distance. */
function place(layers: readonly Item[][], size: number, gap: number): void {
  const least = (a: Item, b: Item): number => ((a.isBend ? 8 : size) + (b.isBend ? 8 : size)) / 2 + gap;
  const spread = (layer: readonly Item[]): void => {
    for (let at = 1; at < layer.length; at += 1) {
      const [above, item] = [layer[at - 1], layer[at]];
      if (above && item) item.middle = Math.max(item.middle, above.middle + least(above, item));
    }
  };
  for (const layer of layers) {
    let at = 0;
    layer.forEach((item, index) => {
      const above = layer[index - 1];
      if (above) at += least(above, item);
      item.middle = at;
    });
    for (const item of layer) item.middle -= at / 2;
  }
  for (let round = 0; round < SWEEPS; round += 1) {
    for (const layer of round % 2 === 0 ? layers : [...layers].reverse()) {
      const wishes = layer.map((item) => {
        const near = [...item.before, ...item.after];
        return near.length > 0 ? mean(near, (one) => one.middle) : item.middle;
      });
      const before = wishes.reduce((sum, one) => sum + one, 0);
      layer.forEach((item, at) => {
        item.middle = wishes[at] ?? 0;
      });
      spread(layer);
      // What had to give way gave way downwards only: back by the mean.
      const shift = (layer.reduce((sum, item) => sum + item.middle, 0) - before) / Math.max(1, layer.length);
      for (const item of layer) item.middle -= shift;
    }
  }
}

/** The places of all nodes that edges name. */
export function layOut(edges: readonly Edge[], sizes: Sizes): Layout {
  const between = edges.filter((edge) => edge.from !== edge.to);
  const names = [...new Set(edges.flatMap((edge) => [edge.from, edge.to]))].sort();
  const kept = forward(names, between);
  const straight = between.map((edge) => (kept.has(edge) ? edge : { from: edge.to, to: edge.from }));
  const layerOf = layersOf(names, straight);
  const items = new Map<string, Item>();
  const layers: Item[][] = [];
  const add = (id: string, layer: number, isBend: boolean): Item => {
    const item: Item = { id, isBend, layer, order: 0, middle: 0, before: [], after: [] };
    layers[layer] ??= [];
    layers[layer].push(item);
    return item;
  };
  for (let at = 0; at <= Math.max(0, ...layerOf.values()); at += 1) layers[at] = [];
  for (const name of names) items.set(name, add(name, layerOf.get(name) ?? 0, false));
  const chains = straight.map((edge, index) => {
    const [from, to] = [items.get(edge.from), items.get(edge.to)];
    const chain: Item[] = from ? [from] : [];
    for (let at = (from?.layer ?? 0) + 1; at < (to?.layer ?? 0); at += 1)
      chain.push(add(`${index} ${at}`, at, true));
    if (to) chain.push(to);
    chain.forEach((item, at) => {
      const next = chain[at + 1];
      if (!next) return;
      item.after.push(next);
      next.before.push(item);
    });
    return chain;
  });
  order(layers);
  const [thick, wide] = sizes.down ? [sizes.height, sizes.width] : [sizes.width, sizes.height];
  place(layers, wide, sizes.across);
  const all = layers.flat();
  const half = (item: Item): number => (item.isBend ? 0 : wide / 2);
  const low = all.length === 0 ? 0 : Math.min(...all.map((item) => item.middle - half(item)));
  const high = all.length === 0 ? 0 : Math.max(...all.map((item) => item.middle + half(item)));
  const along = (layer: number): number => layer * (thick + sizes.along);
  const point = (a: number, b: number): Point => (sizes.down ? { x: b, y: a } : { x: a, y: b });
  const nodes = new Map(
    [...items].map(([name, item]) => [name, point(along(item.layer), item.middle - wide / 2 - low)]),
  );
  const ways = between.map((edge, index) => {
    const chain = chains[index] ?? [];
    const points = chain.flatMap((item, at): Point[] => {
      const middle = item.middle - low;
      const [front, back] = [along(item.layer), along(item.layer) + thick];
      if (item.isBend) return [point(front, middle), point(back, middle)];
      return [point(at === 0 ? back : front, middle)];
    });
    return { edge, points: kept.has(edge) ? points : points.reverse() };
  });
  const [length, breadth] = [along(Math.max(0, layers.length - 1)) + thick, high - low];
  return {
    nodes,
    ways,
    width: sizes.down ? breadth : length,
    height: sizes.down ? length : breadth,
  };
}

/** A smooth SVG path over points, leaving and arriving along the layers. */
export function pathOf(points: readonly Point[], down: boolean): string {
  const [first] = points;
  if (!first) return "";
  let path = `M${first.x.toFixed(1)} ${first.y.toFixed(1)}`;
  points.slice(1).forEach((to, at) => {
    const from = points[at] ?? to;
    const half = down ? (to.y - from.y) / 2 : (to.x - from.x) / 2;
    const [a, b] = down
      ? [
          `${from.x.toFixed(1)} ${(from.y + half).toFixed(1)}`,
          `${to.x.toFixed(1)} ${(to.y - half).toFixed(1)}`,
        ]
      : [
          `${(from.x + half).toFixed(1)} ${from.y.toFixed(1)}`,
          `${(to.x - half).toFixed(1)} ${to.y.toFixed(1)}`,
        ];
    path += `C${a} ${b} ${to.x.toFixed(1)} ${to.y.toFixed(1)}`;
  });
  return path;
}
