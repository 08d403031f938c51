// Tokens: a list, making one, taking one back.
import { useState } from "preact/hooks";
import { createToken, getTokens, revokeToken, type Scope, type Token } from "../../api/owner";
import { ago, dateTime } from "../../format";
import { Body, Panel, Snippet } from "../../parts/panel";
import { useLive, useNow } from "../../state/live";
import { Field, Refusal, useSending } from "../entry/form";

const SCOPES: readonly { readonly scope: Scope; readonly about: string }[] = [
  { scope: "ingest", about: "send metrics, logs and traces" },
  { scope: "read", about: "ask: Grafana, scripts, other hubs" },
  { scope: "admin", about: "everything, also delete and restart" },
];

function Row({ token, onGone }: { token: Token; onGone: () => void }) {
  const now = useNow(10_000);
  const [sure, setSure] = useState(false);
  const { busy, wrong, send } = useSending();
  const revoke = (): void => {
    if (!sure) {
      setSure(true);
      setTimeout(() => setSure(false), 5000);
      return;
    }
    void send(async () => {
      await revokeToken(token.id);
      onGone();
    });
  };
  return (
    <tr>
      <th scope="row">
        <b>{token.name}</b>
        <small>brt_{token.id}_…</small>
      </th>
      <td data-name="May">
        {token.scopes.map((scope) => (
          <span key={scope} class={`scope scope-${scope}`}>
            {scope}
          </span>
        ))}
      </td>
      <td data-name="Made" title={dateTime(token.createdMs)}>
        {ago(Math.max(0, now - token.createdMs))}
      </td>
      <td data-name="Used last" class={Number.isNaN(token.lastUsedMs) ? "nil" : ""}>
        {Number.isNaN(token.lastUsedMs) ? "never" : ago(Math.max(0, now - token.lastUsedMs))}
      </td>
      <td class="token-end">
        <button type="button" class="button-quiet button-danger" disabled={busy} onClick={revoke}>
          {sure ? "Really revoke" : "Revoke"}
        </button>
        <Refusal of={wrong} />
      </td>
    </tr>
  );
}

function Made({ token, onDone }: { token: string; onDone: () => void }) {
  return (
    <div class="token-made" aria-live="polite">
      <p>
        <strong>Copy it now.</strong> It is shown this once; Bramble itself keeps only a fingerprint.
      </p>
      <Snippet code={token} />
      <p>
        Programs send it as <code>Authorization: Bearer …</code>, or as the password of basic authentication,
        with any name.
      </p>
      <button type="button" class="button-quiet" onClick={onDone}>
        I have it
      </button>
    </div>
  );
}

function NewToken({ onMade }: { onMade: (token: string) => void }) {
  const [name, setName] = useState("");
  const [scopes, setScopes] = useState<readonly Scope[]>(["ingest"]);
  const { busy, wrong, send } = useSending();
  const toggle = (scope: Scope): void =>
    setScopes(scopes.includes(scope) ? scopes.filter((one) => one !== scope) : [...scopes, scope]);
  const submit = (event: Event): void => {
    event.preventDefault();
    void send(async () => {
      onMade(await createToken(name, scopes));
      setName("");
    });
  };
  return (
    <form class="token-new" onSubmit={submit}>
      <Field label="What it is for" value={name} onChange={setName} autocomplete="off" maxLength={64} />
      <fieldset class="token-scopes">
        <legend>It may</legend>
        {SCOPES.map(({ scope, about }) => (
          <label key={scope}>
            <input type="checkbox" checked={scopes.includes(scope)} onChange={() => toggle(scope)} />
            <span>
              <b>{scope}</b> <small>{about}</small>
            </span>
          </label>
        ))}
      </fieldset>
      <Refusal of={wrong} />
      <button type="submit" class="button" disabled={busy || name.trim() === "" || scopes.length === 0}>
        Make a token
      </button>
    </form>
  );
}

/** The panel. */
export function Tokens() {
  const [round, setRound] = useState(0);
  const [made, setMade] = useState("");
  const loaded = useLive(`tokens ${round}`, (signal) => getTokens(signal), 2);
  const again = (): void => setRound(round + 1);
  const none = (
    <p>
      <strong>No tokens yet.</strong> Programs that read need one: Grafana, scripts, other hubs. Those that
      send do from outside your network.
    </p>
  );
  return (
    <Panel title="Tokens of programs" class="tokens">
      <Body of={loaded} isEmpty={(tokens) => tokens.length === 0} empty={none}>
        {(tokens) => (
          <table class="figures token-list">
            <thead>
              <tr>
                <th scope="col">Token</th>
                <th scope="col">May</th>
                <th scope="col">Made</th>
                <th scope="col">Used last</th>
                <th />
              </tr>
            </thead>
            <tbody>
              {tokens.map((token) => (
                <Row key={token.id} token={token} onGone={again} />
              ))}
            </tbody>
          </table>
        )}
      </Body>
      {made === "" ? (
        <NewToken
          onMade={(token) => {
            setMade(token);
            again();
          }}
        />
      ) : (
        <Made token={made} onDone={() => setMade("")} />
      )}
    </Panel>
  );
}
