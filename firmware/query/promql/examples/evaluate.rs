//! Measures evaluation over the real store: `evaluate [instances] [hours] [repetitions]`.
//!
//! Loads a classic histogram of 12 buckets and a gauge per instance, a sample every 15 s, flushes them into blocks, and
//! prints the fastest of the repetitions of each query.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for developers")]

use bramble_disk::{PageCache, ThreadsDisk};
use bramble_query_promql::{Engine, EngineOptions};
use bramble_runtime::{Budget, BudgetName, ManualClock};
use bramble_signal::{Matcher, MetricBatch, SeriesSamples};
use bramble_storage::{BlockId, BlockStore, MetricSelect, MetricSink, MetricSource, QueryContext};
use bramble_store_metrics::{MetricBudgets, MetricLimits, MetricStore};
use std::sync::Arc;
use std::time::{Duration, Instant};

const BOUNDS: [&str; 12] = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"];
const START_MS: i64 = 1_700_000_000_000;

fn argument(n: usize, default: i64) -> i64 {
    std::env::args().nth(n).and_then(|a| a.parse().ok()).unwrap_or(default)
}

fn load(store: &MetricStore, instances: i64, hours: i64) {
    for instance in 0..instances {
        let mut batch = MetricBatch::new();
        let host = format!("rpi-{instance:04}");
        for (i, bound) in BOUNDS.iter().enumerate() {
            let name = ("__name__", "http_request_duration_seconds_bucket");
            batch.start_series(&mut [name, ("host", &host), ("job", "app"), ("method", "GET"), ("le", bound)]).unwrap();
            let mut value = 0.0;
            for t in 0..hours * 240 {
                value += ((t * 7 + instance) % 11 * (i as i64 + 1)) as f64;
                batch.push_sample(START_MS + t * 15_000, value);
            }
        }
        batch.start_series(&mut [("__name__", "memory_bytes"), ("host", &host), ("job", "node")]).unwrap();
        for t in 0..hours * 240 {
            batch.push_sample(START_MS + t * 15_000, ((instance * 7919 + t * 31) % 4096) as f64 * 1024.0);
        }
        let prepared = store.prepare(batch, START_MS + hours * 3_600_000).unwrap();
        store.apply(prepared, instance as u64 + 1);
    }
    let mut next = 1;
    let mut fresh = || {
        next += 1;
        BlockId(next)
    };
    assert!(store.freeze(instances as u64));
    let written = store.write_frozen(&mut fresh).unwrap();
    store.swap(&written, &[], true).unwrap();
}

fn fastest(repetitions: i64, mut run: impl FnMut() -> usize) -> (Duration, usize) {
    let once = || {
        let began = Instant::now();
        let series = run();
        (began.elapsed(), series)
    };
    std::iter::repeat_with(once).take(repetitions.max(1) as usize).min().unwrap()
}

fn main() {
    let (instances, hours, repetitions) = (argument(1, 100), argument(2, 7), argument(3, 20));
    let directory = tempfile::tempdir().unwrap();
    let disk = Arc::new(ThreadsDisk::new(directory.path()).unwrap());
    let budget = Budget::standalone;
    let cache = Arc::new(PageCache::new(budget(BudgetName::PageCache, 64 << 20)));
    let budgets = MetricBudgets {
        head: budget(BudgetName::MetricHead, 1 << 30),
        merge: budget(BudgetName::Merge, 256 << 20),
        index: budget(BudgetName::BlockIndex, 16 << 20),
    };
    let limits = MetricLimits { too_old_ms: None, ..MetricLimits::default() };
    let clock = Arc::new(ManualClock::new(START_MS * 1_000_000));
    let store = Arc::new(MetricStore::new(disk, cache, clock, budgets, limits, &prometheus::Registry::new()));
    load(&store, instances, hours);
    let engine = Engine::new(store.clone(), EngineOptions::default());
    let end = START_MS + (hours * 240 - 1) * 15_000;
    let start = end - (hours - 1) * 3_600_000;

    let read = fastest(repetitions, || {
        let context = QueryContext::unlimited();
        let matchers = [Matcher::equal("__name__", "http_request_duration_seconds_bucket")];
        let select = MetricSelect { matchers: &matchers, start_ms: start - 300_000, end_ms: end };
        let mut cursor = store.select(&select, &context).unwrap();
        let (mut series, mut n) = (SeriesSamples::default(), 0);
        while cursor.next(&mut series).unwrap() {
            n += 1;
        }
        n
    });
    println!("reading the buckets alone: {:?}, {} series", read.0, read.1);
    for query in [
        "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))",
        "sum by (host) (rate(http_request_duration_seconds_bucket[5m]))",
        "rate(http_request_duration_seconds_bucket[5m])",
        "max_over_time(memory_bytes[5m])",
        "topk(5, memory_bytes)",
    ] {
        let (time, series) = fastest(repetitions, || {
            let context = QueryContext::unlimited();
            let answer = engine.range(query, start, end, 60_000, None, &context).unwrap();
            match answer.value {
                bramble_query_promql::Value::Matrix(series) => series.len(),
                _ => 0,
            }
        });
        println!("{query}: range {time:?}, {series} series");
    }
    for query in ["topk(5, memory_bytes)", "memory_bytes", "count(http_request_duration_seconds_bucket)"] {
        let (time, _) = fastest(repetitions * 5, || {
            let context = QueryContext::unlimited();
            usize::from(engine.instant(query, end, None, &context).is_ok())
        });
        println!("{query}: instant {time:?}");
    }
}
