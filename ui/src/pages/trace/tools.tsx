// What stands above the waterfall: which rows, of which service, and finding spans among them.
import type { RefObject } from "preact";
import { count } from "../../format";
import { go } from "../../state/route";
import type { TraceRoute } from "../../state/url";
import type { Laid } from "../../traces/laid";
import type { Only } from "../../traces/shown";

const ONLY: readonly { only: Only; name: string; title: string }[] = [
  { only: "all", name: "All", title: "All spans" },
  { only: "critical", name: "Critical path", title: "What the trace waited for (c)" },
  { only: "errors", name: "Failed", title: "Spans that failed, and what leads to them" },
];

const KEYS: readonly (readonly [string, string])[] = [
  ["j k", "move"],
  ["← →", "fold"],
  ["Enter", "open"],
  ["/", "find"],
  ["n", "next"],
  ["e", "failed"],
  ["z", "whole time"],
];

interface ToolsProps {
  readonly laid: Laid;
  readonly route: TraceRoute;
  readonly only: Only;
  readonly onOnly: (only: Only) => void;
  readonly hits: number;
  readonly foldable: boolean;
  readonly folded: boolean;
  readonly onFoldAll: () => void;
  readonly onNext: (by: 1 | -1) => void;
  readonly finder: RefObject<HTMLInputElement>;
  readonly shown: number;
}

/** A service, its colour and how many spans it has; a click leaves only those. */
function Services({ laid, route }: { laid: Laid; route: TraceRoute }) {
  return (
    <ul class="services-of" aria-label="Services">
      {[...laid.colours].map(([service, colour]) => (
        <li key={service}>
          <button
            type="button"
            aria-pressed={route.service === service}
            title={route.service === service ? "Show all services" : `Only ${service}`}
            onClick={() => go({ ...route, service: route.service === service ? "" : service }, true)}
          >
            <i class="dot" style={{ "--dot": colour }} />
            {service || "unknown"} <small>{count(laid.counts.get(service) ?? 0)}</small>
          </button>
        </li>
      ))}
    </ul>
  );
}

/** The tools. */
export function WaterfallTools(props: ToolsProps) {
  const { laid, route, only, onOnly, hits, folded, foldable, onFoldAll, onNext, finder } = props;
  return (
    <div class="waterfall-tools">
      <fieldset class="segments segments-small" aria-label="Rows">
        {ONLY.filter((one) => one.only !== "errors" || laid.errors > 0).map((one) => (
          <button
            type="button"
            key={one.only}
            title={one.title}
            aria-pressed={only === one.only}
            onClick={() => onOnly(one.only)}
          >
            {one.name}
            {one.only === "errors" && <small> {count(laid.errors)}</small>}
          </button>
        ))}
      </fieldset>
      <form
        class="finder"
        onSubmit={(event) => {
          event.preventDefault();
          onNext(1);
        }}
      >
        <input
          ref={finder}
          type="search"
          aria-label="Find spans"
          placeholder="Find in this trace"
          value={route.find}
          onInput={(event) => go({ ...route, find: event.currentTarget.value }, true)}
          onKeyDown={(event) => {
            if (event.key === "Escape") event.currentTarget.blur();
          }}
        />
        {route.find !== "" && (
          <>
            <span class={hits === 0 ? "is-bad" : ""}>{hits === 0 ? "none" : count(hits)}</span>
            <button type="button" aria-label="Previous" title="Previous (N)" onClick={() => onNext(-1)}>
              ‹
            </button>
            <button type="submit" aria-label="Next" title="Next (n)">
              ›
            </button>
          </>
        )}
      </form>
      {foldable && (
        <button type="button" class="button-quiet" title="f" onClick={onFoldAll}>
          {folded ? "Unfold all" : "Fold all"}
        </button>
      )}
      <Services laid={laid} route={route} />
    </div>
  );
}

/** Keys, and what the signs on the bars mean. */
export function WaterfallHelp() {
  return (
    <div class="waterfall-help">
      <ul class="keys" aria-label="Keys">
        {KEYS.map(([key, what]) => (
          <li key={key}>
            <kbd>{key}</kbd> {what}
          </li>
        ))}
      </ul>
      <ul class="signs" aria-label="Signs">
        <li>
          <i class="sign-path" />
          critical path
        </li>
        <li>
          <i class="sign-event" />
          event
        </li>
        <li>
          <i class="sign-line" />
          log line
        </li>
      </ul>
    </div>
  );
}
