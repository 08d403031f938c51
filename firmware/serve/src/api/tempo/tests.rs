//! The whole of both routers over a store in memory: questions by HTTP and as streams.

use super::{TempoLimits, grpc_router, router};
use crate::state::ApiState;
use crate::testing::{self, NOW_MS};
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use bramble_storage::SpanSink;
use bramble_storage::memory::{MemoryMetrics, MemoryTraces};
use bramble_wire::Format;
use bramble_wire::otlp::Decoder;
use bramble_wire::protobuf::{Reader, Writer};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceExt;

const NOW_S: u64 = NOW_MS as u64 / 1000;

/// `count` traces, one a second up to now: a server span of shop, and two below it.
fn state(count: u64, limits: TempoLimits) -> Arc<ApiState> {
    let span = |trace: u64, id: u64, parent: u64, name: &str| {
        let start_ns = (NOW_S - count + trace) * 1_000_000_000 + id;
        json!({
            "traceId": format!("{:032x}", trace + 1), "spanId": format!("{id:016x}"),
            "parentSpanId": if parent > 0 { format!("{parent:016x}") } else { String::new() },
            "name": name, "kind": 2, "startTimeUnixNano": start_ns.to_string(),
            "endTimeUnixNano": (start_ns + 5_000_000).to_string(),
            "attributes": [{"key": "n", "value": {"intValue": id.to_string()}}],
        })
    };
    let spans: Vec<Value> =
        (0..count).flat_map(|t| [span(t, 1, 0, "GET /"), span(t, 2, 1, "query"), span(t, 3, 2, "SELECT")]).collect();
    let resource = json!({"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]});
    let body = json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}).to_string();
    let traces = MemoryTraces::new();
    let decoded = Decoder::new(bramble_wire::Limits::default()).traces(Format::Json, body.as_bytes()).unwrap();
    traces.apply(traces.prepare(decoded.batch, 0).unwrap(), 1);
    let mut state = testing::state(Arc::new(MemoryMetrics::new()), Arc::default(), 64 << 20);
    state.traces = Arc::new(traces);
    state.tempo_limits = limits;
    Arc::new(state)
}

async fn get(state: &Arc<ApiState>, path: &str, accept: &str) -> (StatusCode, Vec<u8>) {
    let request = Request::get(path).header("accept", accept).body(Body::empty()).unwrap();
    let response = router(state.clone()).oneshot(request).await.unwrap();
    let status = response.status();
    (status, to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec())
}

async fn get_json(state: &Arc<ApiState>, path: &str) -> Value {
    let (status, body) = get(state, path, "application/json").await;
    assert_eq!(status, StatusCode::OK, "{path}: {}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).unwrap()
}

/// Fields of a message by number.
fn fields(message: &[u8]) -> BTreeMap<u32, Vec<Vec<u8>>> {
    let (mut reader, mut out) = (Reader::new(message), BTreeMap::<u32, Vec<Vec<u8>>>::new());
    while let Some(field) = reader.next().unwrap() {
        let bytes = match field.value {
            bramble_wire::protobuf::Value::Bytes(bytes) => bytes.to_vec(),
            bramble_wire::protobuf::Value::Varint(n) | bramble_wire::protobuf::Value::Fixed64(n) => {
                n.to_be_bytes().into()
            }
            bramble_wire::protobuf::Value::Fixed32(n) => n.to_be_bytes().into(),
        };
        out.entry(field.number).or_default().push(bytes);
    }
    out
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().unwrap())
}

fn framed(message: &[u8]) -> Vec<u8> {
    let mut frame = vec![0];
    frame.extend((message.len() as u32).to_be_bytes());
    frame.extend(message);
    frame
}

async fn call(state: &Arc<ApiState>, path: &str, frame: Vec<u8>) -> Response {
    let request = Request::post(path).header("content-type", "application/grpc").header("grpc-timeout", "30S");
    grpc_router(state.clone()).oneshot(request.body(Body::from(frame)).unwrap()).await.unwrap()
}

/// The messages of a stream and its trailers.
async fn streamed(state: &Arc<ApiState>, method: &str, request: &[u8]) -> (Vec<Vec<u8>>, HeaderMap) {
    let response = call(state, &format!("/tempopb.StreamingQuerier/{method}"), framed(request)).await;
    let head = response.headers().clone();
    let collected = response.into_body().collect().await.unwrap();
    let trailers = collected.trailers().cloned().unwrap_or(head);
    let (bytes, mut rest, mut messages) = (collected.to_bytes(), 0, Vec::new());
    while rest < bytes.len() {
        let length = u32::from_be_bytes(bytes[rest + 1..rest + 5].try_into().unwrap()) as usize;
        messages.push(bytes[rest + 5..rest + 5 + length].to_vec());
        rest += 5 + length;
    }
    (messages, trailers)
}

fn search(query: &str, limit: u64) -> Vec<u8> {
    let mut request = Vec::new();
    let mut writer = Writer::new(&mut request);
    writer.varint(4, limit);
    writer.bytes(8, query);
    request
}

#[tokio::test]
async fn a_stream_has_each_trace_once_and_ends_well() {
    let limits = TempoLimits { max_grpc_streaming_packet_size: 16 << 10, ..TempoLimits::default() };
    let state = state(300, limits);
    let (messages, trailers) = streamed(&state, "Search", &search("{ name = \"query\" }", 1000)).await;
    assert_eq!(trailers["grpc-status"], "0");
    assert!(messages.len() > 2, "{} messages", messages.len());
    assert!(messages.iter().all(|m| m.len() < 16 << 10));
    let traces: Vec<_> = messages.iter().filter_map(|m| fields(m).remove(&1)).flatten().collect();
    let ids: std::collections::BTreeSet<_> = traces.iter().map(|t| fields(t)[&1][0].clone()).collect();
    assert_eq!((traces.len(), ids.len()), (300, 300));
    let trace = fields(&traces[0]);
    assert_eq!((trace[&2][0].as_slice(), trace[&3][0].as_slice()), (b"shop".as_slice(), b"GET /".as_slice()));
    let set = fields(&trace[&7][0]);
    assert_eq!((number(&set[&2][0]), fields(&set[&1][0])[&1][0].as_slice()), (1, b"0000000000000002".as_slice()));
    let last = fields(messages.last().unwrap());
    let metrics = fields(&last[&2][0]);
    assert_eq!(metrics[&4], metrics[&5], "all jobs are done");
}

#[tokio::test]
async fn errors_are_statuses() {
    let state = state(1, TempoLimits::default());
    let code = async |method, request: &[u8]| {
        let (messages, trailers) = streamed(&state, method, request).await;
        assert_eq!(messages.len(), 0);
        (trailers["grpc-status"].to_str().unwrap().to_owned(), trailers["grpc-message"].to_str().unwrap().to_owned())
    };
    let (status, message) = code("Search", &search("{ name = }", 1)).await;
    assert!(status == "3" && message.contains("col"), "{status} {message}");
    assert_eq!(code("Search", &search("{}", u64::MAX)).await.0, "3");
    assert_eq!(code("Search", &[0xff; 9]).await.0, "3");
    assert_eq!(code("MetricsQueryRange", &[0x0a, 2, b'{', b'}']).await.0, "3", "measures nothing");
    assert_eq!(code("SearchTagValuesV2", &[0x0a, 3, b'b', b' ', b's']).await.0, "3");
    assert_eq!(code("Nothing", &[]).await.0, "12");
    for frame in [vec![], vec![0, 0, 0, 0, 9, 1], vec![9, 0, 0, 0, 0]] {
        let response = call(&state, "/tempopb.StreamingQuerier/Search", frame).await;
        assert_eq!(response.headers()["grpc-status"], "3");
    }
    let request = Request::post("/tempopb.StreamingQuerier/Search").body(Body::empty()).unwrap();
    let response = grpc_router(state.clone()).oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let response = call(&state, "/grpc.health.v1.Health/Check", framed(b"")).await;
    let collected = response.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(collected.to_bytes().as_ref(), [0, 0, 0, 0, 2, 8, 1]);
}

#[tokio::test]
async fn a_client_that_leaves_stops_its_query() {
    let state = state(2000, TempoLimits { max_grpc_streaming_packet_size: 16 << 10, ..TempoLimits::default() });
    let mut response = call(&state, "/tempopb.StreamingQuerier/Search", framed(&search("{}", 2000))).await;
    assert!(response.body_mut().frame().await.unwrap().unwrap().is_data());
    drop(response);
    for _ in 0..1000 {
        if state.query_budget.used_bytes() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{} bytes are still held", state.query_budget.used_bytes());
}

#[tokio::test]
async fn tags_and_measures_as_streams() {
    let state = state(10, TempoLimits::default());
    let (messages, _) = streamed(&state, "SearchTags", &[]).await;
    assert_eq!(fields(&messages[0])[&1], [b"n".to_vec(), b"service.name".to_vec()]);
    let (messages, _) = streamed(&state, "SearchTagsV2", &[0x0a, 4, b's', b'p', b'a', b'n']).await;
    let scope = fields(&fields(&messages[0])[&1][0]);
    assert_eq!((scope[&1][0].as_slice(), scope[&2][0].as_slice()), (b"span".as_slice(), b"n".as_slice()));
    let mut request = Vec::new();
    Writer::new(&mut request).bytes(1, "span.n");
    let (messages, _) = streamed(&state, "SearchTagValuesV2", &request).await;
    let values: Vec<_> = fields(&messages[0])[&1].iter().map(|v| fields(v)[&2][0].clone()).collect();
    assert_eq!(values, [b"1", b"2", b"3"]);
    request.clear();
    Writer::new(&mut request).bytes(1, "n");
    let (messages, _) = streamed(&state, "SearchTagValues", &request).await;
    assert_eq!(fields(&messages[0])[&1], [b"1", b"2", b"3"]);
    request.clear();
    let mut writer = Writer::new(&mut request);
    writer.bytes(1, "{} | count_over_time() by (name)");
    writer.varint(2, (NOW_S - 60) * 1_000_000_000);
    writer.varint(3, (NOW_S + 60) * 1_000_000_000);
    writer.varint(4, 60_000_000_000);
    let (messages, _) = streamed(&state, "MetricsQueryRange", &request).await;
    let series = &fields(&messages[0])[&1];
    assert_eq!(series.len(), 3);
    let sum: f64 = fields(&series[0])[&2].iter().map(|s| f64::from_bits(number(&fields(s)[&1][0]))).sum();
    assert_eq!(sum, 10.0);
    let (messages, _) = streamed(&state, "MetricsQueryInstant", &request).await;
    let series = fields(&fields(&messages[0])[&1][0]);
    assert_eq!(f64::from_bits(number(&series[&2][0])), 10.0);
}

#[tokio::test]
async fn protobuf_says_what_json_says() {
    let state = state(5, TempoLimits::default());
    let as_protobuf = async |path: &str| {
        let (status, body) = get(&state, path, "application/protobuf").await;
        assert_eq!(status, StatusCode::OK, "{path}");
        fields(&body)
    };
    let path = "/api/search?q=%7B%7D&limit=4&spss=1";
    let found = get_json(&state, path).await;
    assert_eq!(found["traces"].as_array().unwrap().len(), 4);
    assert_eq!(found["metrics"]["completedJobs"], found["metrics"]["totalJobs"]);
    assert_eq!(as_protobuf(path).await[&1].len(), 4);
    assert_eq!(as_protobuf("/api/v2/search/tags").await[&1].len(), 3, "scopes");
    let values = get_json(&state, "/api/v2/search/tag/name/values?limit=2").await;
    assert_eq!(values["tagValues"].as_array().unwrap().len(), 2);
    assert_eq!(as_protobuf("/api/search/tag/n/values").await[&1].len(), 3);
    let path = "/api/metrics/query?q=%7B%7D%7Crate()by(name)";
    let measured = get_json(&state, path).await;
    assert_eq!(measured["series"].as_array().unwrap().len(), 3);
    assert_eq!(measured.as_object().unwrap().keys().collect::<Vec<_>>(), ["metrics", "series"]);
    assert_eq!(as_protobuf(path).await[&1].len(), 3);
}

#[tokio::test]
async fn a_trace_whole_or_in_part() {
    let state = state(1, TempoLimits::default());
    let names = async |query: &str| -> Vec<String> {
        let found = get_json(&state, &format!("/api/v2/traces/1{query}")).await;
        let spans = found.pointer("/trace/resourceSpans/0/scopeSpans/0/spans").and_then(Value::as_array).cloned();
        spans.unwrap_or_default().iter().map(|s| s["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("").await, ["GET /", "query", "SELECT"]);
    assert_eq!(names("?q=%7Bname%3D%22query%22%7D").await, ["GET /", "query"]);
    assert_eq!(names("?q=%7Bname%3D%22query%22%7D&keep_hierarchy=false").await, ["query"]);
    assert_eq!(names("?q=%7Bname%3D%22none%22%7D").await, [""; 0]);
    for bad in ["q=%7B%7D%7Crate()", "q=%7B%7D%26%26%7B%7D", "q=%7B%7D&keep_hierarchy=x", "start=2&end=1"] {
        assert_eq!(get(&state, &format!("/api/v2/traces/1?{bad}"), "").await.0, StatusCode::BAD_REQUEST, "{bad}");
    }
    let (_, body) = get(&state, "/api/v2/traces/1", "application/protobuf").await;
    assert_eq!(fields(&fields(&body)[&1][0])[&1].len(), 1, "one resource");
    for version in ["/api/traces/2", "/api/v2/traces/2"] {
        assert_eq!(get(&state, version, "application/protobuf").await.0, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn series_beyond_the_limit_are_left_out_and_said() {
    let state = state(3, TempoLimits { max_response_series: 2, ..TempoLimits::default() });
    let found = get_json(&state, "/api/metrics/query_range?q=%7B%7D%7Crate()by(name)").await;
    assert_eq!((found["series"].as_array().unwrap().len(), &found["status"]), (2, &json!("PARTIAL")));
    assert!(found["message"].as_str().unwrap().contains("2 series"));
}

#[tokio::test]
async fn what_was_cut_short_says_so() {
    let mut state = state(3, TempoLimits::default());
    Arc::get_mut(&mut state).unwrap().query_timeout = Duration::ZERO;
    let found = get_json(&state, "/api/search?q=%7B%7D").await;
    assert_eq!(found["status"], "PARTIAL");
    assert!(!found["message"].as_str().unwrap().is_empty());
    assert!(found["metrics"]["completedJobs"].as_u64() < found["metrics"]["totalJobs"].as_u64());
    let (messages, trailers) = streamed(&state, "Search", &search("{}", 5)).await;
    assert_eq!((messages.len(), trailers["grpc-status"].to_str().unwrap()), (0, "4"));
}

#[tokio::test]
async fn status_pages() {
    let state = state(1, TempoLimits::default());
    for path in
        ["/status", "/status/version", "/status/services", "/status/endpoints", "/status/config", "/ready", "/metrics"]
    {
        assert_eq!(get(&state, path, "").await.0, StatusCode::OK, "{path}");
    }
    for path in ["/api/overrides", "/status/nothing", "/api/nothing"] {
        assert_eq!(get(&state, path, "").await.0, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(get(&state, "/api/echo", "").await.1, b"echo");
    for path in ["/status/buildinfo", "/api/status/buildinfo"] {
        assert!(get_json(&state, path).await["version"].as_str().unwrap().starts_with('v'));
    }
}
