//! Series of a small cluster: node_exporter- and cAdvisor-like, 40 % counters, 20 % gauges, 20 % nearly constant, 20 % buckets.

use crate::post::Poster;
use crate::{Arguments, Pace};
use bramble_runtime::Rng;
use bramble_wire::protobuf::Writer;
use std::time::Duration;

const SERIES_PER_REQUEST: usize = 2000;
const SERIES_PER_NODE: usize = 500;

enum Kind {
    Counter(f64),
    Gauge(f64),
    Constant,
    Bucket(u64),
}

struct Series {
    labels: Vec<u8>,
    kind: Kind,
    value: f64,
}

fn labels(pairs: &mut Vec<(&str, String)>) -> Vec<u8> {
    pairs.sort();
    let mut out = Vec::new();
    for (name, value) in pairs {
        Writer::new(&mut out).message(1, |label| {
            label.bytes(1, *name);
            label.bytes(2, value.as_str());
        });
    }
    out
}

fn series(n: usize, rng: &mut Rng) -> Series {
    let (node, k) = (n / SERIES_PER_NODE, n % SERIES_PER_NODE);
    let instance = format!("rpi-{node:03}:9100");
    let mut pairs = vec![
        ("instance", instance),
        ("job", "node".to_owned()),
        ("cluster", "pi-lab".to_owned()),
        ("node", format!("rpi-{node:03}")),
    ];
    let (name, kind) = match k % 10 {
        0..4 => {
            pairs.push(("device", format!("dev{}", k / 10)));
            (
                [
                    "node_network_receive_bytes_total",
                    "node_network_transmit_packets_total",
                    "node_disk_written_bytes_total",
                    "node_cpu_seconds_total",
                ][k % 10],
                Kind::Counter(10f64.powi((k % 6) as i32)),
            )
        }
        4..6 => {
            pairs.push(("sensor", format!("s{}", k / 10)));
            (
                ["node_memory_MemAvailable_bytes", "node_hwmon_temp_celsius"][k % 2],
                Kind::Gauge(if k % 2 == 0 { 4096.0 } else { 0.5 }),
            )
        }
        6..8 => {
            pairs.push(("pod", format!("app-{:08x}-{}", rng.next_u64() as u32, k / 10)));
            (["kube_pod_status_ready", "node_network_mtu_bytes"][k % 2], Kind::Constant)
        }
        _ => {
            pairs.push((
                "le",
                ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "+Inf"][k / 10 % 10].to_owned(),
            ));
            pairs.push(("handler", format!("/api/v{}", k / 100)));
            ("http_request_duration_seconds_bucket", Kind::Bucket((k / 10 % 10) as u64 + 1))
        }
    };
    pairs.push(("__name__", name.to_owned()));
    Series { labels: labels(&mut pairs), kind, value: (rng.below(100_000)) as f64 }
}

impl Series {
    fn next(&mut self, tick: u64, rng: &mut Rng) -> f64 {
        match self.kind {
            Kind::Counter(rate) => self.value += (rate * (0.5 + rng.unit())).floor(),
            Kind::Gauge(step) => self.value = (self.value / step + rng.below(21) as f64 - 10.0).max(0.0).round() * step,
            Kind::Constant => self.value = f64::from(rng.below(4000) != 0),
            Kind::Bucket(share) => self.value += ((tick % 7) * share) as f64,
        }
        self.value
    }
}

/// Sends all series once per interval.
pub(crate) fn run(arguments: &Arguments, poster: Poster) {
    let mut rng = Rng::new(arguments.seed);
    let mut all: Vec<Series> = (0..arguments.series).map(|n| series(n, &mut rng)).collect();
    let requests = all.len().div_ceil(SERIES_PER_REQUEST) as u64;
    // Requests are spread over the interval, as a scraper spreads its targets.
    let pace = Pace::new(arguments, Duration::from_secs(arguments.interval) / requests.max(1) as u32);
    let (mut body, mut entry, mut compressor) = (Vec::new(), Vec::new(), snap::raw::Encoder::new());
    let headers = [
        ("content-type", "application/x-protobuf"),
        ("content-encoding", "snappy"),
        ("x-prometheus-remote-write-version", "0.1.0"),
    ];
    for tick in 0..arguments.seconds / arguments.interval.max(1) {
        for (n, chunk) in all.chunks_mut(SERIES_PER_REQUEST).enumerate() {
            let time_ns = pace.tick(tick * requests + n as u64);
            body.clear();
            for series in chunk.iter_mut() {
                let value = series.next(tick, &mut rng);
                entry.clear();
                entry.extend_from_slice(&series.labels);
                Writer::new(&mut entry).message(2, |sample| {
                    sample.double(1, value);
                    sample.varint(2, (time_ns / 1_000_000) as u64);
                });
                Writer::new(&mut body).bytes(1, &entry);
            }
            if let Ok(compressed) = compressor.compress_vec(&body) {
                poster.post(&headers, &compressed, chunk.len() as u64);
            }
        }
    }
}
