// The owner: who may send without a token, another name or password, and signing out everywhere.
import { useState } from "preact/hooks";
import { changeOwner, type IngestRule, type Owner } from "../../api/owner";
import { Panel } from "../../parts/panel";
import { askOwner, leave } from "../../state/owner";
import { Field, Refusal, useSending } from "../entry/form";
import { isGood, NewPassword } from "../entry/password";
import { Senders } from "../entry/senders";

function WhoSends({ owner }: { owner: Owner }) {
  const [chosen, setChosen] = useState(owner.ingest);
  const { wrong, send } = useSending();
  const change = (ingest: IngestRule): void => {
    // At once, as people expect of a choice; back if it is refused.
    setChosen(ingest);
    void send(async () => {
      try {
        await changeOwner({ ingest });
      } catch (error) {
        setChosen(owner.ingest);
        throw error;
      }
      await askOwner();
    });
  };
  return (
    <Panel title="Senders">
      <Senders value={chosen} onChange={change} />
      <Refusal of={wrong} />
      <p class="field-note">This machine itself always sends without one.</p>
    </Panel>
  );
}

function Password() {
  const [before, setBefore] = useState("");
  const [password, setPassword] = useState("");
  const [again, setAgain] = useState("");
  const [said, setSaid] = useState("");
  const { busy, wrong, send } = useSending();
  const submit = (event: Event): void => {
    event.preventDefault();
    setSaid("");
    void send(async () => {
      await changeOwner({ password, current_password: before });
      setBefore("");
      setPassword("");
      setAgain("");
      setSaid("Changed. All other sessions have ended.");
    });
  };
  return (
    <form class="owner-form" onSubmit={submit}>
      <Field
        label="Password so far"
        type="password"
        value={before}
        onChange={setBefore}
        autocomplete="current-password"
      />
      <NewPassword
        label="New password"
        password={password}
        again={again}
        onPassword={setPassword}
        onAgain={setAgain}
      />
      <Refusal of={wrong} />
      {said !== "" && <output class="field-note">{said}</output>}
      <button type="submit" class="button" disabled={busy || before === "" || !isGood(password, again)}>
        {busy ? "Changing…" : "Change the password"}
      </button>
    </form>
  );
}

function Name({ owner }: { owner: Owner }) {
  const [name, setName] = useState(owner.name);
  const { busy, wrong, send } = useSending();
  const submit = (event: Event): void => {
    event.preventDefault();
    void send(async () => {
      await changeOwner({ name });
      await askOwner();
    });
  };
  return (
    <form class="owner-name" onSubmit={submit}>
      <Field label="Name" value={name} onChange={setName} autocomplete="username" maxLength={64} />
      <button
        type="submit"
        class="button-quiet"
        disabled={busy || name.trim() === "" || name.trim() === owner.name}
      >
        Rename
      </button>
      <Refusal of={wrong} />
    </form>
  );
}

/** The panels beside the tokens. */
export function OwnerForms({ owner }: { owner: Owner }) {
  return (
    <div class="access-side">
      <WhoSends owner={owner} />
      <Panel title="Owner">
        <Name key={owner.name} owner={owner} />
        <Password />
        <p class="owner-out">
          <button type="button" class="button-quiet" onClick={() => void leave(true)}>
            Sign out everywhere
          </button>
        </p>
      </Panel>
    </div>
  );
}
