// The machine: what runs, its two slots, an update from a file or an address, restarting and switching off.
import { useEffect, useState } from "preact/hooks";
import { getSystem, power, type System } from "../../api/system";
import { span } from "../../format";
import { Body, Panel } from "../../parts/panel";
import { retryNow, useLive } from "../../state/live";
import "../../style/system.css";
import { Refusal, useSending } from "../entry/form";
import { Update } from "./update";
import { isBusy, slotIs } from "./words";

function Slots({ system }: { system: System }) {
  return (
    <ul class="slots">
      {system.slots.map(({ name, version }) => {
        const is = slotIs(system, name);
        return (
          <li key={name} class={`slot ${system.slot === name ? "slot-runs" : ""}`}>
            <b>{name}</b>
            <span>
              {version || "–"}
              <small class={is.tone}>{is.text}</small>
            </span>
          </li>
        );
      })}
    </ul>
  );
}

function About({ system }: { system: System }) {
  const facts: readonly (readonly [string, string])[] = [
    ["Version", system.version],
    ["Build", system.buildId],
    ["Machine", system.model],
    ["Runs for", Number.isNaN(system.uptimeSeconds) ? "" : span(system.uptimeSeconds)],
  ];
  return (
    <>
      <dl class="facts">
        {facts
          .filter(([, value]) => value !== "")
          .map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
      </dl>
      {system.appliance && system.slots.length > 0 && <Slots system={system} />}
    </>
  );
}

const POWERS = [
  { what: "reboot", name: "Restart", sure: "Really restart", said: "It restarts; this page waits for it." },
  {
    what: "poweroff",
    name: "Switch off",
    sure: "Really switch off",
    said: "It switches off. Unplug it when its light stays dark.",
  },
] as const;

function Power({ busy: updating }: { busy: boolean }) {
  const [sure, setSure] = useState("");
  const [said, setSaid] = useState("");
  const { busy, wrong, send } = useSending();
  useEffect(() => {
    if (sure === "") return;
    const timer = setTimeout(() => setSure(""), 5000);
    return () => clearTimeout(timer);
  }, [sure]);
  return (
    <Panel title="Power">
      <div class="powers">
        {POWERS.map((one) => (
          <button
            key={one.what}
            type="button"
            class={`button-quiet ${sure === one.what ? "button-danger" : ""}`}
            disabled={busy || updating}
            onClick={() => {
              if (sure !== one.what) {
                setSure(one.what);
                return;
              }
              void send(async () => {
                await power(one.what);
                setSaid(one.said);
                setTimeout(retryNow, 3000);
              });
            }}
          >
            {sure === one.what ? one.sure : one.name}
          </button>
        ))}
      </div>
      {updating && <p class="field-note">Not while an update is written.</p>}
      {said !== "" && <output class="field-note">{said}</output>}
      <Refusal of={wrong} />
    </Panel>
  );
}

/** The page. */
export function SystemPage() {
  const [round, setRound] = useState(0);
  const loaded = useLive("system", (signal) => getSystem(signal));
  const [now, setNow] = useState<System | null>(null);
  const busy = isBusy((now ?? loaded.data)?.update.state ?? "idle");
  useEffect(() => setNow(loaded.data ?? null), [loaded.data]);
  // While an update is written it is looked at every second, not with the page's heart.
  useEffect(() => {
    if (!busy && round === 0) return;
    const abort = new AbortController();
    const timer = setTimeout(() => {
      getSystem(abort.signal).then(setNow, () => null);
      setRound(busy ? round + 1 : 0);
    }, 1000);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [busy, round]);
  return (
    <div class="explore system-page">
      <div class="section-head">
        <h2>System</h2>
      </div>
      <div class="system-grid">
        <Panel title="This machine">
          <Body of={loaded} isEmpty={() => false} empty={null}>
            {(first) => <About system={now ?? first} />}
          </Body>
        </Panel>
        {loaded.data?.appliance === false && (
          <Panel title="Updates">
            <div class="empty">
              <p>
                <strong>This machine is not Bramble's own image,</strong> so its packages are updated as all
                others are: <code>apt upgrade bramble</code>, or whatever it was installed with.
              </p>
            </div>
          </Panel>
        )}
        {loaded.data?.appliance && (
          <>
            <Update system={now ?? loaded.data} onSent={() => setRound(1)} />
            <Power busy={busy} />
          </>
        )}
      </div>
    </div>
  );
}
