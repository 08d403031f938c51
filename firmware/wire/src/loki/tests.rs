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
    let stories: Vec<_> = decoded.rejected.stories().map(|(_, count, text)| (count, text.to_owned())).collect();
    let metadata = "stream '{a=\"1\"}' has structured metadata too large: '300001' bytes, limit: '65536' bytes. Please see \
                    `limits_config.max_structured_metadata_size` or contact your Loki administrator to increase it.";
    assert_eq!(
        stories,
        [
            (4, "couldn't parse labels: 1:4: parse error: unexpected '}', expected a quoted value".to_owned()),
            (2, "stream '{a=\"1\", a=\"2\"}' has duplicate label name: 'a'".to_owned()),
            (
                1,
                "Max entry size '262144' bytes exceeded for stream '{a=\"1\"}' while adding an entry with length \
                 '300000' bytes"
                    .to_owned()
            ),
            (1, metadata.to_owned()),
        ]
    );
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
    assert!(value(r#"{"ts":"1"}"#).contains("expected a list of time, line and metadata"));
    assert!(value(r#"["1","x",{"a":{}}]"#).contains("invalid type: map, expected text"));
    assert!(json_error("[]").contains("expected an object with streams"));
    assert!(json_error(r#"{"streams":["#).starts_with("byte "));
}

#[test]
fn a_request_without_streams_is_told_so() {
    for text in ["{}", "null", r#"{"streams":[]}"#, r#"{"streams":null}"#, r#"{"other":[1]}"#] {
        assert_eq!(json_error(text), "error at least one valid stream is required for ingestion", "{text}");
    }
    let error = Decoder::new(Limits::default()).decode(Format::Protobuf, b"").unwrap_err();
    assert_eq!(error.kind(), DecodeErrorKind::NoStreams);
    // Streams without entries are fine, whatever their labels are.
    for text in [r#"{"streams":[{}]}"#, r#"{"streams":[{"stream":{"-":"x"},"values":[]}]}"#] {
        let decoded = json(text);
        assert!(decoded.batch.is_empty() && decoded.rejected.is_empty(), "{text}");
    }
}

/// What a JSON stream of these labels and values becomes: its lines, and what is said of the rest.
fn stream(labels: &str, values: &str, limits: Limits) -> (Vec<String>, Vec<String>) {
    let text = format!(r#"{{"streams":[{{"stream":{labels},"values":{values}}}]}}"#);
    let decoded = Decoder::new(limits).decode(Format::Json, text.as_bytes()).unwrap();
    let told = decoded.rejected.stories().map(|(_, count, text)| format!("{count} {text}")).collect();
    (lines(&decoded.batch), told)
}

#[test]
fn values_may_be_short_but_not_without_a_time() {
    let (kept, told) =
        stream(r#"{"a":"b"}"#, r#"[["1"],["2",""],null,["3","x",null],[],["4","y",{"k":"v"},5]]"#, Limits::default());
    let expected = [r#"{a="b"} 1  {}"#, r#"{a="b"} 2  {}"#, r#"{a="b"} 3 x {}"#, r#"{a="b"} 4 y {k="v"}"#];
    assert_eq!(kept, expected);
    assert_eq!(told, [r#"1 entry for stream '{a="b"}': timestamp is out of range"#]);
}

#[test]
fn label_objects_obey_the_rules_of_label_texts() {
    let one = |labels: &str| stream(labels, r#"[["1","x"],["2","y"]]"#, Limits::default());
    let refused = |labels: &str, text: &str| assert_eq!(one(labels), (vec![], vec![format!("2 {text}")]), "{labels}");
    refused(r#"{"bad-name":"x"}"#, "couldn't parse labels: 1:5: parse error: unexpected character inside braces: '-'");
    refused(r#"{"":"x"}"#, "couldn't parse labels: 1:2: parse error: unexpected '=', expected a label name");
    refused("{}", "error at least one label pair is required per stream");
    refused(r#"{"a":""}"#, "error at least one label pair is required per stream");
    assert_eq!(
        one(r#"{"a":"1","b":5,"a":"2","c":true,"d":-1.5}"#).0[0],
        r#"{a="2", b="5", c="true", d="-1.5"} 1 x {}"#
    );
    assert!(json_error(r#"{"streams":[{"stream":{"a":{}},"values":[["1","x"]]}]}"#).contains("expected text"));
}

#[test]
fn each_limit_on_labels_is_told_in_lokis_words() {
    let limits =
        Limits { label_name_bytes_max: 4, label_value_bytes_max: 5, stream_labels_max: 2, ..Limits::default() };
    let told = |labels: &str| stream(labels, r#"[["1","x"]]"#, limits).1;
    assert!(told(r#"{"name":"value","b":"2"}"#).is_empty());
    assert_eq!(
        told(r#"{"a":"1","b":"2","c":"3"}"#),
        [r#"1 entry for stream '{a="1", b="2", c="3"}' has 3 label names; limit 2"#]
    );
    assert_eq!(told(r#"{"names":"1"}"#), [r#"1 stream '{names="1"}' has label name too long: 'names'"#]);
    assert_eq!(told(r#"{"a":"values"}"#), [r#"1 stream '{a="values"}' has label value too long: 'values'"#]);
    let long = "v".repeat(1 << 20);
    let told = told(&format!(r#"{{"a":"{long}"}}"#)).remove(0);
    assert!(told.len() < 4096 && told.contains("label value too long"), "{}", told.len());
}

#[test]
fn each_limit_on_entries_is_told_or_the_line_is_cut() {
    let limits = Limits { line_bytes_max: 5, metadata_count_max: 1, metadata_bytes_max: 6, ..Limits::default() };
    let values =
        r#"[["1","12345"],["2","1234éé"],["3","x",{"a":"1","b":"2"}],["4","x",{"a":"123456"}],["5","1234567"]]"#;
    let (kept, told) = stream(r#"{"a":"b"}"#, values, limits);
    assert_eq!(kept, [r#"{a="b"} 1 12345 {}"#]);
    let advice = "or contact your Loki administrator to increase it.";
    assert_eq!(
        told,
        [
            r#"2 Max entry size '5' bytes exceeded for stream '{a="b"}' while adding an entry with length '8' bytes"#
                .to_owned(),
            format!(
                r#"2 stream '{{a="b"}}' has too many structured metadata labels: '2', limit: '1'. Please see `limits_config.max_structured_metadata_entries_count` {advice}"#
            ),
        ]
    );
    let limits = Limits { line_truncate: true, ..limits };
    let (kept, _) =
        stream(r#"{"a":"b"}"#, r#"[["1","1234éé"],["2","123456"],["3","\ud83d\ude00\ud83d\ude00"]]"#, limits);
    assert_eq!(kept, [r#"{a="b"} 1 1234 {}"#, r#"{a="b"} 2 12345 {}"#, r#"{a="b"} 3 😀 {}"#]);
    let mut bytes = Vec::new();
    push(r#"{a="b"}"#, &[(1, b"\xff\xfe\x80\x80\x80\x80\x80", &[])], &mut bytes);
    let decoded = Decoder::new(limits).decode(Format::Protobuf, &bytes).unwrap();
    assert!(decoded.batch.stream(0).entries().next().unwrap().line.len() >= 2);
}

#[test]
fn no_name_from_outside_has_the_mark_of_floating_labels() {
    let mark = bramble_signal::FLOATING_MARK;
    let (kept, told) = stream("{\"\\u0001trace_id\":\"x\"}", r#"[["1","x"]]"#, Limits::default());
    assert!(kept.is_empty() && told[0].contains("unexpected character inside braces"), "{told:?}");
    let (kept, _) = stream(r#"{"a":"b"}"#, "[[\"1\",\"x\",{\"\\u0001trace_id\":\"x\"}]]", Limits::default());
    assert_eq!(kept, [r#"{a="b"} 1 x {_trace_id="x"}"#]);
    let (name, label) = (format!("{mark}m"), format!("{{{mark}l=\"x\"}}"));
    let mut bytes = Vec::new();
    push(&label, &[(1, b"x", &[])], &mut bytes);
    push(r#"{a="b"}"#, &[(1, b"x", &[(&name, "v")])], &mut bytes);
    let decoded = protobuf(&bytes);
    assert_eq!((lines(&decoded.batch), decoded.rejected.count()), (vec![r#"{a="b"} 1 x {_m="v"}"#.to_owned()], 1));
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
