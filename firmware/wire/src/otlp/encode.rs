//! A [`SpanBatch`] as `TracesData` in protobuf.

use crate::protobuf::Writer;
use bramble_signal::attributes::{AttributeValue, AttributesRef};
use bramble_signal::{ResourceEntry, ScopeEntry, SpanBatch, SpanEntry};

/// Spans of one resource and scope, as ranges over the order of [`span_order`].
pub(super) fn same_resource(batch: &SpanBatch) -> impl Fn(&u32, &u32) -> bool + '_ {
    |&a, &b| resource_of(batch, a) == resource_of(batch, b)
}

pub(super) fn same_scope(batch: &SpanBatch) -> impl Fn(&u32, &u32) -> bool + '_ {
    |&a, &b| scope_of(batch, a) == scope_of(batch, b)
}

fn resource_of(batch: &SpanBatch, span: u32) -> u32 {
    batch.spans.get(span as usize).map_or(0, |s| s.resource)
}

fn scope_of(batch: &SpanBatch, span: u32) -> u32 {
    batch.spans.get(span as usize).map_or(0, |s| s.scope)
}

/// Indexes of the batch's spans by resource, scope, and arrival.
pub(super) fn span_order(batch: &SpanBatch) -> Vec<u32> {
    let mut order: Vec<u32> = (0..batch.spans.len() as u32).collect();
    order.sort_by_key(|&span| (resource_of(batch, span), scope_of(batch, span)));
    order
}

/// Appends the batch as an OTLP `TracesData` message (also an `ExportTraceServiceRequest` and a Tempo `Trace`:
/// all three have the same field), spans grouped by resource and scope, in order of arrival within.
pub fn encode_traces_protobuf(batch: &SpanBatch, out: &mut Vec<u8>) {
    encode_in_order(batch, &span_order(batch), out);
}

/// The same with all spans in order of arrival: a resource or a scope is repeated where spans of another come between.
pub(crate) fn encode_arrivals_protobuf(batch: &SpanBatch, out: &mut Vec<u8>) {
    let order: Vec<u32> = (0..batch.spans.len() as u32).collect();
    encode_in_order(batch, &order, out);
}

fn encode_in_order(batch: &SpanBatch, order: &[u32], out: &mut Vec<u8>) {
    let mut writer = Writer::new(out);
    for of_resource in order.chunk_by(same_resource(batch)) {
        writer.message(1, |w| {
            let index = of_resource.first().map_or(0, |&span| resource_of(batch, span));
            let entry = batch.resources.get(index as usize).copied().unwrap_or_default();
            resource(w, batch, &entry);
            for of_scope in of_resource.chunk_by(same_scope(batch)) {
                w.message(2, |w| {
                    let index = of_scope.first().map_or(0, |&span| scope_of(batch, span));
                    scope_spans(w, batch, &batch.scopes.get(index as usize).copied().unwrap_or_default(), of_scope);
                });
            }
            text(w, 3, batch.text(entry.schema_url));
        });
    }
}

fn resource(w: &mut Writer<'_>, batch: &SpanBatch, entry: &ResourceEntry) {
    w.message(1, |w| {
        attributes(w, 1, batch.attributes(entry.attributes));
        count(w, 2, entry.dropped_attributes);
    });
}

fn scope_spans(w: &mut Writer<'_>, batch: &SpanBatch, entry: &ScopeEntry, spans: &[u32]) {
    w.message(1, |w| {
        text(w, 1, batch.text(entry.name));
        text(w, 2, batch.text(entry.version));
        attributes(w, 3, batch.attributes(entry.attributes));
        count(w, 4, entry.dropped_attributes);
    });
    for entry in spans.iter().filter_map(|&index| batch.spans.get(index as usize)) {
        w.message(2, |w| span(w, batch, entry));
    }
    text(w, 3, batch.text(entry.schema_url));
}

fn span(w: &mut Writer<'_>, batch: &SpanBatch, span: &SpanEntry) {
    w.bytes(1, span.trace_id.0);
    w.bytes(2, span.span_id.0);
    text(w, 3, batch.text(span.trace_state));
    if !span.parent_span_id.is_zero() {
        w.bytes(4, span.parent_span_id.0);
    }
    text(w, 5, batch.text(span.name));
    count(w, 6, span.kind as u32);
    time(w, 7, span.start_ns);
    time(w, 8, span.end_ns);
    attributes(w, 9, batch.attributes(span.attributes));
    count(w, 10, span.dropped_attributes);
    for event in batch.events(span) {
        w.message(11, |w| {
            time(w, 1, event.time_ns);
            text(w, 2, event.name);
            attributes(w, 3, event.attributes);
            count(w, 4, event.dropped_attributes);
        });
    }
    count(w, 12, span.dropped_events);
    for link in batch.links(span) {
        w.message(13, |w| {
            w.bytes(1, link.trace_id.0);
            w.bytes(2, link.span_id.0);
            text(w, 3, link.trace_state);
            attributes(w, 4, link.attributes);
            count(w, 5, link.dropped_attributes);
            flags(w, 6, link.flags);
        });
    }
    count(w, 14, span.dropped_links);
    w.message(15, |w| {
        text(w, 2, batch.text(span.status_message));
        count(w, 3, span.status as u32);
    });
    flags(w, 16, span.flags);
}

fn text(w: &mut Writer<'_>, number: u32, text: &str) {
    if !text.is_empty() {
        w.bytes(number, text);
    }
}

fn count(w: &mut Writer<'_>, number: u32, value: u32) {
    if value != 0 {
        w.varint(number, value.into());
    }
}

fn time(w: &mut Writer<'_>, number: u32, ns: u64) {
    if ns != 0 {
        w.fixed64(number, ns);
    }
}

fn flags(w: &mut Writer<'_>, number: u32, flags: u32) {
    if flags != 0 {
        w.fixed32(number, flags);
    }
}

/// Writes attributes as repeated `KeyValue` fields.
pub(super) fn attributes(w: &mut Writer<'_>, number: u32, attributes: AttributesRef<'_>) {
    for (key, value) in attributes.iter() {
        w.message(number, |w| {
            text(w, 1, key);
            w.message(2, |w| any_value(w, value));
        });
    }
}

fn any_value(w: &mut Writer<'_>, value: AttributeValue<'_>) {
    match value {
        AttributeValue::Empty => {}
        AttributeValue::Str(text) => w.bytes(1, text),
        AttributeValue::Bool(b) => w.varint(2, b.into()),
        AttributeValue::Int(i) => w.varint(3, i.cast_unsigned()),
        AttributeValue::Double(d) => w.double(4, d),
        AttributeValue::Array(values) => w.message(5, |w| {
            for value in values.iter() {
                w.message(1, |w| any_value(w, value));
            }
        }),
        AttributeValue::List(list) => w.message(6, |w| attributes(w, 1, list)),
        AttributeValue::Bytes(bytes) => w.bytes(7, bytes),
    }
}
