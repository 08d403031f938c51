//! Measures the metric store on node-like data: `measure [series] [samples per series] [flush every n samples] [interval ms]`.
//!
//! Prints CPU time per sample of each step, bytes per series in the head and bytes per sample in blocks.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for developers")]

use bramble_disk::{Disk, PageCache, ThreadsDisk};
use bramble_runtime::{Budget, BudgetName, Clock, Rng, SystemClock};
use bramble_signal::{Matcher, MetricBatch, SeriesSamples};
use bramble_storage::{BlockId, BlockMeta, BlockStore, MetricSelect, MetricSink, MetricSource, QueryContext};
use bramble_store_metrics::{MetricBudgets, MetricLimits, MetricStore};
use std::sync::Arc;
use std::time::Instant;

enum Kind {
    Counter { rate: f64, scale: f64 },
    Gauge { mean: f64, spread: f64, scale: f64 },
    Constant,
    Bucket { histogram: u64, share: f64 },
}

struct Series {
    labels: Vec<(String, String)>,
    kind: Kind,
    value: f64,
    rng: Rng,
}

fn unit(rng: &mut Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

fn gauss(rng: &mut Rng) -> f64 {
    ((0..6).map(|_| unit(rng)).sum::<f64>() - 3.0) * std::f64::consts::SQRT_2
}

impl Series {
    fn next(&mut self, step: u64, seconds: f64) -> f64 {
        match self.kind {
            Kind::Counter { rate, scale } => {
                let noisy = rate * seconds * (1.0 + 0.25 * gauss(&mut self.rng)).max(0.0) * scale;
                let whole = noisy.floor() + f64::from(u8::from(unit(&mut self.rng) < noisy.fract()));
                self.value = ((self.value * scale).round() + whole) / scale;
            }
            Kind::Gauge { mean, spread, scale } => {
                let walk = (self.value - mean) * 0.98 + spread * 0.2 * gauss(&mut self.rng);
                self.value = ((mean + walk) * scale).round() / scale;
            }
            Kind::Constant => {}
            Kind::Bucket { histogram, share } => {
                let mut shared = Rng::new(histogram ^ step.wrapping_mul(0x51_7C_C1_B7));
                let requests = (40.0 * (1.0 + 0.3 * gauss(&mut shared)).max(0.0)).round();
                self.value += (requests * share.powf((1.0 + 0.1 * gauss(&mut shared)).clamp(0.5, 1.5))).round();
            }
        }
        self.value
    }
}

fn node(n: usize, rng: &mut Rng, out: &mut Vec<Series>) {
    let node = format!("rpi-{n:03}");
    let mut add = |name: &str, more: &[(&str, String)], kind: Kind| {
        let mut labels = vec![
            ("__name__".to_owned(), name.to_owned()),
            ("cluster".into(), "pi-lab".into()),
            ("instance".into(), format!("{node}:9100")),
            ("job".into(), "node-exporter".into()),
            ("node".into(), node.clone()),
        ];
        labels.extend(more.iter().map(|(n, v)| ((*n).to_owned(), v.clone())));
        labels.sort();
        let value = match &kind {
            Kind::Counter { rate, scale } => (rate * unit(rng) * 3e5 * scale).round() / scale,
            Kind::Gauge { mean, .. } => *mean,
            Kind::Constant => 1500.0,
            Kind::Bucket { .. } => 0.0,
        };
        out.push(Series { labels, kind, value, rng: Rng::new(rng.next_u64()) });
    };
    for cpu in 0..4 {
        for (mode, rate) in [
            ("idle", 0.8),
            ("user", 0.1),
            ("system", 0.05),
            ("iowait", 0.01),
            ("irq", 0.0),
            ("softirq", 0.004),
            ("nice", 2e-4),
        ] {
            let more = [("cpu", cpu.to_string()), ("mode", mode.to_owned())];
            add("node_cpu_seconds_total", &more, Kind::Counter { rate, scale: 100.0 });
        }
    }
    for device in ["eth0", "wlan0", "cni0", "lo", "veth0", "veth1", "veth2"] {
        for (what, rate) in [("bytes", 20_000.0), ("packets", 45.0), ("errs", 4e-4), ("drop", 2e-3)] {
            for way in ["receive", "transmit"] {
                let kind = Kind::Counter { rate, scale: 1.0 };
                add(&format!("node_network_{way}_{what}_total"), &[("device", device.to_owned())], kind);
            }
        }
        add("node_network_up", &[("device", device.to_owned())], Kind::Constant);
        add("node_network_mtu_bytes", &[("device", device.to_owned())], Kind::Constant);
    }
    for name in ["MemFree", "MemAvailable", "Buffers", "Cached", "Active", "Inactive", "AnonPages", "Mapped", "Slab"] {
        add(&format!("node_memory_{name}_bytes"), &[], Kind::Gauge { mean: 1.1e9, spread: 4e7, scale: 1.0 / 4096.0 });
    }
    for sensor in 0..3 {
        let kind = Kind::Gauge { mean: 52.0, spread: 4.0, scale: 1000.0 / 487.0 };
        add("node_hwmon_temp_celsius", &[("chip", sensor.to_string())], kind);
    }
    for pod in 0..12 {
        let pod_name = format!("app-{pod}-{n:x}{:05x}", n * 7919 + pod);
        let more = |extra: &[(&'static str, &str)]| {
            let mut all = vec![
                ("namespace", "apps".to_owned()),
                ("pod", pod_name.clone()),
                ("image", "ghcr.io/app:1".to_owned()),
            ];
            all.extend(extra.iter().map(|(n, v)| (*n, (*v).to_owned())));
            all
        };
        add("container_cpu_usage_seconds_total", &more(&[]), Kind::Counter { rate: 0.04, scale: 1e6 });
        for (name, rate) in [
            ("fs_reads_bytes", 900.0),
            ("fs_writes_bytes", 3000.0),
            ("network_receive_bytes", 4000.0),
            ("network_transmit_bytes", 5000.0),
        ] {
            add(&format!("container_{name}_total"), &more(&[]), Kind::Counter { rate, scale: 1.0 });
        }
        for name in ["working_set", "rss", "cache", "usage"] {
            add(
                &format!("container_memory_{name}_bytes"),
                &more(&[]),
                Kind::Gauge { mean: 6e7, spread: 3e6, scale: 1.0 / 4096.0 },
            );
        }
        for phase in ["Pending", "Running", "Failed"] {
            add("kube_pod_status_phase", &more(&[("phase", phase)]), Kind::Constant);
        }
        for limit in ["cpu", "memory"] {
            add("kube_pod_container_resource_limits", &more(&[("resource", limit)]), Kind::Constant);
        }
    }
    for handler in 0..8 {
        let histogram = (n * 8 + handler) as u64 * 0x9e37_79b9;
        for (i, le) in
            ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"].iter().enumerate()
        {
            let share = 1.0 - 0.75f64.powi(i as i32 + 1) * f64::from(u8::from(i < 11));
            let more = [("handler", format!("/api/{handler}")), ("le", (*le).to_owned())];
            add("http_request_duration_seconds_bucket", &more, Kind::Bucket { histogram, share });
        }
    }
}

fn cpu_seconds() -> f64 {
    // utime and stime of this process, in ticks of 10 ms: enough for runs of seconds.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn rss_mib() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 4096.0 / 1048576.0
}

fn blocks_line(what: &str, blocks: &[BlockMeta]) {
    let (bytes, items) =
        (blocks.iter().map(|b| b.file_bytes).sum::<u64>(), blocks.iter().map(|b| b.items).sum::<u64>());
    println!(
        "{what}: {} blocks, {items} samples, {bytes} bytes, {:.3} B/sample",
        blocks.len(),
        bytes as f64 / items as f64
    );
}

fn main() {
    let args: Vec<usize> = std::env::args().skip(1).map(|a| a.parse().unwrap()).collect();
    let arg = |at: usize, default| args.get(at).copied().unwrap_or(default);
    let (count, samples, flush_every, interval) = (arg(0, 20_000), arg(1, 240), arg(2, 120), arg(3, 15_000));
    let directory = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(ThreadsDisk::new(directory.path()).unwrap());
    let budget = |name| Budget::standalone(name, 512 << 20);
    let cache = Arc::new(PageCache::new(Budget::standalone(BudgetName::PageCache, 8 << 20)));
    let budgets = MetricBudgets {
        head: budget(BudgetName::MetricHead),
        merge: Budget::standalone(BudgetName::Merge, 8 << 20),
        index: budget(BudgetName::BlockIndex),
    };
    let limits = MetricLimits { too_old_ms: None, ..MetricLimits::default() };
    let clock = Arc::new(SystemClock::new());
    let start_ms = clock.wall_ms().div_euclid(86_400_000) * 86_400_000 - 86_400_000;
    let store = MetricStore::new(disk, cache, clock, budgets, limits, &prometheus::Registry::new());
    let (mut rng, mut all) = (Rng::new(1), Vec::new());
    for n in 0.. {
        if all.len() >= count {
            break;
        }
        node(n, &mut rng, &mut all);
    }
    all.truncate(count);
    println!("rss before {:.1} MiB", rss_mib());
    let (mut prepare, mut apply, mut flush) = (0.0, 0.0, 0.0);
    let (mut blocks, mut next) = (Vec::<BlockMeta>::new(), 0u64);
    for step in 0..samples {
        let timestamp = start_ms + (step * interval) as i64;
        for chunk in all.chunks_mut(5000) {
            let mut batch = MetricBatch::new();
            for series in chunk {
                let value = series.next(step as u64, interval as f64 / 1000.0);
                let mut pairs: Vec<(&str, &str)> =
                    series.labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
                batch.start_series(&mut pairs).unwrap();
                batch.push_sample(timestamp, value);
            }
            let begin = Instant::now();
            let prepared = store.prepare(batch, timestamp).unwrap();
            prepare += begin.elapsed().as_secs_f64();
            let begin = Instant::now();
            store.apply(prepared, step as u64 + 1);
            apply += begin.elapsed().as_secs_f64();
        }
        if step == 0 {
            let head = store.head();
            println!("index {:.1} B/series", (head.total_bytes - head.flushable_bytes) as f64 / count as f64);
            let begin = Instant::now();
            let cardinality = store.cardinality(10);
            let took = begin.elapsed().as_secs_f64() * 1e3;
            println!("cardinality of {} series, {} pairs: {took:.1} ms", cardinality.series, cardinality.label_pairs);
        }
        if (step + 1) % flush_every == 0 {
            let head = store.head();
            println!(
                "head {:.1} B/series, samples {:.2} B/sample, rss {:.1} MiB",
                head.total_bytes as f64 / count as f64,
                head.flushable_bytes as f64 / head.items as f64,
                rss_mib()
            );
            let begin = cpu_seconds();
            store.freeze(step as u64 + 1);
            let written = store.write_frozen(&mut || {
                next += 1;
                BlockId(next)
            });
            let written = written.unwrap();
            store.swap(&written, &[], true).unwrap();
            flush += cpu_seconds() - begin;
            blocks.extend(written);
        }
    }
    let total = (count * samples) as f64;
    let ns = |seconds: f64| seconds * 1e9 / total;
    println!("prepare {:.0} ns/sample, apply {:.0}, flush {:.0}", ns(prepare), ns(apply), ns(flush));
    blocks_line("fresh", &blocks);
    query(&store, "fresh", start_ms);
    let begin = cpu_seconds();
    let mut merged = Vec::new();
    let days: std::collections::BTreeSet<i32> = blocks.iter().map(|b| b.day).collect();
    for day in days {
        let inputs: Vec<BlockId> = blocks.iter().filter(|b| b.day == day).map(|b| b.id).collect();
        let mut fresh = || {
            next += 1;
            BlockId(next)
        };
        let outputs = store.merge(&inputs, 64 << 20, &mut fresh, &|| true).unwrap();
        store.swap(&outputs, &inputs, false).unwrap();
        merged.extend(outputs);
    }
    println!("merge {:.0} ns/sample, rss {:.1} MiB", ns(cpu_seconds() - begin), rss_mib());
    blocks_line("merged", &merged);
    query(&store, "merged", start_ms);
    roll_up(&store, &merged, &mut next, total);
    query(&store, "rolled up", start_ms);
}

/// Rolls up every day and removes its full resolution.
fn roll_up(store: &MetricStore, blocks: &[BlockMeta], next: &mut u64, samples: f64) {
    let begin = cpu_seconds();
    let mut rolled = Vec::new();
    for day in store.unrolled_days() {
        let mut fresh = || {
            *next += 1;
            BlockId(*next)
        };
        let outputs = store.roll_up(day, 64 << 20, &mut fresh, &|| true).unwrap();
        let gone: Vec<BlockId> = blocks.iter().filter(|b| b.day == day).map(|b| b.id).collect();
        store.swap(&outputs, &gone, false).unwrap();
        rolled.extend(outputs);
    }
    let cpu = cpu_seconds() - begin;
    let (context, mut rows) = (QueryContext::unlimited(), 0);
    let select = MetricSelect { matchers: &[], start_ms: 0, end_ms: i64::MAX };
    let mut cursor = store.select(&select, &context).unwrap();
    let mut one = SeriesSamples::default();
    while cursor.next(&mut one).unwrap() {
        rows += one.rollups.len();
    }
    let bytes = rolled.iter().map(|b| b.file_bytes).sum::<u64>();
    println!(
        "rollups: {} blocks, {rows} rows, {bytes} bytes, {:.2} B/row, {:.3} bytes and {:.0} ns per sample",
        rolled.len(),
        bytes as f64 / rows as f64,
        bytes as f64 / samples,
        cpu * 1e9 / samples
    );
}

fn query(store: &MetricStore, what: &str, start_ms: i64) {
    for (name, matchers) in [
        (
            "one series",
            vec![
                Matcher::equal("__name__", "node_network_receive_bytes_total"),
                Matcher::equal("node", "rpi-007"),
                Matcher::equal("device", "eth0"),
            ],
        ),
        ("one metric", vec![Matcher::equal("__name__", "node_cpu_seconds_total")]),
        ("everything", vec![]),
    ] {
        let (context, begin) = (QueryContext::unlimited(), Instant::now());
        let select = MetricSelect { matchers: &matchers, start_ms, end_ms: start_ms + 864_000_000 };
        let mut cursor = store.select(&select, &context).unwrap();
        let (mut one, mut series, mut samples) = (SeriesSamples::default(), 0, 0);
        while cursor.next(&mut one).unwrap() {
            series += 1;
            samples += one.values.len();
        }
        let took = begin.elapsed().as_secs_f64();
        println!(
            "query {what} {name}: {series} series, {samples} samples, {:.1} ms, {:.0} ns/sample",
            took * 1e3,
            took * 1e9 / samples as f64
        );
    }
}
