//! What a filter for an id behind a parser (`| json | circuit_id="…"`) costs: `mentions [LINES [TIMES]]`. The same hint is asked
//! of blocks whose lines name the id, without and with metadata that has names of its own, and where metadata names it.
//!
//! Prints the median milliseconds of an answer as rows, and how many rows the store let through.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a tool for developers")]

use bramble_disk::{Disk, PageCache, ThreadsDisk};
use bramble_runtime::{Budget, BudgetName, Rng, SystemClock};
use bramble_signal::LogBatch;
use bramble_storage::{BlockId, BlockStore, LogRows, LogSelect, LogSink, LogSource, Mention, QueryContext};
use bramble_store_logs::{LogBudgets, LogLimits, LogStore};
use std::sync::Arc;
use std::time::Instant;

const SERVICES: [&str; 4] = ["cart", "catalog", "checkout", "shipping"];

fn line(service: &str, circuit: &str, rng: &mut Rng) -> String {
    let (level, took_ms, order) = (if rng.chance(0.1) { "error" } else { "info" }, rng.below(5000), rng.below(1 << 40));
    match rng.below(4) {
        0 => format!(r#"{{"level":"{level}","msg":"order placed","circuit_id":"{circuit}","order":"{order:x}"}}"#),
        1 => format!(r#"{{"level":"{level}","msg":"call to {service}","took_ms":{took_ms},"circuit_id":"{circuit}"}}"#),
        2 => format!(r#"{{"level":"{level}","circuit_id":"{circuit}","path":"/api/{service}/{order}","status":200}}"#),
        _ => format!(r#"{{"level":"{level}","msg":"retry","attempt":{},"took_ms":{took_ms}}}"#, rng.below(9)),
    }
}

/// What entries have of metadata.
#[derive(Clone, Copy)]
enum Metadata {
    None,
    Others,
    /// The id too, for a few entries in one part of the range.
    Id,
}

fn store(root: &std::path::Path, lines: u64, kind: Metadata) -> LogStore {
    let disk: Arc<dyn Disk> = Arc::new(ThreadsDisk::new(root).unwrap());
    let cache = Arc::new(PageCache::new(Budget::standalone(BudgetName::PageCache, 64 << 20)));
    let budgets = LogBudgets {
        head: Budget::standalone(BudgetName::LogHead, 512 << 20),
        merge: Budget::standalone(BudgetName::Merge, 64 << 20),
        index: Budget::standalone(BudgetName::BlockIndex, 8 << 20),
    };
    let limits = LogLimits { future_ms: None, ..LogLimits::default() };
    let clock = Arc::new(SystemClock::new());
    let store = LogStore::new(disk, cache, clock, budgets, limits, &prometheus::Registry::new()).unwrap();
    let mut rng = Rng::new(1);
    for part in 0..lines.div_ceil(2000) {
        let mut batch = LogBatch::new();
        for at in part * 2000..((part + 1) * 2000).min(lines) {
            let service = SERVICES[rng.below(4) as usize];
            batch.start_stream(&mut [("service", service)]).unwrap();
            let (circuit, trace) = (format!("circ-{:05}", rng.below(50_000)), format!("{:032x}", rng.below(u64::MAX)));
            let line = line(service, &circuit, &mut rng);
            let mut metadata = Vec::new();
            if !matches!(kind, Metadata::None) {
                metadata.extend([("detected_level", "info"), ("trace_id", trace.as_str())]);
            }
            if matches!(kind, Metadata::Id) && at.is_multiple_of(50) {
                metadata.push(("circuit_id", circuit.as_str()));
            }
            let timestamp_ns = 1_795_046_400_000_000_000 + at as i64 * 1_000_000;
            batch.push_entry(timestamp_ns, line.as_bytes(), &mut metadata).unwrap();
        }
        let prepared = store.prepare(batch, 0).unwrap();
        store.apply(prepared, part + 1);
    }
    store.freeze(u64::MAX / 2);
    let mut id = 0;
    let written = store
        .write_frozen(&mut || {
            id += 1;
            BlockId(id)
        })
        .unwrap();
    store.swap(&written, &[], true).unwrap();
    store
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|n| n.parse::<u64>().unwrap());
    let (lines, times) = (arguments.next().unwrap_or(400_000), arguments.next().unwrap_or(21));
    println!("| metadata | filter | rows | median ms |");
    println!("| --- | --- | --- | --- |");
    for (what, kind) in [("none", Metadata::None), ("of other names", Metadata::Others), ("the id, some", Metadata::Id)]
    {
        let root = tempfile::tempdir().unwrap();
        let store = store(root.path(), lines, kind);
        for (name, text) in
            [("circuit_id", "circ-00042"), ("circuit_id", "circ-77777"), ("user", "nobody-7"), ("level", "error")]
        {
            let mentions = [Mention { name, text }];
            let select = LogSelect { mentions: &mentions, ..LogSelect::default() };
            let (mut took_ms, mut found) = (Vec::new(), 0);
            for _ in 0..times {
                let (context, mut rows) = (QueryContext::unlimited(), LogRows::default());
                let started = Instant::now();
                let mut cursor = store.select(&select, &context).unwrap();
                found = 0;
                while cursor.next(&mut rows).unwrap() {
                    found += rows.order.len();
                }
                took_ms.push(started.elapsed().as_secs_f64() * 1e3);
            }
            took_ms.sort_unstable_by(f64::total_cmp);
            println!("| {what} | {name}={text} | {found} | {:.2} |", took_ms[took_ms.len() / 2]);
        }
    }
}
