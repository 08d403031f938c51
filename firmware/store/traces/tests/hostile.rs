//! Spans that nobody should send: each comes back as it was, from the head, a block and a merged block, and what the
//! store holds for it stays in proportion.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

#[allow(dead_code, reason = "other tests use more of it")]
mod common;

use bramble_signal::attributes::{AttributeValue, AttributesRef, put_attribute};
use bramble_signal::{
    ResourceEntry, ScopeEntry, SpanBatch, SpanEntry, SpanEvent, SpanId, SpanKind, SpanLink, TraceId, put_event,
    put_link,
};
use bramble_storage::{BlockStore, QueryContext, TraceSource};
use common::{BASE_NS, Bench, canonical};

fn batch() -> SpanBatch {
    let mut batch = SpanBatch::new();
    batch.resources.push(ResourceEntry::default());
    batch.scopes.push(ScopeEntry::default());
    batch
}

fn span(batch: &mut SpanBatch, trace: u64, number: u64, parent: u64, attributes: &[u8]) -> SpanEntry {
    let mut trace_id = [0; 16];
    trace_id[8..].copy_from_slice(&trace.to_be_bytes());
    let attributes = batch.put(attributes);
    SpanEntry {
        trace_id: TraceId(trace_id),
        span_id: SpanId(number.to_be_bytes()),
        parent_span_id: SpanId(parent.to_be_bytes()),
        start_ns: BASE_NS + number % 1000,
        end_ns: BASE_NS + 5000,
        attributes,
        ..Default::default()
    }
}

/// Puts batches into the head, one generation for each, and checks every trace in all places it goes through.
fn check(batches: &[SpanBatch], traces: std::ops::Range<u64>) {
    let context = QueryContext::unlimited();
    let mut whole = batch();
    for batch in batches {
        batch.spans.iter().for_each(|span| whole.push_from(batch, span));
    }
    let expected = |id: TraceId| {
        let mut of = SpanBatch::new();
        whole.spans.iter().filter(|s| s.trace_id == id).for_each(|s| of.push_from(&whole, s));
        canonical(&of)
    };
    let bench = Bench::open_limits();
    let step = (traces.end - traces.start).div_ceil(7) as usize;
    let compare = |place: &str| {
        for trace in traces.clone().step_by(step) {
            let mut id = [0; 16];
            id[8..].copy_from_slice(&trace.to_be_bytes());
            let found = bench.store.trace(TraceId(id), &context).unwrap();
            assert!(canonical(&found) == expected(TraceId(id)), "trace {trace} in {place}");
        }
    };
    for (number, batch) in batches.iter().enumerate() {
        bench.put(batch.clone());
        if number + 1 < batches.len() {
            bench.flush();
        }
    }
    compare("head");
    bench.flush();
    compare("block");
    bench.merge();
    compare("merged block");
    assert_eq!(context.warnings(), [] as [String; 0]);
}

#[test]
fn keys_of_its_own_in_every_span() {
    let of = |part: u64| {
        let mut batch = batch();
        for number in part * 4000..(part + 1) * 4000 {
            let mut attributes = Vec::new();
            for key in 0..8 {
                put_attribute(&mut attributes, &format!("key-{number}-{key}"), AttributeValue::Int(number as i64));
            }
            put_attribute(&mut attributes, "common", AttributeValue::Str("text"));
            let entry = span(&mut batch, 1 + number / 8, number + 1, 0, &attributes);
            batch.spans.push(entry);
        }
        batch
    };
    let batches = [of(0), of(1)];
    let bench = Bench::open_limits();
    batches.iter().for_each(|batch| bench.put(batch.clone()));
    let sent: usize = batches.iter().map(|b| b.arena.len()).sum();
    assert!(bench.store.head().total_bytes < sent * 3, "{} for {sent}", bench.store.head().total_bytes);
    bench.flush();
    let stored: u64 = bench.blocks().iter().map(|b| b.file_bytes).sum();
    assert!(stored < sent as u64, "{stored} for {sent}");
    check(&batches, 1..1001);
}

#[test]
fn thousands_of_attributes_and_events_in_one_span() {
    let mut batch = batch();
    for trace in 1..4u64 {
        let mut attributes = Vec::new();
        for key in 0..5000 {
            put_attribute(&mut attributes, &format!("key-{}", key % 3000), AttributeValue::Int(key));
        }
        let mut entry = span(&mut batch, trace, 1, 0, &attributes);
        let (mut events, mut links) = (Vec::new(), Vec::new());
        for number in 0..5000u64 {
            let mut attributes = Vec::new();
            put_attribute(&mut attributes, &format!("key-{number}"), AttributeValue::Str("exception"));
            put_attribute(
                &mut attributes,
                "message",
                AttributeValue::Str(["refused", "timed out"][number as usize % 2]),
            );
            let attributes = AttributesRef::from_encoded(&attributes);
            let time_ns = number.wrapping_mul(u64::MAX / 7);
            put_event(&mut events, &SpanEvent { time_ns, name: "retry", attributes, dropped_attributes: 0 });
            let link = SpanLink {
                trace_id: TraceId([number as u8; 16]),
                span_id: SpanId([7; 8]),
                trace_state: "",
                flags: number as u32,
                attributes,
                dropped_attributes: 3,
            };
            put_link(&mut links, &link);
        }
        (entry.events, entry.links) = (batch.put(&events), batch.put(&links));
        batch.spans.push(entry);
        let plain = span(&mut batch, trace, 2, 1, &[]);
        batch.spans.push(plain);
    }
    check(&[batch], 1..4);
}

#[test]
fn parents_in_long_chains_rings_and_themselves() {
    let mut batch = batch();
    for number in 1..=20_000u64 {
        let entry = span(&mut batch, 1, number, number - 1, &[]);
        batch.spans.push(entry);
    }
    for number in 1..=50u64 {
        let entry = span(&mut batch, 2, number, number % 50 + 1, &[]);
        batch.spans.push(entry);
        let entry = span(&mut batch, 3, number, number, &[]);
        batch.spans.push(entry);
    }
    check(&[batch], 1..4);
}

#[test]
fn links_within_their_trace_and_out_of_it() {
    const SPANS: u64 = 40;
    let id = |number: u64| number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let of = |part: u64, links_of: &dyn Fn(u64, u64) -> Vec<(u64, u64)>| {
        let mut batch = batch();
        for trace in 1..300u64 {
            // Small traces are searched, large ones hashed; parts are merged in between one another.
            for number in (0..if trace % 3 == 0 { SPANS } else { 8 }).filter(|number| number % 2 == part) {
                let mut links = Vec::new();
                for (to_trace, to_span) in links_of(trace, number) {
                    let mut trace_id = [0; 16];
                    trace_id[8..].copy_from_slice(&to_trace.to_be_bytes());
                    let link = SpanLink {
                        trace_id: TraceId(trace_id),
                        span_id: SpanId(id(to_span).to_be_bytes()),
                        trace_state: "",
                        flags: 0,
                        attributes: AttributesRef::default(),
                        dropped_attributes: 0,
                    };
                    put_link(&mut links, &link);
                }
                let mut entry = span(&mut batch, trace, id(trace * SPANS + number), 0, &[]);
                entry.links = batch.put(&links);
                batch.spans.push(entry);
            }
        }
        batch
    };
    let any = |trace: u64, number: u64| -> Vec<(u64, u64)> {
        let own = (trace, trace * SPANS + (number + trace) % 8);
        match number % 4 {
            // Itself, one that comes by a merge or not at all, another trace's, none.
            0 => vec![(trace, trace * SPANS + number), own],
            1 => vec![own, (trace, 1 << 40), (trace + 1, own.1), (0, own.1), own],
            2 => vec![(trace, trace * SPANS + SPANS - 1)],
            _ => Vec::new(),
        }
    };
    check(&[of(0, &any), of(1, &any)], 1..300);
    let bytes = |batches: [SpanBatch; 2]| {
        let bench = Bench::open_limits();
        for batch in batches {
            bench.put(batch);
            bench.flush();
        }
        bench.merge();
        bench.store.page_bytes().unwrap()["links"]
    };
    let inside = |trace: u64, number: u64| vec![(trace, trace * SPANS + (number + 1) % 8)];
    let own = bytes([of(0, &inside), of(1, &inside)]);
    let links = 200 * 8 + 99 * SPANS;
    assert!(own < links, "{own} for {links}");
}

#[test]
fn megabyte_values_and_times_at_the_ends_of_time() {
    let mut batches = Vec::new();
    for part in 0..3u64 {
        let mut batch = batch();
        for trace in 1..5u64 {
            let text: String = (0..1_000_000 + part).map(|n| ['a', 'b', 'c'][((n * n + trace) % 3) as usize]).collect();
            let mut attributes = Vec::new();
            put_attribute(&mut attributes, "large", AttributeValue::Str(&text));
            let mut entry = span(&mut batch, trace, 1 + part, part, &attributes);
            (entry.start_ns, entry.end_ns) =
                [(0, u64::MAX), (u64::MAX / 2, 0), (1, 0), (BASE_NS, BASE_NS - 1)][trace as usize % 4];
            batch.spans.push(entry);
        }
        batches.push(batch);
    }
    check(&batches, 1..5);
}

#[test]
fn two_sides_of_one_span_are_two() {
    let side = |kind: SpanKind| {
        let mut batch = batch();
        for trace in 1..20u64 {
            let entry = span(&mut batch, trace, 7, 1, &[]);
            batch.spans.push(SpanEntry { kind, ..entry });
        }
        batch
    };
    let (client, server) = (side(SpanKind::Client), side(SpanKind::Server));
    let mut both = client.clone();
    server.spans.iter().for_each(|span| both.push_from(&server, span));
    check(&[both], 1..20);
    let bench = Bench::open_limits();
    for batch in [&client, &server, &client] {
        bench.put(batch.clone());
        bench.flush();
    }
    bench.merge();
    assert_eq!(bench.blocks().iter().map(|b| b.items).sum::<u64>(), 19 * 2, "and the third is the first again");
}

#[test]
fn late_and_repeated_spans_join_their_trace() {
    let part = |from: u64, to: u64| {
        let mut batch = batch();
        for trace in 1..300u64 {
            for number in from..to {
                let mut attributes = Vec::new();
                put_attribute(&mut attributes, "request_id", AttributeValue::Str(&format!("req-{trace:05}")));
                let entry = span(&mut batch, trace, number, number / 2, &attributes);
                batch.spans.push(entry);
            }
        }
        batch
    };
    let context = QueryContext::unlimited();
    let bench = Bench::open_limits();
    for (from, to) in [(3, 6), (1, 4), (5, 9)] {
        bench.put(part(from, to));
        bench.flush();
    }
    bench.put(part(8, 10));
    let all = |place: &str| {
        let mut id = [0; 16];
        id[15] = 77;
        let numbers: Vec<u8> =
            bench.store.trace(TraceId(id), &context).unwrap().spans.iter().map(|s| s.span_id.0[7]).collect();
        assert_eq!(numbers, (1..10).collect::<Vec<_>>(), "{place}");
    };
    all("pieces");
    bench.flush();
    bench.merge();
    all("one");
    assert_eq!(bench.blocks().iter().map(|b| b.items).sum::<u64>(), 299 * 9, "merged, each is once");
}
