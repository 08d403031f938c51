// Traces of the stand-in server, as Tempo's API answers them. Dev only.
import { traceId } from "./logs.mjs";
import { noise } from "./noise.mjs";

const SERVICES = ["gateway", "orders", "payments", "sensors"];
const OPERATIONS = [
  ["gateway", "POST /api/orders"],
  ["orders", "nightly settlement"],
  ["sensors", "ingest reading"],
  ["gateway", "GET /api/basket"],
];

const text = (key, value) => ({ key, value: { stringValue: value } });

function search(query, mode) {
  if (mode === "empty") return { traces: [], metrics: {} };
  const now = Date.now();
  const wanted = /service\.name = "([^"]+)"/.exec(query.get("q") ?? "")?.[1];
  const limit = Number(query.get("limit") ?? 20);
  const traces = [];
  for (let slot = Math.floor(now / 3100); traces.length < limit && slot > now / 3100 - 1200; slot -= 1) {
    const [service, name] = OPERATIONS[Math.floor(noise(slot, 15) * OPERATIONS.length)];
    if (wanted && wanted !== service) continue;
    const durationMs = Math.round(4 * 10 ** (3 * noise(slot, 16) ** 2));
    const errorCount = noise(slot, 17) > 0.85 ? 1 : 0;
    traces.push({
      traceID: traceId(slot % 4096),
      rootServiceName: service,
      rootTraceName: name,
      startTimeUnixNano: `${slot * 3100}000000`,
      durationMs,
      serviceStats: { [service]: { spanCount: 4, errorCount }, payments: { spanCount: 3 } },
    });
  }
  return {
    traces,
    metrics: {},
    ...(mode === "partial" ? { status: "partial", message: "Out of time." } : {}),
  };
}

/** [id, parent, service, name, start and length in ms, error]. */
const SPANS = [
  [1, 0, "gateway", "POST /api/orders", 0, 184],
  [2, 1, "gateway", "authenticate", 1.2, 8.4],
  [3, 1, "orders", "place order", 11, 168],
  [4, 3, "orders", "SELECT stock", 13, 6.2],
  [5, 3, "payments", "charge card", 24, 141, "card_declined"],
  [6, 5, "payments", "POST provider /v1/charges", 26, 132],
  [7, 3, "orders", "INSERT order", 168, 9.1],
];

function trace(id) {
  if (!/^[0-9a-f]{16,32}$/.test(id)) return [404, "trace not found"];
  const start = BigInt(Date.now() - 60_000) * 1_000_000n;
  const at = (ms) => String(start + BigInt(Math.round(ms * 1e6)));
  const resourceSpans = SERVICES.map((service) => ({
    resource: { attributes: [text("service.name", service), text("host.name", "bramble")] },
    scopeSpans: [
      {
        scope: { name: "mock" },
        spans: SPANS.filter(([, , own]) => own === service).map(
          ([n, parent, , name, from, length, error]) => ({
            traceId: id,
            spanId: `000000000000000${n}`,
            ...(parent ? { parentSpanId: `000000000000000${parent}` } : {}),
            name,
            kind: parent ? "SPAN_KIND_INTERNAL" : "SPAN_KIND_SERVER",
            startTimeUnixNano: at(from),
            endTimeUnixNano: at(from + length),
            attributes: [text("mock", "yes")],
            status: error ? { code: "STATUS_CODE_ERROR", message: error } : {},
            events: error
              ? [
                  {
                    timeUnixNano: at(from + length),
                    name: "exception",
                    attributes: [text("exception.type", "Declined"), text("exception.message", error)],
                  },
                ]
              : [],
          }),
        ),
      },
    ],
  }));
  return { trace: { resourceSpans } };
}

function measured(query) {
  const [start, end, step] = ["start", "end", "step"].map((name) => Number.parseFloat(query.get(name)));
  const series = (labels, of) => ({
    labels,
    samples: Array.from({ length: Math.floor((end - start) / step) + 1 }, (_, at) => ({
      timestampMs: String((start + at * step) * 1000),
      value: of(start + at * step),
    })),
  });
  if ((query.get("q") ?? "").includes("quantile"))
    return {
      series: [0.5, 0.95].map((p) =>
        series([{ key: "p", value: { doubleValue: p } }], (at) => 0.02 + p * 0.1 * noise(at, 4)),
      ),
    };
  return {
    series: ["unset", "error"].map((status, row) =>
      series([text("status", status)], (at) => (row ? 0.2 : 4) * (0.5 + noise(at, 5 + row))),
    ),
  };
}

/** Answers a path below /tempo/api. */
export function tempo(path, query, mode) {
  if (path === "/search") return search(query, mode);
  if (path === "/metrics/query_range") return measured(query);
  if (path.startsWith("/v2/traces/")) return trace(path.split("/").pop());
  if (path === "/v2/search/tags")
    return {
      scopes: [
        { name: "intrinsic", tags: ["name", "status", "duration", "trace:duration"] },
        { name: "resource", tags: ["service.name", "host.name"] },
        { name: "span", tags: ["mock"] },
      ],
    };
  const values = path.includes("service.name") ? SERVICES : OPERATIONS.map(([, name]) => name);
  if (path.startsWith("/v2/search/tag/"))
    return { tagValues: values.map((value) => ({ type: "string", value })) };
  return null;
}
