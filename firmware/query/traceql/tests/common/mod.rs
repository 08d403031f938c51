//! Spans from a few words, and a store of them.

#![allow(dead_code, clippy::unwrap_used, reason = "each test uses some of it; a test may fail by panicking")]

use bramble_query_traceql::*;
use bramble_signal::attributes::{AttributeValue, put_array, put_attribute, put_key, put_value};
use bramble_signal::{ResourceEntry, ScopeEntry, SpanBatch, SpanEntry, SpanId, SpanKind, StatusCode, TraceId};
use bramble_signal::{SpanEvent, put_event};
use bramble_storage::memory::MemoryTraces;
use bramble_storage::{QueryContext, SpanSink};

pub(crate) const SECOND_NS: u64 = 1_000_000_000;

/// A span of service `s{service}`.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) trace: u8,
    pub(crate) id: u8,
    pub(crate) parent: u8,
    pub(crate) service: u8,
    pub(crate) name: &'static str,
    pub(crate) start_ns: u64,
    pub(crate) duration_ns: u64,
    pub(crate) status: StatusCode,
    pub(crate) kind: SpanKind,
    pub(crate) ints: Vec<(&'static str, i64)>,
    pub(crate) doubles: Vec<(&'static str, f64)>,
    pub(crate) texts: Vec<(&'static str, &'static str)>,
    pub(crate) tags: Vec<&'static str>,
    pub(crate) events: Vec<&'static str>,
}

pub(crate) fn span(trace: u8, id: u8, parent: u8, name: &'static str) -> Span {
    Span {
        trace,
        id,
        parent,
        service: 0,
        name,
        start_ns: u64::from(trace) * 100 * SECOND_NS + u64::from(id) * 1_000,
        duration_ns: u64::from(id) * 1_000_000,
        status: StatusCode::Unset,
        kind: SpanKind::Internal,
        ints: Vec::new(),
        doubles: Vec::new(),
        texts: Vec::new(),
        tags: Vec::new(),
        events: Vec::new(),
    }
}

fn span_id(n: u8) -> SpanId {
    SpanId([0, 0, 0, 0, 0, 0, 0, n])
}

pub(crate) fn trace_id(n: u8) -> TraceId {
    TraceId(u128::from(n).to_be_bytes())
}

pub(crate) fn batch(spans: &[Span]) -> SpanBatch {
    let mut batch = SpanBatch::new();
    for service in 0..=spans.iter().map(|s| s.service).max().unwrap_or(0) {
        let mut bytes = Vec::new();
        put_attribute(&mut bytes, "service.name", AttributeValue::Str(&format!("s{service}")));
        let attributes = batch.put(&bytes);
        batch.resources.push(ResourceEntry { attributes, ..Default::default() });
    }
    batch.scopes.push(ScopeEntry::default());
    for s in spans {
        let mut bytes = Vec::new();
        s.ints.iter().for_each(|(k, v)| put_attribute(&mut bytes, k, AttributeValue::Int(*v)));
        s.doubles.iter().for_each(|(k, v)| put_attribute(&mut bytes, k, AttributeValue::Double(*v)));
        s.texts.iter().for_each(|(k, v)| put_attribute(&mut bytes, k, AttributeValue::Str(v)));
        if !s.tags.is_empty() {
            put_key(&mut bytes, "tags");
            put_array::<()>(&mut bytes, |out| {
                s.tags.iter().for_each(|tag| put_value(out, AttributeValue::Str(tag)));
                Ok(())
            })
            .unwrap();
        }
        let mut events = Vec::new();
        for name in &s.events {
            let event = SpanEvent { time_ns: s.start_ns, name, attributes: Default::default(), dropped_attributes: 0 };
            put_event(&mut events, &event);
        }
        let entry = SpanEntry {
            trace_id: trace_id(s.trace),
            span_id: span_id(s.id),
            parent_span_id: span_id(s.parent),
            resource: u32::from(s.service),
            start_ns: s.start_ns,
            end_ns: s.start_ns + s.duration_ns,
            kind: s.kind,
            status: s.status,
            name: batch.put(s.name.as_bytes()),
            attributes: batch.put(&bytes),
            events: batch.put(&events),
            ..Default::default()
        };
        batch.spans.push(entry);
    }
    batch
}

pub(crate) fn store(spans: &[Span]) -> MemoryTraces {
    let traces = MemoryTraces::new();
    let prepared = traces.prepare(batch(spans), 0).unwrap();
    traces.apply(prepared, Default::default());
    traces
}

pub(crate) const EVERYTHING: SearchOptions =
    SearchOptions { start_ns: 0, end_ns: u64::MAX / 2, limit: 1000, spans_per_set: usize::MAX };

/// Trace and span of all accepted spans, ascending.
pub(crate) fn found(text: &str, traces: &MemoryTraces) -> Vec<(u8, u8)> {
    let query = parse(text).unwrap();
    let found = search(&query, traces, &EVERYTHING, &QueryContext::unlimited()).unwrap();
    let mut out: Vec<(u8, u8)> = found
        .iter()
        .flat_map(|t| t.sets.iter().flat_map(|set| &set.spans).map(|s| (t.trace_id.0[15], s.span_id.0[7])))
        .collect();
    out.sort_unstable();
    out.dedup();
    out
}
