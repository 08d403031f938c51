// Nodes as a hub tells of them.
const MIB = 1024 ** 2;

const node = (at, name, more = {}, queue = {}) => ({
  id: `0a1b2c3d4e5f60718293a4b5c6d7e8f${at}`,
  name,
  role: "node",
  version: "0.7.0",
  address: `192.168.1.${20 + at}`,
  health: "up",
  problem: "",
  silent_seconds: 3.2 + at,
  queue: {
    bytes: 0,
    bytes_max: 1024 * MIB,
    items: 0,
    age_seconds: 0,
    rate_bytes_per_second: 9200,
    lasts_seconds: (1024 * MIB) / 9200,
    dropped_items: 0,
    ...queue,
  },
  clock_skew_ms: 1.2,
  round_trip_ms: 4,
  rss_bytes: 21.4 * MIB,
  temperature_celsius: 48.3,
  items_accepted: 1_830_442,
  items_rejected: 0,
  ...more,
});

/** The answer of `/api/nodes`. */
export function nodes(mode) {
  const hub = {
    id: "hub",
    name: "bramble-attic",
    version: "0.7.0",
    port: 4317,
    announced: mode !== "partial",
  };
  if (mode === "empty") return { hub, nodes: [] };
  return {
    hub,
    nodes: [
      node(1, "pi-cellar"),
      node(
        2,
        "pi-greenhouse",
        {
          health: "silent",
          silent_seconds: 4210,
          clock_skew_ms: null,
          temperature_celsius: null,
          rss_bytes: null,
        },
        { bytes: 0, bytes_max: 0, lasts_seconds: null },
      ),
      node(
        3,
        "pi-k3s-worker-with-a-long-name-3",
        {
          health: "problem",
          problem: "under-voltage since 14:02",
          clock_skew_ms: -1840,
          temperature_celsius: 82.1,
        },
        { bytes: 655 * MIB, items: 512_331, age_seconds: 47_000, lasts_seconds: 42_000 },
      ),
      node(4, "pi-roof", { items_rejected: 41 }, { bytes: 1010 * MIB, items: 9e6, dropped_items: 12_400 }),
    ],
  };
}
