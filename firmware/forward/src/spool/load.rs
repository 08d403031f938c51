//! The load of a busy Pi as `bramble-load` makes it (`tests/load`): series of node_exporter and Kubernetes, log lines of which two
//! fifths are JSON with ids, traces of eight spans.

use bramble_runtime::Rng;
use bramble_signal::attributes::{AttributeValue, put_attribute};
use bramble_signal::{
    LogBatch, MetricBatch, ResourceEntry, SpanBatch, SpanEntry, SpanId, SpanKind, StatusCode, TraceId,
};

const SERVICES: [&str; 10] =
    ["beorn", "palantir", "arda", "gateway", "billing", "sshd", "kernel", "k3s", "mqtt", "backup"];

/// What varies of a series.
enum Kind {
    Counter(f64),
    Gauge(f64),
    Constant,
    Bucket(u64),
}

struct Series {
    labels: Vec<(&'static str, String)>,
    kind: Kind,
    value: f64,
}

/// Draws everything from one seed.
pub(super) struct Load {
    rng: Rng,
    series: Vec<Series>,
    ticks: u64,
}

fn hex(rng: &mut Rng, digits: usize) -> String {
    (0..digits).map(|_| char::from_digit(rng.below(16) as u32, 16).unwrap()).collect()
}

fn series(n: usize, rng: &mut Rng) -> Series {
    let (node, k) = (n / 500, n % 500);
    let mut labels = vec![
        ("instance", format!("rpi-{node:03}:9100")),
        ("job", "node".to_owned()),
        ("cluster", "pi-lab".to_owned()),
        ("node", format!("rpi-{node:03}")),
    ];
    let (name, kind) = match k % 10 {
        at @ 0..4 => {
            labels.push(("device", format!("dev{}", k / 10)));
            let names = [
                "node_network_receive_bytes_total",
                "node_network_transmit_packets_total",
                "node_disk_written_bytes_total",
                "node_cpu_seconds_total",
            ];
            (names[at], Kind::Counter(10f64.powi((k % 6) as i32)))
        }
        4..6 => {
            labels.push(("sensor", format!("s{}", k / 10)));
            let step = if k.is_multiple_of(2) { 4096.0 } else { 0.5 };
            (["node_memory_MemAvailable_bytes", "node_hwmon_temp_celsius"][k % 2], Kind::Gauge(step))
        }
        6..8 => {
            labels.push(("pod", format!("app-{}-{}", hex(rng, 8), k / 10)));
            (["kube_pod_status_ready", "node_network_mtu_bytes"][k % 2], Kind::Constant)
        }
        _ => {
            let bounds = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "+Inf"];
            labels.push(("le", bounds[k / 10 % 10].to_owned()));
            labels.push(("handler", format!("/api/v{}", k / 100)));
            ("http_request_duration_seconds_bucket", Kind::Bucket((k / 10 % 10) as u64 + 1))
        }
    };
    labels.push(("__name__", name.to_owned()));
    Series { labels, kind, value: rng.below(100_000) as f64 }
}

impl Load {
    pub(super) fn new(seed: u64, series_count: usize) -> Load {
        let mut rng = Rng::new(seed);
        let series = (0..series_count).map(|n| series(n, &mut rng)).collect();
        Load { rng, series, ticks: 0 }
    }

    /// One sample of each series.
    pub(super) fn metrics(&mut self, now_ms: i64) -> MetricBatch {
        let Load { rng, series, ticks } = self;
        let mut batch = MetricBatch::new();
        for of in series {
            match of.kind {
                Kind::Counter(rate) => of.value += (rate * (0.5 + rng.unit())).floor(),
                Kind::Gauge(step) => {
                    of.value = (of.value / step + rng.below(21) as f64 - 10.0).max(0.0).round() * step;
                }
                Kind::Constant => of.value = f64::from(u8::from(rng.below(4000) != 0)),
                Kind::Bucket(share) => of.value += ((*ticks % 7) * share) as f64,
            }
            let mut pairs: Vec<(&str, &str)> = of.labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
            batch.start_series(&mut pairs).unwrap();
            batch.push_sample(now_ms, of.value);
        }
        *ticks += 1;
        batch
    }

    fn line(&mut self, service: usize) -> (String, Option<String>) {
        let rng = &mut self.rng;
        if service < 4 {
            let (trace, span) = (hex(rng, 32), hex(rng, 16));
            let level = ["info", "info", "info", "debug", "warn", "error"][rng.below(6) as usize];
            let messages =
                ["order accepted", "cache miss, loading from db", "request completed", "circuit state updated"];
            let (message, circuit) = (messages[rng.below(4) as usize], rng.below(20_000));
            let (latency_ms, status) = (rng.below(90_000) as f64 / 100.0, if level == "error" { 500 } else { 200 });
            let name = SERVICES[service];
            let line = format!(
                r#"{{"circuit_id":"circ-{circuit:05}","latency_ms":{latency_ms:?},"level":"{level}","message":"{message}","service":"{name}","span_id":"{span}","status":{status},"trace_id":"{trace}"}}"#
            );
            return (line, Some(trace));
        }
        let (a, b) = (rng.below(65_536), rng.below(256));
        let line = match rng.below(6) {
            0 => format!("Failed password for root from 10.0.{b}.{} port {a} ssh2", rng.below(256)),
            1 => format!("[{a}.{b:06}] mmc0: card {} blocks {} us", hex(rng, 8), rng.below(90_000)),
            2 => format!("Connection from 192.168.1.{b} closed after {} ms, {a} bytes", rng.below(5000)),
            3 => format!("worker-{} finished job {} in {}.{:02}s", b % 8, hex(rng, 12), b, a % 100),
            4 => format!("error: upstream timeout while reading {a} bytes from node rpi-{:03}", b % 24),
            _ => format!("usb 1-{}: new high-speed USB device number {} using xhci_hcd", b % 4, b % 100),
        };
        (line, None)
    }

    /// Lines of a quarter of a second.
    pub(super) fn logs(&mut self, now_ns: i64, lines: u64) -> LogBatch {
        let mut streams: Vec<Vec<(i64, String, Option<String>)>> = vec![Vec::new(); SERVICES.len()];
        for i in 0..lines {
            let service = self.rng.below(SERVICES.len() as u64) as usize;
            let (line, trace) = self.line(service);
            let at_ns = now_ns + (i * 250_000_000 / lines) as i64 + self.rng.below(1000) as i64;
            streams[service].push((at_ns, line, trace));
        }
        let mut batch = LogBatch::new();
        for (i, entries) in streams.iter().enumerate().filter(|(_, entries)| !entries.is_empty()) {
            let host = format!("rpi-{:03}", i % 6);
            batch.start_stream(&mut [("service", SERVICES[i]), ("env", "prod"), ("host", &host)]).unwrap();
            for (at_ns, line, trace) in entries {
                let mut metadata: Vec<(&str, &str)> = trace.iter().map(|trace| ("trace_id", trace.as_str())).collect();
                batch.push_entry(*at_ns, line.as_bytes(), &mut metadata).unwrap();
            }
        }
        batch
    }

    /// Traces of half a second, resource by resource.
    pub(super) fn spans(&mut self, now_ns: u64, traces: u64) -> SpanBatch {
        let (mut batch, mut spans) = (SpanBatch::new(), Vec::new());
        for service in &SERVICES[..4] {
            let mut encoded = Vec::new();
            put_attribute(&mut encoded, "service.name", AttributeValue::Str(service));
            put_attribute(&mut encoded, "host.name", AttributeValue::Str("rpi-001"));
            let attributes = batch.put(&encoded);
            batch.resources.push(ResourceEntry { attributes, ..Default::default() });
        }
        batch.scopes.push(Default::default());
        for trace in 0..traces {
            let mut trace_id = TraceId::default();
            self.rng.fill(&mut trace_id.0);
            let circuit = format!("circ-{:05}", self.rng.below(20_000));
            let failed = self.rng.chance(0.03);
            let (mut length_ns, mut start_ns) =
                (2_000_000 + self.rng.below(400_000_000), now_ns + trace * 500_000_000 / traces);
            let mut parent_span_id = SpanId::default();
            for i in 0..8 {
                let mut span_id = SpanId::default();
                self.rng.fill(&mut span_id.0);
                let resource = i / 2;
                let names = ["GET /api/v1/circuits/{id}", "authorize", "HTTP GET arda", "db.query"];
                let name = batch.put(names[resource as usize].as_bytes());
                let mut encoded = Vec::new();
                put_attribute(&mut encoded, "circuit_id", AttributeValue::Str(&circuit));
                put_attribute(&mut encoded, "http.method", AttributeValue::Str("GET"));
                let attributes = batch.put(&encoded);
                let kind =
                    [SpanKind::Server, SpanKind::Internal, SpanKind::Client, SpanKind::Client][resource as usize];
                let status = if failed && i == 7 { StatusCode::Error } else { StatusCode::Unset };
                let end_ns = start_ns + length_ns;
                let fixed =
                    SpanEntry { trace_id, span_id, parent_span_id, resource, start_ns, end_ns, ..Default::default() };
                spans.push(SpanEntry { kind, status, name, attributes, ..fixed });
                (parent_span_id, start_ns, length_ns) = (span_id, start_ns + length_ns / 10, length_ns * 7 / 10);
            }
        }
        // As OTLP has them: those of a resource together.
        spans.sort_by_key(|span| span.resource);
        batch.spans = spans;
        batch
    }
}
