//! `GET /api/logs` over a store in memory.

use super::tests::answer;
use crate::api::correlate;
use crate::testing::{self, NOW_MS};
use bramble_signal::LogBatch;
use bramble_storage::memory::MemoryLogs;
use bramble_storage::{LogSink, OWN_STREAM_LABEL};
use http::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;

const NOW_NS: i64 = NOW_MS * 1_000_000;
const MINUTE_NS: i64 = 60_000_000_000;
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

type Pairs<'a> = &'a mut [(&'a str, &'a str)];

/// Puts an entry some minutes before now.
fn put(logs: &MemoryLogs, minutes: i64, labels: Pairs<'_>, line: &str, metadata: Pairs<'_>) {
    let mut batch = LogBatch::new();
    batch.start_stream(labels).unwrap();
    batch.push_entry(NOW_NS - minutes * MINUTE_NS, line.as_bytes(), metadata).unwrap();
    logs.apply(logs.prepare(batch, NOW_NS).unwrap(), 1);
}

fn planted() -> Arc<MemoryLogs> {
    let logs = MemoryLogs::new();
    // As it is posted to this API.
    put(
        &logs,
        1,
        &mut [("service", "beorn"), ("service_name", "beorn"), ("host", "pi4"), ("env", "prod"), ("region", "eu")],
        "order taken",
        &mut [
            ("severity", "WARNING"),
            ("level", "warn"),
            ("detected_level", "warn"),
            ("\u{1}trace_id", TRACE),
            ("\u{1}circuit_id", "C-7"),
            ("thread", "main"),
        ],
    );
    // As OTLP brings it, and another spelling of the id in the line.
    put(
        &logs,
        2,
        &mut [("service", "arda"), ("service_name", "arda")],
        r#"{"msg":"paid","circuitId":"C-7","request_id":"r-1"}"#,
        &mut [
            ("severity_text", "ERROR"),
            ("severity_number", "17"),
            ("trace_id", TRACE),
            ("span_id", "0102030405060708"),
        ],
    );
    put(
        &logs,
        3,
        &mut [("app", "palantir"), ("service_name", "palantir")],
        &format!("level=info trace_id={TRACE}"),
        &mut [],
    );
    put(&logs, 4, &mut [("app", "palantir"), ("service_name", "palantir")], "C-7 is only mentioned", &mut []);
    put(&logs, 30 * 60, &mut [("service_name", "beorn")], "circuit_id=C-7 long ago", &mut []);
    put(&logs, 0, &mut [(OWN_STREAM_LABEL, "correlations")], &format!("trace_id={TRACE}"), &mut [("trace_id", TRACE)]);
    Arc::new(logs)
}

async fn ask(logs: &Arc<MemoryLogs>, query: &str) -> (StatusCode, Value) {
    let state = Arc::new(testing::state(Arc::default(), logs.clone(), 32 << 20));
    let found = answer(correlate::router(state.clone()), &format!("/api/logs{query}")).await;
    assert_eq!(state.query_budget.used_bytes(), 0);
    found
}

/// Minutes ago of what is found.
async fn found(logs: &Arc<MemoryLogs>, query: &str) -> Vec<i64> {
    let (status, body) = ask(logs, query).await;
    assert_eq!(status, StatusCode::OK, "{query}: {body}");
    let records = body["logs"].as_array().unwrap();
    assert_eq!(body["count"], json!(records.len()));
    let ago = |record: &Value| {
        let at = crate::params::rfc3339_ns(record["timestamp"].as_str().unwrap()).unwrap();
        (i128::from(NOW_NS) - at) as i64 / MINUTE_NS
    };
    records.iter().map(ago).collect()
}

#[tokio::test]
async fn records_have_the_shape_in_which_they_are_posted() {
    let (_, body) = ask(&planted(), "?limit=2").await;
    let expected = json!({"logs": [
        {"timestamp": "2026-11-18T11:05:40Z", "severity": "WARNING", "message": "order taken", "service": "beorn",
         "host": "pi4", "env": "prod", "labels": {"region": "eu", "thread": "main"}, "trace_id": TRACE, "circuit_id": "C-7"},
        {"timestamp": "2026-11-18T11:04:40Z", "severity": "ERROR",
         "message": "{\"msg\":\"paid\",\"circuitId\":\"C-7\",\"request_id\":\"r-1\"}", "service": "arda", "host": "",
         "env": "", "labels": {"severity_number": "17"}, "trace_id": TRACE, "span_id": "0102030405060708",
         "circuit_id": "C-7", "request_id": "r-1"},
    ], "count": 2});
    assert_eq!(body, expected);
}

#[tokio::test]
async fn filters_find_ids_wherever_they_stand() {
    let logs = planted();
    for (query, minutes) in [
        ("", vec![1, 2, 3, 4]),
        ("?since=150s", vec![1, 2]),
        ("?since=50h&until=150s", vec![3, 4, 1800]),
        ("?service=beorn", vec![1]),
        ("?service=beorn&since=0", vec![1, 1800]),
        ("?service=palantir", vec![3, 4]),
        ("?service=nobody", vec![]),
        ("?severity=error", vec![2]),
        ("?severity=WARNING", vec![1]),
        ("?severity=info", vec![3]),
        ("?circuitId=C-7", vec![1, 2, 1800]),
        ("?circuit_id=C-7&request_id=r-1", vec![2]),
        ("?circuit_id=c-7", vec![]),
        ("?product_id=C-7", vec![]),
        ("?span_id=0102030405060708", vec![2]),
        ("?limit=1&circuit_id=C-7&until=90s", vec![2]),
    ] {
        assert_eq!(found(&logs, query).await, minutes, "{query}");
    }
    assert_eq!(found(&logs, &format!("?trace_id={TRACE}")).await, [1, 2, 3]);
    assert_eq!(found(&logs, &format!("?traceId={}", TRACE.to_uppercase())).await, [1, 2, 3]);
}

#[tokio::test]
async fn bad_input_is_named() {
    let logs = planted();
    for (query, field) in [("?severity=loud", "severity"), ("?limit=x", "limit"), ("?trace_id=-", "trace_id")] {
        let (status, body) = ask(&logs, query).await;
        assert_eq!((status, &body["field"]), (StatusCode::BAD_REQUEST, &json!(field)), "{query}");
    }
}

#[tokio::test]
async fn lines_are_counted_against_the_budget() {
    let logs = MemoryLogs::new();
    for n in 0..100 {
        put(&logs, n, &mut [("service_name", "a")], &"x".repeat(10_000), &mut []);
    }
    let logs: Arc<MemoryLogs> = Arc::new(logs);
    let state = Arc::new(testing::state(Arc::default(), logs.clone(), 500_000));
    let router = correlate::router(state.clone());
    let (status, body) = answer(router.clone(), "/api/logs?limit=100").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
    assert_eq!(answer(router, "/api/logs?limit=10").await.0, StatusCode::OK);
    assert_eq!(state.query_budget.used_bytes(), 0);
}
