// The last queries that were run, kept in this browser.
import { useEffect, useRef, useState } from "preact/hooks";

/** Whose queries. */
type Language = "logs" | "traces";

const keyOf = (language: Language): string => `bramble.${language}.recent`;
const MAX = 20;

/** Newest first; nothing where the browser keeps nothing. */
export function recentQueries(language: Language): string[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(keyOf(language)) ?? "[]");
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
export function remember(language: Language, query: string): void {
  if (query.trim() === "") return;
  try {
    localStorage.setItem(keyOf(language), JSON.stringify(withRecent(recentQueries(language), query)));
  } catch {
    // Private windows may keep nothing: then there is nothing to offer later.
  }
}

/** A button that offers them. */
export function Recent({ language, onPick }: { language: Language; onPick: (query: string) => void }) {
  const [list, setList] = useState<readonly string[] | null>(null);
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (list === null) return;
    const away = (event: Event): void => {
      if (!box.current?.contains(event.target as Node)) setList(null);
    };
    const onKey = (event: KeyboardEvent): void => {
      if (event.key === "Escape") setList(null);
    };
    document.addEventListener("pointerdown", away);
    document.addEventListener("keydown", onKey);
    return () => {
      document.removeEventListener("pointerdown", away);
      document.removeEventListener("keydown", onKey);
    };
  }, [list !== null]);
  return (
    <div class="recent" ref={box}>
      <button
        type="button"
        class="button-quiet"
        aria-expanded={list !== null}
        onClick={() => setList(list === null ? recentQueries(language) : null)}
      >
        Recent
      </button>
      {list && (
        <ul class="recent-list" aria-label="Recent queries">
          {list.length === 0 && (
            <li class="stats-note">Queries that you run are kept here, in this browser.</li>
          )}
          {list.map((query) => (
            <li key={query}>
              <button
                type="button"
                onClick={() => {
                  setList(null);
                  onPick(query);
                }}
              >
                {query}
              </button>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
