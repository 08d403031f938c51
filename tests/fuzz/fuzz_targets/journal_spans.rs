//! Journal records of spans: any bytes are read without harm, and any spans come back from what was written of them.
#![no_main]

use bramble_runtime::{Budget, BudgetName};
use bramble_signal::{ResourceEntry, ScopeEntry, SpanBatch, SpanEntry, SpanId, TraceId};
use bramble_storage::{PreparedSpans, Rejections};
use bramble_wire::Format;
use bramble_wire::otlp;
use libfuzzer_sys::fuzz_target;
use bramble_record::{Body, Decoder, Encoder, Shown, Targets};

/// Everything of each span, apart from where it is in its batch.
fn plain(batch: &SpanBatch) -> Vec<(SpanEntry, Vec<Vec<u8>>)> {
    let of = |span: &SpanEntry| {
        let (r, s) = (batch.resources[span.resource as usize], batch.scopes[span.scope as usize]);
        let texts = [span.name, span.status_message, span.trace_state, span.attributes, span.events, span.links];
        let of_others = [r.attributes, r.schema_url, s.name, s.version, s.attributes, s.schema_url];
        let none = Default::default();
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
        (rest, texts.iter().chain(&of_others).map(|range| batch.bytes(*range).to_vec()).collect())
    };
    batch.spans.iter().map(of).collect()
}

/// The input as an OTLP request, or else cut at 0xfd, each piece in the place of attributes, events and links.
fn batch(data: &[u8]) -> SpanBatch {
    if let Ok(decoded) = otlp::Decoder::new(bramble_fuzz::limits()).traces(Format::Protobuf, data) {
        return decoded.batch;
    }
    let mut batch = SpanBatch::new();
    batch.resources.push(ResourceEntry::default());
    batch.scopes.push(ScopeEntry::default());
    for piece in data.split(|&byte| byte == 0xfd) {
        let number = piece.iter().fold(0u64, |n, &byte| n.wrapping_mul(1_000_003).wrapping_add(byte.into()));
        let range = batch.put(piece);
        let name = batch.put(format!("{}", number % 5).as_bytes());
        let id = |n: u64| SpanId((n % 7).to_be_bytes());
        batch.spans.push(SpanEntry {
            trace_id: TraceId([(number % 3) as u8; 16]),
            span_id: id(number / 3),
            parent_span_id: id(number / 21),
            start_ns: number,
            end_ns: number.rotate_left(32),
            name,
            attributes: range,
            events: if number & 1 == 1 { range } else { name },
            links: if number & 2 == 2 { range } else { name },
            ..SpanEntry::default()
        });
    }
    batch
}

fuzz_target!(|data: &[u8]| {
    let targets = Targets { metrics: None, logs: None, spans: None };
    let Some((&first, data)) = data.split_first() else { return };
    if matches!(first, 0x23 | 0x13 | 0x03) {
        let mut record = vec![first];
        record.extend_from_slice(data);
        let _ = Decoder::default().replay(1, 1, &record, &targets);
        return;
    }
    let batch = batch(data);
    let space = Budget::standalone(BudgetName::TraceHead, 1 << 20).reserve(0).unwrap();
    let expected = plain(&batch);
    let body = Body::Spans(PreparedSpans { batch, accepted: 0, rejections: Rejections::new(), space });
    let (mut encoder, mut decoder) = (Encoder::new(usize::from(first) * 16 + 64), Decoder::default());
    // Twice: the second time everything is known.
    for _ in 0..2 {
        encoder.enter(1);
        let (mut from, mut replayed) = (Some(0), Vec::new());
        while let Some(next) = from {
            let mut record = Vec::new();
            from = encoder.encode(&body, next, &mut record);
            let read = decoder.shown(1, &record).expect("what was written is read");
            let Some(Shown::Spans(read)) = read else { panic!("a record of spans") };
            replayed.extend(plain(&read));
        }
        assert_eq!(replayed, expected);
    }
});
