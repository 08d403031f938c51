// The last queries that were run, kept in this browser.

const KEY = "bramble.logs.recent";
const MAX = 20;

/** Newest first; nothing where the browser keeps nothing. */
export function recentQueries(): string[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(kept) ? kept.filter((one) => typeof one === "string").slice(0, MAX) : [];
  } catch {
    return [];
  }
}

/** `list` with `query` first and once. */
export function withRecent(list: readonly string[], query: string): string[] {
  return [query, ...list.filter((one) => one !== query)].slice(0, MAX);
}

/** Remembers a query that was run. */
export function remember(query: string): void {
  if (query.trim() === "") return;
  try {
    localStorage.setItem(KEY, JSON.stringify(withRecent(recentQueries(), query)));
  } catch {
    // Private windows may keep nothing: then there is nothing to offer later.
  }
}
