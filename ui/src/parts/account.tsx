// The menu at the bar's end: who is signed in, the pages of the machine and of access, and the way out.
import { useEffect, useRef } from "preact/hooks";
import { leave, useOwner } from "../state/owner";

/** The menu. `page` is the one that is shown. */
export function Account({ page }: { page: string }) {
  const owner = useOwner();
  const menu = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    const close = (event: Event): void => {
      const inside = event.target instanceof Node && menu.current?.contains(event.target);
      if (menu.current && !inside) menu.current.open = false;
    };
    const onKey = (event: KeyboardEvent): void => {
      if (event.key === "Escape" && menu.current) menu.current.open = false;
    };
    const shut = (): void => {
      if (menu.current) menu.current.open = false;
    };
    document.addEventListener("click", close);
    window.addEventListener("hashchange", shut);
    document.addEventListener("keydown", onKey);
    return () => {
      document.removeEventListener("click", close);
      window.removeEventListener("hashchange", shut);
      document.removeEventListener("keydown", onKey);
    };
  }, []);
  const name = owner?.signedIn ? owner.name : "";
  return (
    <details class="account" ref={menu}>
      <summary aria-label={name === "" ? "Menu" : `Menu of ${name}`} title={name || "Menu"}>
        <svg viewBox="0 0 20 20" width="16" height="16" aria-hidden="true">
          <circle cx="10" cy="7" r="3.4" fill="none" stroke="currentColor" stroke-width="1.6" />
          <path
            d="M3.4 17.2c.9-3.3 3.4-5 6.6-5s5.7 1.7 6.6 5"
            fill="none"
            stroke="currentColor"
            stroke-width="1.6"
            stroke-linecap="round"
          />
        </svg>
        {name !== "" && <span class="wide-only account-name">{name}</span>}
      </summary>
      <div class="account-menu">
        {name !== "" && (
          <p>
            Signed in as <b>{name}</b>
          </p>
        )}
        <a href="#/system" aria-current={page === "system" ? "page" : undefined}>
          System
        </a>
        <a href="#/access" aria-current={page === "access" ? "page" : undefined}>
          Access
        </a>
        {owner && !owner.set && <a href="/setup">Set an owner</a>}
        {owner?.signedIn && (
          <button type="button" onClick={() => void leave(false)}>
            Sign out
          </button>
        )}
      </div>
    </details>
  );
}
