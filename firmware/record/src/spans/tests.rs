//! Any spans come back as they were, and real ones take few bytes.

use super::super::{Body, Decoder, Encoder, SPANS, SPANS_1, Targets};
use super::{Dictionary, Replay};
use bramble_disk::journal::{Journal, JournalOptions};
use bramble_disk::{Disk, SimulatedDisk, SimulatedOptions};
use bramble_runtime::{Budget, BudgetName, Rng};
use bramble_signal::attributes::{
    AttributeValue, AttributesRef, put_array, put_attribute, put_key, put_list, put_value,
};
use bramble_signal::{
    ResourceEntry, ScopeEntry, SpanBatch, SpanEntry, SpanEvent, SpanId, SpanKind, SpanLink, StatusCode, TraceId,
    put_event, put_link,
};
use bramble_storage::{PreparedSpans, Rejections};
use proptest::prelude::*;
use std::sync::Arc;

/// Writes batches and reads them again, each side remembering; a batch is cut into records of little more than this.
fn round_trip(batches: &[SpanBatch], soft_max_bytes: usize) -> usize {
    let (mut dictionary, mut replay, mut bytes) = (Dictionary::default(), Replay::default(), 0);
    for batch in batches {
        let mut from = Some(0);
        while let Some(first) = from {
            let mut record = Vec::new();
            from = dictionary.encode(batch, first, soft_max_bytes, &mut record);
            bytes += record.len();
            let read = replay.read(record[0], &record[1..]).unwrap();
            let end = from.unwrap_or(batch.spans.len());
            assert_eq!(read.spans.len(), end - first);
            for (was, is) in batch.spans[first..end].iter().zip(&read.spans) {
                assert_same((batch, was), (&read, is));
            }
        }
    }
    bytes
}

fn assert_same((a, was): (&SpanBatch, &SpanEntry), (b, is): (&SpanBatch, &SpanEntry)) {
    let plain = |batch: &SpanBatch, span: &SpanEntry| {
        let (r, s) = (batch.resources[span.resource as usize], batch.scopes[span.scope as usize]);
        let none = Default::default();
        let (mut texts, ranges) = (Vec::new(), [span.name, span.status_message, span.trace_state, span.attributes]);
        let of_others = [r.attributes, r.schema_url, s.name, s.version, s.attributes, s.schema_url];
        for range in ranges.iter().chain(&[span.events, span.links]).chain(&of_others) {
            texts.push(batch.bytes(*range).to_vec());
        }
        let rest = SpanEntry {
            name: none,
            status_message: none,
            trace_state: none,
            attributes: none,
            events: none,
            links: none,
            resource: r.dropped_attributes,
            scope: s.dropped_attributes,
            ..*span
        };
        (rest, texts)
    };
    assert_eq!(plain(a, was), plain(b, is));
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let put = |value: AttributeValue<'_>| {
        let mut out = Vec::new();
        put_value(&mut out, value);
        out
    };
    let leaf = prop_oneof![
        Just(put(AttributeValue::Empty)),
        any::<bool>().prop_map(move |b| put(AttributeValue::Bool(b))),
        prop_oneof![any::<i64>(), -5i64..600].prop_map(move |i| put(AttributeValue::Int(i))),
        prop_oneof![any::<u64>().prop_map(f64::from_bits), (-999i64..9999).prop_map(|n| n as f64 / 100.0)]
            .prop_map(move |d| put(AttributeValue::Double(d))),
        prop_oneof!["[a-c]{0,3}", "(circ|res)-[0-9]{1,6}", "[0-9a-f]{32}", "\\PC{0,200}", "[x]{500,600}"]
            .prop_map(move |s| put(AttributeValue::Str(&s))),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(move |b| put(AttributeValue::Bytes(&b))),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop::collection::vec(inner, 0..3).prop_map(|values| {
            let mut out = Vec::new();
            let as_list = values.len() == 2;
            let fill = |out: &mut Vec<u8>| -> Result<(), ()> {
                for value in &values {
                    if as_list {
                        put_key(out, "k");
                    }
                    out.extend_from_slice(value);
                }
                Ok(())
            };
            if as_list { put_list(&mut out, fill) } else { put_array(&mut out, fill) }.unwrap();
            out
        })
    })
}

fn attributes() -> impl Strategy<Value = Vec<u8>> {
    let pairs = prop::collection::vec(("[a-d]{0,1}", value()), 0..6);
    prop_oneof![
        20 => pairs.prop_map(|pairs| {
            let mut out = Vec::new();
            for (key, value) in pairs {
                put_key(&mut out, &key);
                out.extend_from_slice(&value);
            }
            out
        }),
        1 => prop::collection::vec(any::<u8>(), 0..30),
    ]
}

fn time() -> impl Strategy<Value = u64> {
    prop_oneof![
        5 => 1_795_000_000_000_000_000u64..1_795_000_100_000_000_000,
        3 => (1_795_000_000_000u64..1_795_000_100_000).prop_map(|ms| ms * 1_000_000),
        1 => any::<u64>()
    ]
}

fn few<const N: usize>() -> impl Strategy<Value = [u8; N]> {
    prop_oneof![(0u8..5).prop_map(|n| [n; N]), any::<[u8; N]>()]
}

prop_compose! {
    fn span()(
        (trace, id, parent) in (few::<16>(), few::<8>(), few::<8>()),
        (start_ns, end_ns) in prop_oneof![(time(), time()), (time(), 0u64..9_999_999).prop_map(|(t, d)| (t, t.wrapping_add(d)))],
        (kind, status, resource, scope) in (0u64..6, 0u64..3, 0u32..3, 0u32..2),
        (flags, dropped) in (prop_oneof![Just(1u32), any::<u32>()], prop_oneof![Just([0u32; 3]), any::<[u32; 3]>()]),
        texts in prop::array::uniform3("[a-b]{0,1}"),
        attributes in attributes(),
        events in prop::collection::vec((time(), "[e-f]", attributes(), 0u32..2), 0..3),
        links in prop::collection::vec((few::<16>(), few::<8>(), "[t]{0,1}", 0u32..2, attributes(), 0u32..2), 0..3),
        junk in prop::option::weighted(0.05, prop::collection::vec(any::<u8>(), 1..30)),
    ) -> (SpanEntry, [String; 3], Vec<u8>, Vec<u8>, Vec<u8>) {
        let (mut of_events, mut of_links) = (junk.clone().unwrap_or_default(), junk.unwrap_or_default());
        for (time_ns, name, attributes, dropped_attributes) in &events {
            let attributes = AttributesRef::from_encoded(attributes);
            let event = SpanEvent { time_ns: *time_ns, name, attributes, dropped_attributes: *dropped_attributes };
            put_event(&mut of_events, &event);
        }
        for (trace, id, trace_state, flags, attributes, dropped_attributes) in &links {
            put_link(&mut of_links, &SpanLink {
                trace_id: TraceId(*trace),
                span_id: SpanId(*id),
                trace_state,
                flags: *flags,
                attributes: AttributesRef::from_encoded(attributes),
                dropped_attributes: *dropped_attributes,
            });
        }
        let entry = SpanEntry {
            trace_id: TraceId(trace),
            span_id: SpanId(id),
            parent_span_id: SpanId(parent),
            resource,
            scope,
            start_ns,
            end_ns,
            kind: SpanKind::from_code(kind),
            status: StatusCode::from_code(status),
            flags,
            dropped_attributes: dropped[0],
            dropped_events: dropped[1],
            dropped_links: dropped[2],
            ..SpanEntry::default()
        };
        (entry, texts, attributes, of_events, of_links)
    }
}

prop_compose! {
    fn batch()(
        resources in prop::collection::vec((attributes(), "[u]{0,1}", 0u32..2), 3),
        scopes in prop::collection::vec(("[s]{0,1}", "[v]{0,1}", attributes(), 0u32..2), 2),
        spans in prop::collection::vec(span(), 0..20),
    ) -> SpanBatch {
        let mut batch = SpanBatch::new();
        for (attributes, schema_url, dropped_attributes) in resources {
            let (attributes, schema_url) = (batch.put(&attributes), batch.put(schema_url.as_bytes()));
            batch.resources.push(ResourceEntry { attributes, schema_url, dropped_attributes });
        }
        for (name, version, attributes, dropped_attributes) in scopes {
            let (name, version) = (batch.put(name.as_bytes()), batch.put(version.as_bytes()));
            let (attributes, schema_url) = (batch.put(&attributes), batch.put(b""));
            batch.scopes.push(ScopeEntry { name, version, attributes, schema_url, dropped_attributes });
        }
        for (mut span, [name, message, state], attributes, events, links) in spans {
            span.name = batch.put(name.as_bytes());
            span.status_message = batch.put(message.as_bytes());
            span.trace_state = batch.put(state.as_bytes());
            (span.attributes, span.events, span.links) = (batch.put(&attributes), batch.put(&events), batch.put(&links));
            batch.spans.push(span);
        }
        batch
    }
}

proptest! {
    #[test]
    fn any_spans_come_back(batches in prop::collection::vec(batch(), 1..5), soft_max_bytes in prop_oneof![Just(1usize << 19), 1usize..3000]) {
        round_trip(&batches, soft_max_bytes);
    }

    #[test]
    fn other_bytes_are_read_without_harm(records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..4)) {
        let mut replay = Replay::default();
        for record in records {
            _ = replay.read(SPANS, &record);
            _ = replay.read(SPANS_1, &record);
        }
    }

    #[test]
    fn damaged_records_are_read_without_harm(batches in prop::collection::vec(batch(), 1..4), damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5)) {
        let (mut dictionary, mut replay) = (Dictionary::default(), Replay::default());
        for batch in &batches {
            let mut record = Vec::new();
            dictionary.encode(batch, 0, 1 << 19, &mut record);
            for (at, byte) in &damage {
                let at = at.index(record.len());
                record[at] = *byte;
            }
            _ = replay.read(record[0], &record[1..]);
        }
    }
}

/// A trace of five spans, the last of which links to some, to itself, to a stranger and into a trace that is known.
fn linked() -> SpanBatch {
    let mut batch = SpanBatch::new();
    batch.resources.push(ResourceEntry::default());
    batch.scopes.push(ScopeEntry::default());
    for number in 1..=6u8 {
        let trace_id = TraceId(if number == 6 { [9; 16] } else { [7; 16] });
        let (span_id, parent_span_id) = (SpanId([number; 8]), SpanId([u8::from(number > 1); 8]));
        let mut links = Vec::new();
        let inside = [1, 3, 4, number, 77].map(|to| (trace_id, to));
        for (trace_id, to) in inside.into_iter().chain([(TraceId([7; 16]), 2), (TraceId([8; 16]), 2)]) {
            let attributes = AttributesRef::default();
            let link = SpanLink {
                trace_id,
                span_id: SpanId([to; 8]),
                trace_state: "",
                flags: 0,
                attributes,
                dropped_attributes: 0,
            };
            put_link(&mut links, &link);
        }
        let links = if number > 4 { batch.put(&links) } else { Default::default() };
        batch.spans.push(SpanEntry { trace_id, span_id, parent_span_id, links, ..SpanEntry::default() });
    }
    batch
}

#[test]
fn links_of_version_1_are_read() {
    let mut record = Vec::new();
    Dictionary::default().encode(&linked(), 0, 1 << 19, &mut record);
    let digits = OLD.as_bytes().as_chunks::<2>().0.iter();
    let old: Vec<u8> = digits.map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap()).collect();
    let read = Replay::default().read(old[0], &old[1..]).unwrap();
    for (was, is) in linked().spans.iter().zip(&read.spans) {
        assert_same((&linked(), was), (&read, is));
    }
    assert!(read.spans.len() == 6 && record.len() + 35 < old.len(), "{} for {}", record.len(), old.len());
}

/// What version 1 wrote of [`linked`].
const OLD: &str = concat!(
    "13062b0c0000000000000000010000000300000005000000000001000c000020000000000001000000040300010000e801070707070707",
    "07070707070707070707010101010101010102020202020202020303030303030303040404040404040405050505050505050101010101",
    "0101010303030303030303040404040404040405050505050505054d4d4d4d4d4d4d4d0202020202020202080808080808080808080808",
    "08080808020202020202020209090909090909090909090909090909060606060606060601010101010101010101010101010101030303",
    "0303030303040404040404040406060606060606064d4d4d4d4d4d4d4d0202020202020202080808080808080808080808080808080202",
    "020202020202000000ef001bfd00f002099f4502f1bf439a7b641fc98185ce833de16e2cf585399dc9332745720ff5bdcf735e46da9bbb",
    "d82bbfe60bab6944",
);

/// Traces as a gateway, two services behind it and a database make them: some eight spans with ids of the business.
struct Load {
    rng: Rng,
    time_ns: u64,
}

const ROUTES: [&str; 5] =
    ["/api/v1/circuits/{id}", "/api/v1/products", "/api/v1/resources/{id}", "/api/v1/orders", "/api/v1/search"];
const STATEMENTS: [&str; 3] = [
    "SELECT * FROM circuit WHERE id = $1",
    "SELECT * FROM resource WHERE type_id = $1",
    "UPDATE product SET state = $2 WHERE id = $1",
];

impl Load {
    /// A request of so many traces, service after service.
    fn batch(&mut self, traces: usize) -> SpanBatch {
        let mut by_service: [Vec<(SpanEntry, String, Vec<u8>)>; 4] = Default::default();
        (0..traces).for_each(|_| self.trace(&mut by_service));
        let mut batch = SpanBatch::new();
        let none = batch.put(b"");
        batch.scopes.push(ScopeEntry { name: none, ..Default::default() });
        for (index, (service, spans)) in ["beorn", "palantir", "arda", "db"].iter().zip(by_service).enumerate() {
            let mut bytes = Vec::new();
            put_attribute(&mut bytes, "service.name", AttributeValue::Str(service));
            put_attribute(&mut bytes, "host.name", AttributeValue::Str("rpi-001"));
            let attributes = batch.put(&bytes);
            batch.resources.push(ResourceEntry { attributes, ..Default::default() });
            for (mut span, name, attributes) in spans {
                (span.name, span.attributes) = (batch.put(name.as_bytes()), batch.put(&attributes));
                span.resource = index as u32;
                batch.spans.push(span);
            }
        }
        batch
    }

    fn trace(&mut self, by_service: &mut [Vec<(SpanEntry, String, Vec<u8>)>; 4]) {
        let rng = &mut self.rng;
        let (mut trace_id, mut request) = ([0; 16], [0; 16]);
        rng.fill(&mut trace_id);
        rng.fill(&mut request);
        let ids = [
            format!("circ-{:05}", rng.below(20_000)),
            TraceId(request).to_string(),
            format!("prod-{:04}", rng.below(2000)),
            format!("res-{:06}", rng.below(200_000)),
            format!("type-{:02}", rng.below(40)),
        ];
        self.time_ns += 400_000;
        let (failed, route) = (rng.chance(0.03), ROUTES[rng.below(5) as usize]);
        let total_ns = (8e6 * (1.0 / (rng.unit() + 0.01))) as u64 + 2_000_000;
        let mut shape = vec![(0, usize::MAX, 2), (0, 0, 1), (0, 0, 3), (1, 2, 2), (2, 3, 2)];
        shape.extend(vec![(3, 4, 3); 2 + rng.below(3) as usize]);
        let mut spans: Vec<SpanEntry> = Vec::new();
        for (i, &(service, parent, kind)) in shape.iter().enumerate() {
            let mut id = [0; 8];
            rng.fill(&mut id);
            let (from, to) = match spans.get(parent) {
                None => (self.time_ns, self.time_ns + total_ns),
                Some(parent) => {
                    let length = (parent.end_ns - parent.start_ns) as f64;
                    let from = parent.start_ns + (length * 0.4 * rng.unit()) as u64;
                    (from, from + ((parent.end_ns - from) as f64 * (0.3 + 0.6 * rng.unit())) as u64)
                }
            };
            let error = failed && (i == 0 || i + 1 == shape.len());
            let name = match (service, kind) {
                (3, _) => "db.query".to_owned(),
                (_, 2) => format!("GET {route}"),
                (_, 3) => "HTTP GET palantir".to_owned(),
                _ => "authorize".to_owned(),
            };
            let mut out = Vec::new();
            let mut text = |key: &str, value: &str| put_attribute(&mut out, key, AttributeValue::Str(value));
            text("circuit_id", &ids[0]);
            text("request_id", &ids[1]);
            if service == 3 {
                text("db.system", "postgresql");
                text("db.statement", STATEMENTS[rng.below(3) as usize]);
                put_attribute(&mut out, "db.rows", AttributeValue::Int(rng.below(500) as i64));
            } else {
                text("product_id", &ids[2]);
                text("resource_id", &ids[3]);
                text("resource_type_id", &ids[4]);
                text("http.method", "GET");
                text("http.route", route);
                put_attribute(&mut out, "http.status_code", AttributeValue::Int(if error { 500 } else { 200 }));
                put_attribute(&mut out, "http.response_ms", AttributeValue::Double((to - from) as f64 / 1e6));
            }
            let span = SpanEntry {
                trace_id: TraceId(trace_id),
                span_id: SpanId(id),
                parent_span_id: spans.get(parent).map_or(SpanId::default(), |parent| parent.span_id),
                start_ns: from,
                end_ns: to,
                kind: SpanKind::from_code(kind),
                status: if error { StatusCode::Error } else { StatusCode::Unset },
                ..SpanEntry::default()
            };
            spans.push(span);
            by_service[service].push((span, name, out));
        }
    }
}

#[test]
fn spans_of_services_take_few_bytes() {
    let mut load = Load { rng: Rng::new(7), time_ns: 1_795_000_000_000_000_000 };
    let batches: Vec<SpanBatch> = (0..100).map(|_| load.batch(50)).collect();
    let spans: usize = batches.iter().map(|batch| batch.spans.len()).sum();
    let bytes = round_trip(&batches, 1 << 19);
    let per_span = bytes as f64 / spans as f64;
    // 17 of them are random: ids of traces, spans and requests, and the businesses' numbers.
    assert!(per_span < 26.0, "{per_span:.2} bytes");
}

/// What the journal takes on a device, and the time to encode: `cargo test --release -p bramble-ingest
/// journal_of_spans -- --ignored --nocapture`.
#[test]
#[ignore = "prints figures"]
fn journal_of_spans() {
    let mut load = Load { rng: Rng::new(7), time_ns: 1_795_000_000_000_000_000 };
    let batches: Vec<SpanBatch> = (0..400).map(|_| load.batch(50)).collect();
    let spans: usize = batches.iter().map(|batch| batch.spans.len()).sum();
    let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(1, SimulatedOptions::default()));
    let (mut journal, _) = Journal::open(disk, JournalOptions::default(), 0, &mut |_| ()).unwrap();
    let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
    let (mut raw, mut encoding, mut decoding) = (0, std::time::Duration::ZERO, std::time::Duration::ZERO);
    for group in batches.chunks(8) {
        let epoch = journal.prepare_commit(256 << 10).unwrap();
        encoder.enter(epoch);
        let mut records = Vec::new();
        for batch in group {
            let space = Budget::standalone(BudgetName::TraceHead, 1 << 20).reserve(0).unwrap();
            let body =
                Body::Spans(PreparedSpans { batch: batch.clone(), accepted: 0, rejections: Rejections::new(), space });
            let (mut from, began) = (Some(0), std::time::Instant::now());
            while let Some(first) = from {
                let mut record = Vec::new();
                from = encoder.encode(&body, first, &mut record);
                records.push(record);
            }
            encoding += began.elapsed();
        }
        let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        raw += records.iter().map(|record| record.len()).sum::<usize>();
        let began = std::time::Instant::now();
        for record in &records {
            decoder.replay(epoch, 1, record, &Targets { metrics: None, logs: None, spans: None }).unwrap();
        }
        decoding += began.elapsed();
        journal.append(&records).unwrap();
        journal.release(u64::MAX);
    }
    let per = |bytes: usize| bytes as f64 / spans as f64;
    let (raw, written) = (per(raw), per(journal.bytes_written() as usize));
    let us = |time: std::time::Duration| time.as_secs_f64() * 1e6 / spans as f64;
    println!("{spans} spans: {raw:.2} bytes in records, {written:.2} in the journal");
    println!(
        "encoding {:.3}, decoding {:.3} µs a span; {} bytes remembered",
        us(encoding),
        us(decoding),
        encoder.memory_bytes()
    );
}
