// A list of any length in the page's own flow: only rows near the window are in the document.
//
// The window scrolls, not the list. Rows may have any height: those not drawn yet count as `estimate`, drawn ones are
// measured. Whatever changes above the view, the rows in view stay where they are.
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import "../../style/virtual.css";
import { type Anchor, driftOf, offsetsOf, rowAt, rowsIn } from "./virtual";

/** Pixels drawn beyond the window. */
const MARGIN = 600;
/** Closer to the end than this, more is asked for. */
const NEAR = 1500;

/** What the list can be told. */
export interface ListHandle {
  /** Brings a row into view. */
  show(index: number): void;
  /** Scrolls to the list's beginning or end. */
  toEdge(edge: "first" | "last"): void;
}

/** Where the window is in the list. */
export interface Where {
  readonly atFirst: boolean;
  readonly atLast: boolean;
  /** Rows in view, `[first, last)`. */
  readonly first: number;
  readonly last: number;
}

interface ListProps<T> {
  readonly items: readonly T[];
  readonly keyOf: (item: T) => string;
  /** Pixels of a row that was never drawn. */
  readonly estimate: number;
  readonly row: (item: T, index: number) => ComponentChildren;
  readonly label: string;
  readonly class: string;
  /** Measured heights are forgotten when this changes. */
  readonly layout: string;
  /** What sticks to the window's top and covers rows there, pixels. */
  readonly covered: number;
  readonly onNearEnd: () => void;
  readonly onWhere: (where: Where) => void;
  readonly handle: (handle: ListHandle) => void;
}

interface RowProps {
  readonly name: string;
  readonly place: number;
  readonly count: number;
  readonly top: number;
  readonly observer: ResizeObserver | null;
  readonly children: ComponentChildren;
}

/** A row, measured for as long as it is in the document. */
function Row({ name, place, count, top, observer, children }: RowProps) {
  const element = useRef<HTMLLIElement>(null);
  useLayoutEffect(() => {
    const row = element.current;
    if (!row || !observer) return;
    observer.observe(row);
    return () => observer.unobserve(row);
  }, [observer]);
  return (
    <li
      ref={element}
      data-key={name}
      aria-setsize={count}
      aria-posinset={place + 1}
      style={{ transform: `translateY(${top}px)` }}
    >
      {children}
    </li>
  );
}

/** The list. */
export function VirtualList<T>(props: ListProps<T>) {
  const { items, keyOf, estimate, layout } = props;
  const box = useRef<HTMLOListElement>(null);
  const latest = useRef(props);
  latest.current = props;
  const heights = useRef(new Map<string, number>());
  const anchor = useRef<Anchor | null>(null);
  const [measured, setMeasured] = useState(0);
  const [view, setView] = useState({ top: 0, bottom: 1000 });

  const known = useRef(layout);
  if (known.current !== layout) {
    known.current = layout;
    heights.current.clear();
  }
  const offsets = useMemo(
    () =>
      offsetsOf(items.length, (index) => {
        const item = items[index];
        return (item === undefined ? undefined : heights.current.get(keyOf(item))) ?? estimate;
      }),
    [items, estimate, layout, measured],
  );
  const places = useMemo(() => new Map(items.map((item, index) => [keyOf(item), index])), [items]);
  const current = useRef({ offsets, places });
  current.current = { offsets, places };

  /** Reads where the window is; remembers what to hold on to. */
  const look = (): void => {
    const element = box.current;
    if (!element) return;
    const top = latest.current.covered - element.getBoundingClientRect().top;
    const bottom = top + window.innerHeight - latest.current.covered;
    const all = current.current.offsets;
    const index = rowAt(all, top);
    const item = latest.current.items[index];
    // At the very top nothing is held: what is new shows itself.
    anchor.current =
      item === undefined || top <= 2
        ? null
        : { key: latest.current.keyOf(item), within: top - (all[index] ?? 0) };
    setView((old) =>
      Math.abs(old.top - top) < 1 && Math.abs(old.bottom - bottom) < 1 ? old : { top, bottom },
    );
    const end = all[all.length - 1] ?? 0;
    const { first, last } = rowsIn(all, top, bottom, 0);
    latest.current.onWhere({ atFirst: top <= 2, atLast: bottom >= end - 40, first, last });
    if (end - bottom < NEAR) latest.current.onNearEnd();
  };

  useEffect(() => {
    let asked = 0;
    const soon = (): void => {
      if (asked === 0)
        asked = requestAnimationFrame(() => {
          asked = 0;
          look();
        });
    };
    window.addEventListener("scroll", soon, { passive: true });
    window.addEventListener("resize", soon);
    props.handle({
      show(index) {
        const element = box.current;
        const all = current.current.offsets;
        if (!element) return;
        const listTop = element.getBoundingClientRect().top;
        const [from, to] = [listTop + (all[index] ?? 0), listTop + (all[index + 1] ?? 0)];
        const upper = latest.current.covered + 8;
        if (from < upper) window.scrollBy(0, from - upper);
        else if (to > window.innerHeight - 8) {
          window.scrollBy(0, Math.min(to - window.innerHeight + 8, from - upper));
        }
      },
      toEdge(edge) {
        const element = box.current;
        if (!element) return;
        const rect = element.getBoundingClientRect();
        if (edge === "first") window.scrollTo(0, 0);
        else window.scrollBy(0, rect.bottom - window.innerHeight + 24);
      },
    });
    return () => {
      cancelAnimationFrame(asked);
      window.removeEventListener("scroll", soon);
      window.removeEventListener("resize", soon);
    };
  }, []);

  // The view holds on to its row, before anything is painted.
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const top = latest.current.covered - element.getBoundingClientRect().top;
    const drift = driftOf(anchor.current, (key) => places.get(key), offsets, top);
    if (Math.abs(drift) >= 1) window.scrollBy(0, drift);
    look();
  }, [offsets, places]);

  const observer = useRef<ResizeObserver | null>(null);
  if (observer.current === null) {
    observer.current = new ResizeObserver((entries) => {
      let changed = false;
      for (const entry of entries) {
        const key = (entry.target as HTMLElement).dataset.key ?? "";
        const height = entry.borderBoxSize[0]?.blockSize ?? 0;
        // A row that has just left the document measures nothing.
        if (height <= 0 || heights.current.get(key) === height) continue;
        changed = changed || (heights.current.get(key) ?? latest.current.estimate) !== height;
        heights.current.set(key, height);
      }
      if (changed) setMeasured((count) => count + 1);
    });
  }
  useEffect(() => () => observer.current?.disconnect(), []);

  const { first, last } = rowsIn(offsets, view.top, view.bottom, MARGIN);
  return (
    <ol
      ref={box}
      class={`virtual ${props.class}`}
      aria-label={props.label}
      style={{ height: `${offsets[items.length] ?? 0}px` }}
    >
      {items.slice(first, last).map((item, at) => {
        const key = keyOf(item);
        return (
          <Row
            key={key}
            name={key}
            place={first + at}
            count={items.length}
            top={offsets[first + at] ?? 0}
            observer={observer.current}
          >
            {props.row(item, first + at)}
          </Row>
        );
      })}
    </ol>
  );
}
