//! What the synthetic span takes in the trace store: the same traces with and without it.
//!
//! `cargo run -p bramble-correlate --example synthetic -- [traces]`
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for developers")]

mod common;

use bramble_correlate::Correlation;
use bramble_correlate::span::{SpanWritten, put_span};
use bramble_disk::{Disk, PageCache, ThreadsDisk};
use bramble_runtime::{Budget, BudgetName, Rng, SystemClock};
use bramble_signal::attributes::{AttributeValue, put_attribute};
use bramble_signal::{ResourceEntry, SpanBatch, SpanEntry, SpanId, SpanKind};
use bramble_storage::{BlockId, BlockStore, SpanSink};
use bramble_store_traces::{TraceBudgets, TraceLimits, TraceStore};
use std::sync::Arc;

const TRACES: u64 = 20_000;

/// The spans that a correlation is of.
fn put_trace(correlation: &Correlation, random: &mut Rng, batch: &mut SpanBatch) {
    let total_ns = correlation.duration_ns();
    for (at, participant) in correlation.participants.iter().enumerate() {
        for nth in 0..participant.spans {
            let mut attributes = Vec::new();
            for (kind, value) in &correlation.ids {
                put_attribute(&mut attributes, kind.as_str(), AttributeValue::Str(value));
            }
            put_attribute(&mut attributes, "http.response_ms", AttributeValue::Double(random.unit()));
            let entry = correlation.entry_spans[at];
            let from = correlation.start_ns as u64 + (total_ns as f64 * 0.5 * random.unit()) as u64;
            let span_id = if nth == 0 { entry } else { SpanId(random.next_u64().to_be_bytes()) };
            let span = SpanEntry {
                trace_id: correlation.id.trace_id,
                span_id,
                parent_span_id: if at == 0 && nth == 0 {
                    SpanId::default()
                } else {
                    correlation.entry_spans[at.saturating_sub(1)]
                },
                resource: at as u32,
                start_ns: from,
                end_ns: from + (total_ns as f64 * 0.5 * random.unit()) as u64,
                kind: SpanKind::Server,
                name: batch.put(format!("{}.{nth}", participant.service).as_bytes()),
                attributes: batch.put(&attributes),
                ..Default::default()
            };
            batch.spans.push(span);
        }
    }
}

/// Bytes of blocks, with which spans.
fn stored(traces: u64, real: bool, synthetic: bool) -> f64 {
    let directory = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(ThreadsDisk::new(directory.path()).unwrap());
    let budget = |name, bytes| Budget::standalone(name, bytes);
    let budgets = TraceBudgets {
        head: budget(BudgetName::TraceHead, 1 << 30),
        merge: budget(BudgetName::Merge, 10 << 20),
        index: budget(BudgetName::BlockIndex, 6 << 20),
    };
    let (cache, clock) = (PageCache::new(budget(BudgetName::PageCache, 11 << 20)), Arc::new(SystemClock::new()));
    let registry = prometheus::Registry::new();
    let store = TraceStore::new(disk, Arc::new(cache), clock, budgets, TraceLimits::default(), &registry);
    let mut random = Rng::new(1);
    let all: Vec<Correlation> = (0..traces)
        .map(|nth| common::correlation(nth, common::FIRST_DAY * common::DAY_NS + nth as i64 * 16_000_000))
        .collect();
    for part in all.chunks(50) {
        let (mut spans, mut own) = (SpanBatch::new(), SpanBatch::new());
        for service in common::SERVICES {
            let mut attributes = Vec::new();
            put_attribute(&mut attributes, "service.name", AttributeValue::Str(service));
            let attributes = spans.put(&attributes);
            spans.resources.push(ResourceEntry { attributes, ..Default::default() });
        }
        spans.scopes.push(Default::default());
        part.iter().for_each(|correlation| put_trace(correlation, &mut random, &mut spans));
        part.iter().for_each(|correlation| put_span(correlation, SpanWritten::First, &mut own));
        for (batch, wanted) in [(spans, real), (own, synthetic)] {
            if wanted {
                let prepared = store.prepare(batch, all[0].start_ns + common::DAY_NS).unwrap();
                store.apply(prepared, 1);
            }
        }
    }
    store.freeze(1);
    let mut next = 0;
    let written = store.write_frozen(&mut || {
        next += 1;
        BlockId(next)
    });
    let pages = |name: &str| {
        for (page, bytes) in store.page_bytes().unwrap() {
            println!("  {name} {page:<32} {:8.3} B a trace", bytes as f64 / traces as f64);
        }
    };
    let written = written.unwrap();
    store.swap(&written, &[], true).unwrap();
    pages(if synthetic { "with" } else { "without" });
    written.iter().map(|block| block.file_bytes).sum::<u64>() as f64 / traces as f64
}

fn main() {
    let traces = std::env::args().nth(1).map_or(TRACES, |n| n.parse().unwrap());
    let (without, with, alone) = (stored(traces, true, false), stored(traces, true, true), stored(traces, false, true));
    println!("{without:.1} B a trace without, {with:.1} B with its synthetic span; {alone:.1} B of these alone");
}
