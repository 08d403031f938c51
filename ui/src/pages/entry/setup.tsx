// The set-up: the code that proves that somebody is at the machine, a name, a password, and who may send.
import { useState } from "preact/hooks";
import { type IngestRule, setOwner } from "../../api/owner";
import { enter } from "./entry";
import { Field, Refusal, useSending } from "./form";
import { isGood, NewPassword } from "./password";
import { Senders } from "./senders";

/** The form. */
export function Setup() {
  const [code, setCode] = useState("");
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [again, setAgain] = useState("");
  const [ingest, setIngest] = useState<IngestRule>("private");
  const { busy, wrong, send } = useSending();
  const digits = code.replace(/\D/g, "");
  const ready = digits.length === 6 && name.trim() !== "" && isGood(password, again);
  const submit = (event: Event): void => {
    event.preventDefault();
    void send(async () => {
      await setOwner({ code: digits, name, password, ingest });
      enter();
    });
  };
  return (
    <form onSubmit={submit}>
      <p class="entry-lead">
        This Bramble has no owner yet. Whoever is at the machine sets one, once; nobody else gets in before or
        after.
      </p>
      <Field
        label="Code of the machine"
        class="field-code"
        value={code}
        onChange={setCode}
        autocomplete="one-time-code"
        inputmode="numeric"
        maxLength={7}
        autofocus
      >
        <details class="entry-help">
          <summary>Where is it?</summary>
          <ul>
            <li>On the screen that is connected to the machine.</li>
            <li>
              Blinked by its green light: after one long light, each digit as so many blinks; a 0 is one long
              blink.
            </li>
            <li>
              By <code>bramble owner code</code>, with SSH or on its console.
            </li>
          </ul>
        </details>
      </Field>
      <Field label="Your name" value={name} onChange={setName} autocomplete="username" maxLength={64} />
      <NewPassword password={password} again={again} onPassword={setPassword} onAgain={setAgain} />
      <Senders value={ingest} onChange={setIngest} />
      <Refusal of={wrong} />
      <button type="submit" class="button entry-send" disabled={busy || !ready}>
        {busy ? "Setting up…" : "Make it mine"}
      </button>
    </form>
  );
}
