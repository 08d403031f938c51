// A stand-in for Bramble while developing the page: plausible answers of all APIs it asks, and the built page.
// Dev only; nothing of it is in the build. Usage: node dev/mock.mjs [PORT], MOCK=empty|partial|errors|starting.
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { correlations, follow } from "./correlations.mjs";
import { followed, loki, templates, traceId } from "./logs.mjs";
import { nodes } from "./nodes.mjs";
import { noise, wave } from "./noise.mjs";
import { owner } from "./owner.mjs";
import { upgrade } from "./socket.mjs";
import { tempo } from "./traces.mjs";

const port = Number(process.argv[2] ?? 3999);
const mode = process.env.MOCK ?? "full";
const dist = join(dirname(fileURLToPath(import.meta.url)), "..", "dist");
const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

const burst = (at, seed) => (wave(at, seed, 45) > 0.72 ? 1 : 0.12);

const budgets = { journal: 16, heads: 96, pages: 48, queries: 48, receivers: 24, merge: 16, catalog: 8 };
const stored = {
  metrics: { hot: 812 * MIB, warm: 1.9 * GIB, cold: 1.1 * GIB },
  logs: { hot: 2.2 * GIB, warm: 3.1 * GIB, cold: 0 },
  traces: { hot: 1.4 * GIB, warm: 0.9 * GIB, cold: 0.3 * GIB },
};

/** What a query's text asks for: series as [labels, function of time]. */
function seriesOf(query) {
  const has = (word) => query.includes(word);
  if (has("node_cpu_seconds_total")) {
    const modes = { user: 14, system: 5, iowait: 2.5, softirq: 0.8, nice: 0.1, irq: 0, steal: 0 };
    const all = Object.entries(modes).map(([mode, size], i) => [
      { mode },
      (at) => size * (0.4 + wave(at, i) + burst(at, 9) * 0.9),
    ]);
    return [...all, [{ mode: "idle" }, (at) => 100 - all.reduce((sum, [, value]) => sum + value(at), 0)]];
  }
  if (has("count by (instance)")) return [[{ instance: "bramble" }, () => 1]];
  if (has("node_memory_MemTotal_bytes")) return [[{}, () => 3.7 * GIB]];
  if (has("node_memory_MemAvailable_bytes")) return [[{}, (at) => (2.4 + 0.25 * wave(at, 21, 120)) * GIB]];
  if (has("node_memory_MemFree_bytes")) return [[{}, (at) => (0.9 + 0.2 * wave(at, 22, 90)) * GIB]];
  if (has("node_disk_read_bytes_total")) return [[{}, (at) => burst(at, 31) * wave(at, 32, 10) * 3.2 * MIB]];
  if (has("node_disk_written_bytes_total"))
    return [[{}, (at) => (0.15 + burst(at, 33) * wave(at, 34, 10)) * 1.8 * MIB]];
  if (has("node_network_receive_bytes_total")) return [[{}, (at) => (0.3 + wave(at, 41)) * 420 * 1024]];
  if (has("node_network_transmit_bytes_total")) return [[{}, (at) => (0.3 + wave(at, 42)) * 130 * 1024]];
  if (has("node_load1"))
    return [[{ __name__: "node_load1", instance: "bramble" }, (at) => 0.3 + wave(at, 51, 60)]];
  if (has("node_thermal_zone_temp")) return [[{}, (at) => 49 + 4 * wave(at, 52, 90)]];
  if (has("node_hwmon_temp_celsius")) return [];
  if (has("node_filesystem_size_bytes"))
    return [[{ mountpoint: "/", device: "/dev/mmcblk0p2" }, () => 58.2 * GIB]];
  if (has("node_filesystem_avail_bytes"))
    return [[{ mountpoint: "/", device: "/dev/mmcblk0p2" }, () => 36.9 * GIB]];
  if (has("bramble_ingest_items_total")) {
    const sizes = { metrics: 1380, logs: 210, traces: 64 };
    return Object.entries(sizes).map(([signal, size], i) => [
      { signal },
      (at) => size * (0.75 + 0.5 * wave(at, 61 + i)),
    ]);
  }
  if (has("bramble_storage_bytes")) {
    return Object.entries(stored).flatMap(([signal, tiers]) =>
      Object.entries(tiers).map(([tier, size]) => [{ signal, tier }, () => size]),
    );
  }
  if (has("bramble_storage_budget_bytes")) return [[{}, () => 32 * GIB]];
  if (has("bramble_storage_full_seconds")) return [[{}, () => 47.4 * 86_400]];
  if (has("bramble_memory_budget_used_bytes")) {
    return Object.entries(budgets).map(([budget, size], i) => [
      { budget },
      (at) => size * MIB * [0.31, 0.62, 0.86, 0.08, 0.12, 0, 0.4][i] * (0.9 + 0.1 * wave(at, i)),
    ]);
  }
  if (has("bramble_memory_budget_bytes"))
    return Object.entries(budgets).map(([budget, size]) => [{ budget }, () => size * MIB]);
  return [0, 1, 2].map((i) => [
    { __name__: query.match(/[a-z_:][\w:]*/i)?.[0] ?? "value", instance: `pi-${i}` },
    (at) => 20 + 30 * i + 25 * wave(at, i, 120),
  ]);
}

const wrapped = (data) => ({
  status: "success",
  data,
  ...(mode === "partial"
    ? {
        infos: [
          'PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "node_load1" (1:6)',
        ],
      }
    : {}),
  ...(mode === "partial" ? { warnings: ["Partial: 1 block is still being recovered."] } : {}),
});

function prometheus(path, query) {
  if (path === "/label/__name__/values") {
    return wrapped([
      "bramble_ingest_items_total",
      "bramble_memory_budget_bytes",
      "bramble_storage_bytes",
      "node_cpu_seconds_total",
      "node_disk_written_bytes_total",
      "node_load1",
      "node_memory_MemAvailable_bytes",
      "node_memory_MemTotal_bytes",
      "node_network_receive_bytes_total",
      "process_resident_memory_bytes",
      "up",
    ]);
  }
  if (path === "/labels") return wrapped(["__name__", "instance", "mode"]);
  if (path.startsWith("/label/")) return wrapped(["pi-0", "pi-1", "pi-2"]);
  if (path === "/series") return wrapped([{ __name__: "node_load1", instance: "pi-0" }]);
  if (path === "/metadata") {
    const name = query.get("metric") ?? "node_load1";
    return wrapped({
      [name]: [{ type: "gauge", help: "What it is, in a sentence of its source.", unit: "" }],
    });
  }
  if (path === "/status/tsdb") {
    const tallies = (names) => names.map((name, i) => ({ name, value: Math.round(14_000 / (i + 1)) }));
    return wrapped({
      headStats: { numSeries: 41_200, numLabelPairs: 3120 },
      seriesCountByMetricName: tallies([
        "apiserver_request_duration_seconds_bucket",
        "node_cpu_seconds_total",
        "up",
      ]),
      labelValueCountByLabelName: tallies(["le", "instance", "pod"]),
      seriesCountByLabelValuePair: tallies(["job=k3s", "instance=pi-0", "mode=idle"]),
    });
  }
  if (path === "/query_exemplars") {
    const [from, to] = ["start", "end"].map((name) => Number(query.get(name)));
    const exemplars = Array.from({ length: 12 }, (_, i) => ({
      labels: { trace_id: traceId(i), span_id: "b7ad6b7169203331" },
      value: String(10 + 60 * noise(i, 3)),
      timestamp: from + ((to - from) * (i + 0.5)) / 12,
    }));
    return wrapped([{ seriesLabels: { __name__: "latency_seconds_bucket", le: "0.5" }, exemplars }]);
  }
  const q = query.get("query") ?? "";
  const open = [...q].filter((char) => char === "(").length - [...q].filter((char) => char === ")").length;
  if (open !== 0)
    return [
      400,
      {
        status: "error",
        errorType: "bad_data",
        error: `invalid parameter "query": 1:${q.length + 1}: parse error: unclosed left parenthesis`,
      },
    ];
  if (q === "latency_seconds") {
    const buckets = Array.from({ length: 16 }, (_, i) => [
      0,
      String(2 ** (i / 2 - 8)),
      String(2 ** ((i + 1) / 2 - 8)),
      String(Math.round(900 * Math.exp(-((i - 7) ** 2) / 9))),
    ]);
    const histogram = { count: "4780", sum: "301.7", buckets };
    const result = [
      {
        metric: { __name__: q, instance: "pi-0" },
        ...(path === "/query"
          ? { histogram: [Date.now() / 1000, histogram] }
          : { histograms: [[Date.now() / 1000, histogram]] }),
      },
    ];
    return wrapped({ resultType: path === "/query" ? "vector" : "matrix", result });
  }
  const series = mode === "empty" && !/node_/.test(q) ? [] : seriesOf(q);
  if (path === "/query") {
    const at = Date.now() / 1000;
    return wrapped({
      resultType: "vector",
      result: series.map(([metric, value]) => ({ metric, value: [at, String(value(at))] })),
    });
  }
  const [start, end, step] = ["start", "end", "step"].map((name) => Number(query.get(name)));
  const result = series.map(([metric, value]) => {
    const values = [];
    for (let at = start; at <= end; at += step) values.push([at, String(value(at))]);
    return { metric, values };
  });
  return wrapped({ resultType: "matrix", result });
}

const started = Date.now() - (12 * 86_400 + 4 * 3600) * 1000;

function status() {
  const doors = [
    ["main", 3000],
    ["prometheus", 9090],
    ["remote_write", 8428],
    ["loki", 3100],
    ["tempo", 3200],
    ["jaeger", 16686],
    ["otlp_grpc", 4317],
    ["otlp_http", 4318],
  ];
  return {
    hostname: "bramble",
    version: "0.1.0",
    uptime_seconds: (Date.now() - started) / 1000,
    ready: mode !== "starting",
    partial: mode === "partial" || mode === "starting",
    role: "hub",
    disk: { kind: "io_uring", why: "the probe succeeded" },
    memory: { cap_bytes: 256 * MIB, rss_bytes: (118 + 6 * wave(Date.now() / 1000, 71)) * MIB },
    doors: doors.map(([name, number]) => ({
      name,
      address: `0.0.0.0:${number}`,
      state: mode === "partial" && name === "remote_write" ? "taken" : "open",
    })),
    problems: problems().problems.length,
  };
}

function problems() {
  const found = [
    {
      part: "files",
      what: "/bp2/log/audit.log",
      why: "Permission denied (os error 13)",
      hint: "let the service's user read it: its group (often adm), or setfacl -m u:bramble:r",
    },
    {
      part: "discovery",
      what: "containers: docker unix:///var/run/docker.sock",
      why: "dial unix /var/run/docker.sock: connect: connection refused",
      hint: "what was found before stays in use; it is tried again by itself",
    },
  ];
  return { problems: mode === "errors" ? found : [], omitted: 0 };
}

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
};

function answer(url) {
  const { pathname, searchParams } = url;
  if (pathname === "/api/v1/status") return status();
  if (pathname === "/api/problems") return problems();
  if (pathname === "/api/nodes") return nodes(mode);
  const owned = owner(pathname, mode);
  if (owned !== null) return owned;
  if (mode === "errors" && /^\/(prometheus|loki|tempo|jaeger)\//.test(pathname) && Math.random() < 0.5)
    return [503, { status: "error", error: "The query was over its memory limit of 8 MiB." }];
  if (pathname.startsWith("/prometheus/api/v1")) return prometheus(pathname.slice(18), searchParams);
  if (pathname.startsWith("/loki/loki/api/v1")) return loki(pathname.slice(17), searchParams, mode);
  if (pathname === "/api/v1/logs/templates") return templates(searchParams, mode);
  if (/^\/api\/(correlations|stories)/.test(pathname))
    return correlations(pathname.slice(4), searchParams, mode);
  if (pathname.startsWith("/tempo/api")) return tempo(pathname.slice(10), searchParams, mode);
  return null;
}

const server = createServer((request, response) => {
  const url = new URL(request.url, "http://mock");
  if (url.pathname === "/api/correlations/stream") return follow(url.searchParams, response);
  const found = answer(url);
  if (found !== null) {
    const [code, body, type] = Array.isArray(found) ? found : [200, found];
    response.writeHead(code, { "content-type": type ?? "application/json" });
    response.end(typeof body === "string" ? body : JSON.stringify(body));
    return;
  }
  const file = join(
    dist,
    normalize(["/", "/setup", "/login"].includes(url.pathname) ? "/index.html" : url.pathname),
  );
  if (!file.startsWith(dist) || !existsSync(file) || !statSync(file).isFile()) {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, {
    "content-type": TYPES[extname(file)] ?? "application/octet-stream",
    // As strict as the real server may be: what needs more fails here first.
    "content-security-policy": "default-src 'self'",
  });
  createReadStream(file).pipe(response);
});

server.on("upgrade", (request, socket) => {
  const url = new URL(request.url, "http://mock");
  if (url.pathname !== "/loki/loki/api/v1/tail") return socket.destroy();
  const send = upgrade(request, socket);
  const timer = setInterval(() => send(JSON.stringify(followed(url.searchParams.get("query") ?? ""))), 400);
  socket.on("close", () => clearInterval(timer));
});

server.listen(port, "127.0.0.1", () => console.log(`mock (${mode}) on http://127.0.0.1:${port}`));
