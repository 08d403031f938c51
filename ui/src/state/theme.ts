// Light or dark: the system's choice, unless the reader made one. Kept in this browser.
import { useEffect, useState } from "preact/hooks";

/** `system` follows the operating system. */
export type Theme = "system" | "light" | "dark";

const KEY = "bramble.theme";
const listeners = new Set<() => void>();
const systemIsDark = window.matchMedia("(prefers-color-scheme: dark)");
systemIsDark.addEventListener("change", () => announce());

function announce(): void {
  for (const listener of listeners) listener();
}

/** What the reader chose. */
export function currentTheme(): Theme {
  const chosen = document.documentElement.dataset.theme;
  return chosen === "light" || chosen === "dark" ? chosen : "system";
}

/** What is on screen. */
export function isDark(): boolean {
  const theme = currentTheme();
  return theme === "dark" || (theme === "system" && systemIsDark.matches);
}

/** Changes and stores the choice. */
export function setTheme(theme: Theme): void {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    if (theme === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, theme);
  } catch {
    // No storage: the choice lasts as long as the page.
  }
  announce();
}

/** The choice and what is on screen; re-renders on change. */
export function useTheme(): { theme: Theme; dark: boolean } {
  const [state, setState] = useState({ theme: currentTheme(), dark: isDark() });
  useEffect(() => {
    const update = (): void => setState({ theme: currentTheme(), dark: isDark() });
    listeners.add(update);
    return () => {
      listeners.delete(update);
    };
  }, []);
  return state;
}
