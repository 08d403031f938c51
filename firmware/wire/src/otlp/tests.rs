//! Traces through both formats and back, and the recorded corpus when it is at hand.

use super::{Decoder, JsonDialect, encode_traces_json, encode_traces_protobuf};
use crate::protobuf::Writer;
use crate::{DecodeErrorKind, Decoded, Format, Limits, RejectReason};
use bramble_signal::attributes::{AttributeValue, AttributesRef, put_attribute, put_key, put_list};
use bramble_signal::{ResourceEntry, ScopeEntry, SpanBatch, SpanEntry, SpanEvent, SpanId, SpanKind, SpanLink};
use bramble_signal::{StatusCode, TraceId, put_event, put_link};
use proptest::prelude::*;

fn traces(format: Format, body: &[u8]) -> Decoded<SpanBatch> {
    Decoder::new(Limits::default()).traces(format, body).unwrap()
}

fn to_protobuf(batch: &SpanBatch) -> Vec<u8> {
    let mut out = Vec::new();
    encode_traces_protobuf(batch, &mut out);
    out
}

fn to_json(batch: &SpanBatch, dialect: JsonDialect) -> String {
    let mut out = String::new();
    encode_traces_json(batch, dialect, &mut out);
    out
}

fn rich_attributes(text: &str, number: i64, bits: u64) -> Vec<u8> {
    let mut out = Vec::new();
    put_attribute(&mut out, "s", AttributeValue::Str(text));
    put_attribute(&mut out, text, AttributeValue::Int(number));
    // JSON has one NaN only.
    let double = if f64::from_bits(bits).is_nan() { f64::NAN } else { f64::from_bits(bits) };
    put_attribute(&mut out, "d", AttributeValue::Double(double));
    put_attribute(&mut out, "b", AttributeValue::Bool(true));
    put_attribute(&mut out, "e", AttributeValue::Empty);
    put_attribute(&mut out, "y", AttributeValue::Bytes(&bits.to_le_bytes()));
    put_key(&mut out, "l");
    put_list::<()>(&mut out, |out| {
        put_attribute(out, "k", AttributeValue::Str("v"));
        Ok(())
    })
    .unwrap();
    out
}

/// A batch whose spans are already grouped, as the encoders write them.
fn batch(rows: &[(u64, String, i64)]) -> SpanBatch {
    let mut batch = SpanBatch::new();
    for (i, (number, text, signed)) in rows.iter().enumerate() {
        let attributes = rich_attributes(text, *signed, *number);
        let encoded = batch.put(&attributes);
        batch.resources.push(ResourceEntry { attributes: encoded, dropped_attributes: i as u32, ..Default::default() });
        let name = batch.put(text.as_bytes());
        batch.scopes.push(ScopeEntry { name, version: name, ..Default::default() });
        let (mut events, mut links) = (Vec::new(), Vec::new());
        let attributes = AttributesRef::from_encoded(&attributes);
        put_event(&mut events, &SpanEvent { time_ns: *number, name: text, attributes, dropped_attributes: 1 });
        let (trace_id, span_id) = (TraceId([7; 16]), SpanId([8; 8]));
        put_link(
            &mut links,
            &SpanLink { trace_id, span_id, trace_state: text, flags: 3, attributes, dropped_attributes: 2 },
        );
        let (events, links) = (batch.put(&events), batch.put(&links));
        batch.spans.push(SpanEntry {
            trace_id,
            span_id: SpanId((i as u64 + 1).to_be_bytes()),
            parent_span_id: SpanId([0, 0, 0, 0, 0, 0, 0, i as u8]),
            resource: i as u32,
            scope: i as u32,
            start_ns: *number,
            end_ns: u64::MAX,
            kind: SpanKind::from_code(number % 6),
            status: StatusCode::from_code(number % 3),
            flags: 0x301,
            name,
            status_message: name,
            trace_state: name,
            attributes: encoded,
            events,
            links,
            dropped_events: 5,
            ..Default::default()
        });
    }
    batch
}

proptest! {
    // Each case cuts the request at every byte: few cases are many requests.
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn spans_survive_both_formats(rows in proptest::collection::vec((any::<u64>(), "\\PC{0,8}", any::<i64>()), 0..4)) {
        let original = batch(&rows);
        let bytes = to_protobuf(&original);
        let decoded = traces(Format::Protobuf, &bytes);
        prop_assert!(decoded.rejected.is_empty());
        // Arenas are laid out differently; what is written from them is the same.
        prop_assert_eq!(&to_protobuf(&decoded.batch), &bytes);
        let json = to_json(&original, JsonDialect::Otlp);
        let from_json = traces(Format::Json, json.as_bytes());
        prop_assert_eq!(&to_json(&from_json.batch, JsonDialect::Otlp), &json);
        prop_assert_eq!(&from_json.batch, &decoded.batch);
        for cut in 0..bytes.len() {
            let _ = Decoder::default().traces(Format::Protobuf, &bytes[..cut]);
        }
        for cut in (0..json.len()).filter(|&cut| json.is_char_boundary(cut)) {
            prop_assert!(Decoder::default().traces(Format::Json, &json.as_bytes()[..cut]).is_err());
        }
    }

    #[test]
    fn any_bytes_are_judged(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut decoder = Decoder::new(Limits::default());
        let _ = decoder.traces(Format::Protobuf, &bytes);
        let _ = decoder.logs(Format::Protobuf, &bytes, 0);
        let _ = decoder.metrics(Format::Protobuf, &bytes);
    }
}

#[test]
fn golden_bytes_of_one_span() {
    let mut expected = b"\x0a\x37\x0a\x00\x12\x33\x0a\x03\x0a\x01l\x12\x2c\x0a\x10".to_vec();
    expected.extend([0xab; 16]);
    expected.extend(b"\x12\x08\x01\x02\x03\x04\x05\x06\x07\x08\x2a\x01n\x30\x02\x39\x05\0\0\0\0\0\0\0\x7a\x00");
    let json = r#"{"resourceSpans":[{"scopeSpans":[{"scope":{"name":"l"},"spans":[{"traceId":"ABABABABABABABABABABABABABABABAB","spanId":"0102030405060708","name":"n","kind":2,"startTimeUnixNano":"5"}]}]}]}"#;
    let decoded = traces(Format::Json, json.as_bytes());
    assert_eq!(to_protobuf(&decoded.batch), expected);
    assert_eq!(traces(Format::Protobuf, &expected).batch, decoded.batch);
    assert_eq!(
        to_json(&decoded.batch, JsonDialect::Tempo),
        r#"{"resourceSpans":[{"resource":{},"scopeSpans":[{"scope":{"name":"l"},"spans":[{"traceId":"q6urq6urq6urq6urq6urqw==","spanId":"AQIDBAUGBwg=","name":"n","kind":"SPAN_KIND_SERVER","startTimeUnixNano":"5","status":{}}]}]}]}"#
    );
}

#[test]
fn bad_spans_are_rejected_alone() {
    let mut bytes = Vec::new();
    Writer::new(&mut bytes).message(1, |w| {
        w.message(2, |w| {
            for (trace_id, span_id, name) in [
                (&[1u8; 16][..], &[1u8; 8][..], &b"good"[..]),
                (&[0; 16], &[1; 8], b"zero trace"),
                (&[1; 15], &[1; 8], b"short trace"),
                (&[1; 16], &[], b"no span id"),
                (&[1; 16], &[2; 8], b"\xff"),
                (&[1; 16], &[3; 8], b"also good"),
            ] {
                w.message(2, |w| {
                    w.bytes(1, trace_id);
                    w.bytes(2, span_id);
                    w.bytes(5, name);
                    w.message(13, |w| w.bytes(1, [1; 3]));
                });
            }
        });
    });
    let decoded = traces(Format::Protobuf, &bytes);
    let names: Vec<_> = decoded.batch.spans.iter().map(|s| (decoded.batch.text(s.name), s.dropped_links)).collect();
    assert_eq!(names, [("good", 1), ("also good", 1)]);
    let reasons: Vec<_> = decoded.rejected.by_reason().collect();
    assert_eq!(
        reasons,
        [(RejectReason::InvalidTraceId, 2), (RejectReason::InvalidSpanId, 1), (RejectReason::InvalidUtf8, 1)]
    );
    let json = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"no hex","spanId":"0102030405060708"}]}]}]}"#;
    assert_eq!(
        traces(Format::Json, json.as_bytes()).rejected.by_reason().collect::<Vec<_>>(),
        [(RejectReason::InvalidTraceId, 1)]
    );
}

#[test]
fn deep_nesting_is_refused_in_both_formats() {
    let depth = bramble_signal::attributes::DEPTH_MAX + 1;
    let mut value = r#"{"intValue":1}"#.to_owned();
    for _ in 0..depth {
        value = format!(r#"{{"arrayValue":{{"values":[{value}]}}}}"#);
    }
    let json = format!(r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"k","value":{value}}}]}}}}]}}"#);
    let error = Decoder::default().traces(Format::Json, json.as_bytes()).unwrap_err();
    assert_eq!(error.kind(), DecodeErrorKind::TooDeep);
    let endless = "[".repeat(100_000);
    let error = Decoder::default().traces(Format::Json, endless.as_bytes()).unwrap_err();
    assert_eq!(error.kind(), DecodeErrorKind::Json);
}

#[test]
fn empty_requests_are_fine() {
    let mut decoder = Decoder::new(Limits::default());
    assert!(decoder.logs(Format::Protobuf, b"", 0).unwrap().batch.is_empty());
    assert!(decoder.metrics(Format::Json, b"{}").unwrap().batch.is_empty());
    assert_eq!(to_json(&SpanBatch::new(), JsonDialect::Otlp), r#"{"resourceSpans":[]}"#);
}

/// The recorded corpus lies beside the repository where there is one; `BRAMBLE_CONFORMANCE` points elsewhere.
#[test]
fn the_corpus_is_the_same_in_both_formats() {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/conformance");
    let dir = std::env::var("BRAMBLE_CONFORMANCE").unwrap_or_else(|_| beside.to_owned());
    let path = std::path::Path::new(&dir).join("traceql/traces.jsonl");
    let Ok(corpus) = std::fs::read_to_string(&path) else {
        println!("skipped: no corpus at {}", path.display());
        return;
    };
    let mut decoder = Decoder::new(Limits::default());
    let mut spans = 0;
    for line in corpus.lines() {
        let from_json = decoder.traces(Format::Json, line.as_bytes()).unwrap();
        assert!(from_json.rejected.is_empty(), "{:?}", from_json.rejected);
        // Arenas are laid out in the order of a request's fields; what is written from them is the same.
        let bytes = to_protobuf(&from_json.batch);
        let from_protobuf = decoder.traces(Format::Protobuf, &bytes).unwrap();
        assert!(to_protobuf(&from_protobuf.batch) == bytes, "protobuf of {line}");
        // Our JSON means to a reader of OTLP/JSON what theirs meant.
        let ours = to_json(&from_protobuf.batch, JsonDialect::Otlp);
        assert!(to_protobuf(&decoder.traces(Format::Json, ours.as_bytes()).unwrap().batch) == bytes, "JSON of {line}");
        spans += from_json.batch.spans.len();
    }
    assert!(spans > 1000, "{spans} spans");
}
