//! What kept correlations cost: bytes per row, and how long it takes to find some among all of 30 days.
//!
//! `cargo run --release -p bramble-correlate --example lookup -- [days [rows a day [cache MiB [question]]]]`
//!
//! Rows are those that the bench rig's traces give: four services, 8.5 spans, five ids, 3 % failed. With `RUST_LOG=debug`
//! also what each block's columns take.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for developers")]

mod common;

use bramble_correlate::row::put_row;
use bramble_correlate::span::{SpanWritten, put_span};
use bramble_correlate::stored::StoredCorrelations;
use bramble_correlate::{Correlation, CorrelationQuery, CorrelationSource};
use bramble_disk::{Disk, PageCache, ThreadsDisk};
use bramble_line::ids::IdKind;
use bramble_runtime::{Budget, BudgetName, SystemClock};
use bramble_signal::{LogBatch, SpanBatch, TraceId};
use bramble_storage::{BlockId, BlockMeta, BlockStore, LogSink, QueryContext};
use bramble_store_logs::{LogBudgets, LogLimits, LogStore};
use common::{DAY_NS, FIRST_DAY, circuit, correlation, request, trace_id};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

const FLUSHES_A_DAY: u64 = 6;

const RUNS: usize = 41;

/// CPU time of all threads of this process, those that ended included, milliseconds, by ticks of 10.
fn cpu_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10
}

struct Kept {
    disk: Arc<dyn Disk>,
    cache_bytes: usize,
    blocks: Vec<BlockMeta>,
    next_id: u64,
}

impl Kept {
    fn store(&self) -> (Arc<LogStore>, Arc<PageCache>) {
        let cache = Arc::new(PageCache::new(Budget::standalone(BudgetName::PageCache, self.cache_bytes)));
        let budgets = LogBudgets {
            head: Budget::standalone(BudgetName::LogHead, 256 << 20),
            merge: Budget::standalone(BudgetName::Merge, 64 << 20),
            index: Budget::standalone(BudgetName::BlockIndex, 8 << 20),
        };
        let (limits, clock) = (LogLimits { future_ms: None, ..LogLimits::default() }, Arc::new(SystemClock::new()));
        let registry = prometheus::Registry::new();
        let store = LogStore::new(self.disk.clone(), cache.clone(), clock, budgets, limits, &registry).unwrap();
        assert_eq!(store.open_blocks(&self.blocks), []);
        (Arc::new(store), cache)
    }

    /// A day's rows, flushed some times and merged.
    fn add_day(&mut self, day: i64, rows: u64) {
        let mut next_id = self.next_id;
        let mut id = || {
            next_id += 1;
            BlockId(next_id)
        };
        let (store, _) = Kept { blocks: Vec::new(), disk: self.disk.clone(), ..*self }.store();
        let mut fresh = Vec::new();
        let all: Vec<u64> = (0..rows).collect();
        for flush in all.chunks(rows.div_ceil(FLUSHES_A_DAY) as usize) {
            for part in flush.chunks(60) {
                let mut batch = LogBatch::new();
                for &at in part {
                    let start_ns = (FIRST_DAY + day) * DAY_NS
                        + DAY_NS / rows as i64 * at as i64
                        + (trace_id(at).0[0] as i64 * 256 + trace_id(at).0[1] as i64) * 15
                        + 1234 * at as i64 % 1_000_000;
                    put_row(&correlation(day as u64 * rows + at, start_ns), &mut batch);
                }
                let prepared = store.prepare(batch, 0).unwrap();
                store.apply(prepared, 1);
            }
            store.freeze(u64::MAX / 2);
            let written = store.write_frozen(&mut id).unwrap();
            store.swap(&written, &[], true).unwrap();
            fresh.extend(written);
        }
        let inputs: Vec<BlockId> = fresh.iter().map(|block| block.id).collect();
        let merged = store.merge(&inputs, 64 << 20, &mut id, &|| true).unwrap();
        for block in &fresh {
            self.disk.remove(&block.file_name()).unwrap();
        }
        if day == 0 {
            let bytes = |blocks: &[BlockMeta]| blocks.iter().map(|b| b.file_bytes).sum::<u64>() as f64 / rows as f64;
            println!("a day: {:.1} B a row in {} blocks, {:.1} B merged", bytes(&fresh), fresh.len(), bytes(&merged));
        }
        self.blocks.extend(merged);
        self.next_id = next_id;
    }
}

fn main() {
    tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |at: usize, usual: u64| arguments.get(at).map_or(usual, |n| n.parse().unwrap());
    let (days, rows, cache_mib) = (argument(0, 30), argument(1, 60_000), argument(2, 32));
    let directory = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(ThreadsDisk::new(directory.path()).unwrap());
    let mut kept = Kept { disk, cache_bytes: (cache_mib as usize) << 20, blocks: Vec::new(), next_id: 0 };
    making(rows.min(20_000));
    let started = Instant::now();
    (0..days as i64).for_each(|day| kept.add_day(day, rows));
    let bytes: u64 = kept.blocks.iter().map(|block| block.file_bytes).sum();
    let (count, mib) = (kept.blocks.len(), bytes >> 20);
    println!("{days} days of {rows}: {count} blocks, {mib} MiB, made in {:.0} s", started.elapsed().as_secs_f64());
    let only = arguments.get(3).map_or("", String::as_str);
    for (name, query) in questions(days * rows).into_iter().filter(|(name, _)| name.contains(only)) {
        let (store, _cache) = kept.store();
        let source = StoredCorrelations::new(store);
        let once = || {
            let (started, context) = (Instant::now(), QueryContext::unlimited());
            let found = source.find(&query, &context).unwrap();
            (started.elapsed().as_secs_f64() * 1e3, found.len(), context)
        };
        let (cold_ms, ..) = once();
        let cpu_before_ms = cpu_ms();
        let mut warm: Vec<f64> = (0..RUNS).map(|_| once().0).collect();
        let busy_ms = (cpu_ms() - cpu_before_ms) as f64 / RUNS as f64;
        warm.sort_by(f64::total_cmp);
        let (_, found, context) = once();
        let (items, pages) = (context.stats.items.load(Ordering::Relaxed), context.stats.pages.load(Ordering::Relaxed));
        println!(
            "{name:32} {found:4} found, cold {cold_ms:7.1} ms, warm {:6.1} ms (worst {:6.1}, {busy_ms:5.1} of CPU); {items} rows, {pages} pages",
            warm[RUNS / 2],
            warm[RUNS - 1]
        );
    }
}

/// What making rows and spans takes.
fn making(count: u64) {
    let all: Vec<Correlation> =
        (0..count).map(|nth| correlation(nth, FIRST_DAY * DAY_NS + nth as i64 * 1_000_000)).collect();
    let started = Instant::now();
    let (mut logs, mut spans) = (LogBatch::new(), SpanBatch::new());
    all.iter().for_each(|correlation| put_row(correlation, &mut logs));
    let rows_us = started.elapsed().as_secs_f64() * 1e6 / count as f64;
    let started = Instant::now();
    all.iter().for_each(|correlation| put_span(correlation, SpanWritten::First, &mut spans));
    let spans_us = started.elapsed().as_secs_f64() * 1e6 / count as f64;
    let (row_bytes, span_bytes) = (logs.memory_bytes() as u64 / count, spans.arena.len() as u64 / count);
    println!("put_row {rows_us:.2} µs, {row_bytes} B in a batch; put_span {spans_us:.2} µs, {span_bytes} B");
    println!("{}", String::from_utf8_lossy(logs.entry(0).line));
}

fn questions(all: u64) -> Vec<(&'static str, CorrelationQuery)> {
    let middle = all / 2 + 1;
    let query = || CorrelationQuery { limit: 50, ..CorrelationQuery::default() };
    let id = |kind, value: String| CorrelationQuery { ids: vec![(kind, value)], ..query() };
    let since_ns = Some((FIRST_DAY + 15) * DAY_NS);
    vec![
        ("trace_id", CorrelationQuery { trace_id: Some(trace_id(middle)), ..query() }),
        ("trace_id of the first day", CorrelationQuery { trace_id: Some(trace_id(5)), ..query() }),
        ("trace_id, absent", CorrelationQuery { trace_id: Some(TraceId([7; 16])), ..query() }),
        ("request_id", id(IdKind::Request, request(middle))),
        ("request_id, absent", id(IdKind::Request, "0123456789abcdef0123456789abcdef".to_owned())),
        ("circuit_id", id(IdKind::Circuit, circuit(middle))),
        ("circuit_id, absent", id(IdKind::Circuit, "circ-99999".to_owned())),
        ("circuit_id, second of a row", id(IdKind::Circuit, format!("d-{}", all / 200))),
        ("product_id", id(IdKind::Product, "prod-0777".to_owned())),
        ("resource_id", id(IdKind::Resource, "res-012345".to_owned())),
        ("resource_id, all", CorrelationQuery { limit: 5000, ..id(IdKind::Resource, "res-012345".to_owned()) }),
        ("newest 50", query()),
        ("newest 50 of 15 days ago", CorrelationQuery { until_ns: since_ns, ..query() }),
        ("service", CorrelationQuery { service: Some("arda".to_owned()), ..query() }),
        ("service, absent", CorrelationQuery { service: Some("moria".to_owned()), ..query() }),
        ("has_error", CorrelationQuery { has_error: Some(true), ..query() }),
        ("no error", CorrelationQuery { has_error: Some(false), ..query() }),
        ("has_error, by id", CorrelationQuery { has_error: Some(true), ..id(IdKind::Circuit, circuit(middle)) }),
    ]
}
