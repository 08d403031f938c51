// Signing in.
import { useState } from "preact/hooks";
import { signIn } from "../../api/owner";
import { enter } from "./entry";
import { Field, Refusal, useSending } from "./form";

/** Name and password. */
export function Login() {
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const { busy, wrong, send } = useSending();
  const submit = (event: Event): void => {
    event.preventDefault();
    void send(async () => {
      await signIn(name, password);
      enter();
    });
  };
  return (
    <form onSubmit={submit}>
      <Field label="Name" value={name} onChange={setName} autocomplete="username" autofocus />
      <Field
        label="Password"
        type="password"
        value={password}
        onChange={setPassword}
        autocomplete="current-password"
      />
      <Refusal of={wrong} />
      <button type="submit" class="button entry-send" disabled={busy || name === "" || password === ""}>
        {busy ? "Signing in…" : "Sign in"}
      </button>
      <details class="entry-help">
        <summary>Forgotten?</summary>
        <p>
          Nobody can send you a new one. On the machine itself, <code>bramble owner reset</code> forgets the
          owner and all tokens, keeps the data, and shows a new set-up code.
        </p>
      </details>
    </form>
  );
}
