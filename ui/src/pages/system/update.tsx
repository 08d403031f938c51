// An update: chosen as a file or named by its address, then watched.
import { useId, useState } from "preact/hooks";
import { power, type System, updateFrom, updateWith } from "../../api/system";
import { bytes } from "../../format";
import { Panel } from "../../parts/panel";
import { Field, Refusal, useSending } from "../entry/form";
import { isBusy, shareOf, stepOf } from "./words";

function Progress({ share, text }: { share: number | null; text: string }) {
  const percent = share === null ? undefined : Math.round(share * 100);
  return (
    <div class="update-progress">
      <p>
        {text}
        {percent !== undefined && <b>{percent} %</b>}
      </p>
      <div
        class={`update-track ${share === null ? "is-unknown" : ""}`}
        role="progressbar"
        aria-label={text}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={percent}
      >
        <i style={{ width: `${percent ?? 30}%` }} />
      </div>
    </div>
  );
}

function Choose({ onSent }: { onSent: () => void }) {
  const id = useId();
  const [url, setUrl] = useState("");
  const [sent, setSent] = useState<number | null>(null);
  const { busy, wrong, send } = useSending();
  const choose = (event: Event & { currentTarget: HTMLInputElement }): void => {
    const file = event.currentTarget.files?.[0];
    event.currentTarget.value = "";
    if (!file) return;
    void send(async () => {
      setSent(0);
      onSent();
      try {
        await updateWith(file, setSent);
      } finally {
        setSent(null);
        onSent();
      }
    });
  };
  const fetchIt = (event: Event): void => {
    event.preventDefault();
    void send(async () => {
      await updateFrom(url.trim());
      onSent();
    });
  };
  if (sent !== null) return <Progress share={sent} text="Sending the file" />;
  return (
    <div class="update-choose">
      <div>
        <label class="button update-file" for={id}>
          Choose a .bramble file
        </label>
        <input id={id} type="file" accept=".bramble" onChange={choose} disabled={busy} />
      </div>
      <form onSubmit={fetchIt}>
        <Field label="or let the machine fetch it from" value={url} onChange={setUrl} autocomplete="url" />
        <button type="submit" class="button-quiet" disabled={busy || !/^https?:\/\/\S+$/.test(url.trim())}>
          Fetch
        </button>
      </form>
      <Refusal of={wrong} />
    </div>
  );
}

/** The panel. `onSent` is called when something has begun. */
export function Update({ system, onSent }: { system: System; onSent: () => void }) {
  const { update } = system;
  const { busy, wrong, send } = useSending();
  const size = update.bytesTotal > 0 ? ` · ${bytes(update.bytesDone)} of ${bytes(update.bytesTotal)}` : "";
  return (
    <Panel title="Update">
      {isBusy(update.state) ? (
        <Progress share={shareOf(update)} text={`${stepOf(update.state)}${size}`} />
      ) : update.state === "ready" ? (
        <div class="update-ready">
          <p aria-live="polite">
            <strong>{stepOf("ready")}.</strong> {update.message}
          </p>
          <p>If it does not run well, the machine goes back to what runs now by itself.</p>
          <button
            type="button"
            class="button"
            disabled={busy}
            onClick={() => void send(async () => void (await power("reboot")))}
          >
            Restart into it
          </button>
          <Refusal of={wrong} />
        </div>
      ) : (
        <>
          <Refusal of={update.state === "failed" ? `${stepOf("failed")}: ${update.message}` : ""} />
          <Choose onSent={onSent} />
          <p class="field-note">
            Only what is signed is taken. It goes to the other slot while this one runs, nothing is lost by a
            power cut, and data stays where it is.
          </p>
        </>
      )}
    </Panel>
  );
}
