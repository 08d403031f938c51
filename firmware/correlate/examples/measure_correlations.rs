//! How many items a second one core takes through the correlator, and what open windows cost.
//!
//! `cargo run --release -p bramble-correlate --example measure_correlations [traces]`: traces of 8.5 spans of four services, and as many
//! JSON lines of about 300 bytes with ids, in batches of a hundred, as they come off the journal. First as they arrive over
//! time, published and settled as in the appliance; then 10,000 windows that are open at once.

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use bramble_correlate::{Correlator, CorrelatorOptions};
use bramble_runtime::{Budget, BudgetName, Clock, ManualClock};
use bramble_signal::attributes::{AttributeValue, put_attribute};
use bramble_signal::{
    LogBatch, ResourceEntry, ScopeEntry, SpanBatch, SpanEntry, SpanId, SpanKind, StatusCode, TraceId,
};
use bramble_storage::memory::MemoryLogs;
use bramble_storage::{Durable, Observer};
use std::sync::Arc;
use std::time::{Duration, Instant};

const SERVICES: [&str; 4] = ["beorn", "palantir", "arda", "gollum"];
const NAMES: [&str; 6] = ["GET /orders", "POST /orders", "SELECT", "publish", "render", "authorize"];
const START_NS: i64 = 1_700_000_000_000_000_000;
const TRACES_PER_BATCH: u64 = 12;
/// 60 traces a second.
const BETWEEN_NS: u64 = 1_000_000_000 / 60;

fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    n ^ (n >> 29)
}

fn trace_id(trace: u64) -> TraceId {
    let (high, low) = (mix(trace + 1), mix(trace ^ 0xabcd));
    TraceId(((u128::from(high) << 64) | u128::from(low)).to_be_bytes())
}

fn spans_of(trace: u64) -> u64 {
    8 + trace % 2
}

fn at_ns(trace: u64) -> i64 {
    START_NS + (trace * BETWEEN_NS) as i64
}

fn spans(first: u64) -> SpanBatch {
    let mut batch = SpanBatch::new();
    batch.scopes.push(ScopeEntry::default());
    for service in SERVICES {
        let mut bytes = Vec::new();
        let pairs = [("service.name", service), ("host.name", "pi-1"), ("deployment.environment", "prod")];
        pairs.iter().for_each(|(key, value)| put_attribute(&mut bytes, key, AttributeValue::Str(value)));
        let attributes = batch.put(&bytes);
        batch.resources.push(ResourceEntry { attributes, ..Default::default() });
    }
    for trace in first..first + TRACES_PER_BATCH {
        for nth in 0..spans_of(trace) {
            let start_ns = (at_ns(trace) + nth as i64 * 1_000_000) as u64;
            let mut bytes = Vec::new();
            put_attribute(&mut bytes, "http.request.method", AttributeValue::Str("GET"));
            put_attribute(&mut bytes, "url.path", AttributeValue::Str("/orders/4711"));
            put_attribute(&mut bytes, "http.response.status_code", AttributeValue::Int(200));
            put_attribute(&mut bytes, "net.peer.name", AttributeValue::Str("10.0.0.7"));
            if nth == 0 {
                put_attribute(&mut bytes, "circuit_id", AttributeValue::Str(&format!("circuit-{}", trace % 5000)));
            }
            let name = batch.put(NAMES[(nth % 6) as usize].as_bytes());
            let attributes = batch.put(&bytes);
            batch.spans.push(SpanEntry {
                trace_id: trace_id(trace),
                span_id: SpanId((nth + 1).to_be_bytes()),
                parent_span_id: SpanId((nth / 2 + u64::from(nth > 1)).to_be_bytes()),
                resource: (nth * 4 / 9).min(3) as u32,
                start_ns,
                end_ns: start_ns + 20_000_000 / (nth + 1),
                kind: if nth % 2 == 0 { SpanKind::Server } else { SpanKind::Client },
                status: if trace % 50 == 0 && nth == 5 { StatusCode::Error } else { StatusCode::Unset },
                name,
                attributes,
                ..Default::default()
            });
        }
    }
    batch
}

fn logs(first: u64) -> LogBatch {
    let mut batch = LogBatch::new();
    for (nth, service) in SERVICES.iter().enumerate() {
        batch.start_stream(&mut [("service_name", service), ("host", "pi-1"), ("env", "prod")]).unwrap();
        for trace in first..first + TRACES_PER_BATCH {
            for line in 0..2u64 {
                let at_ns = at_ns(trace) + nth as i64 * 2_000_000 + line as i64 * 300_000;
                let text = format!(
                    r#"{{"ts":"2026-11-21T12:00:00.123Z","level":"info","logger":"orders.http","thread":"worker-{line}","msg":"request handled","method":"GET","path":"/orders/{trace}","status":200,"duration_ms":12.5,"trace_id":"{}","span_id":"00000000000000{:02}","circuit_id":"circuit-{}","user":"u{}"}}"#,
                    trace_id(trace),
                    nth * 2 + 1,
                    trace % 5000,
                    trace % 977
                );
                batch.push_entry(at_ns, text.as_bytes(), &mut []).unwrap();
            }
        }
    }
    batch
}

fn new(budget: &Budget, clock: &Arc<ManualClock>) -> Correlator {
    let (registry, source) = (prometheus::Registry::new(), Arc::new(MemoryLogs::default()));
    Correlator::new(CorrelatorOptions::default(), clock.clone(), budget, &registry, source).unwrap()
}

/// What is measured takes: seconds to enter, seconds to publish, items, correlations.
#[derive(Default)]
struct Taken {
    entering: Duration,
    publishing: Duration,
    items: u64,
    correlations: u64,
}

fn run(traces: u64, with_spans: bool, with_logs: bool) -> Taken {
    let budget = Budget::standalone(BudgetName::Correlate, 32 << 20);
    let clock = Arc::new(ManualClock::new(START_NS));
    let correlator = new(&budget, &clock);
    let (mut taken, mut sequence) = (Taken::default(), 0);
    for first in (0..traces).step_by(TRACES_PER_BATCH as usize) {
        let (spans, logs) = (spans(first), logs(first));
        let begun = Instant::now();
        if with_spans {
            sequence += 1;
            correlator.observe(Durable::Spans(&spans), sequence);
            taken.items += spans.spans.len() as u64;
        }
        if with_logs {
            sequence += 1;
            correlator.observe(Durable::Logs(&logs), sequence);
            taken.items += logs.entry_count() as u64;
        }
        taken.entering += begun.elapsed();
        clock.advance_ns(BETWEEN_NS * TRACES_PER_BATCH);
        let begun = Instant::now();
        let publication = correlator.publish();
        taken.correlations += publication.correlations.len() as u64;
        correlator.settle(publication.round, true);
        taken.publishing += begun.elapsed();
    }
    taken
}

fn main() {
    let traces = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(60_000u64);
    for (what, with_spans, with_logs) in [("spans", true, false), ("lines", false, true), ("both", true, true)] {
        let taken = run(traces, with_spans, with_logs);
        let ns = |of: Duration| of.as_nanos() as f64 / taken.items as f64;
        println!(
            "{what:>6}: {:>9} items, {:.3} µs each to enter, {:.3} µs to publish: {:.0} items/s; {} correlations, {:.1} µs each",
            taken.items,
            ns(taken.entering) / 1e3,
            ns(taken.publishing) / 1e3,
            1e9 / (ns(taken.entering) + ns(taken.publishing)),
            taken.correlations,
            taken.publishing.as_secs_f64() * 1e6 / taken.correlations.max(1) as f64
        );
    }
    let budget = Budget::standalone(BudgetName::Correlate, 32 << 20);
    let clock = Arc::new(ManualClock::new(START_NS));
    let correlator = new(&budget, &clock);
    let before = resident_bytes();
    for (sequence, first) in (1..).zip((0..10_000).step_by(TRACES_PER_BATCH as usize)) {
        correlator.observe(Durable::Spans(&spans(first)), sequence);
    }
    println!(
        "10,000 open windows of 8.5 spans: {:.1} MiB of the budget, {:.1} MiB resident",
        budget.used_bytes() as f64 / 1048576.0,
        (resident_bytes() - before) as f64 / 1048576.0
    );
    for (sequence, first) in (2000..).zip((0..10_000).step_by(TRACES_PER_BATCH as usize)) {
        correlator.observe(Durable::Logs(&logs(first)), sequence);
    }
    let open = correlator.publish().correlations.len();
    println!(
        "and of 8 lines: {:.1} MiB of the budget, {:.1} MiB resident, {open} closed early; clock {}",
        budget.used_bytes() as f64 / 1048576.0,
        (resident_bytes() - before) as f64 / 1048576.0,
        clock.wall_ms()
    );
}

fn resident_bytes() -> i64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<i64>().ok()).unwrap_or(0) * 4096
}
