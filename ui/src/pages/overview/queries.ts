// What the overview asks, in one place. Names are node_exporter's for the machine and Bramble's own for itself.
//
// Only plain PromQL (rate, aggregation by label, binary operators), so that it also works against another
// Prometheus-compatible server behind the same path.

/** `name{matchers}` with the empty ones left out. */
function pick(name: string, ...matchers: readonly string[]): string {
  const given = matchers.filter((matcher) => matcher !== "");
  return given.length === 0 ? name : `${name}{${given.join(",")}}`;
}

/** The matcher of one machine; empty when there is only one. */
export function hostMatcher(instance: string): string {
  return instance === "" ? "" : `instance=${JSON.stringify(instance)}`;
}

/** The chosen machine, or our own, or the first; empty (no matcher) when there is no choice. */
export function chooseHost(hosts: readonly string[], wanted: string, hostname: string): string {
  if (wanted !== "") return wanted;
  if (hosts.length < 2) return "";
  return hosts.find((host) => host === hostname || host.split(":")[0] === hostname) ?? hosts[0] ?? "";
}

// Whole devices only: a partition's traffic is its device's, a loop's is counted where its file lies.
const DISKS = 'device!~"(z?ram|loop|fd|sr|md|dm-).*|(mmcblk|nvme).*p[0-9]+|[shv]d[a-z]+[0-9]+"';
// Traffic that crosses a wire or the air; bridges and containers' ends would count it twice.
const WIRES = 'device!~"lo|(veth|docker|br-|cni|flannel|cali|virbr|tap|tun).*"';
const REAL_FILESYSTEMS = 'fstype!~"tmpfs|devtmpfs|overlay|squashfs|ramfs|proc|sysfs|iso9660"';

/** The machines that report, and how to tell them apart. */
export const HOSTS = "count by (instance) (node_memory_MemTotal_bytes)";

/** Range queries of the machine; `host` is a matcher. */
export const machine = {
  cpu: (host: string): string => `100 * avg by (mode) (rate(${pick("node_cpu_seconds_total", host)}[1m]))`,
  memoryTotal: (host: string): string => `sum(${pick("node_memory_MemTotal_bytes", host)})`,
  memoryAvailable: (host: string): string => `sum(${pick("node_memory_MemAvailable_bytes", host)})`,
  memoryFree: (host: string): string => `sum(${pick("node_memory_MemFree_bytes", host)})`,
  diskRead: (host: string): string => `sum(rate(${pick("node_disk_read_bytes_total", DISKS, host)}[1m]))`,
  diskWritten: (host: string): string =>
    `sum(rate(${pick("node_disk_written_bytes_total", DISKS, host)}[1m]))`,
  received: (host: string): string =>
    `sum(rate(${pick("node_network_receive_bytes_total", WIRES, host)}[1m]))`,
  sent: (host: string): string => `sum(rate(${pick("node_network_transmit_bytes_total", WIRES, host)}[1m]))`,
};

/** Instant queries of the machine. */
export const vitals = {
  load: (host: string): string => pick("node_load1", host),
  thermal: (host: string): string => `max(${pick("node_thermal_zone_temp", host)})`,
  hwmon: (host: string): string => `max(${pick("node_hwmon_temp_celsius", host)})`,
  size: (host: string): string => pick("node_filesystem_size_bytes", REAL_FILESYSTEMS, host),
  available: (host: string): string => pick("node_filesystem_avail_bytes", REAL_FILESYSTEMS, host),
};

/** Items that came in, per second, by signal. */
export const INGEST = "sum by (signal) (rate(bramble_ingest_items_total[1m]))";

/** Bytes kept, the limit on them, and seconds until the limit at the present rate. */
export const storage = {
  used: "sum by (signal, tier) (bramble_storage_bytes)",
  budget: "max(bramble_storage_budget_bytes)",
  full: "min(bramble_storage_full_seconds)",
};

/** Memory by named budget. */
export const memory = {
  limit: "max by (budget) (bramble_memory_budget_bytes)",
  used: "max by (budget) (bramble_memory_budget_used_bytes)",
};
