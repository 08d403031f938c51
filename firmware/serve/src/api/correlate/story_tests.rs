//! One correlation as a timeline, and stories, over stores in memory: what is printed, not what is found.

use super::tests::{answer, correlation};
use crate::api::correlate;
use crate::state::ApiState;
use crate::testing::{self, NOW_MS};
use bramble_correlate::Correlation;
use bramble_correlate::row::put_row;
use bramble_correlate::stored::StoredCorrelations;
use bramble_line::ids::IdKind;
use bramble_signal::LogBatch;
use bramble_storage::memory::{MemoryLogs, MemoryTraces};
use bramble_storage::{LogSink, LogSource, SpanSink, Visible};
use bramble_wire::Format;
use bramble_wire::otlp::Decoder;
use http::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;

const NOW_NS: i64 = NOW_MS * 1_000_000;
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const START_NS: i64 = NOW_NS - 60_000_000_000;

fn span(id: &str, parent: &str, kind: u32, name: &str, start_ms: i64, failed: bool) -> Value {
    let start_ns = START_NS + start_ms * 1_000_000;
    json!({
        "traceId": TRACE, "spanId": id, "parentSpanId": parent, "kind": kind, "name": name,
        "startTimeUnixNano": start_ns.to_string(), "endTimeUnixNano": (start_ns + 40_000_000).to_string(),
        "attributes": [{"key": "circuit_id", "value": {"stringValue": "C-1"}}],
        "status": {"code": if failed { 2 } else { 0 }, "message": if failed { "no funds" } else { "" }},
    })
}

fn resource(service: &str, host: &str, spans: &[Value]) -> Value {
    let attribute = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let attributes = [attribute("service.name", service), attribute("host.name", host)];
    json!({"resource": {"attributes": attributes}, "scopeSpans": [{"spans": spans}]})
}

fn traces() -> MemoryTraces {
    let web = [span("0000000000000001", "", 3, "POST /order", 0, false)];
    // A second behind what called it: its clock is wrong.
    let bank = [span("0000000000000002", "0000000000000001", 2, "pay", 1000, true)];
    let body = json!({"resourceSpans": [resource("web", "pi4", &web), resource("bank", "pi5", &bank)]}).to_string();
    let decoded = Decoder::new(bramble_wire::Limits::default()).traces(Format::Json, body.as_bytes()).unwrap();
    let traces = MemoryTraces::new();
    traces.apply(traces.prepare(decoded.batch, 0).unwrap(), 1);
    traces
}

fn logs(rows: &[Correlation]) -> Arc<MemoryLogs> {
    let mut batch = LogBatch::new();
    batch.start_stream(&mut [("service_name", "web"), ("host", "pi4")]).unwrap();
    let line = format!("level=error trace_id={TRACE} circuit_id=C-1 it broke");
    let mut metadata = [("detected_level", "error"), ("thread", "main")];
    batch.push_entry(START_NS + 10_000_000, line.as_bytes(), &mut metadata).unwrap();
    batch.push_entry(START_NS + 3_600_000_000_000, b"circuit_id=C-1 much later", &mut []).unwrap();
    for row in rows {
        put_row(row, &mut batch);
    }
    let logs = MemoryLogs::new();
    logs.apply(logs.prepare(batch, NOW_NS).unwrap(), 1);
    Arc::new(logs)
}

fn state() -> Arc<ApiState> {
    let mut row = correlation(START_NS / 1_000_000);
    row.ids = vec![(IdKind::Circuit, "C-1".to_owned())];
    let mut revised = row.clone();
    revised.revision = 2;
    let logs = logs(&[row, revised]);
    let mut state = testing::state(Arc::default(), Arc::default(), 32 << 20);
    state.correlations = Some(Arc::new(StoredCorrelations::new(logs.clone())));
    state.logs = Arc::new(Visible::new(logs as Arc<dyn LogSource>));
    state.traces = Arc::new(traces());
    Arc::new(state)
}

#[tokio::test]
async fn a_stored_correlation_is_told_event_by_event() {
    let state = state();
    let router = correlate::router(state.clone());
    let (status, list) = answer(router.clone(), "/api/correlations?circuitId=C-1").await;
    assert_eq!((status, &list["count"], &list["correlations"][0]["revision"]), (StatusCode::OK, &json!(1), &json!(2)));
    let path = list["correlations"][0]["links"]["self"].as_str().unwrap();
    let (status, told) = answer(router, path).await;
    assert_eq!((status, &told["id"]), (StatusCode::OK, &list["correlations"][0]["id"]), "{told}");
    assert_eq!((&told["truncated"], &told["circuit_id"]), (&json!(false), &json!("C-1")));
    let events = told["timeline"].as_array().unwrap();
    let kinds: Vec<&str> = events.iter().map(|e| e["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["span", "span", "log"], "{told}");
    let expected = json!({
        "time": "2026-11-18T11:05:40Z", "kind": "span", "service": "web", "node": "pi4", "certain": true,
        "confidence": 1.0, "by": "trace_id", "trace_id": TRACE, "span_id": "0000000000000001", "parent_span_id": null,
        "name": "POST /order", "duration_ms": 40.0, "failed": false, "message": "", "span_kind": "client",
    });
    assert_eq!(events[0], expected);
    let (bank, log) = (&events[1], &events[2]);
    assert_eq!(
        (&bank["failed"], &bank["message"], &bank["span_kind"]),
        (&json!(true), &json!("no funds"), &json!("server"))
    );
    assert_eq!(
        (&bank["time"], &bank["corrected_time"]),
        (&json!("2026-11-18T11:05:41Z"), &json!("2026-11-18T11:05:40Z"))
    );
    assert_eq!((&log["level"], &log["labels"]["thread"]), (&json!("error"), &json!("main")));
    assert_eq!((log.get("corrected_time"), &log["span_id"]), (None, &Value::Null));
    let skew = json!([{"client": "web", "client_node": "pi4", "server": "bank", "server_node": "pi5",
        "offset_ms": 1000.0, "calls": 1}]);
    assert_eq!(told["skew"], skew);
    assert_eq!(state.query_budget.used_bytes(), 0);
}

#[tokio::test]
async fn a_story_goes_beyond_the_trace() {
    let state = state();
    let router = correlate::router(state.clone());
    let (status, story) = answer(router.clone(), "/api/stories?circuitId=C-1").await;
    assert_eq!(status, StatusCode::OK, "{story}");
    assert_eq!((&story["ids"], &story["traces"]), (&json!({"circuit_id": ["C-1"]}), &json!([TRACE])));
    assert_eq!((&story["services"], &story["nodes"]), (&json!(["web", "bank"]), &json!(["pi4", "pi5"])));
    assert_eq!(story["correlations"][0]["id"], format!("{TRACE}-{}", START_NS / 1_000_000));
    let events = story["events"].as_array().unwrap();
    assert_eq!((events.len(), &events[3]["by"]), (4, &json!("circuit_id")), "{story}");
    assert_eq!((&story["end"], &events[3]["time"]), (&json!("2026-11-18T12:05:40Z"), &json!("2026-11-18T12:05:40Z")));
    assert_eq!(story["links"]["page"], "/#/stories?circuit_id=C-1");
    let (_, story) = answer(router.clone(), story["links"]["self"].as_str().unwrap()).await;
    assert_eq!(story["events"].as_array().map(Vec::len), Some(4));
    let (_, nothing) = answer(router.clone(), "/api/stories?product_id=C-1").await;
    assert_eq!(
        (&nothing["start"], &nothing["events"], &nothing["correlations"]),
        (&Value::Null, &json!([]), &json!([]))
    );
    let (_, cut) = answer(router.clone(), "/api/stories?circuit_id=C-1&limit=2").await;
    assert!(cut["truncated"] == true && cut["events"].as_array().unwrap().len() <= 2, "{cut}");
    for (query, field) in [("", "circuit_id"), ("?trace_id=1", "circuit_id"), ("?circuit_id=x&limit=5001", "limit")] {
        let (status, body) = answer(router.clone(), &format!("/api/stories{query}")).await;
        assert_eq!((status, &body["field"]), (StatusCode::BAD_REQUEST, &json!(field)), "{query}");
    }
    assert_eq!(state.query_budget.used_bytes(), 0);
}
