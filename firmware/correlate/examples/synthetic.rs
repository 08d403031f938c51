//! What the synthetic span takes in the trace store: the same traces with and without it.
//!
//! `cargo run -p bramble-correlate --example synthetic -- [traces]`
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for developers")]

mod common;

use bramble_correlate::Correlation;
use bramble_correlate::span::{SpanWritten, put_span};
use bramble_disk::{Disk, PageCache, ThreadsDisk};
use bramble_line::ids::IdKind;
use bramble_runtime::{Budget, BudgetName, Rng, SystemClock};
use bramble_signal::attributes::{AttributeValue, put_attribute};
use bramble_signal::{ResourceEntry, SpanBatch, SpanEntry, SpanId, SpanKind};
use bramble_storage::{BlockId, BlockStore, SpanSink};
use bramble_store_traces::{TraceBudgets, TraceLimits, TraceStore};
use std::sync::Arc;

const TRACES: u64 = 20_000;

/// The spans that a correlation is of, below one another and inside their parents as the bench rig's are.
fn put_trace(correlation: &Correlation, random: &mut Rng, batch: &mut SpanBatch) {
    let services = correlation.participants.iter().enumerate();
    let shape = services.flat_map(|(service, of)| (0..of.spans).map(move |nth| (service, nth)));
    let mut spans: Vec<(SpanId, u64, u64)> = Vec::new();
    for (number, (service, nth)) in shape.enumerate() {
        let parent = match number {
            0..=2 => 0,
            3..=5 => number - 1,
            _ => 4,
        };
        let span_id = if nth == 0 { correlation.entry_spans[service] } else { SpanId(random.next_u64().to_be_bytes()) };
        let (parent_span_id, from, to) = match spans.get(parent) {
            None => (SpanId::default(), correlation.start_ns as u64, correlation.end_ns as u64),
            Some(&(parent, from, to)) => {
                let from = from + ((to - from) as f64 * 0.4 * random.unit()) as u64;
                (parent, from, from + ((to - from) as f64 * (0.3 + 0.6 * random.unit())) as u64)
            }
        };
        let mut attributes = Vec::new();
        let of_service = |kind: IdKind| service < 3 || matches!(kind, IdKind::Circuit | IdKind::Request);
        for (kind, value) in correlation.ids.iter().filter(|(kind, _)| of_service(*kind)) {
            put_attribute(&mut attributes, kind.as_str(), AttributeValue::Str(value));
        }
        if service < 3 {
            put_attribute(&mut attributes, "http.response_ms", AttributeValue::Double((to - from) as f64 / 1e6));
        }
        let span = SpanEntry {
            trace_id: correlation.id.trace_id,
            span_id,
            parent_span_id,
            resource: service as u32,
            start_ns: from,
            end_ns: to,
            kind: SpanKind::Server,
            name: batch.put(format!("{}.{}", common::SERVICES[service], nth.min(2)).as_bytes()),
            attributes: batch.put(&attributes),
            ..Default::default()
        };
        batch.spans.push(span);
        spans.push((span_id, from, to));
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
