// The owner's choice: who may send metrics, logs and traces without a token.
import { useId } from "preact/hooks";
import type { IngestRule } from "../../api/owner";

const CHOICES: readonly { readonly rule: IngestRule; readonly name: string; readonly about: string }[] = [
  {
    rule: "private",
    name: "Everything in my network",
    about: "Agents of private networks send as they are. From elsewhere they need a token.",
  },
  { rule: "token", name: "Only with a token", about: "Every agent of another machine is given one." },
];

interface Props {
  readonly value: IngestRule;
  readonly onChange: (rule: IngestRule) => void;
}

/** The choice. */
export function Senders({ value, onChange }: Props) {
  const name = useId();
  return (
    <fieldset class="senders">
      <legend>Who may send metrics, logs and traces</legend>
      {CHOICES.map((choice) => (
        <label key={choice.rule}>
          <input
            type="radio"
            name={name}
            value={choice.rule}
            checked={value === choice.rule}
            onChange={() => onChange(choice.rule)}
          />
          <span>
            <b>{choice.name}</b>
            <small>{choice.about}</small>
          </span>
        </label>
      ))}
    </fieldset>
  );
}
