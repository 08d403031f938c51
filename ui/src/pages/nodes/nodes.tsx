// The nodes that send to this hub: whether they are there, what waits on them, and by which clock they run.
import { getNodes, type Hub, type Node, type Nodes } from "../../api/nodes";
import { bytes, count } from "../../format";
import { Body, Panel, Snippet } from "../../parts/panel";
import { useLive } from "../../state/live";
import "../../style/nodes.css";
import {
  forecastOf,
  healthOf,
  heatOf,
  queueOf,
  type Said,
  seenOf,
  settingsFor,
  skewOf,
  summary,
} from "./words";

const COLUMNS = [
  { name: "Last seen", title: "When it was heard last", of: seenOf },
  { name: "Queue", title: "What waits on it for this hub", of: (node: Node) => queueOf(node.queue) },
  {
    name: "Lasts",
    title: "How long its queue would hold all it collects if this hub stayed away from now on",
    of: (node: Node) => forecastOf(node.queue),
  },
  { name: "Clock", title: "Its clock against this hub's", of: skewOf },
  { name: "Heat", title: "Temperature of its processor", of: heatOf },
  {
    name: "Memory",
    title: "Resident memory of Bramble on it",
    of: (node: Node): Said => ({
      text: bytes(node.rssBytes),
      tone: Number.isNaN(node.rssBytes) ? "nil" : "",
    }),
  },
  {
    name: "Taken",
    title: "Samples, log entries and spans taken from it since this hub's start",
    of: (node: Node): Said =>
      node.rejected > 0
        ? {
            text: count(node.accepted),
            tone: "is-warn",
            title: `and ${count(node.rejected)} refused for good`,
          }
        : { text: count(node.accepted), tone: "" },
  },
] as const;

function Fill({ node }: { node: Node }) {
  const share = node.queue.bytesMax > 0 ? Math.min(1, node.queue.bytes / node.queue.bytesMax) : 0;
  return <i class="queue-fill" style={{ width: `${(share * 100).toFixed(1)}%` }} aria-hidden="true" />;
}

function Row({ node }: { node: Node }) {
  const health = healthOf(node);
  return (
    <tr class={`node node-${node.health}`}>
      <th scope="row">
        <b>{node.name || node.id}</b>
        <small>{[node.role, node.version, node.address].filter((part) => part !== "").join(" · ")}</small>
        {node.problem !== "" && <em>{node.problem}</em>}
      </th>
      <td data-name="Health" class={health.tone} title={health.title}>
        <span class="node-health">{health.text}</span>
      </td>
      {COLUMNS.map(({ name, of }) => {
        const said = of(node);
        return (
          <td key={name} data-name={name} class={said.tone} title={said.title}>
            {said.text}
            {name === "Queue" && node.queue.bytes > 0 && <Fill node={node} />}
          </td>
        );
      })}
    </tr>
  );
}

function Table({ nodes }: { nodes: readonly Node[] }) {
  return (
    <table class="figures nodes">
      <thead>
        <tr>
          <th scope="col">Node</th>
          <th scope="col">Health</th>
          {COLUMNS.map(({ name, title }) => (
            <th scope="col" key={name} title={title}>
              {name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {nodes.map((node) => (
          <Row key={node.id} node={node} />
        ))}
      </tbody>
    </table>
  );
}

function Enrolling({ hub }: { hub: Hub }) {
  if (hub.port === 0) {
    return (
      <p>
        Nodes use the door of OTLP over gRPC, which is closed here: open <code>doors.otlp_grpc</code>.
      </p>
    );
  }
  return (
    <ol class="enrolling">
      <li>
        <p>On this hub, make a token. It enrols one node, once, within a day.</p>
        <Snippet code="bramble token create" />
      </li>
      <li>
        <p>
          On the node, put it into <code>/etc/bramble/bramble.toml</code>
          {hub.announced ? "; it finds this hub by itself in the local network" : ""}.
        </p>
        <Snippet code={settingsFor(location.hostname, hub.port, hub.announced)} />
      </li>
      <li>
        <p>Start Bramble there. The node appears here within seconds, and needs no token from then on.</p>
      </li>
    </ol>
  );
}

/** The page. */
export function NodesPage() {
  const loaded = useLive("nodes", (signal) => getNodes(signal));
  const none = (
    <>
      <p>
        <strong>No node sends to this hub yet.</strong> A node collects on its own machine, queues on disk
        while this hub is away, and hands everything over exactly once.
      </p>
      {loaded.data && <Enrolling hub={loaded.data.hub} />}
    </>
  );
  return (
    <div class="explore nodes-page">
      <div class="section-head">
        <h2>Nodes</h2>
        {loaded.data && loaded.data.nodes.length > 0 && (
          <p class="nodes-summary">{summary(loaded.data.nodes)}</p>
        )}
      </div>
      <Panel title={loaded.data?.hub.name ? `Nodes of ${loaded.data.hub.name}` : "Nodes of this hub"}>
        <Body of={loaded} isEmpty={(data: Nodes) => data.nodes.length === 0} empty={none}>
          {({ nodes }) => <Table nodes={nodes} />}
        </Body>
      </Panel>
      {loaded.data && loaded.data.nodes.length > 0 && (
        <details class="panel more-nodes">
          <summary>Add a node</summary>
          <Enrolling hub={loaded.data.hub} />
        </details>
      )}
    </div>
  );
}
