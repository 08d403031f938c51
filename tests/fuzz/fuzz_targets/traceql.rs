//! Any text as a TraceQL query: it is refused with a place, or reads back as it prints, and runs over a few spans.
#![no_main]

use bramble_query_traceql::{MetricsOptions, SearchOptions, measure_with, parse, search_with};
use bramble_signal::attributes::{AttributeValue, put_array, put_attribute, put_key, put_value};
use bramble_signal::{
    ResourceEntry, ScopeEntry, SpanBatch, SpanEntry, SpanEvent, SpanId, StatusCode, TraceId, put_event,
};
use bramble_storage::memory::MemoryTraces;
use bramble_storage::{QueryContext, SpanSink};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

/// Roots, a chain, an orphan and a cycle, with attributes of every type.
static TRACES: LazyLock<MemoryTraces> = LazyLock::new(|| {
    let mut batch = SpanBatch::new();
    let mut bytes = Vec::new();
    put_attribute(&mut bytes, "service.name", AttributeValue::Str("shop"));
    let attributes = batch.put(&bytes);
    batch.resources.push(ResourceEntry { attributes, ..Default::default() });
    batch.scopes.push(ScopeEntry::default());
    for (id, parent) in [(1, 0), (2, 1), (3, 2), (4, 9), (5, 6), (6, 5), (7, 0)] {
        let mut bytes = Vec::new();
        put_attribute(&mut bytes, "a", AttributeValue::Int(i64::from(id) - 3));
        put_attribute(&mut bytes, "b", AttributeValue::Double(f64::from(id) / 2.0));
        put_attribute(&mut bytes, "c", AttributeValue::Str("text"));
        put_attribute(&mut bytes, "d", AttributeValue::Bool(id > 3));
        put_attribute(&mut bytes, "big", AttributeValue::Int(i64::MIN));
        put_key(&mut bytes, "e");
        let _ = put_array::<()>(&mut bytes, |out| {
            put_value(out, AttributeValue::Int(1));
            put_value(out, AttributeValue::Str("x"));
            Ok(())
        });
        let mut events = Vec::new();
        let event = SpanEvent { time_ns: 5, name: "log", attributes: Default::default(), dropped_attributes: 0 };
        put_event(&mut events, &event);
        let span = SpanEntry {
            trace_id: TraceId([1; 16]),
            span_id: SpanId([id; 8]),
            parent_span_id: SpanId([parent; 8]),
            start_ns: u64::from(id) * 1_000_000_000,
            end_ns: u64::from(id) * 1_100_000_000,
            status: StatusCode::from_code(u64::from(id) % 3),
            name: batch.put(b"GET /"),
            attributes: batch.put(&bytes),
            events: batch.put(&events),
            ..Default::default()
        };
        batch.spans.push(span);
    }
    let traces = MemoryTraces::new();
    if let Ok(prepared) = traces.prepare(batch, 0) {
        traces.apply(prepared, Default::default());
    }
    traces
});

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let query = match parse(text) {
        Ok(query) => query,
        Err(error) => {
            assert!((1..=text.lines().count() + 1).contains(&error.line), "{error:?}");
            assert!(error.column >= 1 && error.column <= text.chars().count() + 1, "{error:?}");
            return;
        }
    };
    let printed = query.to_string();
    match parse(&printed) {
        Ok(again) => assert_eq!(again.to_string(), printed),
        // Brackets are spelt out when printing, which may be deeper than may be written.
        Err(error) => assert!(error.text.contains("deeper") || error.text.contains("longer"), "{printed}: {error}"),
    }
    let context = QueryContext::unlimited();
    let options = SearchOptions { start_ns: 0, end_ns: u64::MAX, limit: 10, spans_per_set: 3 };
    assert!(search_with(&query, &*TRACES, &options, &context, &mut |_| true).is_ok());
    let options = MetricsOptions { start_ns: 0, end_ns: 10_000_000_000, step_ns: Some(1_000_000_000) };
    assert!(measure_with(&query, &*TRACES, &options, Some(10), &context, &mut |_| true).is_ok());
});
