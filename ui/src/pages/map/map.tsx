// Who calls whom: services and the calls between them, with their rates, errors and durations.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { type Call, type Graph, serviceGraph } from "../../api/derived";
import { duration, frequency, percent } from "../../format";
import { Body, Panel } from "../../parts/panel";
import { RangePicker, RangeSteps } from "../../parts/range";
import { TraceNav } from "../../parts/tracenav";
import { Underived } from "../../parts/underived";
import { useLive } from "../../state/live";
import { go } from "../../state/route";
import { formatRoute, type MapRoute, resolveRange, tracesRoute } from "../../state/url";
import { EMPTY_FORM, formQuery } from "../../traceql/form";
import "../../style/traces.css";
import { clientId, type Service, serverId, servicesOf } from "./graph";
import { layOut, pathOf, type Sizes } from "./layout";

/** More cannot be told apart; the busiest are shown. */
const CALLS_MAX = 150;
const NARROW = 720;
const WIDE: Sizes = { width: 178, height: 58, along: 92, across: 22, down: false };
const TALL: Sizes = { width: 158, height: 58, along: 54, across: 12, down: true };
const PAD = 14;

const KINDS: Readonly<Record<Service["kind"], string>> = {
  service: "",
  user: "callers from outside",
  database: "database",
  virtual: "sends no spans itself",
};

const share = ({ rate: all, failed }: { rate: number; failed: number }): number =>
  all > 0 ? (failed / all) * 100 : 0;

/** Fine below one percent, warning below five, bad above. */
const gradeOf = (failed: number): string => (failed >= 5 ? "is-bad" : failed >= 1 ? "is-warn" : "");

interface NodeProps {
  readonly of: Service;
  readonly x: number;
  readonly y: number;
  readonly sizes: Sizes;
  readonly state: string;
  readonly href: string | null;
  readonly onPoint: (name: string | null) => void;
}

function NodeBox({ of, x, y, sizes, state, href, onPoint }: NodeProps) {
  const bad = share(of);
  const inner = (
    <>
      <rect width={sizes.width} height={sizes.height} rx={9} />
      {bad > 0 && (
        <rect
          class="map-bad"
          x={0}
          y={sizes.height - 4}
          width={(sizes.width * Math.min(100, Math.max(2, bad))) / 100}
          height={4}
        />
      )}
      <foreignObject width={sizes.width} height={sizes.height}>
        <div class="map-text">
          <b>{of.name || "unknown"}</b>
          <span>
            {of.kind === "user" ? KINDS.user : ""}
            {of.kind !== "user" && (
              <>
                {frequency(of.rate)}
                {bad > 0 && (
                  <>
                    {" · "}
                    <i class={gradeOf(bad)}>{percent(bad)}</i>
                  </>
                )}
                {of.p95 !== null && ` · ${duration(of.p95)}`}
              </>
            )}
          </span>
        </div>
      </foreignObject>
    </>
  );
  const shared = {
    class: `map-node map-${of.kind} ${gradeOf(bad)} ${state}`,
    transform: `translate(${x + PAD} ${y + PAD})`,
    onPointerEnter: () => onPoint(of.id),
    onPointerLeave: () => onPoint(null),
  };
  const title = `${of.name}${KINDS[of.kind] === "" ? "" : `, ${KINDS[of.kind]}`}`;
  if (href === null)
    return (
      <g {...shared}>
        <title>{title}</title>
        {inner}
      </g>
    );
  return (
    <a href={href} {...shared} onFocus={() => onPoint(of.id)} onBlur={() => onPoint(null)}>
      <title>{`${title}: open its operations`}</title>
      {inner}
    </a>
  );
}

function Picture({
  graph,
  route,
  width,
  pointed,
  onPoint,
}: {
  graph: Graph;
  route: MapRoute;
  width: number;
  pointed: string | null;
  onPoint: (name: string | null) => void;
}) {
  const sizes = width < NARROW ? TALL : WIDE;
  const services = useMemo(() => servicesOf(graph), [graph]);
  const calls = graph.calls.slice(0, CALLS_MAX);
  const ended = calls.map((call) => ({ call, from: clientId(call), to: serverId(call) }));
  const shape = [...new Set(ended.map(({ from, to }) => `${from}>${to}`))].sort().join("\t");
  // The same calls in any order are the same map: it is laid out anew only when others come or go.
  const layout = useMemo(() => {
    const pairs = new Map(ended.map(({ from, to }) => [`${from}>${to}`, { from, to }]));
    return layOut(
      [...pairs].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, edge]) => edge),
      sizes,
    );
  }, [shape, sizes]);
  const busiest = Math.max(...calls.map((call) => call.rate), 1e-9);
  const [across, tall] = [layout.width + 2 * PAD, layout.height + 2 * PAD];
  const near = (id: string): boolean =>
    pointed === null ||
    id === pointed ||
    ended.some(({ from, to }) =>
      pointed === `${from}>${to}`
        ? from === id || to === id
        : (from === pointed && to === id) || (to === pointed && from === id),
    );
  return (
    <div class="map-scroll">
      <svg
        class="map"
        viewBox={`0 0 ${across} ${tall}`}
        style={{
          width: `${Math.min(across, Math.max(width, sizes.down ? 0 : across * 0.6))}px`,
          maxHeight: `${Math.max(tall, 200)}px`,
        }}
        role="img"
        aria-label="Services and calls between them; the table below has the same figures"
      >
        <defs>
          <marker
            id="map-arrow"
            viewBox="0 0 8 8"
            refX="7"
            refY="4"
            markerWidth="7"
            markerHeight="7"
            markerUnits="userSpaceOnUse"
            orient="auto-start-reverse"
          >
            <path d="M0 0.5 8 4 0 7.5Z" />
          </marker>
        </defs>
        {layout.ways.map(({ edge, points }) => {
          const all = ended
            .filter((one) => one.from === edge.from && one.to === edge.to)
            .map((one) => one.call);
          const sum = {
            rate: all.reduce((total, call) => total + call.rate, 0),
            failed: all.reduce((total, call) => total + call.failed, 0),
          };
          const on = pointed === edge.from || pointed === edge.to || pointed === `${edge.from}>${edge.to}`;
          const moved = points.map(({ x, y }) => ({ x: x + PAD, y: y + PAD }));
          const path = pathOf(moved, sizes.down);
          const thick = 1.2 + 3.2 * Math.sqrt(sum.rate / busiest);
          return (
            <g
              key={`${edge.from} ${edge.to}`}
              class={`map-edge ${gradeOf(share(sum))} ${on ? "is-on" : pointed === null ? "" : "is-off"}`}
              onPointerEnter={() => onPoint(`${edge.from}>${edge.to}`)}
              onPointerLeave={() => onPoint(null)}
            >
              <title>
                {`${all[0]?.client} → ${all[0]?.server}: ${frequency(sum.rate)}, ${percent(share(sum))} failed${all[0]?.p95 ? `, p95 ${duration(all[0].p95)}` : ""}`}
              </title>
              <path class="map-hit" d={path} />
              <path class="map-line" d={path} style={{ strokeWidth: thick }} marker-end="url(#map-arrow)" />
              {on && <path class="map-flow" d={path} style={{ strokeWidth: Math.max(2, thick) }} />}
            </g>
          );
        })}
        {services.map((service) => {
          const at = layout.nodes.get(service.id);
          if (!at) return null;
          const state = near(service.id) ? "" : "is-off";
          const href =
            service.kind === "service"
              ? formatRoute({ page: "services", range: route.range, service: service.name, sort: "" })
              : null;
          return (
            <NodeBox
              key={service.id}
              of={service}
              {...at}
              sizes={sizes}
              state={state}
              href={href}
              onPoint={onPoint}
            />
          );
        })}
      </svg>
    </div>
  );
}

function Calls({
  calls,
  route,
  pointed,
  onPoint,
}: {
  calls: readonly Call[];
  route: MapRoute;
  pointed: string | null;
  onPoint: (name: string | null) => void;
}) {
  return (
    <div class="wide-table">
      <table class="figures calls">
        <thead>
          <tr>
            <th scope="col">Call</th>
            <th scope="col">Rate</th>
            <th scope="col">Failed</th>
            <th scope="col">p50</th>
            <th scope="col">p95</th>
          </tr>
        </thead>
        <tbody>
          {calls.map((call) => {
            const key = `${clientId(call)}>${serverId(call)}`;
            const bad = share(call);
            const search = formQuery({
              ...EMPTY_FORM,
              service: call.kind === "" ? call.server : call.client,
            });
            return (
              <tr
                key={`${key} ${call.kind}`}
                class={pointed === key ? "is-on" : ""}
                onPointerEnter={() => onPoint(key)}
                onPointerLeave={() => onPoint(null)}
              >
                <th scope="row">
                  <a href={formatRoute(tracesRoute(search, route.range))}>
                    {call.client || "unknown"} <span>→</span> {call.server || "unknown"}
                  </a>
                </th>
                <td>{frequency(call.rate)}</td>
                <td class={bad > 0 ? gradeOf(bad) : "nil"}>{bad > 0 ? percent(bad) : "–"}</td>
                <td>{duration(call.p50)}</td>
                <td>{duration(call.p95)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

/** The page. */
export function MapPage({ route }: { route: MapRoute }) {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  const [pointed, setPointed] = useState<string | null>(null);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const resize = new ResizeObserver(() => setWidth(element.clientWidth));
    resize.observe(element);
    setWidth(element.clientWidth);
    return () => resize.disconnect();
  }, []);
  const loaded = useLive(
    `map ${JSON.stringify(route.range)}`,
    (signal) => serviceGraph(resolveRange(route.range, Date.now(), 15), signal),
    "last" in route.range ? 6 : "once",
  );
  const left = (loaded.data?.calls.length ?? 0) - CALLS_MAX;
  return (
    <div class="explore map-page">
      <TraceNav tab="map" range={route.range} />
      <div class="tools">
        <RangePicker value={route.range} onChange={(range) => go({ ...route, range })} />
        <RangeSteps value={route.range} onChange={(range) => go({ ...route, range })} />
      </div>
      <Panel title="Service map" aside="requests per second · failed · p95">
        <div ref={box}>
          <Body
            of={loaded}
            height={160}
            isEmpty={({ calls }) => calls.length === 0}
            empty={<Underived what="No calls between services" />}
          >
            {(graph) =>
              width > 0 && (
                <Picture graph={graph} route={route} width={width} pointed={pointed} onPoint={setPointed} />
              )
            }
          </Body>
        </div>
        {left > 0 && <p class="more">{left} less busy calls are only in the table.</p>}
      </Panel>
      {loaded.data && loaded.data.calls.length > 0 && (
        <Panel title="Calls" aside={`${loaded.data.calls.length}`}>
          <Calls calls={loaded.data.calls} route={route} pointed={pointed} onPoint={setPointed} />
        </Panel>
      )}
    </div>
  );
}
