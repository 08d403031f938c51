// Parts of the forms in front, and of those of the access page.
import type { ComponentChildren } from "preact";
import { useId, useRef, useState } from "preact/hooks";

interface FieldProps {
  readonly label: string;
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly type?: "text" | "password";
  readonly autocomplete: string;
  readonly autofocus?: boolean;
  readonly inputmode?: "numeric" | "text";
  readonly maxLength?: number;
  readonly invalid?: boolean;
  readonly class?: string;
  /** Below the field. */
  readonly children?: ComponentChildren;
}

/** A labelled field. */
export function Field(props: FieldProps) {
  const id = useId();
  // The page is this form: who comes here means to fill it in.
  const focused = useRef(false);
  const { label, value, onChange, type = "text", autocomplete, children } = props;
  return (
    <div class={`field ${props.class ?? ""}`}>
      <label for={id}>{label}</label>
      <input
        id={id}
        type={type}
        value={value}
        onInput={(event) => onChange(event.currentTarget.value)}
        autocomplete={autocomplete}
        ref={(input) => {
          if (props.autofocus && input && !focused.current) input.focus();
          focused.current = true;
        }}
        inputMode={props.inputmode}
        maxLength={props.maxLength}
        spellcheck={false}
        autocapitalize="off"
        aria-invalid={props.invalid === true}
        aria-describedby={children === undefined ? undefined : `${id}-about`}
        required
      />
      {children !== undefined && <div id={`${id}-about`}>{children}</div>}
    </div>
  );
}

/** What the server said no with. */
export function Refusal({ of }: { of: string }) {
  return (
    <p class="refusal" role="alert" hidden={of === ""}>
      {of}
    </p>
  );
}

/** Sends one thing at a time, and keeps what went wrong. */
export function useSending(): {
  busy: boolean;
  wrong: string;
  send: (work: () => Promise<void>) => Promise<void>;
} {
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState("");
  const send = async (work: () => Promise<void>): Promise<void> => {
    if (busy) return;
    setBusy(true);
    setWrong("");
    try {
      await work();
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      setWrong(text.charAt(0).toUpperCase() + text.slice(1));
    } finally {
      setBusy(false);
    }
  };
  return { busy, wrong, send };
}
