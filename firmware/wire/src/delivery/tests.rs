//! What a node's write path was given is what its hub's is given.

use super::*;
use bramble_signal::attributes::{
    AttributeValue, AttributesRef, put_array, put_attribute, put_key, put_list, put_value,
};
use bramble_signal::histogram::{BucketSpan, CUSTOM_BUCKETS_SCHEMA, NativeHistogram, ResetHint};
use bramble_signal::{Exemplar, Labels, LogBatch, MetricBatch, MetricKind, MetricMetadata, ResourceEntry, ScopeEntry};
use bramble_signal::{SpanBatch, SpanEntry, SpanEvent, SpanId, SpanKind, SpanLink, StatusCode, TraceId};
use proptest::collection::vec;
use proptest::prelude::*;
use std::convert::Infallible;

const LIMIT: usize = 64 << 20;

type Pairs = Vec<(String, String)>;

/// Names are unique after sorting, as the receivers see to; a few are not plain, one floats.
fn pairs() -> impl Strategy<Value = Pairs> {
    let name =
        prop_oneof!["[a-c_]{1,3}", Just("\u{1}trace_id".to_owned()), Just("a b\"=,".to_owned()), Just("ü".into())];
    proptest::collection::btree_map(name, "\\PC{1,6}", 0..5).prop_map(|map| map.into_iter().collect())
}

fn borrowed(pairs: &Pairs) -> Vec<(&str, &str)> {
    pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect()
}

fn labels(pairs: &Pairs) -> Labels {
    Labels::from_pairs(borrowed(pairs))
}

fn any_double() -> impl Strategy<Value = f64> {
    prop_oneof![any::<u64>().prop_map(f64::from_bits), (-1000i32..1000).prop_map(f64::from), Just(-0.0), Just(0.0)]
}

fn histogram() -> impl Strategy<Value = NativeHistogram> {
    let count = prop_oneof![(0u32..100_000).prop_map(f64::from), 0.0f64..10.0];
    let side = vec((-3i32..40, vec(count, 1..5)), 0..4);
    let hint = prop_oneof![
        Just(ResetHint::Unknown),
        Just(ResetHint::Reset),
        Just(ResetHint::NotReset),
        Just(ResetHint::Gauge)
    ];
    (side.clone(), side, hint, -4i8..=8, -5.0f64..5.0, any::<bool>()).prop_map(
        |(positive, negative, hint, schema, sum, own)| {
            let mut out = NativeHistogram { schema, reset_hint: hint, sum, ..Default::default() };
            let fill = |side: &[(i32, Vec<f64>)], spans: &mut Vec<BucketSpan>, counts: &mut Vec<f64>| {
                for (at, (offset, values)) in side.iter().enumerate() {
                    // Gaps between spans are not negative; with bounds of its own a histogram starts at 0.
                    let offset = if at > 0 || own { offset.abs() } else { *offset };
                    spans.push(BucketSpan { offset, length: values.len() as u32 });
                    counts.extend(values);
                }
            };
            fill(&positive, &mut out.positive_spans, &mut out.positive_counts);
            if own {
                out.schema = CUSTOM_BUCKETS_SCHEMA;
                out.custom_bounds = (0..200).map(|bound| f64::from(bound) * 0.5).collect();
            } else {
                fill(&negative, &mut out.negative_spans, &mut out.negative_counts);
                (out.zero_threshold, out.zero_count) = (0.001, 2.0);
            }
            out.count = out.zero_count + out.positive_counts.iter().chain(&out.negative_counts).sum::<f64>();
            out
        },
    )
}

#[derive(Clone, Debug)]
enum Value {
    Float(f64),
    Histogram(NativeHistogram),
}

type Series = (Pairs, Vec<(i64, Value)>, Vec<(Pairs, f64, i64)>, i64);

fn series() -> impl Strategy<Value = Series> {
    let value = prop_oneof![
        4 => any_double().prop_map(Value::Float),
        1 => Just(Value::Float(bramble_signal::stale_marker())),
        1 => histogram().prop_map(Value::Histogram)
    ];
    (pairs(), vec((any::<i64>(), value), 0..6), vec((pairs(), any_double(), any::<i64>()), 0..3), any::<i64>())
}

fn metric_batch() -> impl Strategy<Value = MetricBatch> {
    let metadata = (0u8..8, "[a-z_]{1,9}", "\\PC{0,9}", "[a-z]{0,4}");
    (vec(series(), 0..6), vec(metadata, 0..3), any::<bool>()).prop_map(|(series, metadata, backfill)| {
        let mut batch = MetricBatch::new();
        batch.backfill = backfill;
        for (pairs, samples, exemplars, start_ms) in &series {
            batch.start_series(&mut borrowed(pairs)).unwrap();
            batch.set_start(*start_ms);
            for (timestamp_ms, value) in samples {
                match value {
                    Value::Float(value) => batch.push_sample(*timestamp_ms, *value),
                    Value::Histogram(histogram) => batch.push_histogram(*timestamp_ms, histogram.clone()),
                }
            }
            for (pairs, value, timestamp_ms) in exemplars {
                let (labels, value, timestamp_ms) = (labels(pairs), *value, *timestamp_ms);
                batch.push_exemplar(Exemplar { labels, value, timestamp_ms });
            }
        }
        for (kind, name, help, unit) in metadata {
            batch.metadata.push(MetricMetadata { name, kind: MetricKind::from_code(kind).unwrap(), help, unit });
        }
        batch
    })
}

fn log_batch() -> impl Strategy<Value = LogBatch> {
    let entry = (any::<i64>(), vec(any::<u8>(), 0..20), pairs());
    vec((pairs(), vec(entry, 0..6)), 0..5).prop_map(|streams| {
        let mut batch = LogBatch::new();
        for (pairs, entries) in &streams {
            batch.start_stream(&mut borrowed(pairs)).unwrap();
            for (timestamp_ns, line, metadata) in entries {
                batch.push_entry(*timestamp_ns, line, &mut borrowed(metadata)).unwrap();
            }
        }
        batch
    })
}

#[derive(Clone, Debug)]
enum Any {
    Empty,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    Array(Vec<Any>),
    List(Vec<(String, Any)>),
}

fn any_value() -> impl Strategy<Value = Any> {
    let leaf = prop_oneof![
        Just(Any::Empty),
        any::<bool>().prop_map(Any::Bool),
        any::<i64>().prop_map(Any::Int),
        any_double().prop_map(Any::Double),
        "\\PC{0,5}".prop_map(Any::Text),
        vec(any::<u8>(), 0..5).prop_map(Any::Bytes),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![vec(inner.clone(), 0..4).prop_map(Any::Array), vec(("[a-b]{0,2}", inner), 0..4).prop_map(Any::List)]
    })
}

fn put(out: &mut Vec<u8>, value: &Any) {
    match value {
        Any::Empty => put_value(out, AttributeValue::Empty),
        Any::Bool(b) => put_value(out, AttributeValue::Bool(*b)),
        Any::Int(i) => put_value(out, AttributeValue::Int(*i)),
        Any::Double(d) => put_value(out, AttributeValue::Double(*d)),
        Any::Text(text) => put_value(out, AttributeValue::Str(text)),
        Any::Bytes(bytes) => put_value(out, AttributeValue::Bytes(bytes)),
        Any::Array(values) => {
            let Ok(()) = put_array::<Infallible>(out, |out| {
                values.iter().for_each(|value| put(out, value));
                Ok(())
            });
        }
        Any::List(attributes) => {
            let Ok(()) = put_list::<Infallible>(out, |out| {
                out.extend(encoded(attributes));
                Ok(())
            });
        }
    }
}

fn encoded(attributes: &[(String, Any)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in attributes {
        put_key(&mut out, key);
        put(&mut out, value);
    }
    out
}

fn attributes() -> impl Strategy<Value = Vec<u8>> {
    vec(("[a-c.]{0,4}", any_value()), 0..4).prop_map(|attributes| encoded(&attributes))
}

/// Ids, trace state, flags, attributes, dropped attributes.
type Link = ([u8; 16], [u8; 8], String, u32, Vec<u8>, u32);

/// A span's parts that need the arena.
#[derive(Clone, Debug)]
struct Parts {
    attributes: Vec<u8>,
    events: Vec<(u64, String, Vec<u8>, u32)>,
    links: Vec<Link>,
    texts: [String; 3],
    fixed: SpanEntry,
}

fn span(resources: u32, scopes: u32) -> impl Strategy<Value = Parts> {
    let event = (any::<u64>(), "\\PC{0,4}", attributes(), any::<u32>());
    let link = (any::<[u8; 16]>(), any::<[u8; 8]>(), "[a-z=]{0,4}", any::<u32>(), attributes(), any::<u32>());
    let ids = (any::<[u8; 16]>(), any::<[u8; 8]>(), any::<[u8; 8]>(), any::<bool>());
    let numbers = (any::<u64>(), any::<u64>(), 0u64..6, 0u64..3, any::<[u32; 4]>());
    let texts = (["\\PC{0,5}", "\\PC{0,5}", "\\PC{0,5}"], attributes());
    (vec(event, 0..3), vec(link, 0..3), texts, ids, numbers, 0..resources, 0..scopes).prop_map(
        |(events, links, (texts, attributes), (trace_id, span_id, parent, root), numbers, resource, scope)| {
            let (start_ns, end_ns, kind, status, [flags, dropped_attributes, dropped_events, dropped_links]) = numbers;
            let mut fixed = SpanEntry { start_ns, end_ns, flags, resource, scope, ..SpanEntry::default() };
            (fixed.dropped_attributes, fixed.dropped_events) = (dropped_attributes, dropped_events);
            fixed.dropped_links = dropped_links;
            (fixed.trace_id, fixed.span_id) = (TraceId(trace_id), SpanId(span_id));
            fixed.trace_id.0[0] |= 1;
            fixed.span_id.0[0] |= 1;
            fixed.parent_span_id = if root { SpanId::default() } else { SpanId(parent) };
            (fixed.kind, fixed.status) = (SpanKind::from_code(kind), StatusCode::from_code(status));
            Parts { attributes, events, links, texts, fixed }
        },
    )
}

fn span_batch() -> impl Strategy<Value = SpanBatch> {
    let resource = (attributes(), "[a-z:]{0,4}", any::<u32>());
    let scope = (attributes(), ["[a-z]{0,4}", "[0-9]{0,2}", "[a-z:]{0,4}"], any::<u32>());
    (vec(resource, 3), vec(scope, 3), vec(span(3, 3), 0..8)).prop_map(|(resources, scopes, spans)| {
        let mut batch = SpanBatch::new();
        for (attributes, schema_url, dropped_attributes) in &resources {
            let (attributes, schema_url) = (batch.put(attributes), batch.put(schema_url.as_bytes()));
            let dropped_attributes = *dropped_attributes;
            batch.resources.push(ResourceEntry { attributes, schema_url, dropped_attributes });
        }
        for (attributes, [name, version, schema_url], dropped_attributes) in &scopes {
            let (name, version) = (batch.put(name.as_bytes()), batch.put(version.as_bytes()));
            let (attributes, schema_url) = (batch.put(attributes), batch.put(schema_url.as_bytes()));
            let dropped_attributes = *dropped_attributes;
            batch.scopes.push(ScopeEntry { name, version, attributes, schema_url, dropped_attributes });
        }
        for parts in &spans {
            push_span(&mut batch, parts);
        }
        batch
    })
}

fn push_span(batch: &mut SpanBatch, parts: &Parts) {
    let (mut events, mut links) = (Vec::new(), Vec::new());
    for (time_ns, name, attributes, dropped_attributes) in &parts.events {
        let attributes = AttributesRef::from_encoded(attributes);
        let (time_ns, dropped_attributes) = (*time_ns, *dropped_attributes);
        bramble_signal::put_event(&mut events, &SpanEvent { time_ns, name, attributes, dropped_attributes });
    }
    for (trace_id, span_id, trace_state, flags, attributes, dropped_attributes) in &parts.links {
        let attributes = AttributesRef::from_encoded(attributes);
        let (trace_id, span_id, flags) = (TraceId(*trace_id), SpanId(*span_id), *flags);
        let dropped_attributes = *dropped_attributes;
        let link = SpanLink { trace_id, span_id, trace_state, flags, attributes, dropped_attributes };
        bramble_signal::put_link(&mut links, &link);
    }
    let [name, message, trace_state] = &parts.texts;
    let span = SpanEntry {
        name: batch.put(name.as_bytes()),
        status_message: batch.put(message.as_bytes()),
        trace_state: batch.put(trace_state.as_bytes()),
        attributes: batch.put(&parts.attributes),
        events: batch.put(&events),
        links: batch.put(&links),
        ..parts.fixed
    };
    batch.spans.push(span);
}

/// All that a metric batch says, in words: undefined numbers by their bits.
fn told_metrics(batch: &MetricBatch) -> Vec<String> {
    let number = |value: f64| format!("{:x}", value.to_bits());
    let mut told = vec![format!("{:?} {}", batch.metadata, batch.backfill)];
    for (index, (labels, samples)) in batch.iter().enumerate() {
        told.push(format!("{labels} from {}", batch.start_ms(index)));
        for sample in samples {
            told.push(match batch.histogram(sample.value) {
                Some(histogram) => format!("{} {histogram:?}", sample.timestamp_ms),
                None => format!("{} {}", sample.timestamp_ms, number(sample.value)),
            });
        }
        for Exemplar { labels, value, timestamp_ms } in batch.exemplars(index) {
            told.push(format!("exemplar {timestamp_ms} {} {}", number(*value), labels.as_ref()));
        }
    }
    told
}

fn told_logs(batch: &LogBatch) -> Vec<String> {
    let streams = batch.streams().flat_map(|stream| {
        let entries: Vec<_> = stream.entries().map(|entry| format!("{entry:?}")).collect();
        [vec![stream.labels().to_string()], entries].concat()
    });
    streams.collect()
}

fn told_spans(batch: &SpanBatch) -> Vec<String> {
    let tell = |span: &SpanEntry| {
        let resource = batch.resources[span.resource as usize];
        let scope = batch.scopes[span.scope as usize];
        let ranges = [span.name, span.status_message, span.trace_state, span.attributes, span.events, span.links];
        let of_scope = [scope.name, scope.version, scope.attributes, scope.schema_url];
        let bytes: Vec<_> = [&ranges[..], &of_scope, &[resource.attributes, resource.schema_url]].concat();
        let bytes: Vec<_> = bytes.into_iter().map(|range| batch.bytes(range).to_vec()).collect();
        let none = bramble_signal::SpanEntry::default().name;
        let fixed = SpanEntry {
            resource: resource.dropped_attributes,
            scope: scope.dropped_attributes,
            name: none,
            status_message: none,
            trace_state: none,
            attributes: none,
            events: none,
            links: none,
            ..*span
        };
        format!("{fixed:?} {bytes:?}")
    };
    batch.spans.iter().map(tell).collect()
}

proptest! {
    #[test]
    fn metrics_come_back(batch in metric_batch()) {
        let mut payload = Vec::new();
        put_metrics(&batch, &mut payload);
        let back = read_metrics(&payload, LIMIT).unwrap();
        prop_assert!(back.rejected.is_empty(), "{:?}", back.rejected);
        prop_assert_eq!(told_metrics(&back.batch), told_metrics(&batch));
    }

    #[test]
    fn logs_come_back(batch in log_batch()) {
        let mut payload = Vec::new();
        put_logs(&batch, &mut payload);
        let back = read_logs(&payload, LIMIT).unwrap();
        prop_assert!(back.rejected.is_empty(), "{:?}", back.rejected);
        prop_assert_eq!(told_logs(&back.batch), told_logs(&batch));
    }

    #[test]
    fn spans_come_back(batch in span_batch()) {
        let mut payload = Vec::new();
        put_spans(&batch, &mut payload);
        let back = read_spans(&payload, LIMIT).unwrap();
        prop_assert!(back.rejected.is_empty(), "{:?}", back.rejected);
        prop_assert_eq!(told_spans(&back.batch), told_spans(&batch));
    }

    #[test]
    fn damaged_payloads_are_read_or_refused(
        batch in metric_batch(), logs in log_batch(), spans in span_batch(), at in any::<usize>(), bit in 0u8..8, cut in any::<usize>()
    ) {
        let mut payloads = [Vec::new(), Vec::new(), Vec::new()];
        put_metrics(&batch, &mut payloads[0]);
        put_logs(&logs, &mut payloads[1]);
        put_spans(&spans, &mut payloads[2]);
        for payload in payloads.iter_mut().filter(|payload| !payload.is_empty()) {
            let at = at % payload.len();
            payload[at] ^= 1 << bit;
            let end = cut % payload.len();
            for bytes in [&payload[..], &payload[..end]] {
                // What is read can be written and read again.
                if let Ok(read) = read_metrics(bytes, 1 << 20) {
                    let mut again = Vec::new();
                    put_metrics(&read.batch, &mut again);
                    prop_assert_eq!(told_metrics(&read_metrics(&again, LIMIT).unwrap().batch), told_metrics(&read.batch));
                }
                _ = read_logs(bytes, 1 << 20).map(|read| told_logs(&read.batch));
                _ = read_spans(bytes, 1 << 20).map(|read| told_spans(&read.batch));
                _ = (Hello::decode(bytes), HelloAnswer::decode(bytes), Deliver::decode(bytes), DeliverAnswer::decode(bytes));
            }
        }
    }
}

#[test]
fn limits_hold_whatever_is_referred_to() {
    // One symbol of 1 MiB, referred to a million times: more than a label set may be, and no memory for it.
    let mut payload = Vec::new();
    let mut writer = crate::protobuf::Writer::new(&mut payload);
    writer.bytes(4, "");
    writer.bytes(4, "x".repeat(1 << 20));
    writer.message(5, |w| {
        w.message(1, |w| (0..1_000_000).for_each(|_| w.packed_varint(1)));
        w.message(2, |w| w.varint(2, 1));
    });
    let read = read_metrics(&payload, 1 << 20).unwrap();
    assert_eq!((read.rejected.count(), read.batch.series_count()), (1, 0));
    let mut batch = LogBatch::new();
    batch.start_stream(&mut [("a", "b")]).unwrap();
    batch.push_entry(1, &[b'x'; 5000], &mut []).unwrap();
    let mut payload = Vec::new();
    put_logs(&batch, &mut payload);
    assert_eq!(read_logs(&payload, 4096).unwrap_err().kind(), crate::DecodeErrorKind::TooLarge);
}

#[test]
fn whole_counts_travel_as_integers() {
    let mut histogram = NativeHistogram { count: 3000.0, sum: 1.5, ..Default::default() };
    histogram.positive_spans.push(BucketSpan { offset: 0, length: 100 });
    histogram.positive_counts = vec![30.0; 100];
    let size = |histogram: &NativeHistogram| {
        let mut batch = MetricBatch::new();
        batch.start_series(&mut [("__name__", "h")]).unwrap();
        batch.push_histogram(1, histogram.clone());
        let mut payload = Vec::new();
        put_metrics(&batch, &mut payload);
        payload.len()
    };
    let whole = size(&histogram);
    histogram.positive_counts[0] = 29.5;
    histogram.count = 2999.5;
    assert!(whole < 200 && size(&histogram) > 800, "{whole}");
}

/// What an encoded list holds is not looked into here: see `put_attribute` in `bramble_signal`.
#[test]
fn attributes_of_every_type_survive() {
    let mut bytes = Vec::new();
    put_attribute(&mut bytes, "empty text", AttributeValue::Str(""));
    put_attribute(&mut bytes, "", AttributeValue::Bytes(b""));
    put_attribute(&mut bytes, "zero", AttributeValue::Int(0));
    put_attribute(&mut bytes, "false", AttributeValue::Bool(false));
    let mut batch = SpanBatch::new();
    batch.resources.push(ResourceEntry::default());
    batch.scopes.push(ScopeEntry::default());
    let attributes = batch.put(&bytes);
    batch.spans.push(SpanEntry {
        trace_id: TraceId([1; 16]),
        span_id: SpanId([1; 8]),
        attributes,
        ..Default::default()
    });
    let mut payload = Vec::new();
    put_spans(&batch, &mut payload);
    let back = read_spans(&payload, LIMIT).unwrap().batch;
    assert_eq!(back.bytes(back.spans[0].attributes), bytes);
}
