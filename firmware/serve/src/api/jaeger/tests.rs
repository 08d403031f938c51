//! Handlers over stores in memory: a trace of two services, and the series that would be derived from it.

use super::{dependencies, monitor, search, transform, v3};
use crate::params::Params;
use crate::state::ApiState;
use crate::testing::{self, NOW_MS};
use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bramble_signal::MetricBatch;
use bramble_storage::SpanSink;
use bramble_storage::memory::{MemoryMetrics, MemoryTraces};
use bramble_wire::Format;
use bramble_wire::otlp::Decoder;
use http::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;

const NOW_NS: u64 = NOW_MS as u64 * 1_000_000;

/// beorn calls arda, which fails; the arda span's grandparent never came.
fn otlp() -> Value {
    let span = |id: u64, parent: &str, name: &str, kind: u8, status: u8| {
        json!({
            "traceId": "000000000000000000000000000000ab", "spanId": format!("{id:016x}"), "parentSpanId": parent,
            "name": name, "kind": kind, "startTimeUnixNano": (NOW_NS - 5_000_000_000 + id).to_string(),
            "endTimeUnixNano": (NOW_NS - 4_000_000_000).to_string(), "status": {"code": status},
            "attributes": [{"key": "circuit_id", "value": {"stringValue": "circ-1"}}, {"key": "ratio", "value": {"doubleValue": 5.0}}],
            "events": [{"name": "retry", "timeUnixNano": (NOW_NS - 4_500_000_000).to_string()}],
        })
    };
    let of = |service: &str, spans: Value| {
        let attributes = json!([{"key": "service.name", "value": {"stringValue": service}}]);
        json!({"resource": {"attributes": attributes}, "scopeSpans": [{"spans": spans}]})
    };
    json!({"resourceSpans": [
        of("beorn", json!([span(1, "", "GET /", 2, 0), span(2, "0000000000000001", "call", 3, 0)])),
        of("arda", json!([span(3, "0000000000000002", "build", 2, 2), span(4, "00000000000000ff", "orphan", 1, 0)])),
    ]})
}

fn series(name: &str, labels: &[(&str, &str)], values: &[f64], batch: &mut MetricBatch) {
    let mut all = vec![("__name__", name)];
    all.extend_from_slice(labels);
    batch.start_series(&mut all).unwrap();
    for (i, value) in values.iter().enumerate() {
        batch.push_sample(NOW_MS - (values.len() - 1 - i) as i64 * 15_000, *value);
    }
}

fn state(metrics: MetricBatch) -> Arc<ApiState> {
    let traces = MemoryTraces::new();
    let body = otlp().to_string();
    let decoded = Decoder::new(bramble_wire::Limits::default()).traces(Format::Json, body.as_bytes()).unwrap();
    let prepared = traces.prepare(decoded.batch, 0).unwrap();
    traces.apply(prepared, 1);
    let store = MemoryMetrics::new();
    store.load(metrics);
    let mut state = testing::state(Arc::new(store), Arc::default(), 64 << 20);
    state.traces = Arc::new(traces);
    Arc::new(state)
}

async fn read<E: IntoResponse>(response: Result<Response, E>) -> (StatusCode, Value) {
    let response = response.into_response();
    let status = response.status();
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap())
}

#[tokio::test]
async fn search_by_tags_of_any_kind() {
    let state = state(MetricBatch::new());
    for (tags, found) in [
        ("tag=circuit_id:circ-1", 1),
        ("tag=ratio:5.0", 1),
        ("tag=event:retry", 1),
        ("tag=error:true&service=arda", 1),
        ("tag=error:true", 0),
        ("tags=%7B%22circuit_id%22:%22circ-1%22,%22span.kind%22:%22client%22%7D", 1),
        ("tag=circuit_id:circ-2", 0),
    ] {
        let service = if tags.contains("service=") { "" } else { "service=beorn&" };
        let (status, answer) =
            read(search::traces(State(state.clone()), Params::parse(&format!("{service}{tags}"))).await).await;
        assert_eq!((status, &answer["total"]), (StatusCode::OK, &json!(found)), "{tags}: {answer}");
    }
}

#[tokio::test]
async fn summaries_say_what_lists_show() {
    let answer =
        read(v3::summaries(State(state(MetricBatch::new())), Params::parse("query.serviceName=arda")).await).await;
    let expected = json!({"summaries": [{
        "traceId": "000000000000000000000000000000ab", "rootServiceName": "beorn", "rootOperationName": "GET /",
        "minStartTimeUnixNano": (NOW_NS - 5_000_000_000 + 1).to_string(),
        "maxEndTimeUnixNano": (NOW_NS - 4_000_000_000).to_string(),
        "spanCount": 4, "errorSpanCount": 1, "orphanSpanCount": 1,
        "services": [
            {"name": "arda", "spanCount": 2, "errorSpanCount": 1},
            {"name": "beorn", "spanCount": 2, "errorSpanCount": 0},
        ],
    }]});
    assert_eq!(answer, (StatusCode::OK, expected));
}

#[tokio::test]
async fn v3_gives_otlp() {
    let state = state(MetricBatch::new());
    let (status, answer) = read(v3::trace(State(state.clone()), Path("AB".to_owned())).await).await;
    assert_eq!(status, StatusCode::OK);
    let of = answer["result"]["resourceSpans"].as_array().unwrap();
    let spans: usize = of.iter().map(|r| r["scopeSpans"][0]["spans"].as_array().unwrap().len()).sum();
    assert_eq!((of.len(), spans), (2, 4));
    assert_eq!(of[0]["scopeSpans"][0]["spans"][0]["traceId"], "000000000000000000000000000000ab");
    let (status, answer) = read(v3::trace(State(state.clone()), Path("AC".to_owned())).await).await;
    assert_eq!((status, &answer["error"]["httpCode"]), (StatusCode::NOT_FOUND, &json!(404)));
    let none = read(v3::traces(State(state), Params::parse("query.service_name=gone")).await).await;
    assert_eq!(none.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn dependencies_come_from_series_where_there_are_some() {
    let ask = |state| dependencies::dependencies(State(state), Params::default());
    let (_, answer) = read(ask(state(MetricBatch::new())).await).await;
    assert_eq!(answer["data"], json!([{"parent": "beorn", "child": "arda", "callCount": 1}]));
    let mut batch = MetricBatch::new();
    let edge = [("client", "palantir"), ("server", "arda")];
    series("traces_service_graph_request_total", &edge, &[0.0, 7.0, 2.0], &mut batch);
    let (_, answer) = read(ask(state(batch)).await).await;
    assert_eq!(answer["data"], json!([{"parent": "palantir", "child": "arda", "callCount": 9}]));
}

#[tokio::test]
async fn performance_is_that_of_the_derived_series() {
    let mut batch = MetricBatch::new();
    let labels = |status| {
        [("service", "arda"), ("span_kind", "SPAN_KIND_SERVER"), ("span_name", "build"), ("status_code", status)]
    };
    let ok: Vec<f64> = (0..41).map(|i| f64::from(i) * 30.0).collect();
    let failed: Vec<f64> = (0..41).map(|i| f64::from(i) * 10.0).collect();
    series("traces_spanmetrics_calls_total", &labels("STATUS_CODE_OK"), &ok, &mut batch);
    series("traces_spanmetrics_calls_total", &labels("STATUS_CODE_ERROR"), &failed, &mut batch);
    for (le, share) in [("0.1", 0.5), ("0.2", 1.0), ("+Inf", 1.0)] {
        let mut all = labels("STATUS_CODE_OK").to_vec();
        all.push(("le", le));
        series(
            "traces_spanmetrics_latency_bucket",
            &all,
            &ok.iter().map(|v| v * share).collect::<Vec<_>>(),
            &mut batch,
        );
    }
    let state = state(batch);
    let ask = async |what: &str, more: &str| {
        let text = format!("service=arda&lookback=60000&step=60000&ratePer=300000{more}");
        read(monitor::monitor(State(state.clone()), Path(what.to_owned()), Params::parse(&text)).await).await.1
    };
    let last = |family: &Value| {
        family["metrics"][0]["metricPoints"].as_array().unwrap().last().unwrap()["gaugeValue"]["doubleValue"]
            .as_f64()
            .unwrap()
    };
    let calls = ask("calls", "&groupByOperation=true").await;
    assert_eq!((&calls["name"], &calls["type"]), (&json!("service_operation_call_rate"), &json!("GAUGE")));
    let named = json!([{"name": "service_name", "value": "arda"}, {"name": "operation", "value": "build"}]);
    assert_eq!(calls["metrics"][0]["labels"], named);
    assert!((last(&calls) - 40.0 / 15.0).abs() < 0.01, "{calls}");
    assert!((last(&ask("errors", "").await) - 0.25).abs() < 1e-6);
    let latencies = ask("latencies", "&quantile=0.75").await;
    assert!((last(&latencies) - 150.0).abs() < 1.0, "milliseconds: {latencies}");
    assert_eq!(ask("calls", "&spanKind=client").await["metrics"], json!([]));
}

#[tokio::test]
async fn files_are_transformed() {
    let state = state(MetricBatch::new());
    let (status, answer) = read(transform::transform(State(state.clone()), Body::from(otlp().to_string())).await).await;
    assert_eq!((status, &answer["total"]), (StatusCode::OK, &json!(1)));
    assert_eq!(answer["data"][0]["spans"].as_array().unwrap().len(), 4);
    let (status, answer) = read(transform::transform(State(state), Body::from("{\"resourceSpans\": 3}")).await).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(answer["errors"][0]["msg"].as_str().unwrap().contains("OTLP"));
}
