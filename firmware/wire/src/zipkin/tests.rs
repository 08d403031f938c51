//! Spans of each form, and damage.

use super::Decoder;
use crate::protobuf;
use crate::thrift::testing::Writer;
use crate::thrift::{Kind, Protocol};
use crate::{DecodeErrorKind, Decoded, RejectReason};
use bramble_signal::attributes::AttributeValue::{self, Bool, Double, Int, Str};
use bramble_signal::{SpanBatch, SpanId, SpanKind, StatusCode, TraceId};
use proptest::prelude::*;

const START_US: u64 = 1_795_000_000_000_000;
const NOW_NS: i64 = 1_795_000_009_000_000_000;

const V2: &str = r#"[{"traceId":"000000000000000000000000000000ab","id":"0000000000000005","parentId":"4","name":"get /",
"kind":"CLIENT","timestamp":1795000000000000,"duration":1500,"debug":true,"shared":false,
"localEndpoint":{"serviceName":"shop","ipv4":"10.0.0.1","port":8080},
"remoteEndpoint":{"serviceName":"db","ipv6":"fe80::1","port":5432},
"annotations":[{"timestamp":1795000000000100,"value":"retry"}],
"tags":{"http.status_code":"500","error":"boom","host.name":"pi"}}]"#;

fn json(text: &str) -> Decoded<SpanBatch> {
    Decoder::default().json(text.as_bytes(), NOW_NS).unwrap()
}

fn of_span<'a>(batch: &'a SpanBatch, index: usize, key: &str) -> Option<AttributeValue<'a>> {
    batch.attributes(batch.spans[index].attributes).get(key)
}

/// What `V2` is, whatever it was written in.
fn check(decoded: &Decoded<SpanBatch>) {
    let batch = &decoded.batch;
    assert!(decoded.rejected.is_empty() && batch.spans.len() == 1, "{:?}", decoded.rejected);
    let span = batch.spans[0];
    assert_eq!((span.trace_id, span.span_id), (TraceId::parse("ab").unwrap(), SpanId::parse("5").unwrap()));
    assert_eq!((span.parent_span_id, span.kind), (SpanId::parse("4").unwrap(), SpanKind::Client));
    assert_eq!((batch.service(&span), batch.text(span.name), span.flags), ("shop", "get /", 1));
    assert_eq!((span.start_ns, span.duration_ns()), (START_US * 1000, 1_500_000));
    assert_eq!((span.status, batch.text(span.status_message)), (StatusCode::Error, "boom"));
    let wanted = [
        ("http.status_code", Str("500")),
        ("error", Str("boom")),
        ("net.host.ip", Str("10.0.0.1")),
        ("net.host.port", Int(8080)),
        ("peer.service", Str("db")),
        ("net.peer.ip", Str("fe80::1")),
        ("net.peer.port", Int(5432)),
    ];
    for (key, value) in wanted {
        assert_eq!(of_span(batch, 0, key), Some(value), "{key}");
    }
    assert_eq!(batch.resource_attributes(&span).get("host.name"), Some(Str("pi")));
    let events: Vec<_> = batch.events(&span).map(|event| (event.time_ns, event.name)).collect();
    assert_eq!(events, [((START_US + 100) * 1000, "retry")]);
}

fn proto() -> Vec<u8> {
    let mut out = Vec::new();
    protobuf::Writer::new(&mut out).message(1, |w| {
        w.bytes(1, 0xabu64.to_be_bytes());
        w.bytes(2, 4u64.to_be_bytes());
        w.bytes(3, 5u64.to_be_bytes());
        w.varint(4, 1);
        w.bytes(5, "get /");
        w.fixed64(6, START_US);
        w.varint(7, 1500);
        w.message(8, |w| {
            w.bytes(1, "shop");
            w.bytes(2, [10, 0, 0, 1]);
            w.varint(4, 8080);
        });
        w.message(9, |w| {
            w.bytes(1, "db");
            w.bytes(3, "fe80::1".parse::<std::net::Ipv6Addr>().unwrap().octets());
            w.varint(4, 5432);
        });
        w.message(10, |w| {
            w.fixed64(1, START_US + 100);
            w.bytes(2, "retry");
        });
        for (key, value) in [("http.status_code", "500"), ("error", "boom"), ("host.name", "pi")] {
            w.message(11, |w| {
                w.bytes(1, key);
                w.bytes(2, value);
            });
        }
        w.varint(12, 1);
    });
    out
}

const V1: &str = r#"[{"traceId":"ab","id":"5","parentId":"4","name":"get /","timestamp":1795000000000000,"duration":1500,"debug":true,
"annotations":[{"timestamp":1795000000000000,"value":"cs","endpoint":{"serviceName":"shop","ipv4":"10.0.0.1","port":8080}},
{"timestamp":1795000000000100,"value":"retry"},{"timestamp":1795000000001500,"value":"cr"}],
"binaryAnnotations":[{"key":"http.status_code","value":"500","endpoint":{"serviceName":"other"}},{"key":"error","value":"boom"},
{"key":"host.name","value":"pi"},{"key":"sa","value":true,"endpoint":{"serviceName":"db","ipv6":"fe80::1","port":5432}}]}]"#;

fn endpoint(w: &mut Writer, service: &str, ipv4: i32, port: i16, ipv6: &[u8]) {
    w.structure(|w| {
        w.field(1, Kind::I32).i32(ipv4);
        w.field(2, Kind::I16).i16(port);
        w.field(3, Kind::Bytes).bytes(service.as_bytes());
        w.field(4, Kind::Bytes).bytes(ipv6);
    });
}

fn thrift(w: &mut Writer) {
    w.list(Kind::Struct, 1);
    w.structure(|w| {
        w.field(1, Kind::I64).i64(0xab);
        w.field(3, Kind::Bytes).bytes(b"get /");
        w.field(4, Kind::I64).i64(5);
        w.field(5, Kind::I64).i64(4);
        w.field(6, Kind::List).list(Kind::Struct, 2);
        for (after, value) in [(0, "cs"), (100, "retry")] {
            w.structure(|w| {
                w.field(1, Kind::I64).i64(START_US as i64 + after);
                w.field(2, Kind::Bytes).bytes(value.as_bytes());
                endpoint(w.field(3, Kind::Struct), "shop", i32::from_be_bytes([10, 0, 0, 1]), 8080, b"");
            });
        }
        let ipv6 = "fe80::1".parse::<std::net::Ipv6Addr>().unwrap().octets();
        let texts = [("http.status_code", "500"), ("error", "boom"), ("host.name", "pi")];
        w.field(8, Kind::List).list(Kind::Struct, 6);
        let mut annotation = |key: &str, value: &[u8], sort| {
            w.structure(|w| {
                w.field(1, Kind::Bytes).bytes(key.as_bytes());
                w.field(2, Kind::Bytes).bytes(value);
                w.field(3, Kind::I32).i32(sort);
                if key == "sa" {
                    endpoint(w.field(4, Kind::Struct), "db", 0, 5432, &ipv6);
                }
            });
        };
        texts.iter().for_each(|(key, value)| annotation(key, value.as_bytes(), 6));
        annotation("sa", &[1], 0);
        annotation("i32", &7i32.to_be_bytes(), 3);
        annotation("double", &0.5f64.to_be_bytes(), 5);
        w.bool_field(9, true);
        w.field(10, Kind::I64).i64(START_US as i64);
        w.field(11, Kind::I64).i64(1500);
    });
}

#[test]
fn every_form_gives_the_same_span() {
    check(&json(V2));
    check(&json(V1));
    check(&Decoder::default().protobuf(&proto(), NOW_NS).unwrap());
    let mut w = Writer::new(Protocol::Binary);
    thrift(&mut w);
    let decoded = Decoder::default().thrift(&w.out, NOW_NS).unwrap();
    check(&decoded);
    assert_eq!(of_span(&decoded.batch, 0, "i32"), Some(Int(7)));
    assert_eq!(of_span(&decoded.batch, 0, "double"), Some(Double(0.5)));
    for protocol in [Protocol::Binary, Protocol::Compact] {
        let mut w = Writer::call(protocol, "emitZipkinBatch");
        w.structure(|w| thrift(w.field(1, Kind::List)));
        let mut decoded = Decoded::default();
        crate::jaeger::Decoder::default().packet(&w.out, NOW_NS, &mut decoded).unwrap();
        check(&decoded);
    }
}

#[test]
fn times_that_are_missing_are_found_elsewhere() {
    let batch = json(r#"[{"traceId":"1","id":"2"},
        {"traceId":"1","id":"3","annotations":[{"timestamp":1795000000000050,"value":"ss"},{"timestamp":1795000000000010,"value":"sr"}]},
        {"traceId":"1","id":"4","duration":5,"annotations":[{"timestamp":1795000000000010,"value":"x"}]},
        {"traceId":"1","id":"5","parentId":"5","timestamp":"1795000000000010","kind":"SERVER","shared":true}]"#).batch;
    let times: Vec<_> = batch.spans.iter().map(|s| (s.start_ns, s.duration_ns(), s.kind)).collect();
    let early = (START_US + 10) * 1000;
    let wanted = [
        (NOW_NS as u64, 0, SpanKind::Unspecified),
        (early, 40_000, SpanKind::Server),
        (early, 5000, SpanKind::Unspecified),
        (early, 0, SpanKind::Server),
    ];
    assert_eq!(times, wanted);
    assert_eq!(of_span(&batch, 0, "otel.zipkin.absentField.startTime"), Some(Bool(true)));
    assert_eq!(of_span(&batch, 1, "otel.zipkin.absentField.startTime"), None);
    assert_eq!(of_span(&batch, 3, "zipkin.shared"), Some(Bool(true)));
    assert!(batch.spans[3].parent_span_id.is_zero(), "nobody is its own parent");
    assert_eq!(batch.service(&batch.spans[0]), "unknown_service");
}

#[test]
fn tags_of_exporters_become_what_they_were() {
    let batch = json(
        r#"[{"traceId":"1","id":"2","timestamp":1,"tags":{"otel.scope.name":"lib","otel.scope.version":"3",
        "w3c.tracestate":"a=b","span.kind":"internal","otel.status_code":"OK","service.name":"tagged","n":5,"t":true,
        "otlp.link.0":"0102|03||{}|0"}}]"#,
    )
    .batch;
    let span = batch.spans[0];
    assert_eq!((batch.text(batch.scopes[0].name), batch.text(batch.scopes[0].version)), ("lib", "3"));
    assert_eq!((batch.text(span.trace_state), span.kind, span.status), ("a=b", SpanKind::Internal, StatusCode::Ok));
    assert_eq!((batch.service(&span), batch.links(&span).count()), ("tagged", 1));
    assert_eq!((of_span(&batch, 0, "n"), of_span(&batch, 0, "t")), (Some(Str("5")), Some(Str("true"))));
}

#[test]
fn bad_spans_are_left_out_and_bad_documents_refused() {
    let decoded = json(
        r#"[{"traceId":"0","id":"1"},{"traceId":"1","id":"zz"},{"traceId":"1","id":""},{"traceId":"1","id":"7"}]"#,
    );
    assert_eq!((decoded.batch.spans.len(), decoded.rejected.count()), (1, 3));
    let first = decoded.rejected.first_reason().unwrap();
    assert_eq!((first.0, first.1.ends_with("span 0 of the list")), (RejectReason::InvalidTraceId, true), "{first:?}");
    assert!(json("[]").batch.is_empty());
    let kind = |text: &str| Decoder::default().json(text.as_bytes(), NOW_NS).unwrap_err().kind();
    let deep = format!("[{{\"x\":{}", "[".repeat(100_000));
    for text in ["", "{}", "[1]", "[{]", "null", r#"[{"traceId":"1""#, deep.as_str()] {
        assert_eq!(kind(text), DecodeErrorKind::Json, "{}", &text[..text.len().min(20)]);
    }
    assert_eq!(
        json(r#"[{"traceId":["x"],"id":{},"tags":[1],"annotations":{"a":1},"localEndpoint":7}]"#).rejected.count(),
        1
    );
    assert!(Decoder::default().thrift(b"\x0c\x7f\xff\xff\xff", NOW_NS).is_err());
    let half = &proto()[..40];
    assert_eq!(Decoder::default().protobuf(half, NOW_NS).unwrap_err().kind(), DecodeErrorKind::Truncated);
}

proptest! {
    #[test]
    fn changed_bytes_never_panic(at in 0usize..2000, byte: u8) {
        let mut w = Writer::new(Protocol::Binary);
        thrift(&mut w);
        let (mut decoder, mut thrift, mut proto, mut v1) = (Decoder::default(), w.out, proto(), V1.as_bytes().to_vec());
        for bytes in [&mut thrift, &mut proto, &mut v1] {
            let length = bytes.len();
            bytes[at % length] = byte;
        }
        let _ = decoder.thrift(&thrift, NOW_NS);
        let _ = decoder.protobuf(&proto, NOW_NS);
        let _ = decoder.json(&v1, NOW_NS);
    }
}
