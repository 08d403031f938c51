use super::Decoder;
use crate::protobuf::Writer;
use crate::{DecodeErrorKind, Decoded, Format, Limits, RejectReason};
use bramble_signal::LogBatch;
use proptest::prelude::*;

fn json(text: &str) -> Decoded<LogBatch> {
    Decoder::new(Limits::default()).decode(Format::Json, text.as_bytes()).unwrap()
}

fn json_error(text: &str) -> String {
    Decoder::new(Limits::default()).decode(Format::Json, text.as_bytes()).unwrap_err().to_string()
}

fn protobuf(bytes: &[u8]) -> Decoded<LogBatch> {
    Decoder::new(Limits::default()).decode(Format::Protobuf, bytes).unwrap()
}

/// One line per entry: labels, time, line, metadata.
fn lines(batch: &LogBatch) -> Vec<String> {
    let of = |stream: bramble_signal::LogStream<'_>| {
        let labels = stream.labels().to_string();
        let line = move |e: bramble_signal::LogEntry<'_>| {
            format!("{labels} {} {} {}", e.timestamp_ns, String::from_utf8_lossy(e.line), e.metadata)
        };
        stream.entries().map(line).collect::<Vec<_>>()
    };
    batch.streams().flat_map(of).collect()
}

/// Time, line and metadata.
type Entry<'a> = (i64, &'a [u8], &'a [(&'a str, &'a str)]);

fn push(labels: &str, entries: &[Entry<'_>], out: &mut Vec<u8>) {
    Writer::new(out).message(1, |w| {
        w.bytes(1, labels);
        for (ns, line, metadata) in entries {
            w.message(2, |w| {
                w.message(1, |w| {
                    w.varint(1, ns.div_euclid(1_000_000_000).cast_unsigned());
                    w.varint(2, ns.rem_euclid(1_000_000_000).cast_unsigned());
                });
                w.bytes(2, line);
                for (name, value) in *metadata {
                    w.message(3, |w| {
                        w.bytes(1, name);
                        w.bytes(2, value);
                    });
                }
            });
        }
    });
}

#[test]
fn the_three_forms_say_the_same() {
    let new = json(
        r#"{"streams":[{"values":[["1500000001","a \"line\"",{"trace.id":"x"}],["2","b"]],"stream":{"env":"dev","app":"web"}}]}"#,
    );
    let old = json(
        r#"{"streams":[{"labels":"{app=\"web\",env=\"dev\"}","entries":[{"ts":"1970-01-01T00:00:01.500000001Z","line":"a \"line\"","structuredMetadata":{"trace.id":"x"}},{"ts":"1970-01-01T00:00:00.000000002Z","line":"b"}]}]}"#,
    );
    let mut bytes = Vec::new();
    push(
        r#"{env="dev", app="web"}"#,
        &[(1_500_000_001, b"a \"line\"", &[("trace.id", "x")]), (2, b"b", &[])],
        &mut bytes,
    );
    let expected = [r#"{app="web", env="dev"} 1500000001 a "line" {trace_id="x"}"#, r#"{app="web", env="dev"} 2 b {}"#];
    for decoded in [new, old, protobuf(&bytes)] {
        assert_eq!(lines(&decoded.batch), expected);
        assert!(decoded.rejected.is_empty());
    }
}

#[test]
fn golden_bytes() {
    // One stream, one entry at 1.000000002 s.
    let bytes = b"\x0a\x13\x0a\x07{a=\"b\"}\x12\x08\x0a\x04\x08\x01\x10\x02\x12\x00";
    let mut written = Vec::new();
    push(r#"{a="b"}"#, &[(1_000_000_002, b"", &[])], &mut written);
    assert_eq!(written, bytes);
    assert_eq!(lines(&protobuf(bytes).batch), [r#"{a="b"} 1000000002  {}"#]);
}

#[test]
fn bad_streams_go_and_good_ones_stay() {
    let mut bytes = Vec::new();
    let two: &[Entry<'_>] = &[(1, b"x", &[]), (2, b"y", &[])];
    push("{a=}", two, &mut bytes);
    push("{}", two, &mut bytes);
    push(r#"{a="1",a="2"}"#, two, &mut bytes);
    push(r#"{a="1"}"#, &[(i64::MAX, b"\xff any bytes", &[("m", "1"), ("m", "2")])], &mut bytes);
    let long = "x".repeat(300_000);
    push(r#"{a="1"}"#, &[(1, long.as_bytes(), &[]), (3, b"z", &[("k", &long)])], &mut bytes);
    let decoded = protobuf(&bytes);
    assert_eq!(lines(&decoded.batch), ["{a=\"1\"} 9223372036854775807 \u{fffd} any bytes {m=\"2\"}"]);
    let reasons: Vec<_> = decoded.rejected.by_reason().collect();
    assert_eq!(
        reasons,
        [
            (RejectReason::DuplicateLabel, 2),
            (RejectReason::InvalidLabels, 4),
            (RejectReason::LineTooLong, 1),
            (RejectReason::MetadataTooLarge, 1)
        ]
    );
    let first = decoded.rejected.first_reason().unwrap().1;
    assert!(first.contains("byte 3: stream labels: expected a quoted value, got '}'"), "{first}");
    let in_json = json(
        r#"{"streams":[{"labels":"{a","entries":[{"line":""}]},{"stream":{},"values":[["1","x"]]},{"stream":{}},{"stream":{"a":"b"},"values":null}]}"#,
    );
    assert_eq!((in_json.rejected.count(), in_json.batch.stream_count()), (2, 0));
}

#[test]
fn json_errors_say_what_and_where() {
    let value = |value: &str| json_error(&format!(r#"{{"streams":[{{"stream":{{"a":"b"}},"values":[{value}]}}]}}"#));
    assert!(value(r#"[1,"x"]"#).contains("invalid type: integer `1`, expected text"), "{}", value(r#"[1,"x"]"#));
    assert!(value(r#"["1.5","x"]"#).contains("time must be nanoseconds in decimal text, not \"1.5\""));
    assert!(value(r#"["1"]"#).contains("expected a list of time, line and metadata"));
    assert!(value(r#"["1","x",{"a":{}}]"#).contains("invalid type: map, expected text"));
    assert!(json_error("[]").contains("expected an object with streams"));
    assert!(json_error(r#"{"streams":["#).starts_with("byte "));
    assert!(json("{}").batch.is_empty());
}

#[test]
fn a_request_stays_within_its_memory() {
    let mut decoder = Decoder::new(Limits { batch_bytes_max: 200, ..Default::default() });
    let entries = [r#"["1",""]"#; 10].join(",");
    let body = format!(r#"{{"streams":[{{"stream":{{"a":"b"}},"values":[{entries}]}}]}}"#);
    let error = decoder.decode(Format::Json, body.as_bytes()).unwrap_err();
    assert_eq!(error.kind(), DecodeErrorKind::TooLarge);
    let mut bytes = Vec::new();
    (0..10).for_each(|_| push(r#"{a="b"}"#, &[(1, b"", &[])], &mut bytes));
    assert_eq!(decoder.decode(Format::Protobuf, &bytes).unwrap_err().kind(), DecodeErrorKind::TooLarge);
}

proptest! {
    // Each case cuts the request at every byte: few cases are many requests.
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn what_is_written_is_read(
        entries in proptest::collection::vec((any::<i64>(), proptest::collection::vec(any::<u8>(), 0..20)), 1..6),
        metadata in proptest::collection::btree_map("[a-z]{1,4}", "\\PC{1,6}", 0..4),
    ) {
        let metadata: Vec<_> = metadata.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let in_range = |ns: i64| ns.clamp(-4_000_000_000_000_000_000, 4_000_000_000_000_000_000);
        let rows: Vec<_> = entries.iter().map(|(ns, line)| (in_range(*ns), line.as_slice(), metadata.as_slice())).collect();
        let mut bytes = Vec::new();
        push(r#"{a="b"}"#, &rows, &mut bytes);
        let decoded = protobuf(&bytes);
        let stream = decoded.batch.stream(0);
        prop_assert_eq!(stream.len(), rows.len());
        for (got, want) in stream.entries().zip(&rows) {
            prop_assert_eq!((got.timestamp_ns, got.line), (want.0, want.1));
            prop_assert_eq!(got.metadata.iter().collect::<Vec<_>>(), metadata.clone());
        }
        for cut in 0..bytes.len() {
            let _ = Decoder::new(Limits::default()).decode(Format::Protobuf, &bytes[..cut]);
        }
    }
}
