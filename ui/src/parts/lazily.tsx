// Pages that are loaded when they are opened, so that the first view waits for nothing that it does not show.
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";

/** A component that stands in for the one that `load` gives. It is asked for again when loading failed. */
export function lazily<P extends object>(load: () => Promise<ComponentType<P>>): ComponentType<P> {
  let loaded: ComponentType<P> | null = null;
  return function Lazily(props: P) {
    const [Component, setComponent] = useState<{ it: ComponentType<P> } | null>(loaded && { it: loaded });
    const [failed, setFailed] = useState(false);
    useEffect(() => {
      if (Component !== null) return;
      load().then(
        (it) => {
          loaded = it;
          setComponent({ it });
        },
        () => setFailed(true),
      );
    }, []);
    if (Component !== null) return <Component.it {...props} />;
    return (
      <div class="explore">
        <p class="wait loading-page" aria-live="polite">
          {failed
            ? "This page could not be loaded. Bramble may have been updated: reload the page."
            : "Loading…"}
        </p>
      </div>
    );
  };
}
