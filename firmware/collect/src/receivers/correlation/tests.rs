use super::*;
use crate::receivers::testing::{Answer, Bench, NOW_SECONDS, gzip, send};
use bramble_storage::WriteError;

const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");
const JSON: (&str, &str) = ("content-type", "application/json");

async fn post_to(bench: &Bench, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
    send(&correlation(bench.state.clone()), path, headers, body).await
}

async fn post_logs(bench: &Bench, headers: &[(&str, &str)], body: impl Into<Body>) -> (u16, String) {
    let answer = post_to(bench, "/api/logs", headers, body).await;
    assert_eq!(answer.header("content-type"), "application/json");
    (answer.status.as_u16(), answer.text())
}

fn stored(bench: &Bench) -> Vec<String> {
    let of = |stream: bramble_signal::LogStream<'_>| {
        let labels = stream.labels().to_string();
        let shown =
            |e: bramble_signal::LogEntry<'_>| format!("{labels} {} {}", String::from_utf8_lossy(e.line), e.metadata);
        stream.entries().map(shown).collect::<Vec<_>>()
    };
    bench.writer.logs.lock().iter().flat_map(|batch| batch.streams().flat_map(of).collect::<Vec<_>>()).collect()
}

#[tokio::test]
async fn records_are_stored_with_their_ids_as_labels() {
    let bench = Bench::small();
    let body = r#"{"resource":{"service":"beorn"},"records":[{"message":"a","severity":"Warning","traceId":"4BF92F3577B34DA6A3CE929D0E0E4736","labels":{"circuitId":"C-1"}}]}"#;
    assert_eq!(post_logs(&bench, &[JSON], body).await, (200, r#"{"accepted":1,"rejected":[]}"#.into()));
    assert_eq!(
        stored(&bench),
        [
            r#"{circuit_id="C-1", service="beorn", service_name="beorn", trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} a {detected_level="warn", level="warn", severity_text="Warning"}"#
        ]
    );
    assert_eq!(bench.writer.logs.lock()[0].entry(0).timestamp_ns, NOW_SECONDS * 1_000_000_000);
    assert_eq!(bench.counted("bramble_receive_requests_total", &["200", "correlation"]), 1);
}

#[tokio::test]
async fn bad_records_are_named_and_the_rest_is_stored() {
    let bench = Bench::small();
    let body = r#"{"records":[{"message":"a"},{"message":"b","timestamp":"soon"},7]}"#;
    let (status, text) = post_logs(&bench, &[JSON], body).await;
    let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, answer["accepted"].as_u64()), (207, Some(1)));
    let bad = answer["rejected"].as_array().unwrap();
    assert_eq!((bad[0]["index"].as_u64(), bad[0]["field"].as_str()), (Some(1), Some("timestamp")));
    assert_eq!((bad[1]["index"].as_u64(), bad[1]["field"].as_str()), (Some(2), Some("record")));
    assert_eq!(bad[0]["reason"].as_str(), Some("timestamp \"soon\" is no time"));
    assert_eq!(stored(&bench).len(), 1);
    assert_eq!(bench.counted("bramble_receive_rejected_total", &["correlation", "invalid_timestamp"]), 1);
    let (status, text) = post_logs(&bench, &[JSON], "[7,8]").await;
    assert!(status == 400 && text.contains(r#""accepted":0"#), "{text}");
    assert_eq!(bench.writer.logs.lock().len(), 1);
    *bench.writer.reject_one.lock() = true;
    let (status, text) = post_logs(&bench, &[JSON], r#"[{"message":"a"},{"message":"b"}]"#).await;
    assert!(
        status == 207 && text.contains(r#""accepted":1,"rejected":[],"rejected_by_store":{"too_old":1}"#),
        "{text}"
    );
}

#[tokio::test]
async fn ids_that_are_none_are_told_of() {
    let bench = Bench::small();
    let (status, text) = post_logs(&bench, &[JSON], r#"{"message":"a","trace_id":"x-y"}"#).await;
    let wanted = r#"{"accepted":1,"rejected":[],"warnings":[{"index":0,"field":"trace_id","reason":"not 16 or 32 hex digits: kept as text, joins nothing"}]}"#;
    assert_eq!((status, text.as_str()), (200, wanted));
}

#[tokio::test]
async fn what_is_no_json_says_where() {
    let bench = Bench::small();
    let (status, text) = post_logs(&bench, &[JSON], "{\"records\":[\n{\"message\"}]}").await;
    assert!(status == 400 && text.contains(r#""field":"body","line":2,"column":11"#), "{text}");
    assert_eq!(post_logs(&bench, &[JSON], "").await.0, 400);
    let (status, text) = post_logs(&bench, &[JSON, ("content-encoding", "br")], "{}").await;
    assert!(status == 415 && text.contains(r#""field":"Content-Encoding""#), "{text}");
    assert!(stored(&bench).is_empty());
}

#[tokio::test]
async fn text_lines_and_packed_bodies() {
    let bench = Bench::small();
    let answer = post_to(
        &bench,
        "/api/logs?service=door&x=y",
        &[("content-type", "text/plain")],
        "<11>Nov  1 00:00:00 h app[7]: m\nplain\n",
    );
    assert_eq!(answer.await.text(), r#"{"accepted":2,"rejected":[]}"#);
    let body = gzip(b"{\"message\":\"a\"}\n{\"message\":\"b\"}\n");
    assert_eq!(post_logs(&bench, &[NDJSON, ("content-encoding", "gzip")], body).await.0, 200);
    let zstd = zstd::stream::encode_all(br#"{"message":"c"}"#.as_slice(), 3).unwrap();
    assert_eq!(post_logs(&bench, &[JSON, ("content-encoding", "zstd")], zstd).await.0, 200);
    let lines = stored(&bench);
    assert_eq!(
        lines[0],
        r#"{host="h", service="door", service_name="door"} m {app="app", detected_level="error", facility="user", level="error", procid="7", severity_text="err"}"#
    );
    assert_eq!(lines.len(), 5);
}

#[tokio::test]
async fn too_much_is_413_or_503() {
    let bench = Bench::small();
    assert_eq!(post_logs(&bench, &[JSON], vec![b' '; 200_000]).await.0, 413);
    *bench.writer.fail.lock() = Some(WriteError::ShuttingDown);
    let answer = post_to(&bench, "/api/logs", &[JSON], r#"{"message":"a"}"#).await;
    assert!(
        answer.status == 503 && !answer.header("retry-after").is_empty() && answer.text().starts_with(r#"{"error":"#)
    );
    assert_eq!(bench.budget.used_bytes(), 0);
}

#[tokio::test]
async fn otlp_below_its_own_path() {
    let bench = Bench::small();
    let logs = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"x"}}]}]}]}"#;
    assert_eq!(post_to(&bench, "/api/otlp/logs", &[JSON], logs).await.status, 200);
    assert_eq!(post_to(&bench, "/api/otlp/v1/logs", &[JSON], logs).await.status, 200);
    assert_eq!(bench.writer.logs.lock().len(), 2);
    for path in ["/api/otlp/traces", "/api/otlp/metrics", "/api/otlp/v1/traces", "/api/otlp/v1/metrics"] {
        assert_eq!(post_to(&bench, path, &[JSON], "{}").await.status, 200, "{path}");
    }
}

#[test]
fn ids_have_one_form() {
    let ids = |name: &str, value: &str| {
        let mut all = Vec::new();
        let is_id = ids_of_field(name, value, &mut |id, value| all.push(format!("{id}={value}")));
        (is_id, all.join(" "))
    };
    assert_eq!(ids("X-Circuit-Id", "C-1"), (true, "circuit_id=C-1".into()));
    assert_eq!(ids("traceId", "00000000000000000000000000000000"), (true, String::new()));
    assert_eq!(ids("trace_id", "not hex"), (true, "trace_id=not hex".into()));
    assert_eq!(ids("user", "x"), (false, String::new()));
    let (is_id, found) = ids("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    assert_eq!((is_id, found.as_str()), (false, "trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span_id=00f067aa0ba902b7"));
}
