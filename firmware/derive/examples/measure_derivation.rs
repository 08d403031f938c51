//! What deriving costs: time per million spans, time per emission, memory per thousand label sets.
//!
//! `cargo run --release -p bramble-derive --example measure_derivation`

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs, reason = "a measuring tool")]

use bramble_derive::{Derive, DeriveOptions};
use bramble_runtime::{Budget, BudgetName, SystemClock};
use bramble_signal::attributes::{AttributeValue, put_attribute};
use bramble_signal::{ResourceEntry, ScopeEntry, SpanBatch, SpanEntry, SpanId, SpanKind, StatusCode, TraceId};
use bramble_storage::memory::MemoryMetrics;
use bramble_storage::{Durable, Observer};
use prometheus::Registry;
use std::sync::Arc;
use std::time::Instant;

const SERVICES: usize = 8;
const SPANS_PER_BATCH: usize = 512;

/// Traces of ten spans over several services, with eight attributes a span, as instrumented web services have.
struct Maker {
    next: u64,
    operations: u64,
}

impl Maker {
    fn random(&mut self) -> u64 {
        self.next = self.next.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.next;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn batch(&mut self) -> SpanBatch {
        let mut batch = SpanBatch::new();
        for service in 0..SERVICES {
            let mut bytes = Vec::new();
            put_attribute(&mut bytes, "host.name", AttributeValue::Str("beorn"));
            put_attribute(&mut bytes, "service.name", AttributeValue::Str(&format!("service-{service}")));
            put_attribute(&mut bytes, "telemetry.sdk.language", AttributeValue::Str("python"));
            let attributes = batch.put(&bytes);
            batch.resources.push(ResourceEntry { attributes, ..Default::default() });
        }
        batch.scopes.push(ScopeEntry::default());
        while batch.spans.len() < SPANS_PER_BATCH {
            self.trace(&mut batch);
        }
        batch
    }

    fn trace(&mut self, batch: &mut SpanBatch) {
        let (high, low) = (self.random(), self.random());
        let mut trace_id = [0; 16];
        trace_id[..8].copy_from_slice(&high.to_be_bytes());
        trace_id[8..].copy_from_slice(&low.to_be_bytes());
        let mut parent = SpanId::default();
        for at in 0..10u64 {
            let kind = [SpanKind::Server, SpanKind::Internal, SpanKind::Client][(at % 3) as usize];
            let operation = self.random() % self.operations;
            let name = batch.put(format!("GET /orders/by/{operation}").as_bytes());
            let mut bytes = Vec::new();
            for key in ["http.request.method", "http.route", "url.path", "network.peer.address", "user_agent.original"]
            {
                put_attribute(&mut bytes, key, AttributeValue::Str("some value of it"));
            }
            put_attribute(&mut bytes, "http.response.status_code", AttributeValue::Int(200));
            put_attribute(&mut bytes, "circuit_id", AttributeValue::Int((self.random() % 100_000) as i64));
            put_attribute(&mut bytes, "request_id", AttributeValue::Str("0f5a8e0e-1111-4bb4-9f5a-aaaaaaaaaaaa"));
            let attributes = batch.put(&bytes);
            let span_id = SpanId(self.random().to_be_bytes());
            let start_ns = 1_700_000_000_000_000_000 + self.random() % 1_000_000_000;
            batch.spans.push(SpanEntry {
                trace_id: TraceId(trace_id),
                span_id,
                parent_span_id: parent,
                resource: ((at + 1) / 3 % SERVICES as u64) as u32,
                start_ns,
                end_ns: start_ns + self.random() % 500_000_000,
                kind,
                status: if self.random().is_multiple_of(50) { StatusCode::Error } else { StatusCode::Unset },
                name,
                attributes,
                ..Default::default()
            });
            parent = span_id;
        }
    }
}

fn derive(options: DeriveOptions, budget: &Budget) -> Derive {
    let source = Arc::new(MemoryMetrics::default());
    Derive::new(options, source, Arc::new(SystemClock::new()), budget, &Registry::new()).unwrap()
}

fn main() {
    for (operations, label) in [(10, "few operations"), (500, "many operations")] {
        let mut maker = Maker { next: 7, operations };
        let batches: Vec<SpanBatch> = (0..200).map(|_| maker.batch()).collect();
        let spans: usize = batches.iter().map(|b| b.spans.len()).sum();
        for (what, options) in [
            ("all", DeriveOptions::default()),
            ("without graph", DeriveOptions { service_graph: false, ..DeriveOptions::default() }),
            (
                "two dimensions",
                DeriveOptions {
                    dimensions: vec!["http.request.method".into(), "host.name".into()],
                    ..DeriveOptions::default()
                },
            ),
        ] {
            let budget = Budget::standalone(BudgetName::Derived, 64 << 20);
            let derive = derive(options, &budget);
            let rounds = 20;
            let start = Instant::now();
            for round in 0..rounds {
                for (at, batch) in batches.iter().enumerate() {
                    derive.observe(Durable::Spans(batch), (round * batches.len() + at + 1) as u64);
                }
            }
            let per_million = start.elapsed().as_secs_f64() / (rounds * spans) as f64 * 1e6;
            let start = Instant::now();
            let emission = derive.emit();
            let samples: usize = emission.writes.iter().map(|w| w.sample_count()).sum();
            let took_ms = start.elapsed().as_secs_f64() * 1e3;
            println!(
                "{label}, {what}: {per_million:.3} s per M spans; emission {took_ms:.1} ms, {} writes, {samples} samples; {} bytes counted",
                emission.writes.len(),
                budget.used_bytes(),
            );
        }
    }
    for sets in [1000, 2000, 4000] {
        let budget = Budget::standalone(BudgetName::Derived, 64 << 20);
        let options = DeriveOptions { sets_max: sets, service_graph: false, ..DeriveOptions::default() };
        let derive = derive(options, &budget);
        let mut maker = Maker { next: 7, operations: 1_000_000 };
        let empty = budget.used_bytes();
        for at in 0..20 {
            derive.observe(Durable::Spans(&maker.batch()), at + 1);
        }
        println!("{sets} label sets and overflow: {} bytes counted", budget.used_bytes() - empty);
    }
}
