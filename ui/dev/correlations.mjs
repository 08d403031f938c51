// Correlations of the stand-in server, as Bramble's API tells them: one every few seconds, the same whenever asked. Dev only.
import { noise } from "./noise.mjs";

const EVERY_MS = 4000;
const KEPT = 900;
const KINDS = ["request_id", "circuit_id", "product_id", "resource_id", "resource_type_id"];
const CHAINS = [
  ["gateway", "orders", "payments"],
  ["gateway", "orders"],
  ["gateway", "orders", "payments", "sensors", "ledger", "mailer", "archive", "billing"],
];
const LINES = [
  "order accepted",
  "asking orders for the basket",
  "cache miss, loading from store",
  "answer sent in 41 ms",
  "slow query: SELECT * FROM stock WHERE id = $1",
  "retrying after timeout (attempt 2 of 3)",
];
const LEVELS = ["info", "info", "debug", "warn"];

const hex = (slot, seed, digits) =>
  Array.from({ length: digits }, (_, at) => Math.floor(noise(slot * 64 + at, seed) * 16).toString(16)).join(
    "",
  );
const iso = (ms) => new Date(ms).toISOString();

/** The events of one service's part in a slot's trace. */
function part(at, { slot, service, place, from, length, failed, skewMs, trace, parent, circuit, request }) {
  const span = hex(slot, 40 + place, 16);
  const event = (ms, more) => ({
    time: iso(ms + skewMs),
    ...(skewMs ? { corrected_time: iso(ms) } : {}),
    service,
    node: `pi-${place % 3}`,
    certain: true,
    confidence: 1,
    by: "trace_id",
    trace_id: trace,
    span_id: span,
    ...more,
  });
  const line = (share, level, text, more = {}) =>
    event(at + from + length * share, {
      kind: "log",
      level,
      line: text,
      labels: { service_name: service, circuit_id: circuit },
      ...more,
    });
  const inner = (name, share, part, kind) =>
    event(at + from + length * share, {
      kind: "span",
      span_id: hex(slot, 60 + place + share, 16),
      parent_span_id: span,
      name,
      duration_ms: length * part,
      failed: false,
      message: "",
      span_kind: kind,
    });
  return [
    event(at + from, {
      kind: "span",
      parent_span_id: parent,
      name: place ? `GET /${service}/{id}` : "POST /api/orders",
      duration_ms: length,
      failed,
      message: failed ? "database is locked" : "",
      span_kind: "server",
    }),
    inner("SELECT stock", 0.1, 0.4, "client"),
    inner("render", 0.55, 0.2, "internal"),
    ...[0, 1, 2].map((n) =>
      line(0.15 + 0.25 * n, LEVELS[(slot + n) % 4], LINES[(slot * 3 + n + place) % LINES.length]),
    ),
    ...(failed ? [line(0.9, "error", `could not store ${circuit}: database is locked (5 attempts)`)] : []),
    ...(place === 0
      ? [
          line(0.97, "info", `10.0.0.3 "POST /api/orders HTTP/1.1" 200 512 request_id=${request}`, {
            service: "nginx",
            labels: { service_name: "nginx", unit: "nginx.service" },
            certain: false,
            confidence: 0.9,
            by: "request_id",
            span_id: "",
          }),
        ]
      : []),
  ];
}

/** One correlation with its events. */
function made(slot) {
  const at = slot * EVERY_MS;
  const chain = CHAINS[Math.floor(noise(slot, 31) ** 2 * CHAINS.length)];
  const length = Math.round(8 * 10 ** (2.4 * noise(slot, 32)));
  const failed = noise(slot, 33) > 0.75;
  const skewMs = noise(slot, 34) > 0.6 ? 1203 : 0;
  const [trace, circuit] = [hex(slot, 35, 32), `C-${4700 + Math.floor(noise(slot, 36) * 20)}`];
  const request = `req-${hex(slot, 37, 8)}`;
  const events = chain.flatMap((service, place) =>
    part(at, {
      slot,
      service,
      place,
      from: length * 0.09 * place,
      length: length * (1 - 0.18 * Math.min(place, 4)),
      failed: failed && place === chain.length - 1,
      skewMs: place === 2 ? skewMs : 0,
      trace,
      parent: place ? hex(slot, 39 + place, 16) : "",
      circuit,
      request,
    }),
  );
  events.sort((a, b) => ((a.corrected_time ?? a.time) < (b.corrected_time ?? b.time) ? -1 : 1));
  const certain = events.filter((one) => one.certain);
  const of = (kind, list = certain) => list.filter((one) => one.kind === kind).length;
  const bad = (one) => one.failed === true || one.level === "error";
  const first = certain.find((one) => one.level === "error");
  const correlation = {
    id: `${trace}-${at}`,
    trace_id: trace,
    revision: noise(slot, 38) > 0.8 ? 2 : 1,
    window: { start: iso(at), end: iso(at + 60_000), seconds: 60 },
    start: iso(at),
    end: iso(at + length),
    duration_ms: length,
    ids: { request_id: [request], circuit_id: [circuit] },
    services: chain.map((service, place) => {
      const own = certain.filter((one) => one.service === service);
      const skew_ms = place === 2 ? skewMs : 0;
      const counts = { logs: of("log", own), spans: of("span", own), errors: own.filter(bad).length };
      return { service, node: `pi-${place % 3}`, env: "prod", ...counts, skew_ms };
    }),
    counts: {
      logs: of("log"),
      spans: of("span"),
      errors: certain.filter(bad).length,
      failed_spans: failed ? 1 : 0,
      exemplars: 0,
      inferred_logs: events.length - certain.length,
      levels: { info: of("log") },
    },
    has_error: failed,
    first_error: first
      ? { kind: "log", time: first.time, service: first.service, text: first.line, span_id: first.span_id }
      : null,
    worst_span: {
      span_id: hex(slot, 40, 16),
      service: chain[0],
      name: "POST /api/orders",
      duration_ms: length,
      self_ms: length * 0.31,
      failed: false,
    },
    exemplars: [],
    marks: [...(skewMs && chain.length > 2 ? ["skewed"] : []), ...(slot % 40 === 0 ? ["closed_early"] : [])],
  };
  return { correlation, events };
}

/** Newest first, those published by now. */
function published(mode) {
  const newest = Math.floor((Date.now() - 2000) / EVERY_MS);
  return mode === "empty" ? [] : Array.from({ length: KEPT }, (_, at) => made(newest - at));
}

function fits({ correlation: one }, query, bounds) {
  const [since, until] = ["since", "until"].map((name) => Number(query.get(name) ?? Number.NaN) / 1e6);
  const start = Date.parse(one.start);
  return (
    (!bounds || !((since > 0 && start < since) || (until > 0 && start >= until))) &&
    [one.trace_id, null].includes(query.get("trace_id")) &&
    KINDS.every((kind) => !query.get(kind) || (one.ids[kind] ?? []).includes(query.get(kind))) &&
    (!query.get("service") || one.services.some(({ service }) => service === query.get("service"))) &&
    (query.get("has_error") !== "true" || one.has_error)
  );
}

/** Answers a path below /api. */
export function correlations(path, query, mode) {
  const all = published(mode);
  if (path === "/correlations") {
    const found = all.filter((one) => fits(one, query, true)).slice(0, Number(query.get("limit") ?? 100));
    return { correlations: found.map((one) => one.correlation), count: found.length };
  }
  if (path === "/stories") {
    const found = all.filter((one) => fits(one, query, true));
    const events = found.reverse().flatMap((one) => one.events);
    return {
      ids: Object.fromEntries(query),
      services: [...new Set(events.map((one) => one.service))],
      nodes: [...new Set(events.map((one) => one.node))],
      traces: found.map((one) => one.correlation.trace_id),
      correlations: found.map((one) => one.correlation),
      events: events.slice(0, 2000),
      truncated: events.length > 2000,
    };
  }
  const id = decodeURIComponent(path.slice("/correlations/".length));
  const one = all.find(({ correlation }) => correlation.id === id);
  if (!one) return [404, { error: "no correlation of this id" }];
  return { ...one.correlation, timeline: one.events, truncated: false, skew: [] };
}

/** Tells of new ones for as long as somebody listens. */
export function follow(query, response) {
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.write(": here\n\n");
  let told = Math.floor((Date.now() - 2000) / EVERY_MS);
  const timer = setInterval(() => {
    const newest = Math.floor((Date.now() - 2000) / EVERY_MS);
    for (; told < newest; told += 1) {
      const one = made(told + 1);
      if (fits(one, query, false))
        response.write(`event: correlation\ndata: ${JSON.stringify(one.correlation)}\n\n`);
    }
  }, 1000);
  response.on("close", () => clearInterval(timer));
}
