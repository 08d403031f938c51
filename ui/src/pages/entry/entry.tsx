// The pages in front: the set-up of a Bramble that has no owner, and signing in.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { getOwner, type Owner } from "../../api/owner";
import { Logo } from "../../parts/logo";
import "../../style/entry.css";
import { Login } from "./login";
import { Setup } from "./setup";

/** Where one gets to; what the fragment says is shown then. */
export function enter(): void {
  location.replace(`/${location.hash}`);
}

function Frame({ title, children }: { title: string; children: ComponentChildren }) {
  useEffect(() => {
    document.title = `${title} · Bramble`;
  }, [title]);
  return (
    <div class="entry">
      <main class="entry-card" id="content">
        <p class="entry-brand">
          <Logo size={34} />
          <span>Bramble</span>
        </p>
        <h1>{title}</h1>
        {children}
      </main>
      <p class="entry-foot">{location.host}</p>
    </div>
  );
}

/** The page at `/setup` and `/login`: which of them is needed is the server's word. */
export function EntryPage() {
  const [owner, setOwner] = useState<Owner | null>(null);
  const [wrong, setWrong] = useState("");
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = (): void => {
      getOwner().then(
        (owner) => {
          setWrong("");
          if (owner.set && owner.signedIn) enter();
          else setOwner(owner);
        },
        (error: unknown) => {
          setWrong(error instanceof Error ? error.message : String(error));
          timer = setTimeout(ask, 3000);
        },
      );
    };
    ask();
    return () => clearTimeout(timer);
  }, []);
  if (wrong !== "") {
    return (
      <Frame title="One moment">
        <p class="entry-lead" role="alert">
          {wrong} This page tries again by itself.
        </p>
      </Frame>
    );
  }
  if (owner === null) return null;
  if (!owner.set) {
    return (
      <Frame title="Make it yours">
        <Setup />
      </Frame>
    );
  }
  return (
    <Frame title="Sign in">
      <Login />
    </Frame>
  );
}
