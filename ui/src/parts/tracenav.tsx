// What there is to see of traces, and the way to one whose id is known.
import { useState } from "preact/hooks";
import { go } from "../state/route";
import { formatRoute, type TimeRange, traceRoute, tracesRoute } from "../state/url";

type Tab = "traces" | "services" | "map";

/** The trace id in what was pasted: hex with or without dashes, a traceparent, a link. Null when there is none. */
export function idIn(text: string): string | null {
  const trimmed = text.trim().toLowerCase();
  const parent = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/.exec(trimmed);
  if (parent) return parent[1] ?? null;
  const linked = /\/traces?\/([0-9a-f]{16,32})\b/.exec(trimmed);
  if (linked) return linked[1] ?? null;
  const plain = trimmed.replace(/-/g, "");
  return /^[0-9a-f]{1,32}$/.test(plain) ? plain : null;
}

function ById() {
  const [text, setText] = useState("");
  const id = idIn(text);
  return (
    <form
      class="by-id"
      onSubmit={(event) => {
        event.preventDefault();
        if (id !== null) go(traceRoute(id));
      }}
    >
      <input
        aria-label="Open a trace by its id"
        placeholder="Open a trace by its id"
        value={text}
        spellcheck={false}
        aria-invalid={text.trim() !== "" && id === null}
        onInput={(event) => setText(event.currentTarget.value)}
      />
    </form>
  );
}

/** Heading, tabs and the box. The range goes along from tab to tab. */
export function TraceNav({ tab, range }: { tab: Tab; range: TimeRange }) {
  const tabs: readonly { tab: Tab; name: string; href: string }[] = [
    { tab: "traces", name: "Search", href: formatRoute(tracesRoute("", range)) },
    {
      tab: "services",
      name: "Services",
      href: formatRoute({ page: "services", range, service: "", sort: "" }),
    },
    { tab: "map", name: "Service map", href: formatRoute({ page: "map", range, focus: "" }) },
  ];
  return (
    <div class="trace-nav">
      <h1 class="page-title">Traces</h1>
      <nav aria-label="Traces" class="segments">
        {tabs.map((one) => (
          <a key={one.tab} href={one.href} aria-current={one.tab === tab ? "page" : undefined}>
            {one.name}
          </a>
        ))}
      </nav>
      <ById />
    </div>
  );
}
