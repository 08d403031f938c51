//! Measures queries over the metric store in this process: `queries [series] [hours] [repetitions] [only this query]`.
//!
//! Loads node-like series at 15 s through head, blocks and merges in a real directory, then runs each query cold (the
//! page cache emptied) and warm, and prints milliseconds and what was read.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for developers")]

use bramble_disk::{PageCache, ThreadsDisk};
use bramble_query_promql::{Engine, EngineOptions, Value};
use bramble_runtime::{Budget, BudgetName, Clock, Rng, SystemClock};
use bramble_signal::{Matcher, MetricBatch};
use bramble_storage::{BlockId, BlockMeta, BlockStore, MetricSelect, MetricSink, MetricSource, QueryContext};
use bramble_store_metrics::{MetricBudgets, MetricLimits, MetricStore};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

const INTERVAL_MS: i64 = 15_000;
const BOUNDS: [&str; 12] = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"];

/// How a series goes on.
#[derive(Clone, Copy)]
enum Kind {
    Counter { per_sample: f64, scale: f64 },
    Gauge { mean: f64, spread: f64, scale: f64 },
    Bucket { histogram: u64, share: f64 },
    Constant(f64),
}

struct Series {
    labels: Vec<(&'static str, String)>,
    kind: Kind,
    value: f64,
    rng: Rng,
}

fn unit(rng: &mut Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

impl Series {
    fn next(&mut self, step: i64) -> f64 {
        let noise = unit(&mut self.rng);
        match self.kind {
            Kind::Counter { per_sample, scale } => {
                self.value += (per_sample * scale * (0.5 + noise)).round();
                return self.value / scale;
            }
            Kind::Gauge { mean, spread, scale } => {
                let walk = (self.value - mean) * 0.98 + spread * (noise - 0.5);
                self.value = ((mean + walk) * scale).round() / scale;
            }
            Kind::Bucket { histogram, share } => {
                let requests = 60.0 + 30.0 * unit(&mut Rng::new(histogram ^ (step as u64).wrapping_mul(0x51_7C_C1_B7)));
                self.value += (requests * share).round();
            }
            Kind::Constant(value) => self.value = value,
        }
        self.value
    }
}

/// About five hundred series of one node.
fn node(n: u64, out: &mut Vec<Series>) {
    let node = format!("rpi-{n:03}");
    let mut add = |name: &str, more: &[(&'static str, &str)], kind: Kind| {
        let mut labels = vec![
            ("__name__", name.to_owned()),
            ("cluster", "pi-lab".to_owned()),
            ("instance", format!("{node}:9100")),
            ("job", "node-exporter".to_owned()),
            ("node", node.clone()),
        ];
        labels.extend(more.iter().map(|(n, v)| (*n, (*v).to_owned())));
        labels.sort();
        let rng = Rng::new(n << 32 | out.len() as u64);
        out.push(Series { labels, kind, value: 0.0, rng });
    };
    add("up", &[], Kind::Constant(1.0));
    for cpu in ["0", "1", "2", "3"] {
        for (mode, rate) in
            [("idle", 0.8), ("user", 0.1), ("system", 0.05), ("iowait", 0.01), ("irq", 0.0), ("nice", 0.002)]
        {
            let kind = Kind::Counter { per_sample: rate * 15.0, scale: 100.0 };
            add("node_cpu_seconds_total", &[("cpu", cpu), ("mode", mode)], kind);
        }
    }
    for device in ["eth0", "wlan0", "cni0", "lo", "veth0", "veth1", "veth2"] {
        for (what, rate) in [("bytes", 3e5), ("packets", 675.0), ("errs", 0.1), ("drop", 0.3)] {
            for way in ["receive", "transmit"] {
                let kind = Kind::Counter { per_sample: rate, scale: 1.0 };
                add(&format!("node_network_{way}_{what}_total"), &[("device", device)], kind);
            }
        }
        add("node_network_up", &[("device", device)], Kind::Constant(1.0));
    }
    for name in ["MemFree", "MemAvailable", "Buffers", "Cached", "Active", "Inactive", "AnonPages", "Mapped", "Slab"] {
        let kind = Kind::Gauge { mean: 1.1e9, spread: 4e7, scale: 1.0 / 4096.0 };
        add(&format!("node_memory_{name}_bytes"), &[], kind);
    }
    for pod in 0..12 {
        let pod = format!("app-{pod}-{:05x}", n * 7919 + pod);
        let more = [("container", "app"), ("image", "ghcr.io/app:1"), ("namespace", "apps"), ("pod", pod.as_str())];
        for (name, rate, scale) in
            [("cpu_usage_seconds", 0.6, 1e6), ("fs_reads_bytes", 13e3, 1.0), ("fs_writes_bytes", 45e3, 1.0)]
        {
            add(&format!("container_{name}_total"), &more, Kind::Counter { per_sample: rate, scale });
        }
        for name in ["working_set_bytes", "rss", "cache", "usage_bytes"] {
            let kind = Kind::Gauge { mean: 6e7, spread: 3e6, scale: 1.0 / 4096.0 };
            add(&format!("container_memory_{name}"), &more, kind);
        }
        for phase in ["Pending", "Running", "Failed"] {
            let more = [("phase", phase), ("pod", pod.as_str())];
            add("kube_pod_status_phase", &more, Kind::Constant(f64::from(u8::from(phase == "Running"))));
        }
    }
    for (handler, path) in
        ["/circuits", "/products", "/resources", "/orders", "/healthz", "/metrics", "/login", "/search"]
            .iter()
            .enumerate()
    {
        for (i, le) in BOUNDS.iter().enumerate() {
            let share = 1.0 - 0.75f64.powi(i as i32 + 1) * f64::from(u8::from(i < 11));
            let histogram = (n * 8 + handler as u64) * 0x9e37_79b9;
            add(
                "http_request_duration_seconds_bucket",
                &[("handler", path), ("le", le)],
                Kind::Bucket { histogram, share },
            );
        }
    }
}

struct Loaded {
    store: Arc<MetricStore>,
    cache: Arc<PageCache>,
    start_ms: i64,
    end_ms: i64,
    _directory: tempfile::TempDir,
}

fn load(count: usize, hours: i64) -> Loaded {
    let directory = tempfile::tempdir().unwrap();
    let disk = Arc::new(ThreadsDisk::new(directory.path()).unwrap());
    let cache = Arc::new(PageCache::new(Budget::standalone(BudgetName::PageCache, 8 << 20)));
    let budgets = MetricBudgets {
        head: Budget::standalone(BudgetName::MetricHead, 512 << 20),
        merge: Budget::standalone(BudgetName::Merge, 8 << 20),
        index: Budget::standalone(BudgetName::BlockIndex, 8 << 20),
    };
    let limits = MetricLimits { too_old_ms: None, ..MetricLimits::default() };
    let clock = Arc::new(SystemClock::new());
    let start_ms = clock.wall_ms().div_euclid(86_400_000) * 86_400_000 - 86_400_000;
    let store = MetricStore::new(disk, cache.clone(), clock, budgets, limits, &prometheus::Registry::new());
    let (mut series, mut n) = (Vec::new(), 0);
    while series.len() < count {
        node(n, &mut series);
        n += 1;
    }
    series.truncate(count);
    let (mut blocks, mut next) = (Vec::<BlockMeta>::new(), 0u64);
    let steps = hours * 3_600_000 / INTERVAL_MS;
    for step in 0..steps {
        let timestamp_ms = start_ms + step * INTERVAL_MS;
        for chunk in series.chunks_mut(5000) {
            let mut batch = MetricBatch::new();
            for one in chunk {
                let value = one.next(step);
                let mut pairs: Vec<(&str, &str)> = one.labels.iter().map(|(n, v)| (*n, v.as_str())).collect();
                batch.start_series(&mut pairs).unwrap();
                batch.push_sample(timestamp_ms, value);
            }
            let prepared = store.prepare(batch, timestamp_ms).unwrap();
            store.apply(prepared, step as u64 + 1);
        }
        if (step + 1) % 1440 == 0 || step + 1 == steps {
            store.freeze(step as u64 + 1);
            let written = store.write_frozen(&mut || fresh(&mut next)).unwrap();
            store.swap(&written, &[], true).unwrap();
            blocks.extend(written);
        }
    }
    let inputs: Vec<BlockId> = blocks.iter().map(|b| b.id).collect();
    let merged = store.merge(&inputs, 64 << 20, &mut || fresh(&mut next), &|| true).unwrap();
    store.swap(&merged, &inputs, false).unwrap();
    let bytes: u64 = merged.iter().map(|b| b.file_bytes).sum();
    println!("{} series, {} samples, {} blocks, {bytes} bytes", series.len(), steps * count as i64, merged.len());
    Loaded { store: Arc::new(store), cache, start_ms, end_ms: start_ms + steps * INTERVAL_MS, _directory: directory }
}

fn fresh(next: &mut u64) -> BlockId {
    *next += 1;
    BlockId(*next)
}

/// Name, query, range in hours (0 is an instant), step in seconds.
const QUERIES: [(&str, &str, i64, i64); 12] = [
    ("instant selector", "up", 0, 0),
    ("instant topk", "topk(5, container_memory_working_set_bytes)", 0, 0),
    ("rate cpu 24h/60s", "sum by (node)(rate(node_cpu_seconds_total{mode!=\"idle\"}[5m]))", 24, 60),
    ("p95 6h/60s", "histogram_quantile(0.95, sum by (le)(rate(http_request_duration_seconds_bucket[5m])))", 6, 60),
    (
        "p95 by handler 6h/60s",
        "histogram_quantile(0.95, sum by (le, handler)(rate(http_request_duration_seconds_bucket[5m])))",
        6,
        60,
    ),
    ("rate cpu 1h/15s", "sum by (mode)(rate(node_cpu_seconds_total[5m]))", 1, 15),
    ("gauge 24h/60s", "sum by (namespace)(container_memory_working_set_bytes)", 24, 60),
    ("gauge 1h/15s", "sum(container_memory_rss)", 1, 15),
    (
        "ratio 24h/300s",
        "sum by (node)(rate(node_network_receive_bytes_total[5m])) / sum by (node)(rate(node_network_receive_packets_total[5m]))",
        24,
        300,
    ),
    ("max_over_time 24h/300s", "max_over_time(node_memory_MemFree_bytes[1h])", 24, 300),
    ("topk range 6h/60s", "topk(5, rate(container_cpu_usage_seconds_total[5m]))", 6, 60),
    ("count by job instant", "count by (job)({__name__=~\".+\"})", 0, 0),
];

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: i64| args.get(at).map_or(default, |a| a.parse().unwrap());
    let (count, hours, repetitions) = (number(0, 1000) as usize, number(1, 24), number(2, 11));
    let loaded = load(count, hours);
    let engine = Engine::new(loaded.store.clone(), EngineOptions::default());
    println!(
        "{:<26} {:>8} {:>8} {:>8} {:>7} {:>9} {:>9} answer",
        "query", "cold ms", "warm ms", "series", "pages", "bytes", "samples"
    );
    for (name, query, hours, step) in QUERIES {
        if args.get(3).is_some_and(|only| !name.contains(only.as_str())) {
            continue;
        }
        let run = || {
            let (context, begin) = (QueryContext::unlimited(), Instant::now());
            let answer = match hours {
                0 => engine.instant(query, loaded.end_ms, None, &context),
                _ => engine.range(query, loaded.end_ms - hours * 3_600_000, loaded.end_ms, step * 1000, None, &context),
            };
            (begin.elapsed().as_secs_f64() * 1e3, answer.unwrap(), context)
        };
        loaded.cache.clear();
        let cold = run().0;
        let warm = median((0..repetitions).map(|_| run().0).collect());
        let (_, answer, context) = run();
        let stats = |of: &std::sync::atomic::AtomicU64| of.load(Ordering::Relaxed);
        let (Value::Vector(found) | Value::Matrix(found)) = answer.value else { continue };
        let sum: f64 = found.iter().flat_map(|s| &s.values).sum();
        println!(
            "{name:<26} {cold:>8.2} {warm:>8.2} {:>8} {:>7} {:>9} {:>9} {} series {sum:.6e}",
            stats(&context.stats.series),
            stats(&context.stats.pages),
            stats(&context.stats.bytes),
            stats(&context.stats.items),
            found.len()
        );
    }
    lookups(&loaded, repetitions);
}

fn lookups(loaded: &Loaded, repetitions: i64) {
    let job = [Matcher::equal("job", "node-exporter")];
    let metric = [Matcher::equal("__name__", "container_memory_rss")];
    for (name, matchers) in [("everything", &[][..]), ("one job", &job[..]), ("one metric", &metric[..])] {
        let select = MetricSelect { matchers, start_ms: loaded.start_ms, end_ms: loaded.end_ms };
        let timed = |run: &dyn Fn(&QueryContext) -> usize| {
            let once = || {
                let (context, begin) = (QueryContext::unlimited(), Instant::now());
                let found = run(&context);
                (begin.elapsed().as_secs_f64() * 1e3, found)
            };
            let found = once().1;
            (median((0..repetitions).map(|_| once().0).collect()), found)
        };
        let store = &loaded.store;
        let series = timed(&|context| store.series(&select, context).unwrap().len());
        let names = timed(&|context| store.label_names(&select, context).unwrap().len());
        let values = timed(&|context| store.label_values("pod", &select, context).unwrap().len());
        println!(
            "{name}: series {:.2} ms ({}), label names {:.2} ms ({}), values of pod {:.2} ms ({})",
            series.0, series.1, names.0, names.1, values.0, values.1
        );
    }
}
