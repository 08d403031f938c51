// A new password, twice, with a hint of how good it is.
import { Field } from "./form";
import { CHARACTERS_MIN, strengthOf } from "./strength";

interface Props {
  readonly password: string;
  readonly again: string;
  readonly onPassword: (value: string) => void;
  readonly onAgain: (value: string) => void;
  readonly label?: string;
}

/** Whether both are there, equal and long enough. */
export function isGood(password: string, again: string): boolean {
  return [...password].length >= CHARACTERS_MIN && password === again;
}

/** The two fields. */
export function NewPassword({ password, again, onPassword, onAgain, label = "Password" }: Props) {
  const strength = strengthOf(password);
  const differs = again !== "" && !password.startsWith(again);
  return (
    <>
      <Field label={label} type="password" value={password} onChange={onPassword} autocomplete="new-password">
        <p class={`strength strength-${strength.level}`}>
          <i aria-hidden="true">
            <b />
            <b />
            <b />
            <b />
          </i>
          <span aria-live="polite">{strength.text}</span>
        </p>
      </Field>
      <Field
        label="The same again"
        type="password"
        value={again}
        onChange={onAgain}
        autocomplete="new-password"
        invalid={differs}
      >
        {differs && <p class="field-note is-bad">Not the same as above</p>}
      </Field>
    </>
  );
}
