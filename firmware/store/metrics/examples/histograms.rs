//! Measures native histograms: `histograms [series] [samples per series] [flush every n samples] [interval ms]`.
//!
//! Latencies of services between half a request and forty a second, log-normal, as a Go client with schema 3 counts
//! them: spans where there are observations, sums that are real sums. Prints bytes per histogram in the head, in fresh
//! blocks and after the merge, and checks that all come back.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for developers")]

use bramble_disk::{PageCache, ThreadsDisk};
use bramble_runtime::{Budget, BudgetName, Clock, Rng, SystemClock};
use bramble_signal::{BucketSpan, MetricBatch, NativeHistogram, SeriesSamples};
use bramble_storage::{BlockId, BlockMeta, BlockStore, MetricSelect, MetricSink, MetricSource, QueryContext};
use bramble_store_metrics::{MetricBudgets, MetricLimits, MetricStore};
use std::sync::Arc;
use std::time::Instant;

const SCHEMA: i8 = 3;
/// Index of the first counted bucket: 2^(-160/8) is a microsecond.
const LOWEST: i32 = -160;
const BUCKETS: usize = 220;

struct Service {
    per_second: f64,
    median_s: f64,
    counts: Vec<f64>,
    sum: f64,
    rng: Rng,
}

impl Service {
    fn new(number: u64) -> Self {
        let mut rng = Rng::new(number + 1);
        let (per_second, median_s) = (0.5 * 80f64.powf(rng.unit()), 0.002 * 100f64.powf(rng.unit()));
        Service { per_second, median_s, counts: vec![0.0; BUCKETS], sum: 0.0, rng }
    }

    fn next(&mut self, seconds: f64) -> NativeHistogram {
        let gauss = |rng: &mut Rng| ((0..6).map(|_| rng.unit()).sum::<f64>() - 3.0) * std::f64::consts::SQRT_2;
        let mean = self.per_second * seconds;
        let requests = (mean + mean.sqrt() * gauss(&mut self.rng)).round().max(0.0) as u64;
        for _ in 0..requests {
            let latency = self.median_s * (0.6 * gauss(&mut self.rng)).exp();
            let index = (latency.log2() * f64::from(1 << SCHEMA)).ceil() as i32 - LOWEST;
            self.counts[index.clamp(0, BUCKETS as i32 - 1) as usize] += 1.0;
            self.sum += latency;
        }
        self.histogram()
    }

    fn histogram(&self) -> NativeHistogram {
        let mut out = NativeHistogram {
            schema: SCHEMA,
            zero_threshold: 2f64.powi(-128),
            count: self.counts.iter().sum(),
            sum: self.sum,
            ..NativeHistogram::default()
        };
        let mut end = 0i32;
        for (at, &count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0.0) {
            let index = at as i32 + LOWEST;
            let gap = if out.positive_spans.is_empty() { -1 } else { index - end };
            match out.positive_spans.last_mut() {
                Some(span) if gap <= 2 => {
                    span.length += gap as u32 + 1;
                    out.positive_counts.extend((0..gap).map(|_| 0.0));
                }
                last => {
                    let offset = if last.is_none() { index } else { gap };
                    out.positive_spans.push(BucketSpan { offset, length: 1 });
                }
            }
            out.positive_counts.push(count);
            end = index + 1;
        }
        out
    }
}

fn line(what: &str, blocks: &[BlockMeta]) {
    let bytes: u64 = blocks.iter().map(|b| b.file_bytes).sum();
    let items: u64 = blocks.iter().map(|b| b.items).sum();
    let each = bytes as f64 / items as f64;
    println!("{what}: {} blocks, {items} histograms, {bytes} bytes, {each:.1} B/histogram", blocks.len());
}

fn main() {
    let args: Vec<usize> = std::env::args().skip(1).map(|a| a.parse().unwrap()).collect();
    let arg = |at: usize, default| args.get(at).copied().unwrap_or(default);
    let (count, samples, flush_every, interval) = (arg(0, 100), arg(1, 960), arg(2, 240), arg(3, 15_000));
    let directory = tempfile::tempdir().unwrap();
    let cache = Arc::new(PageCache::new(Budget::standalone(BudgetName::PageCache, 8 << 20)));
    let budget = |name| Budget::standalone(name, 512 << 20);
    let budgets = MetricBudgets {
        head: budget(BudgetName::MetricHead),
        merge: Budget::standalone(BudgetName::Merge, 8 << 20),
        index: budget(BudgetName::BlockIndex),
    };
    let limits = MetricLimits { too_old_ms: None, ..MetricLimits::default() };
    let clock = Arc::new(SystemClock::new());
    let start_ms = clock.wall_ms().div_euclid(86_400_000) * 86_400_000 - 86_400_000;
    let disk = Arc::new(ThreadsDisk::new(directory.path()).unwrap());
    let store = MetricStore::new(disk, cache, clock, budgets, limits, &prometheus::Registry::new());
    let mut services: Vec<Service> = (0..count as u64).map(Service::new).collect();
    let (mut blocks, mut next) = (Vec::<BlockMeta>::new(), 0u64);
    let (mut buckets, mut bare_bytes) = (0, 0);
    for step in 0..samples {
        let timestamp = start_ms + (step * interval) as i64;
        let mut batch = MetricBatch::new();
        for (number, service) in services.iter_mut().enumerate() {
            let instance = format!("rpi-{number:03}:8080");
            batch.start_series(&mut [("__name__", "http_request_duration_seconds"), ("instance", &instance)]).unwrap();
            let histogram = service.next(interval as f64 / 1000.0);
            buckets += histogram.positive_counts.len();
            bare_bytes += histogram.positive_counts.len() * 8 + histogram.positive_spans.len() * 8 + 32;
            batch.push_histogram(timestamp, histogram);
        }
        let prepared = store.prepare(batch, timestamp).unwrap();
        store.apply(prepared, step as u64 + 1);
        if (step + 1) % flush_every == 0 {
            let head = store.head();
            println!("head {:.1} B/histogram", head.flushable_bytes as f64 / head.items as f64);
            store.freeze(step as u64 + 1);
            let mut id = || {
                next += 1;
                BlockId(next)
            };
            let written = store.write_frozen(&mut id).unwrap();
            store.swap(&written, &[], true).unwrap();
            blocks.extend(written);
        }
    }
    let total = (count * samples) as f64;
    println!("{:.1} buckets, {:.0} bytes bare", buckets as f64 / total, bare_bytes as f64 / total);
    line("fresh", &blocks);
    let mut merged = Vec::new();
    for day in blocks.iter().map(|b| b.day).collect::<std::collections::BTreeSet<i32>>() {
        let inputs: Vec<BlockId> = blocks.iter().filter(|b| b.day == day).map(|b| b.id).collect();
        let mut id = || {
            next += 1;
            BlockId(next)
        };
        let outputs = store.merge(&inputs, 64 << 20, &mut id, &|| true).unwrap();
        store.swap(&outputs, &inputs, false).unwrap();
        merged.extend(outputs);
    }
    line("merged", &merged);
    let (context, begin) = (QueryContext::unlimited(), Instant::now());
    let select = MetricSelect { matchers: &[], start_ms, end_ms: i64::MAX };
    let mut cursor = store.select(&select, &context).unwrap();
    let (mut one, mut read, mut last) = (SeriesSamples::default(), 0, Vec::new());
    while cursor.next(&mut one).unwrap() {
        read += one.histograms.len();
        last.extend(one.histograms.pop());
    }
    println!("read {read} histograms in {:.0} ms", begin.elapsed().as_secs_f64() * 1e3);
    assert!(
        read == count * samples && last.iter().eq(services.iter().map(Service::histogram).collect::<Vec<_>>().iter())
    );
}
