// One field for any id: what it is of is read from the text, or asked of the server.
import { useEffect, useRef, useState } from "preact/hooks";
import { findCorrelations } from "../../api/correlate";
import { type Asked, readAsked } from "../../correlate/ids";
import { type IdKind, type NamedId, shortName } from "../../correlate/kinds";

/** Correlations are kept for so long: an id that was pasted may be that old. */
export const KEPT_SECONDS = 90 * 86_400;

/** Of which kinds there are correlations with this value; also as a service's name. */
async function kindsWith(value: string, kinds: readonly IdKind[], signal: AbortSignal): Promise<Choice[]> {
  const sinceNs = BigInt(Date.now() - KEPT_SECONDS * 1000) * 1_000_000n;
  const tries: Choice[] = [
    ...kinds.map((kind): Choice => ({ is: "id", id: { kind, value } })),
    { is: "service", service: value },
  ];
  const answers = await Promise.all(
    tries.map(async (one) => {
      const filter = {
        ids: one.is === "id" ? [one.id] : [],
        service: one.is === "service" ? one.service : "",
        errors: false,
      };
      return (await findCorrelations(filter, { sinceNs }, 1, signal)).length > 0;
    }),
  );
  return tries.filter((_, index) => answers[index]);
}

/** What was chosen. */
export type Choice =
  | { readonly is: "id"; readonly id: NamedId }
  | { readonly is: "service"; readonly service: string }
  | { readonly is: "correlation"; readonly correlation: string };

type Said =
  | { readonly is: "nothing" }
  | { readonly is: "asking" }
  | { readonly is: "choices"; readonly of: readonly Choice[] }
  | { readonly is: "none"; readonly value: string; readonly kinds: readonly IdKind[] }
  | { readonly is: "trouble"; readonly why: string };

interface FinderProps {
  readonly onChoose: (choice: Choice) => void;
  readonly onFocusable: (focus: () => void) => void;
  readonly placeholder?: string;
}

function nameOf(choice: Choice): string {
  if (choice.is === "id") return choice.id.kind;
  return choice.is;
}

function hintOf(asked: Asked, text: string): string {
  if (text.trim() === "") return "";
  if (asked === null) return "An id has no spaces: paste it alone, or as key=value.";
  if (asked.is === "id") return `${shortName(asked.id.kind)} id`;
  if (asked.is === "service") return "service";
  return asked.is === "correlation" ? "correlation" : "any id";
}

/** The field. */
export function Finder({ onChoose, onFocusable, placeholder = "Paste any id, or key=value" }: FinderProps) {
  const [text, setText] = useState("");
  const [said, setSaid] = useState<Said>({ is: "nothing" });
  const input = useRef<HTMLInputElement>(null);
  const abort = useRef<AbortController | null>(null);
  useEffect(() => {
    onFocusable(() => input.current?.focus());
    return () => abort.current?.abort();
  }, []);
  const asked = readAsked(text);
  const choose = (choice: Choice): void => {
    setText("");
    setSaid({ is: "nothing" });
    onChoose(choice);
  };
  const submit = async (): Promise<void> => {
    abort.current?.abort();
    if (asked === null) return;
    if (asked.is !== "value") {
      choose(asked);
      return;
    }
    const asking = new AbortController();
    abort.current = asking;
    setSaid({ is: "asking" });
    try {
      const found = await kindsWith(asked.value, asked.kinds, asking.signal);
      const [only] = found;
      if (found.length === 1 && only) choose(only);
      else if (found.length > 1) setSaid({ is: "choices", of: found });
      else setSaid({ is: "none", value: asked.value, kinds: asked.kinds });
    } catch (error) {
      if (!asking.signal.aborted)
        setSaid({ is: "trouble", why: error instanceof Error ? error.message : String(error) });
    }
  };
  const hint = hintOf(asked, text);
  return (
    <form
      class="id-finder"
      aria-label="Find"
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      <span class="id-field">
        <input
          ref={input}
          type="search"
          aria-label="Find by any id"
          placeholder={placeholder}
          value={text}
          spellcheck={false}
          autocomplete="off"
          aria-invalid={text.trim() !== "" && asked === null}
          onInput={(event) => {
            setText(event.currentTarget.value);
            setSaid({ is: "nothing" });
          }}
          onKeyDown={(event) => event.key === "Escape" && event.currentTarget.blur()}
        />
        {hint !== "" && asked !== null && <small>{said.is === "asking" ? "looking…" : hint}</small>}
      </span>
      <button type="submit" class="button" disabled={asked === null}>
        Find
      </button>
      <div class="id-said" aria-live="polite">
        {text.trim() !== "" && asked === null && <p class="hint">{hint}</p>}
        {said.is === "trouble" && <p class="trouble">{said.why}</p>}
        {said.is === "choices" && (
          <p>
            This is several things:{" "}
            {said.of.map((choice) => (
              <button type="button" class="button-quiet" key={nameOf(choice)} onClick={() => choose(choice)}>
                {nameOf(choice)}
              </button>
            ))}
          </p>
        )}
        {said.is === "none" && (
          <p>
            No correlation has <code>{said.value}</code>. Filter by it anyway, as{" "}
            {said.kinds.map((kind) => (
              <button
                type="button"
                class="button-quiet"
                key={kind}
                onClick={() => choose({ is: "id", id: { kind, value: said.value } })}
              >
                {kind}
              </button>
            ))}
          </p>
        )}
      </div>
    </form>
  );
}
