// The page by keyboard, outside of anything that is typed into.
import { useEffect, useRef } from "preact/hooks";

/** Whether a key press is for something that takes text. */
function isTyping(event: KeyboardEvent): boolean {
  // The editor is in a shadow root: only the path knows what has the focus there.
  const target = event.composedPath()[0];
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
  );
}

/** Calls what `keys` has for a key. Enter stays with a button that has the focus. */
export function useKeys(keys: Readonly<Record<string, () => void>>): void {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    const press = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event)) return;
      const target = event.composedPath()[0];
      const onControl = target instanceof HTMLElement && target.closest("button, a") !== null;
      if (event.key === "Enter" && onControl) return;
      const action = latest.current[event.key];
      if (!action) return;
      event.preventDefault();
      action();
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, []);
}
