// What a correlation's marks mean, in words.

const WORDS: Readonly<Record<string, readonly [string, string]>> = {
  closed_early: [
    "closed early",
    "Its window was closed before its end, because there were too many open ones or too little memory: what came later may be in another correlation of the same trace.",
  ],
  truncated: [
    "cut",
    "It has more items than are kept of a window. All were counted; the timeline shows those that matter most.",
  ],
  ambiguous_request: [
    "shared request id",
    "A request id of it is that of many traces, so no line was joined by it.",
  ],
  skewed: [
    "clocks differ",
    "Clocks of its services disagree: times are corrected by what the spans of callers and called tell.",
  ],
};

/** A mark as a word or two. */
export function markName(mark: string): string {
  return WORDS[mark]?.[0] ?? mark.replaceAll("_", " ");
}

/** A mark as a sentence. */
export function markMeaning(mark: string): string {
  return WORDS[mark]?.[1] ?? `Marked “${mark.replaceAll("_", " ")}”.`;
}
