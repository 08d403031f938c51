// CSS tokens as the canvas needs them: resolved colours.

let probe: HTMLElement | null = null;

/** Resolves any CSS colour expression (`var(--berry)`, `color-mix(…)`) to what the theme on screen makes of it. */
export function colour(expression: string): string {
  if (!probe) {
    probe = document.createElement("i");
    probe.hidden = true;
    document.body.append(probe);
  }
  probe.style.color = "";
  probe.style.color = expression;
  return getComputedStyle(probe).color;
}

/** For graphs of many series: told apart by hue and by lightness, in both themes. */
export const SERIES_COLOURS = [
  "var(--metrics)",
  "var(--logs)",
  "var(--traces)",
  "var(--sky)",
  "var(--plum)",
  "var(--rust)",
  "var(--moss)",
  "var(--rose)",
] as const;

/** The colour of the n-th series; repeats after eight. */
export function seriesColour(index: number): string {
  return SERIES_COLOURS[index % SERIES_COLOURS.length] ?? "var(--metrics)";
}
