// Loki's part of the mock: lines that are the same for the same time, counted, grouped and followed alike.
import { noise } from "./noise.mjs";

/** Service, level, text (`#` is a number, `TRACE` a trace id), and the pattern that it follows. */
const KINDS = [
  [
    "gateway",
    "info",
    "GET /api/orders 200 in # ms request_id=7f#a",
    "GET /api/orders 200 in <_> ms request_id=<_>",
  ],
  [
    "gateway",
    "info",
    "GET /api/basket 200 in # ms request_id=9c#d",
    "GET /api/basket 200 in <_> ms request_id=<_>",
  ],
  [
    "orders",
    "info",
    '{"level":"info","msg":"order accepted","order":{"id":#,"items":3,"total":129.9},"tags":["web","eu"],"trace_id":"TRACE"}',
    '{"level":"info","msg":"order accepted","order":{"id":<_>,"items":<_>,"total":<_>},"tags":["web","eu"],"trace_id":"<_>"}',
  ],
  [
    "orders",
    "debug",
    'level=debug msg="cache hit" customer=# shard=eu-2 took=#ms',
    'level=debug msg="cache hit" customer=<_> shard=eu-2 took=<_>',
  ],
  [
    "payments",
    "warn",
    "provider answered slowly: 1.84 s, retry 1 of 3",
    "provider answered slowly: <_> s, retry <_> of <_>",
  ],
  [
    "payments",
    "error",
    "charge failed: card_declined trace_id=TRACE order=48#",
    "charge failed: card_declined trace_id=<_> order=<_>",
  ],
  [
    "k3s",
    "info",
    "I1121 05:59:41 pod/orders-7c9d Readiness probe succeeded",
    "I1121 <_> pod/orders-7c9d Readiness probe succeeded",
  ],
  ["kernel", "warn", "mmc0: card busy for # ms", "mmc0: card busy for <_> ms"],
  [
    "bramble",
    "info",
    "\x1b[32mINFO\x1b[0m flushed head signal=logs entries=#211 bytes=1.1MiB took=84ms",
    "<_> flushed head signal=logs entries=<_> bytes=<_> took=<_>",
  ],
  [
    "sshd",
    "info",
    "Accepted publickey for pi from 192.168.1.20 port 5#",
    "Accepted publickey for pi from <_> port <_>",
  ],
  [
    "mqtt",
    "",
    "1732168781: New client connected from 192.168.1.41 as sensor-#",
    "<_>: New client connected from <_> as <_>",
  ],
];
const STEP_MS = 850;

export const traceId = (n) =>
  `${(0x5bd1e995 * (n + 7)).toString(16).padStart(16, "0").slice(-16)}${n.toString(16).padStart(16, "0")}`;

function lineOf(slot) {
  const kind = KINDS[Math.floor(noise(slot, 5) * KINDS.length)];
  const [service, level, text, pattern] = kind;
  const number = String(Math.floor(noise(slot, 9) * 900) + 10);
  const line = text.replaceAll("#", number).replace("TRACE", traceId(slot % 40));
  return { service, level, pattern, line, at: slot * STEP_MS + Math.floor(noise(slot, 6) * 800) };
}

/** What a query wants of a line, roughly. */
function wanted(query) {
  const texts = [...query.matchAll(/(\|=|!=)\s*"((?:[^"\\]|\\.)*)"(?!\s*[,}])/g)];
  const service = /service_name="([^"]+)"/.exec(query)?.[1];
  const levels = /detected_level=~?["`]([^"`]+)["`]/.exec(query)?.[1]?.split("|");
  const patterns = [...query.matchAll(/([|!]>)\s*(?:"((?:[^"\\]|\\.)*)"|`([^`]*)`)/g)];
  const trace = /\| trace_id="([^"]+)"/.exec(query)?.[1];
  const filters = query.slice(query.indexOf("}"));
  return (one) =>
    (!service || one.service === service) &&
    (!levels || levels.includes(one.level || "unknown")) &&
    (!trace || one.line.includes(trace)) &&
    patterns.every(
      ([, op, plain, raw]) => (one.pattern === (raw ?? JSON.parse(`"${plain}"`))) === (op === "|>"),
    ) &&
    texts.every(
      ([, op, text]) => !filters.includes(`${op} "${text}"`) || one.line.includes(text) === (op === "|="),
    );
}

function linesBetween(query, startMs, endMs, limit, direction) {
  const out = [];
  const fits = wanted(query);
  const [low, high] = [Math.floor(startMs / STEP_MS), Math.floor(Math.min(endMs, Date.now()) / STEP_MS)];
  const slots = direction === "forward" ? [low, high, 1] : [high, low, -1];
  for (let slot = slots[0]; slots[2] > 0 ? slot <= slots[1] : slot >= slots[1]; slot += slots[2]) {
    const one = lineOf(slot);
    if (one.at >= startMs && one.at < Math.min(endMs, Date.now()) && fits(one)) out.push(one);
    if (out.length >= limit) break;
  }
  return out;
}

const streamOf = (one) => ({
  stream: { service_name: one.service, host: "bramble" },
  values: [[`${one.at}000000`, one.line, { structuredMetadata: { detected_level: one.level || "unknown" } }]],
});

const success = (data, more = {}) => ({ status: "success", data, ...more });

function counts(query, params, mode) {
  const [start, end] = ["start", "end"].map((name) => Number(params.get(name)) / 1e9);
  const step = Number.parseFloat(params.get("step") ?? "60");
  const by = /by \((\w+)\)/.exec(query)?.[1];
  const fits = wanted(query);
  const series = new Map();
  for (
    let slot = Math.floor(((start - step) * 1000) / STEP_MS);
    slot * STEP_MS < Math.min(end * 1000, Date.now());
    slot += 1
  ) {
    const one = lineOf(slot);
    if (!fits(one) || mode === "empty") continue;
    const key = by === "detected_level" ? one.level || "unknown" : by === undefined ? "" : one.service;
    const at = Math.ceil((one.at / 1000 - start) / step) * step + start;
    const points = series.get(key) ?? new Map();
    points.set(at, (points.get(at) ?? 0) + 1);
    series.set(key, points);
  }
  return [...series].map(([key, points]) => ({
    metric: by === undefined ? {} : { [by]: key },
    values: [...points].sort((a, b) => a[0] - b[0]).map(([at, value]) => [at, String(value)]),
  }));
}

function instant(query, params) {
  const at = Number(params.get("time")) / 1e9;
  const range = /\[(\d+)s\]/.exec(query);
  const seconds = Number(range?.[1] ?? 3600);
  const whole = new URLSearchParams({
    start: String((at - seconds) * 1e9),
    end: String(at * 1e9),
    step: String(seconds),
  });
  return counts(query, whole, "full").map(({ metric, values }) => ({
    metric,
    value: [at, String(values.reduce((sum, [, value]) => sum + Number(value), 0))],
  }));
}

const FIELDS = [
  { label: "detected_level", type: "string", cardinality: 5, parsers: null },
  { label: "msg", type: "string", cardinality: 2, parsers: ["json", "logfmt"] },
  { label: "order_id", type: "int", cardinality: 812, parsers: ["json"] },
  { label: "customer", type: "int", cardinality: 640, parsers: ["logfmt"] },
  { label: "took", type: "duration", cardinality: 88, parsers: ["logfmt"] },
];

function mistake(query) {
  if (query.includes("}")) return null;
  const text = `parse error at line 1, col ${query.length + 1}: syntax error: unexpected end of input, expecting }\n`;
  return [400, text, "text/plain"];
}

/** Answers below `/loki/api/v1`. */
export function loki(path, params, mode) {
  const query = params.get("query") ?? "";
  if (path === "/labels") return success(["service_name", "host", "level"]);
  if (path.startsWith("/label/")) return success([...new Set(KINDS.map(([service]) => service))].sort());
  if (path === "/detected_fields") return { fields: FIELDS, limit: 200 };
  if (path.startsWith("/detected_field/")) return { values: ["cache hit", "order accepted"], limit: 100 };
  const wrong = mistake(query);
  if (wrong) return wrong;
  const said = mode === "partial" ? { warnings: ["Partial: 1 block is still being recovered."] } : {};
  if (/_over_time|rate\(/.test(query)) {
    const result = path === "/query" ? instant(query, params) : counts(query, params, mode);
    return success({ resultType: path === "/query" ? "vector" : "matrix", result }, said);
  }
  const [start, end] = ["start", "end"].map((name) => Number(params.get(name)) / 1e6);
  const direction = params.get("direction") ?? "backward";
  const found =
    mode === "empty" ? [] : linesBetween(query, start, end, Number(params.get("limit") ?? 100), direction);
  return success(
    { resultType: "streams", result: found.map(streamOf), encodingFlags: ["categorize-labels"] },
    said,
  );
}

/** Answers `/api/v1/logs/templates`. */
export function templates(params, mode) {
  const query = params.get("query") ?? "";
  const wrong = mistake(query);
  if (wrong) return wrong;
  const [start, end] = ["start", "end"].map((name) => Number(params.get(name)) / 1e6);
  const step = Number(params.get("step"));
  const found = new Map();
  for (const one of mode === "empty" ? [] : linesBetween(query, start, end, 1e6, "forward")) {
    const known = found.get(one.pattern) ?? {
      pattern: one.pattern,
      example: one.line,
      labels: { service_name: one.service, detected_level: one.level || "unknown" },
      count: 0,
      firstSeen: `${one.at}000000`,
      new: one.service === "kernel",
      samples: new Map(),
    };
    known.count += 1;
    known.lastSeen = `${one.at}000000`;
    const at = Math.floor(one.at / 1000 / step) * step;
    known.samples.set(at, (known.samples.get(at) ?? 0) + 1);
    found.set(one.pattern, known);
  }
  const list = [...found.values()].map((one) => ({ ...one, samples: [...one.samples] }));
  const orders = {
    count: (a, b) => b.count - a.count,
    rare: (a, b) => a.count - b.count,
    new: (a, b) => Number(b.new) - Number(a.new) || b.count - a.count,
  };
  list.sort(orders[params.get("sort")] ?? orders.count);
  return success({ templates: list.slice(0, Number(params.get("limit") ?? 100)), truncated: false });
}

let serial = 0;

/** The next frame of a tail. */
export function followed(query) {
  const fits = wanted(query);
  const fresh = [];
  for (let at = 0; at < 4; at += 1) {
    const one = { ...lineOf(Date.now() * 7 + serial), at: Date.now() - at };
    serial += 1;
    if (fits(one)) fresh.push(streamOf(one));
  }
  const dropped = serial % 100 === 0 ? [{ labels: {}, timestamp: `${Date.now()}000000` }] : null;
  return { streams: fresh, dropped_entries: dropped };
}
