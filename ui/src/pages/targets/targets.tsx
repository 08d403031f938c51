// What is scraped: each job's targets, whether they answer, and why not.
import { getTargets, type Target, type Targets } from "../../api/targets";
import { ago, duration } from "../../format";
import { Body, Panel, Snippet } from "../../parts/panel";
import { useLive, useNow } from "../../state/live";
import "../../style/targets.css";
import { ProblemsPanel } from "./problems";
import { foundText, type Pool, poolsOf, shownLabels, summary } from "./words";

const HEALTH = { up: "Up", down: "Down", unknown: "Not yet" } as const;

function Row({ target, now }: { target: Target; now: number }) {
  return (
    <tr class={`target target-${target.health}`}>
      <th scope="row">
        {/^https?:/.test(target.url) ? (
          <a href={target.url} rel="noreferrer">
            {target.url}
          </a>
        ) : (
          target.url
        )}
        <span class="target-labels" title={`Found as\n${foundText(target)}`}>
          {shownLabels(target).map(([name, value]) => (
            <code key={name}>
              {name}={value}
            </code>
          ))}
        </span>
        {target.error !== "" && <em>{target.error}</em>}
      </th>
      <td data-name="Health">
        <span class="target-health">{HEALTH[target.health]}</span>
      </td>
      <td
        data-name="Last scrape"
        class={target.lastMs === null ? "nil" : ""}
        title={`Every ${target.interval}`}
      >
        {target.lastMs === null ? "–" : ago(Math.max(0, now - target.lastMs))}
      </td>
      <td data-name="Took" class={target.lastMs === null ? "nil" : ""}>
        {target.lastMs === null ? "–" : duration(target.seconds * 1000)}
      </td>
    </tr>
  );
}

function Job({ pool, now }: { pool: Pool; now: number }) {
  const dropped = pool.dropped > 0 ? `${pool.dropped} dropped by rules` : "";
  return (
    <Panel
      title={pool.name}
      aside={
        <span class="targets-summary">{[summary(pool.targets), dropped].filter(Boolean).join(" · ")}</span>
      }
    >
      {pool.targets.length === 0 ? (
        <p class="targets-none">No target {dropped === "" ? "was found" : "is left"}.</p>
      ) : (
        <table class="figures targets">
          <thead>
            <tr>
              <th scope="col">Target</th>
              <th scope="col">Health</th>
              <th scope="col">Last scrape</th>
              <th scope="col">Took</th>
            </tr>
          </thead>
          <tbody>
            {pool.targets.map((target) => (
              <Row key={`${target.url} ${JSON.stringify(target.labels)}`} target={target} now={now} />
            ))}
          </tbody>
        </table>
      )}
    </Panel>
  );
}

const SETTING = '[scrape]\nconfig = "/etc/prometheus/prometheus.yml"';

/** The page. */
export function TargetsPage() {
  const loaded = useLive("targets", (signal) => getTargets(signal));
  const now = useNow();
  const none = (
    <>
      <p>
        <strong>Nothing is scraped.</strong> Bramble reads Prometheus' configuration file as it is: name it in{" "}
        <code>bramble.toml</code>.
      </p>
      <Snippet code={SETTING} />
    </>
  );
  return (
    <div class="explore targets-page">
      <div class="section-head">
        <h2>Targets</h2>
        {loaded.data && loaded.data.active.length > 0 && (
          <p class="targets-summary">{summary(loaded.data.active)}</p>
        )}
      </div>
      <ProblemsPanel />
      <Body of={loaded} isEmpty={(data: Targets) => poolsOf(data).length === 0} empty={none}>
        {(data) => (
          <>
            {poolsOf(data).map((pool) => (
              <Job key={pool.name} pool={pool} now={now} />
            ))}
          </>
        )}
      </Body>
    </div>
  );
}
