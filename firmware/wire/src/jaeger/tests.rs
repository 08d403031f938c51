//! Batches of each form against one expectation, and damage.

use super::Decoder;
use crate::protobuf;
use crate::thrift::testing::Writer;
use crate::thrift::{Kind, Protocol};
use crate::{DecodeErrorKind, Decoded, Limits, RejectReason};
use bramble_signal::attributes::AttributeValue::{self, Bool, Bytes, Double, Int, Str};
use bramble_signal::{SpanBatch, SpanEntry, SpanId, SpanKind, StatusCode, TraceId};
use proptest::prelude::*;

const BOTH: [Protocol; 2] = [Protocol::Binary, Protocol::Compact];
const START_US: i64 = 1_795_000_000_000_000;

fn tag(w: &mut Writer, key: &str, value: AttributeValue<'_>) {
    w.structure(|w| {
        w.field(1, Kind::Bytes).bytes(key.as_bytes());
        let sort = match value {
            Double(_) => 1,
            Bool(_) => 2,
            Int(_) => 3,
            Bytes(_) => 4,
            _ => 0,
        };
        w.field(2, Kind::I32).i32(sort);
        match value {
            Str(text) => w.field(3, Kind::Bytes).bytes(text.as_bytes()),
            Double(number) => w.field(4, Kind::Double).double(number),
            Bool(truth) => w.bool_field(5, truth),
            Int(number) => w.field(6, Kind::I64).i64(number),
            Bytes(bytes) => w.field(7, Kind::Bytes).bytes(bytes),
            _ => {}
        }
    });
}

fn tags(w: &mut Writer, id: i16, pairs: &[(&str, AttributeValue<'_>)]) {
    w.field(id, Kind::List).list(Kind::Struct, pairs.len());
    pairs.iter().for_each(|(key, value)| tag(w, key, *value));
}

const PROCESS_TAGS: [(&str, AttributeValue<'static>); 2] = [("hostname", Str("pi")), ("jaeger.version", Str("Go-2"))];
const SPAN_TAGS: [(&str, AttributeValue<'static>); 9] = [
    ("span.kind", Str("server")),
    ("text", Str("naïve")),
    ("truth", Bool(false)),
    ("number", Int(-7)),
    ("double", Double(0.5)),
    ("bytes", Bytes(b"\xff\x00")),
    ("error", Bool(true)),
    ("otel.status_description", Str("boom")),
    ("otel.scope.name", Str("lib")),
];
const FIELDS: [(&str, AttributeValue<'static>); 3] =
    [("event", Str("retry")), ("message", Str("again")), ("n", Int(2))];

fn process(w: &mut Writer, service: &str) {
    w.structure(|w| {
        w.field(1, Kind::Bytes).bytes(service.as_bytes());
        tags(w, 2, &PROCESS_TAGS);
    });
}

fn reference(w: &mut Writer, follows: bool, trace: i64, span: i64) {
    w.structure(|w| {
        w.field(1, Kind::I32).i32(follows.into());
        w.field(2, Kind::I64).i64(trace);
        w.field(3, Kind::I64).i64(0);
        w.field(4, Kind::I64).i64(span);
    });
}

fn span(w: &mut Writer, id: i64) {
    w.structure(|w| {
        w.field(1, Kind::I64).i64(0x1234);
        w.field(2, Kind::I64).i64(0);
        w.field(3, Kind::I64).i64(id);
        w.field(4, Kind::I64).i64(0);
        w.field(5, Kind::Bytes).bytes(b"GET /");
        w.field(6, Kind::List).list(Kind::Struct, 3);
        reference(w, true, 0x1234, 8);
        reference(w, false, 0x1234, 9);
        reference(w, false, 0x99, 10);
        w.field(7, Kind::I32).i32(3);
        w.field(8, Kind::I64).i64(START_US);
        w.field(9, Kind::I64).i64(1500);
        tags(w, 10, &SPAN_TAGS);
        w.field(11, Kind::List).list(Kind::Struct, 1);
        w.structure(|w| {
            w.field(1, Kind::I64).i64(START_US + 1);
            tags(w, 2, &FIELDS);
        });
    });
}

/// A batch of one whole span and one without an id.
fn batch(w: &mut Writer) {
    w.structure(|w| {
        process(w.field(1, Kind::Struct), "shop");
        w.field(2, Kind::List).list(Kind::Struct, 2);
        span(w, 5);
        span(w, 0);
    });
}

pub(crate) fn packet(protocol: Protocol) -> Vec<u8> {
    let mut w = Writer::call(protocol, "emitBatch");
    w.structure(|w| batch(w.field(1, Kind::Struct)));
    w.out
}

fn attributes(batch: &SpanBatch, span: bramble_signal::Span32) -> Vec<(String, String)> {
    batch.attributes(span).iter().map(|(key, value)| (key.to_owned(), format!("{value:?}"))).collect()
}

fn expected(pairs: &[(&str, AttributeValue<'_>)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), format!("{value:?}"))).collect()
}

/// What `batch` is, whatever it was written in.
fn check(decoded: &Decoded<SpanBatch>) {
    let batch = &decoded.batch;
    assert_eq!((batch.spans.len(), batch.resources.len(), batch.scopes.len()), (1, 1, 1));
    assert_eq!(decoded.rejected.by_reason().collect::<Vec<_>>(), [(RejectReason::InvalidSpanId, 1)]);
    let resource = [("service.name", Str("shop")), PROCESS_TAGS[0], PROCESS_TAGS[1], ("host.name", Str("pi"))];
    assert_eq!(attributes(batch, batch.resources[0].attributes), expected(&resource));
    let span: SpanEntry = batch.spans[0];
    assert_eq!(span.trace_id, TraceId::parse("1234").unwrap());
    assert_eq!((span.span_id, span.parent_span_id), (SpanId::parse("5").unwrap(), SpanId::parse("9").unwrap()));
    assert_eq!((batch.text(span.name), span.kind, span.flags), ("GET /", SpanKind::Server, 1));
    assert_eq!((span.start_ns, span.duration_ns()), (START_US as u64 * 1000, 1_500_000));
    assert_eq!((span.status, batch.text(span.status_message)), (StatusCode::Error, "boom"));
    assert_eq!(batch.text(batch.scopes[0].name), "lib");
    let mut wanted = expected(&SPAN_TAGS[1..6]);
    wanted.extend(expected(&[("jaeger.debug", Bool(true))]));
    assert_eq!(attributes(batch, span.attributes), wanted);
    let events: Vec<_> = batch.events(&span).collect();
    assert_eq!((events.len(), events[0].name, events[0].time_ns), (1, "retry", (START_US as u64 + 1) * 1000));
    let fields: Vec<_> = events[0].attributes.iter().collect();
    assert_eq!(fields, [("message", Str("again")), ("n", Int(2))]);
    let links: Vec<_> = batch.links(&span).collect();
    let kinds: Vec<_> = links.iter().map(|l| (l.span_id.0[7], l.attributes.get("opentracing.ref_type"))).collect();
    assert_eq!(kinds, [(8, Some(Str("follows_from"))), (10, Some(Str("child_of")))]);
}

#[test]
fn every_form_gives_the_same_spans() {
    for protocol in BOTH {
        let mut decoded = Decoded::default();
        Decoder::default().packet(&packet(protocol), 0, &mut decoded).unwrap();
        check(&decoded);
        let mut w = Writer::new(protocol);
        batch(&mut w);
        check(&Decoder::default().thrift_batch(protocol, &w.out).unwrap());
    }
    check(&Decoder::default().post_spans(&proto_request()).unwrap());
}

fn proto_tag(w: &mut protobuf::Writer<'_>, number: u32, key: &str, value: AttributeValue<'_>) {
    w.message(number, |w| {
        w.bytes(1, key);
        match value {
            Str(text) => w.bytes(3, text),
            Bool(truth) => {
                w.varint(2, 1);
                w.varint(4, truth.into());
            }
            Int(int) => {
                w.varint(2, 2);
                w.varint(5, int.cast_unsigned());
            }
            Double(double) => {
                w.varint(2, 3);
                w.double(6, double);
            }
            Bytes(bytes) => {
                w.varint(2, 4);
                w.bytes(7, bytes);
            }
            _ => {}
        }
    });
}

fn proto_time(w: &mut protobuf::Writer<'_>, number: u32, us: i64) {
    w.message(number, |w| {
        w.varint(1, (us / 1_000_000) as u64);
        w.varint(2, (us % 1_000_000 * 1000) as u64);
    });
}

fn proto_request() -> Vec<u8> {
    let mut out = Vec::new();
    protobuf::Writer::new(&mut out).message(1, |w| {
        for id in [5u64, 0] {
            w.message(1, |w| {
                w.bytes(1, 0x1234u128.to_be_bytes());
                w.bytes(2, id.to_be_bytes());
                w.bytes(3, "GET /");
                for (follows, trace, span) in [(1, 0x1234u128, 8u64), (0, 0x1234, 9), (0, 0x99, 10)] {
                    w.message(4, |w| {
                        w.bytes(1, trace.to_be_bytes());
                        w.bytes(2, span.to_be_bytes());
                        w.varint(3, follows);
                    });
                }
                w.varint(5, 3);
                proto_time(w, 6, START_US);
                proto_time(w, 7, 1500);
                SPAN_TAGS.iter().for_each(|(key, value)| proto_tag(w, 8, key, *value));
                w.message(9, |w| {
                    proto_time(w, 1, START_US + 1);
                    FIELDS.iter().for_each(|(key, value)| proto_tag(w, 2, key, *value));
                });
            });
        }
        w.message(2, |w| {
            w.bytes(1, "shop");
            PROCESS_TAGS.iter().for_each(|(key, value)| proto_tag(w, 2, key, *value));
        });
    });
    out
}

#[test]
fn a_span_of_protobuf_may_have_its_own_process_and_warnings() {
    let mut out = Vec::new();
    protobuf::Writer::new(&mut out).message(1, |w| {
        for service in ["", "cart"] {
            w.message(1, |w| {
                w.bytes(1, [1; 16]);
                w.bytes(2, [2; 8]);
                if !service.is_empty() {
                    w.message(10, |w| w.bytes(1, service));
                    w.bytes(12, "clock skew");
                }
            });
        }
        w.message(2, |w| w.bytes(1, "shop"));
    });
    let batch = Decoder::default().post_spans(&out).unwrap().batch;
    let services: Vec<_> = batch.spans.iter().map(|span| batch.service(span)).collect();
    assert_eq!(services, ["shop", "cart"]);
    let Some(AttributeValue::Array(warnings)) = batch.attributes(batch.spans[1].attributes).get("@jaeger@warnings")
    else {
        panic!("warnings are a list")
    };
    assert_eq!(warnings.iter().collect::<Vec<_>>(), [Str("clock skew")]);
}

#[test]
fn packets_share_a_batch_and_a_bad_one_leaves_it_alone() {
    let (mut decoder, mut decoded) = (Decoder::default(), Decoded::default());
    for protocol in BOTH {
        decoder.packet(&packet(protocol), 0, &mut decoded).unwrap();
    }
    assert_eq!((decoded.batch.spans.len(), decoded.batch.resources.len(), decoded.batch.scopes.len()), (2, 1, 1));
    let before = decoded.clone();
    let good = packet(Protocol::Compact);
    for bad in [&good[..good.len() - 3], b"", b"\x82\x21\x00\x04ping\x00", b"GET / HTTP/1.1\r\n\r\n"] {
        decoder.packet(bad, 0, &mut decoded).unwrap_err();
        assert_eq!(decoded, before);
    }
    let text = decoder.packet(&Writer::call(Protocol::Binary, "emitEverything").out, 0, &mut decoded).unwrap_err();
    assert!(text.to_string().contains("unknown method \"emitEverything\""), "{text}");
}

#[test]
fn spans_before_their_process_and_without_one() {
    for with_process in [true, false] {
        let mut w = Writer::new(Protocol::Compact);
        w.structure(|w| {
            w.field(2, Kind::List).list(Kind::Struct, 1);
            span(w, 5);
            if with_process {
                process(w.field(1, Kind::Struct), "late");
            }
        });
        let batch = Decoder::default().thrift_batch(Protocol::Compact, &w.out).unwrap().batch;
        assert_eq!(batch.service(&batch.spans[0]), if with_process { "late" } else { "unknown_service" });
    }
}

#[test]
fn text_that_is_cut_or_is_none() {
    let mut w = Writer::new(Protocol::Compact);
    w.structure(|w| {
        w.field(2, Kind::List).list(Kind::Struct, 2);
        for name in [&b"na\xc3"[..], b"\xff\xff\xff"] {
            w.structure(|w| {
                w.field(1, Kind::I64).i64(1);
                w.field(3, Kind::I64).i64(2);
                w.field(5, Kind::Bytes).bytes(name);
            });
        }
    });
    let decoded = Decoder::default().thrift_batch(Protocol::Compact, &w.out).unwrap();
    assert_eq!(decoded.batch.spans.len(), 1);
    assert_eq!(decoded.batch.text(decoded.batch.spans[0].name), "na", "cut inside a character");
    assert_eq!(decoded.rejected.first_reason().map(|(reason, _)| reason), Some(RejectReason::InvalidUtf8));
}

#[test]
fn small_packets_can_not_ask_for_much_memory() {
    // Logs of one byte each become events of eleven.
    let mut w = Writer::new(Protocol::Compact);
    w.structure(|w| {
        w.field(2, Kind::List).list(Kind::Struct, 1);
        w.structure(|w| {
            w.field(1, Kind::I64).i64(1);
            w.field(3, Kind::I64).i64(2);
            w.field(11, Kind::List).list(Kind::Struct, 60_000);
            (0..60_000).for_each(|_| w.structure(|_| {}));
        });
    });
    let mut decoder = Decoder::new(Limits { batch_bytes_max: 100_000, ..Limits::default() });
    let error = decoder.thrift_batch(Protocol::Compact, &w.out).unwrap_err();
    assert_eq!(error.kind(), DecodeErrorKind::TooLarge);
    let batch = Decoder::default().thrift_batch(Protocol::Compact, &w.out).unwrap().batch;
    assert_eq!(batch.events(&batch.spans[0]).count(), 60_000, "thousands of events are fine where there is room");
}

proptest! {
    #[test]
    fn changed_bytes_never_panic(at in 0usize..600, byte: u8, cut in 0usize..600, compact: bool) {
        let mut bytes = packet(BOTH[usize::from(compact)]);
        let length = bytes.len();
        bytes[at % length] = byte;
        bytes.truncate(length - cut % length);
        let _ = Decoder::default().packet(&bytes, 0, &mut Decoded::default());
        let mut bytes = proto_request();
        let length = bytes.len();
        bytes[at % length] = byte;
        let _ = Decoder::default().post_spans(&bytes);
    }
}
