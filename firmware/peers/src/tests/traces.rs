//! Traces of which parts are here and there.

use super::contract::split_spans;
use super::{Hub, counted_peers, peers};
use crate::merge::MergedTraces;
use bramble_runtime::ManualClock;
use bramble_signal::attributes::{AttributeValue, put_attribute};
use bramble_signal::{SpanBatch, SpanEntry, SpanId, SpanKind, TraceId};
use bramble_storage::memory::MemoryTraces;
use bramble_storage::{
    AttributeScope, QueryContext, SpanFields, SpanPredicate, SpanScan, SpanSink, TraceSource, ValueTest,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

const HOUR_NS: u64 = 3_600_000_000_000;

fn batch(spans: &[(u8, u8, u64, bool)]) -> SpanBatch {
    let mut batch = SpanBatch::new();
    let mut resource = Vec::new();
    put_attribute(&mut resource, "service.name", AttributeValue::Str("beorn"));
    let attributes = batch.put(&resource);
    batch.resources.push(bramble_signal::ResourceEntry { attributes, ..Default::default() });
    batch.scopes.push(Default::default());
    for (trace, span, at, server) in spans {
        let mut own = Vec::new();
        put_attribute(&mut own, "n", AttributeValue::Int(i64::from(*span)));
        put_attribute(&mut own, "unwanted", AttributeValue::Str("much"));
        let (name, attributes) = (batch.put(format!("op-{span}").as_bytes()), batch.put(&own));
        batch.spans.push(SpanEntry {
            trace_id: TraceId([*trace + 1; 16]),
            span_id: SpanId([*span + 1; 8]),
            start_ns: at * HOUR_NS / 4,
            end_ns: at * HOUR_NS / 4 + u64::from(*span),
            kind: if *server { SpanKind::Server } else { SpanKind::Client },
            name,
            attributes,
            ..Default::default()
        });
    }
    batch
}

type Found = BTreeMap<(TraceId, u64, SpanId, u8), (String, String)>;

/// Spans that pass, and whether traces came whole and once.
fn all(source: &dyn TraceSource, scan: &SpanScan<'_>) -> (Found, Vec<TraceId>) {
    let context = QueryContext::unlimited();
    let (mut found, mut traces) = (Found::new(), Vec::new());
    let (mut cursor, mut batch) = (source.scan(scan, &context).unwrap(), SpanBatch::new());
    while cursor.next(&mut batch).unwrap() {
        for group in batch.spans.chunk_by(|a, b| a.trace_id == b.trace_id) {
            traces.push(group[0].trace_id);
        }
        for span in &batch.spans {
            let text = format!("{:?}", batch.attributes(span.attributes).iter().collect::<Vec<_>>());
            let key = (span.trace_id, span.start_ns, span.span_id, span.kind as u8);
            let before = found.insert(key, (batch.text(span.name).to_owned(), text));
            assert!(before.is_none(), "a span came twice");
        }
    }
    assert_eq!(context.warnings(), [""; 0]);
    (found, traces)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn a_split_answers_as_the_whole(
        spans in prop::collection::vec((0..50u8, 0..6u8, 0..40u64, any::<bool>()), 0..150),
        seed in any::<u64>(),
        three in any::<bool>(),
        now in 0..12i64,
    ) {
        // A span is itself by ids and kind: of those made up here, the first of each.
        let mut seen = std::collections::HashSet::new();
        let spans: Vec<_> = spans.into_iter().filter(|(t, s, _, k)| seen.insert((*t, *s, *k))).collect();
        let written = batch(&spans);
        let whole = MemoryTraces::new();
        whole.replay(&written, 1);
        let [here, there] = split_spans(seed, &written);
        let (ours, theirs, thirds) = (Arc::new(Hub::default()), Arc::new(Hub::default()), Arc::new(Hub::default()));
        ours.traces.replay(&here, 1);
        theirs.traces.replay(&there, 1);
        thirds.traces.replay(&there, 1);
        let hubs = if three { vec![theirs, thirds] } else { vec![theirs] };
        let clock = Arc::new(ManualClock::new(now * HOUR_NS as i64));
        let merged = MergedTraces::new(ours.traces.clone(), peers(&hubs), clock);
        let n = SpanPredicate::Attribute {
            scope: AttributeScope::Span,
            key: "n".into(),
            test: ValueTest::Within { at_least: 3.0, at_most: f64::INFINITY },
        };
        let predicates = [SpanPredicate::Any(vec![n, SpanPredicate::Name(ValueTest::Matches(regex::Regex::new("^op-0$").unwrap()))])];
        let fields = SpanFields { attributes: Some(vec!["n".into()]), ..SpanFields::LEAST };
        for (predicates, start_ns, end_ns) in [(&[][..], 0, u64::MAX), (&predicates[..], 2 * HOUR_NS, 7 * HOUR_NS)] {
            for whole_traces in [true, false] {
                let scan = SpanScan { whole_traces, ..SpanScan::whole(start_ns, end_ns, predicates) };
                let ((found, traces), (expected, _)) = (all(&merged, &scan), all(&whole, &scan));
                prop_assert_eq!(&found, &expected);
                if whole_traces {
                    let mut once = traces.clone();
                    once.sort();
                    once.dedup();
                    prop_assert_eq!(once.len(), traces.len(), "a trace came in parts");
                }
                let scan = SpanScan { fields: fields.clone(), ..scan };
                let (least, _) = all(&merged, &scan);
                prop_assert_eq!(least.len(), expected.len());
                prop_assert!(least.values().all(|(_, attributes)| attributes.contains("\"n\"")));
            }
        }
        let context = QueryContext::unlimited();
        for trace in 0..50u8 {
            let trace = TraceId([trace + 1; 16]);
            let ids = |batch: SpanBatch| {
                assert!(batch.spans.is_sorted_by_key(|span| span.start_ns));
                let mut ids: Vec<_> = batch.spans.iter().map(|s| (s.span_id, s.kind as u8, s.start_ns)).collect();
                ids.sort();
                ids
            };
            prop_assert_eq!(ids(merged.trace(trace, &context).unwrap()), ids(whole.trace(trace, &context).unwrap()));
        }
        prop_assert_eq!(merged.services(0, u64::MAX, &context).unwrap(), whole.services(0, u64::MAX, &context).unwrap());
        let operations = |source: &dyn TraceSource| source.operations("beorn", 0, u64::MAX, &context).unwrap();
        prop_assert_eq!(operations(&merged), operations(&whole));
        let range = (0, u64::MAX);
        for limit in [1, 100] {
            let names = |source: &dyn TraceSource| source.attribute_names(AttributeScope::Any, range, limit, &context).unwrap();
            prop_assert_eq!(names(&merged), names(&whole));
            let values = |source: &dyn TraceSource| source.attribute_values(AttributeScope::Span, "n", range, limit, &context).unwrap();
            prop_assert_eq!(values(&merged).0.len(), values(&whole).0.len());
            prop_assert_eq!(values(&merged).1, values(&whole).1);
        }
    }
}

#[test]
fn traces_that_are_the_same_need_not_travel() {
    let (ours, theirs) = (Arc::new(Hub::default()), Arc::new(Hub::default()));
    let spans: Vec<_> = (0..200u8).flat_map(|trace| (0..20).map(move |span| (trace, span, 3, true))).collect();
    ours.traces.replay(&batch(&spans), 1);
    theirs.traces.replay(&batch(&spans), 1);
    let (others, sent_bytes) = counted_peers(&[theirs]);
    let merged = MergedTraces::new(ours.traces.clone(), others, Arc::new(ManualClock::new(0)));
    let whole = SpanScan::whole(0, u64::MAX, &[]);
    let (found, traces) = all(&merged, &whole);
    assert_eq!((found.len(), traces.len()), (4000, 200));
    let sent = sent_bytes.swap(0, std::sync::atomic::Ordering::Relaxed);
    assert!(sent < 200 * 32, "{sent} bytes for 200 traces");
    let (found, _) = all(&merged, &SpanScan { whole_traces: false, ..whole });
    assert_eq!(found.len(), 4000);
    let sent = sent_bytes.load(std::sync::atomic::Ordering::Relaxed);
    assert!(sent < 56 * 100, "{sent} bytes for 4000 spans");
}
