use super::*;
use bramble_signal::LogBatch;
use bramble_signal::{LabelsRef, LogEntry, LogStream};
use proptest::prelude::*;

/// 2026-11-21T06:00:00Z.
const NOW: i64 = 1_795_240_800_000_000_000;

/// A small model of the product's finder.
fn ids(name: &str, value: &str, found: &mut dyn FnMut(&'static str, &str)) -> bool {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    match plain.as_str() {
        "traceid" => found("trace_id", value),
        "spanid" => found("span_id", value),
        "circuitid" => found("circuit_id", value),
        "requestid" | "correlationid" => found("request_id", value),
        "traceparent" => {
            let mut parts = value.split('-').skip(1);
            parts.next().into_iter().for_each(|id| found("trace_id", id));
            return false;
        }
        _ => return false,
    }
    true
}

fn posted(body: &str, kind: BodyKind) -> Posted {
    Decoder::new(Limits::default(), ids).decode(body.as_bytes(), kind, &[], NOW).unwrap()
}

fn lines(batch: &LogBatch) -> Vec<String> {
    let of = |stream: LogStream<'_>| {
        let labels = stream.labels().to_string();
        let shown = |e: LogEntry<'_>| {
            let seconds = ((e.timestamp_ns - NOW) as f64 / 1e6).round() / 1e3;
            format!("{labels} {seconds:+} {} {}", String::from_utf8_lossy(e.line), e.metadata)
        };
        stream.entries().map(shown).collect::<Vec<_>>()
    };
    batch.streams().flat_map(of).collect()
}

fn json(body: &str) -> Vec<String> {
    let posted = posted(body, BodyKind::Json);
    assert_eq!(posted.refused, []);
    assert_eq!(posted.records, posted.batch.entry_count() as u64);
    lines(&posted.batch)
}

fn refused(posted: &Posted) -> Vec<String> {
    assert_eq!(posted.refused.len() as u64, posted.rejected.count());
    assert_eq!(posted.records, posted.rejected.count() + posted.batch.entry_count() as u64);
    posted.refused.iter().map(|r| format!("{} {} {}", r.index, r.field, r.reason)).collect()
}

#[test]
fn the_documented_form() {
    let body = r#"{"resource":{"service":"beorn","host":"pi","env":"dev","version":"1.2"},"records":[
        {"timestamp":"2026-11-21T06:00:01Z","severity":"ERROR","message":"it \"broke\"","labels":{"team":"a","n":7,"ok":true,"circuit_id":"C-17"},
         "trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","resourceType":{"name":"x"},"duration_ms":12.50},
        {"message":"fine"}]}"#;
    assert_eq!(
        json(body),
        [
            r#"{circuit_id="C-17", env="dev", host="pi", ok="true", service="beorn", service_name="beorn", team="a", trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} +1 it "broke" {duration_ms="12.50", level="error", n="7", resourceType_name="x", version="1.2"}"#,
            r#"{env="dev", host="pi", service="beorn", service_name="beorn"} +0 fine {version="1.2"}"#,
        ]
    );
}

#[test]
fn a_resource_may_come_last_and_a_record_knows_better() {
    let body = r#"{"records":[{"message":"a","service":"arda","pod":"p","labels":{"team":"b"}}],"labels":{"team":"a","zone":"z"},
        "resource":{"service.name":"beorn","k8s.node.name":"n1","trace_id":"t0","severity":"x"}}"#;
    assert_eq!(
        json(body),
        [
            r#"{node="n1", pod="p", service="arda", service_name="arda", team="b", trace_id="t0", zone="z"} +0 a {severity="x"}"#
        ]
    );
}

#[test]
fn other_forms() {
    let one = r#"{service="unknown_service", service_name="unknown_service"} +0 a {}"#;
    for body in [
        r#"{"message":"a"}"#,
        r#"{"records":{"msg":"a"}}"#,
        r#"{"logs":[{"log":"a"}]}"#,
        r#"{"records":["a"]}"#,
        r#"[{"body":"a"}]"#,
        r#"[{"records":[{"line":"a"}]},{"records":[]}]"#,
        r#" {"text":"a","time":null,"severity":null,"labels":{},"trace_id":""} "#,
    ] {
        assert_eq!(json(body), [one], "{body}");
        assert_eq!(lines(&posted(body, BodyKind::Unknown).batch), [one], "{body}");
    }
    assert_eq!(json(r#"{"records":[],"resource":{"service":"a"}}"#), [""; 0]);
    assert_eq!(json(r#"[]"#), [""; 0]);
    // A resource is not that of the next envelope.
    let two = json(r#"[{"resource":{"service":"x"},"records":[{"message":"a"}]},{"message":"a"}]"#);
    assert_eq!(two.get(1).map(String::as_str), Some(one));
}

#[test]
fn records_without_a_time_are_different_ones() {
    let batch =
        posted(r#"[{"message":"a"},{"message":"a"},{"message":"a","ts":1795240800},{"message":"a"}]"#, BodyKind::Json)
            .batch;
    let times: Vec<i64> = (0..4).map(|entry| batch.entry(entry).timestamp_ns - NOW).collect();
    assert_eq!(times, [0, 1, 0, 2]);
}

#[test]
fn messages_that_are_no_text_are_json() {
    let all = json(
        r#"[{"body":{"a": [1]}},{"message":17},{"message":[1, 2]},{"log":{"level":"warn","x":1},"message":"m"},{"message":""}]"#,
    );
    let ends = ["+0 {\"a\": [1]} {}", "+0 17 {}", "+0 [1, 2] {}", "+0 m {level=\"warn\", log_x=\"1\"}", "+0  {}"];
    for (line, end) in all.iter().zip(ends) {
        assert!(line.ends_with(end), "{line} {end}");
    }
}

#[test]
fn of_several_names_the_best_counts_and_the_others_are_kept() {
    let all = json(
        r#"{"log":"l","message":"m","time":"1795240802","ts":"x","timestamp":"1795240801","level":"info","severity":"ERR","trace_id":"a","traceId":"b","correlation_id":"c"}"#,
    );
    assert_eq!(
        all,
        [
            r#"{request_id="c", service="unknown_service", service_name="unknown_service", trace_id="a"} +1 m {correlation_id="c", level="error", log="l", severity_text="ERR", time="1795240802", traceId="b", ts="x"}"#
        ]
    );
}

#[test]
fn names_of_ids_are_one_and_headers_are_read() {
    let all = json(
        r#"{"message":"m","attributes":{"Circuit-ID":42,"traceparent":"00-ab-cd-01"},"context":{"user":{"id":"u"}}}"#,
    );
    assert_eq!(
        all,
        [
            r#"{circuit_id="42", service="unknown_service", service_name="unknown_service", trace_id="ab"} +0 m {traceparent="00-ab-cd-01", user_id="u"}"#
        ]
    );
}

#[test]
fn names_with_other_meanings_are_taken_for_what_they_hold() {
    let all = json(
        r#"[{"message":"a","date":"2026-12-24","priority":"high"},{"message":"b","date":1795240801.5,"PRIORITY":"4"},{"message":"c","datetime":"soon"}]"#,
    );
    let ends = [
        r#"+0 a {date="2026-12-24", priority="high"}"#,
        r#"+1.5 b {level="warn", severity_text="4"}"#,
        r#"+0 c {datetime="soon"}"#,
    ];
    for (line, end) in all.iter().zip(ends) {
        assert!(line.ends_with(end), "{line} {end}");
    }
}

#[test]
fn ids_that_join_nothing_are_told_of() {
    let body = r#"[{"message":"a","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7"},
        {"message":"b","trace_id":"xyz"},{"message":"c","span_id":"1"},{"message":"d"}]"#;
    let posted = posted(body, BodyKind::Json);
    let told: Vec<(u64, &str)> = posted.warnings.iter().map(|w| (w.index, w.field)).collect();
    assert_eq!((told, refused(&posted).len()), (vec![(1, "trace_id"), (2, "span_id")], 0));
    assert_eq!(posted.batch.stream(1).labels().get("trace_id"), Some("xyz"));
}

#[test]
fn labels_that_cannot_be_are_metadata() {
    let long = "x".repeat(5000);
    let many: String = (0..60).map(|n| format!(r#","l{n}":"v""#)).collect();
    let all =
        json(&format!(r#"{{"message":"m","labels":{{"__bramble__":"correlations","long":"{long}","9a":"n"{many}}}}}"#));
    let batch = posted(&format!(r#"{{"message":"m","labels":{{"x":"y"{many}}}}}"#), BodyKind::Json).batch;
    assert!(batch.stream(0).labels().len() <= Limits::default().stream_labels_max);
    assert_eq!(batch.entry(0).metadata.len() + batch.stream(0).labels().len(), 63);
    assert!(all[0].contains("_9a=\"n\"") && all[0].contains("{__bramble__=\"correlations\""), "{}", &all[0][..200]);
    assert!(!all[0].starts_with("{__"), "{}", &all[0][..200]);
}

#[test]
fn syslog_is_taken_apart() {
    let all = json(
        r#"[{"message":"<34>1 2026-11-21T05:59:59Z gate su 77 ID47 [x@1 traceId=\"ab\" k=\"v\"] 'su root' failed for lonvick"},
            {"message":"<13>Nov 21 05:59:58 gate app: hello\n","severity":"warn","timestamp":1795240801,"service":"beorn","host":"pi"},
            {"message":"<3>just a priority"},{"message":"{\"a\":\"<34>1\"}"}]"#,
    );
    assert_eq!(
        all,
        [
            r#"{host="gate", service="su", service_name="su", trace_id="ab"} -1 'su root' failed for lonvick {facility="auth", level="critical", msgid="ID47", procid="77", sd_x_1_k="v", severity_text="crit"}"#,
            r#"{host="pi", service="beorn", service_name="beorn"} +1 hello {app="app", facility="user", hostname="gate", level="warn"}"#,
            r#"{service="unknown_service", service_name="unknown_service"} +0 just a priority {level="error", severity_text="err"}"#,
            r#"{service="unknown_service", service_name="unknown_service"} +0 {"a":"<34>1"} {}"#,
        ]
    );
}

#[test]
fn text_is_a_record_a_line() {
    let body = "<34>Nov 21 05:59:59 gate su: a\r\n\n[2026] plain \u{e4}\n";
    let defaults = [("service".to_owned(), "door".to_owned()), ("team".to_owned(), "t".to_owned())];
    let mut decoder = Decoder::new(Limits::default(), ids);
    let posted = decoder.decode(body.as_bytes(), BodyKind::Unknown, &defaults, NOW).unwrap();
    assert_eq!(
        lines(&posted.batch),
        [
            r#"{host="gate", service="door", service_name="door", team="t"} -1 a {app="su", facility="auth", level="critical", severity_text="crit"}"#,
            "{service=\"door\", service_name=\"door\", team=\"t\"} +0 [2026] plain \u{e4} {}",
        ]
    );
    let bytes = decoder.decode(b"\xff\xfe text", BodyKind::Unknown, &[], NOW).unwrap();
    assert_eq!(bytes.batch.entry(0).line, b"\xff\xfe text");
}

#[test]
fn bad_records_are_reported_by_their_number() {
    let body = r#"[{"records":[{"message":"good"},7,null,{"msg":"x","timestamp":"soon"},{"severity":"info"},
        {"message":"\ud800"},{"message":null}]},[1],{"message":"good","time":[1]},{"message":"good"}]"#;
    let posted = posted(body, BodyKind::Json);
    assert_eq!(
        refused(&posted),
        [
            "1 record expected an object, found a number",
            "2 record expected an object, found null",
            r#"3 timestamp timestamp "soon" is no time"#,
            "4 message there is none",
            "5 message an escape that is no character",
            "6 message there is none",
            "7 record expected an object, found a list",
            r#"8 timestamp time "[1]" is no time"#,
        ]
    );
    assert_eq!(posted.batch.entry_count(), 2);
    let limits = Limits { line_bytes_max: 4, ..Limits::default() };
    let mut decoder = Decoder::new(limits, ids);
    let posted = decoder.decode(br#"[{"message":"12345"},{"message":"1234"}]"#, BodyKind::Json, &[], NOW).unwrap();
    assert_eq!(refused(&posted), ["0 message 5 bytes are more than 4"]);
    let metadata = Limits { metadata_count_max: 1, ..Limits::default() };
    let mut decoder = Decoder::new(metadata, ids);
    let posted = decoder.decode(br#"[{"message":"1","a":1,"b":2}]"#, BodyKind::Json, &[], NOW).unwrap();
    assert_eq!(refused(&posted), ["0 labels structured metadata is too large"]);
}

#[test]
fn lines_of_json_spoil_only_themselves() {
    let body =
        "{\"message\":\"a\"}\n{\"message\":\n\n[{\"message\":\"b\"}]\n{\"records\":[{\"message\":\"c\"}]}\r\nnull\n";
    let told = Decoder::new(Limits::default(), ids).decode(body.as_bytes(), BodyKind::JsonLines, &[], NOW).unwrap();
    assert_eq!(
        refused(&told),
        ["1 record line 2: column 11: EOF while parsing a value", "4 record expected an object, found null"]
    );
    assert_eq!(told.batch.entry_count(), 3);
    // Nobody needs to say that it is lines.
    assert_eq!(json("{\"message\":\"a\"}\n{\"message\":\"b\"}").len(), 2);
}

#[test]
fn what_is_no_json_says_where() {
    let error =
        |body: &str, kind| Decoder::new(Limits::default(), ids).decode(body.as_bytes(), kind, &[], NOW).unwrap_err();
    for (body, place) in [
        ("{\"message\":\"a\",\n  oops}", (2, 3)),
        ("{\"records\":[{\"message\":\"a\"}", (1, 27)),
        ("{\"message\":\"a\"} x", (1, 17)),
        ("{\n\"message\":\"a\"}\n\n{}", (4, 1)),
        ("17", (1, 1)),
        ("hello", (1, 1)),
    ] {
        assert_eq!(error(body, BodyKind::Json).place(), Some(place), "{body}");
    }
    assert_eq!(error("", BodyKind::Json).kind(), DecodeErrorKind::Json);
    assert_eq!(error("{\"a", BodyKind::Unknown).kind(), DecodeErrorKind::Json);
    let utf8 = Decoder::new(Limits::default(), ids).decode(b"{\"message\":\"\xff\"}", BodyKind::Json, &[], NOW);
    assert_eq!(utf8.unwrap_err().place(), Some((1, 13)));
}

#[test]
fn memory_and_reports_are_bounded() {
    let body = format!("[{}1]", "1,".repeat(REFUSED_MAX + 50));
    let told = posted(&body, BodyKind::Json);
    assert_eq!((told.refused.len(), told.rejected.count()), (REFUSED_MAX, REFUSED_MAX as u64 + 51));
    let mut decoder = Decoder::new(Limits { batch_bytes_max: 2000, ..Limits::default() }, ids);
    for body in [&body, &format!("[{}1]", "{\"message\":\"x\"},".repeat(200))] {
        let error = decoder.decode(body.as_bytes(), BodyKind::Json, &[], NOW).unwrap_err();
        assert_eq!(error.kind(), DecodeErrorKind::TooLarge);
    }
    // Deep objects are not entered for ever.
    let deep = format!("{{\"message\":\"m\",\"a\":{}1{}}}", "{\"a\":".repeat(5000), "}".repeat(5000));
    let told = posted(&deep, BodyKind::Json);
    assert_eq!(told.batch.entry_count(), 1);
}

#[test]
fn content_types() {
    for (header, kind) in [
        ("application/json; charset=utf-8", BodyKind::Json),
        ("application/vnd.api+json", BodyKind::Json),
        ("Application/X-NDJSON", BodyKind::JsonLines),
        ("application/x-www-form-urlencoded", BodyKind::Unknown),
        ("text/plain", BodyKind::Unknown),
        ("", BodyKind::Unknown),
    ] {
        assert_eq!(BodyKind::of_media_type(header), kind, "{header}");
    }
}

fn value() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        Just(Value::from("2026-11-21T06:00:00Z")),
        Just(Value::from("<34>1 - h a p m [x@1 k=\"v\"] t")),
    ];
    let name = prop_oneof![
        Just("message"),
        Just("timestamp"),
        Just("severity"),
        Just("labels"),
        Just("records"),
        Just("resource"),
        Just("trace_id"),
        Just("traceId"),
        Just("service"),
        Just("attributes"),
        Just("__x"),
        Just("a.b"),
        Just("9"),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..6)
                .prop_map(|pairs| pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_are_judged(body in prop::collection::vec(any::<u8>(), 0..200), text in "[\\[\\]{}:,\"a1\\\\\n]{0,60}") {
        for body in [body.as_slice(), text.as_bytes()] {
            for kind in [BodyKind::Json, BodyKind::JsonLines, BodyKind::Unknown] {
                let _ = Decoder::new(Limits::default(), ids).decode(body, kind, &[], NOW);
            }
        }
    }

    /// No record is lost between the good and the bad ones, and all sets of labels are in order.
    #[test]
    fn every_record_is_accounted_for(value in value()) {
        let mut decoder = Decoder::new(Limits::default(), ids);
        let body = value.to_string();
        let first = decoder.decode(body.as_bytes(), BodyKind::Json, &[], NOW);
        prop_assert_eq!(decoder.decode(body.as_bytes(), BodyKind::Json, &[], NOW), first.clone());
        if let Ok(posted) = first {
            refused(&posted);
            for stream in posted.batch.streams() {
                prop_assert!(LabelsRef::parse(stream.labels().as_bytes()).is_some());
                prop_assert!(stream.labels().get("service").is_some() && stream.labels().iter().all(|(name, _)| !name.starts_with("__")));
                for entry in stream.entries() {
                    prop_assert!(LabelsRef::parse(entry.metadata.as_bytes()).is_some());
                }
            }
        }
    }
}
