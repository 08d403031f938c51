// Page 1: who this machine is, how it is, what comes in, what was last said, and what is kept.
import { queryInstant } from "../../api/prometheus";
import { type Door, doorIsOpen, type Status } from "../../api/status";
import { bytes, NONE, percent, span } from "../../format";
import { Logo } from "../../parts/logo";
import { RangePicker } from "../../parts/range";
import { type Pulse, useLive, usePulse } from "../../state/live";
import { go } from "../../state/route";
import { DEFAULT_LAST, type Route } from "../../state/url";
import { Ingest } from "./ingest";
import { Machine } from "./machine";
import { Memory } from "./memory";
import { NewestLogs, NewestTraces } from "./newest";
import { chooseHost, HOSTS, hostMatcher } from "./queries";
import { Storage } from "./storage";
import { useVitals, type Vitals } from "./vitals";

function health(pulse: Pulse): { word: string; why: string; tone: string; href?: string } {
  const { status } = pulse;
  if (pulse.state === "connecting")
    return { word: "Connecting", why: "asking for the first time", tone: "wait" };
  if (pulse.state === "lost") return { word: "Disconnected", why: "figures are the last known", tone: "bad" };
  if (!status)
    return { word: "No status", why: pulse.statusError ?? "the server does not say how it is", tone: "wait" };
  if (!status.ready)
    return { word: "Starting", why: "the journal is being read back; data is accepted", tone: "wait" };
  if (status.partial)
    return { word: "Partial", why: "answers may be incomplete until recovery ends", tone: "wait" };
  if (status.problems > 0)
    return { word: "Needs a hand", why: `${status.problems} not working`, tone: "wait", href: "#/targets" };
  return { word: "Healthy", why: "taking data, answering in full", tone: "good" };
}

function Doors({ doors }: { doors: readonly Door[] }) {
  const shown = doors.filter((door) => !/^(off|disabled)$/i.test(door.state));
  if (shown.length === 0) return null;
  return (
    <ul class="doors" aria-label="Doors: protocols listened on">
      {shown.map((door) => {
        const port = /:(\d+)$/.exec(door.address)?.[1] ?? door.address;
        const open = doorIsOpen(door);
        return (
          <li
            key={`${door.name} ${door.address}`}
            class={open ? "" : "is-shut"}
            title={`${door.address}: ${door.state}`}
          >
            {door.name.replaceAll("_", " ")} <b>{port}</b>
            {!open && <em>{door.state}</em>}
          </li>
        );
      })}
    </ul>
  );
}

function Vital({ name, value, note }: { name: string; value: string; note?: string | undefined }) {
  return (
    <div class="vital">
      <dt>{name}</dt>
      <dd>
        {value}
        {note !== undefined && <small title={note}>{note}</small>}
      </dd>
    </div>
  );
}

function Hero({ pulse, vitals }: { pulse: Pulse; vitals: Vitals | undefined }) {
  const status: Status | null = pulse.status;
  const { word, why, tone, href } = health(pulse);
  const root = vitals?.root ?? null;
  const used = root ? root.sizeBytes - root.availableBytes : 0;
  return (
    <section class="hero" aria-label="This host">
      <Logo size={210} />
      <div class="hero-name">
        <h1>{status?.hostname || location.hostname}</h1>
        <p class={`health health-${tone}`} aria-live="polite">
          <b>{word}</b> {href ? <a href={href}>{why}</a> : <span>{why}</span>}
        </p>
      </div>
      <dl class="vitals">
        <Vital
          name="Up"
          value={span(status?.uptimeSeconds)}
          note={status?.version ? `version ${status.version}` : undefined}
        />
        <Vital name="Load" value={vitals?.load == null ? NONE : vitals.load.toFixed(2)} note="1 min" />
        {vitals?.celsius != null && (
          <Vital
            name="Temperature"
            value={`${vitals.celsius.toFixed(1)}\u202f°C`}
            note={vitals.celsius >= 80 ? "throttling is near" : undefined}
          />
        )}
        <Vital
          name={root && root.mount !== "/" ? `Disk ${root.mount}` : "Disk"}
          value={root ? percent((100 * used) / root.sizeBytes) : NONE}
          note={root ? `${bytes(root.availableBytes)} free` : undefined}
        />
        {status?.disk.kind !== undefined && status.disk.kind !== "" && (
          <Vital name="Writes by" value={status.disk.kind} note={status.disk.why} />
        )}
      </dl>
      {status && <Doors doors={status.doors} />}
    </section>
  );
}

/** Instances that report as machines; ours is the one named like the status says. */
function useHosts(): readonly string[] {
  const loaded = useLive(
    "hosts",
    async (signal) =>
      (await queryInstant(HOSTS, signal)).data.map((sample) => sample.labels.instance ?? "").sort(),
    6,
  );
  return loaded.data ?? [];
}

/** The page. */
export function Overview({ route }: { route: Route & { page: "overview" } }) {
  const pulse = usePulse();
  const hosts = useHosts();
  const host = chooseHost(hosts, route.host, pulse.status?.hostname ?? "");
  const matcher = hostMatcher(host);
  const vitals = useVitals(matcher);
  const last = "last" in route.range ? route.range.last : DEFAULT_LAST.overview;
  // The graphs are a few hundred pixels wide: 180 points, but never finer than the page refreshes.
  const step = Math.max(5, Math.ceil(last / 180 / 5) * 5);
  const doors = pulse.status?.doors ?? [];
  const memory = pulse.status?.memory;
  return (
    <div class="overview">
      <Hero pulse={pulse} vitals={vitals.data} />
      <div class="section-head">
        <h2>{host === "" ? "This machine" : host}</h2>
        {hosts.length > 1 && (
          <select
            aria-label="Machine"
            value={host}
            onChange={(event) => go({ ...route, host: event.currentTarget.value })}
          >
            {hosts.map((one) => (
              <option key={one} value={one}>
                {one}
              </option>
            ))}
          </select>
        )}
        <RangePicker value={{ last }} onChange={(range) => go({ ...route, range })} />
      </div>
      <Machine host={matcher} lastSeconds={last} step={step} load={vitals.data?.load ?? null} />
      <div class="section-head">
        <h2>Coming in</h2>
      </div>
      <Ingest lastSeconds={last} step={step} doors={doors} />
      <div class="section-head">
        <h2>Just now</h2>
      </div>
      <div class="grid grid-7-5">
        <NewestLogs doors={doors} />
        <NewestTraces doors={doors} />
      </div>
      <div class="section-head">
        <h2>Kept</h2>
      </div>
      <div class="grid grid-7-5">
        <Storage />
        <Memory cap={memory?.capBytes ?? Number.NaN} rss={memory?.rssBytes ?? Number.NaN} />
      </div>
    </div>
  );
}
