//! The API over a source of planted correlations.

use crate::api::correlate;
use crate::params::Params;
use crate::state::ApiState;
use crate::testing::{self, NOW_MS};
use axum::Router;
use axum::body::Body;
use bramble_correlate::correlation::{FirstError, Participant, WorstSpan};
use bramble_correlate::{Correlation, CorrelationId, CorrelationQuery, CorrelationSource, Level, Marks};
use bramble_line::ids::IdKind;
use bramble_signal::{SpanId, TraceId};
use bramble_storage::{QueryContext, ReadError};
use futures_util::StreamExt;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceExt;

const NOW_NS: i64 = NOW_MS * 1_000_000;
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// A correlation of the trace [`TRACE`], opened at a time, of one service that failed.
pub(super) fn correlation(opened_ms: i64) -> Correlation {
    let mut levels = [0; Level::ALL.len()];
    levels[Level::Info as usize] = 2;
    levels[Level::Error as usize] = 1;
    let web = Participant {
        service: "web".to_owned(),
        node: "pi4".to_owned(),
        env: "prod".to_owned(),
        logs: 3,
        spans: 1,
        errors: 1,
        skew_ns: 1_500_000,
    };
    let first_error = FirstError {
        time_ns: NOW_NS - 59_000_000_000,
        service: "web".to_owned(),
        span_id: SpanId([1; 8]),
        is_log: true,
        text: "it \"broke\"".to_owned(),
    };
    let worst_span = WorstSpan {
        span_id: SpanId([1; 8]),
        service: "web".to_owned(),
        name: "GET /".to_owned(),
        duration_ns: 2_500_000,
        self_ns: 1_000_000,
        failed: false,
    };
    Correlation {
        id: CorrelationId { trace_id: TraceId::parse(TRACE).unwrap(), opened_ms },
        revision: 1,
        start_ns: NOW_NS - 60_000_000_000,
        end_ns: NOW_NS - 57_500_000_000,
        window_ns: 60_000_000_000,
        ids: Vec::new(),
        participants: vec![web],
        logs: 3,
        levels,
        spans: 1,
        failed_spans: 0,
        exemplars: 0,
        inferred_logs: 0,
        spans_ns: None,
        root_span_id: SpanId([1; 8]),
        entry_spans: vec![SpanId([1; 8])],
        first_error: Some(first_error),
        worst_span: Some(worst_span),
        exemplar_series: Vec::new(),
        marks: Marks::default(),
    }
}

/// Correlations in a list, newest first.
struct Planted(Vec<Correlation>);

impl CorrelationSource for Planted {
    fn find(&self, query: &CorrelationQuery, context: &QueryContext) -> Result<Vec<Correlation>, ReadError> {
        context.check()?;
        Ok(self.0.iter().filter(|c| super::asked::fits(query, c)).take(query.limit).cloned().collect())
    }

    fn get(&self, id: CorrelationId, _: &QueryContext) -> Result<Option<Correlation>, ReadError> {
        Ok(self.0.iter().find(|c| c.id == id).cloned())
    }
}

pub(super) fn state(planted: Vec<Correlation>) -> ApiState {
    let mut state = testing::state(Arc::default(), Arc::default(), 32 << 20);
    state.correlations = Some(Arc::new(Planted(planted)));
    state
}

pub(super) async fn answer(router: Router, path: &str) -> (StatusCode, Value) {
    let request = Request::get(path).header("host", "pi:8080").body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into_owned().into()))
}

#[tokio::test]
async fn lists_are_filtered_and_whole() {
    let mut first = correlation(7);
    first.ids = vec![
        (IdKind::Request, "r-1".to_owned()),
        (IdKind::Circuit, "C-1".to_owned()),
        (IdKind::Circuit, "C-2".to_owned()),
    ];
    first.marks.truncated = true;
    let mut second = correlation(6);
    second.levels = [0; Level::ALL.len()];
    let state = Arc::new(state(vec![first, second]));
    let router = correlate::router(state.clone());
    let (status, all) = answer(router.clone(), "/api/correlations").await;
    assert_eq!((status, &all["count"]), (StatusCode::OK, &json!(2)));
    assert_eq!(all.get("warnings"), None);
    let c = &all["correlations"][0];
    let expected = json!({
        "id": format!("{TRACE}-7"), "trace_id": TRACE, "revision": 1,
        "window": {"start": "2026-11-18T11:05:40Z", "end": "2026-11-18T11:06:40Z", "seconds": 60.0},
        "start": "2026-11-18T11:05:40Z", "end": "2026-11-18T11:05:42.5Z", "duration_ms": 2500.0,
        "circuit_id": "C-1", "request_id": "r-1", "ids": {"circuit_id": ["C-1", "C-2"], "request_id": ["r-1"]},
        "services": [{"service": "web", "node": "pi4", "env": "prod", "logs": 3, "spans": 1, "errors": 1, "skew_ms": 1.5}],
        "counts": {"logs": 3, "spans": 1, "errors": 1, "failed_spans": 0, "exemplars": 0, "inferred_logs": 0,
            "levels": {"info": 2, "error": 1}},
        "has_error": true,
        "first_error": {"kind": "log", "time": "2026-11-18T11:05:41Z", "service": "web", "text": "it \"broke\"",
            "span_id": "0101010101010101"},
        "worst_span": {"span_id": "0101010101010101", "service": "web", "name": "GET /", "duration_ms": 2.5,
            "self_ms": 1.0, "failed": false},
        "exemplars": [], "marks": ["truncated"], "links": c["links"],
    });
    assert_eq!(*c, expected);
    for (query, count) in [
        ("circuitId=C-2", 1),
        ("circuit_id=C-3", 0),
        ("has_error=0", 1),
        ("has_error=true&service=web", 1),
        ("limit=1", 1),
        ("since=30s", 0),
        ("unheard_of=1&trace_id=0AF7651916CD43DD8448EB211C80319C", 2),
    ] {
        let (status, found) = answer(router.clone(), &format!("/api/correlations?{query}")).await;
        assert_eq!((status, &found["count"]), (StatusCode::OK, &json!(count)), "{query}");
        assert_eq!(found["correlations"].as_array().map(Vec::len), Some(count), "{query}");
    }
    assert_eq!(state.query_budget.used_bytes(), 0);
}

#[tokio::test]
async fn refusals_name_their_field() {
    let router = correlate::router(Arc::new(state(Vec::new())));
    let (status, body) = answer(router.clone(), "/api/correlations?limit=5000").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(body, json!({"error": "limit is a number from 1 to 1000, not \"5000\"", "field": "limit"}));
    for path in ["/api/correlations/stream?since=x", "/api/correlations?trace_id=x", "/api/correlations/nothing"] {
        let (status, body) = answer(router.clone(), path).await;
        assert_eq!((status, body["field"].is_string()), (StatusCode::BAD_REQUEST, true), "{path}: {body}");
    }
    let (status, body) = answer(router, &format!("/api/correlations/{TRACE}-1")).await;
    assert_eq!((status, &body["field"]), (StatusCode::NOT_FOUND, &json!("id")), "{body}");
    let off = Arc::new(testing::state(Arc::default(), Arc::default(), 1 << 20));
    for path in ["/api/correlations", "/api/correlations/stream"] {
        assert_eq!(answer(correlate::router(off.clone()), path).await.0, StatusCode::NOT_IMPLEMENTED, "{path}");
    }
}

#[tokio::test]
async fn the_other_door_says_how_it_is_and_links_to_the_main_one() {
    let door = correlate::door(Arc::new(state(vec![correlation(7)])));
    assert_eq!(answer(door.clone(), "/health").await, (StatusCode::OK, json!({"status": "healthy"})));
    assert_eq!(answer(door.clone(), "/metrics").await.0, StatusCode::OK);
    let (_, found) = answer(door, "/api/correlations").await;
    let links = &found["correlations"][0]["links"];
    assert_eq!(links["self"], format!("/api/correlations/{TRACE}-7"));
    assert_eq!(links["page"], format!("http://pi:3000/#/correlations/{TRACE}-7"));
    assert_eq!(links["tempo"], format!("http://pi:3000/tempo/api/traces/{TRACE}"));
}

#[tokio::test]
async fn before_it_is_ready_it_says_so() {
    let mut state = state(vec![correlation(7)]);
    state.operations = Arc::new(testing::Quiet(false));
    let door = correlate::door(Arc::new(state));
    let (status, health) = answer(door.clone(), "/health").await;
    assert_eq!((status, health), (StatusCode::SERVICE_UNAVAILABLE, json!({"status": "starting"})));
    let (_, list) = answer(door, "/api/correlations").await;
    assert_eq!(list["count"], 1);
    assert!(list["warnings"][0].as_str().unwrap().starts_with("partial:"), "{list}");
}

/// Reads a stream of events until `count` of a name came; what came of it, all of it.
async fn events(body: &mut axum::body::BodyDataStream, seen: &mut String, name: &str, count: usize) -> Vec<Value> {
    let wanted = format!("event: {name}\n");
    while seen.matches(&wanted).count() < count || !seen.ends_with("\n\n") {
        let next = tokio::time::timeout(Duration::from_secs(20), body.next()).await.expect("in time");
        seen.push_str(std::str::from_utf8(&next.expect("no end").unwrap()).unwrap());
    }
    let of = |event: &str| {
        let data = event.lines().find_map(|line| line.strip_prefix("data: "))?;
        event.contains(&wanted).then(|| serde_json::from_str(data).unwrap())
    };
    seen.split("\n\n").filter_map(of).collect()
}

#[tokio::test]
async fn new_ones_are_streamed_until_the_end() {
    let state = Arc::new(state(Vec::new()));
    let router = correlate::router(state.clone()).layer(crate::api::compression());
    let open = async |query: &str, last: Option<&str>| {
        let path = format!("/api/correlations/stream{query}");
        let mut request = Request::get(path).header("accept-encoding", "gzip");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    };
    let response = open("?circuitId=C-1", None).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers().get("content-encoding"), None, "what is compressed waits to be more");
    let (mut body, mut seen) = (response.into_body().into_data_stream(), String::new());
    events(&mut body, &mut seen, "nothing", 0).await;
    let mut wanted = correlation(2);
    wanted.ids.push((IdKind::Circuit, "C-1".to_owned()));
    state.correlation_feed.publish(&[Arc::new(correlation(1)), Arc::new(wanted.clone())]);
    wanted.revision = 2;
    state.correlation_feed.publish(&[Arc::new(wanted)]);
    let got = events(&mut body, &mut seen, "correlation", 2).await;
    assert_eq!((got[0]["id"].clone(), got[1]["revision"].clone()), (json!(format!("{TRACE}-2")), json!(2)));
    assert!(seen.contains("id: 0-2\n") && seen.contains("id: 0-3\n"), "{seen}");
    let again = open("", Some("0-1")).await;
    let (mut body_again, mut seen_again) = (again.into_body().into_data_stream(), String::new());
    events(&mut body_again, &mut seen_again, "correlation", 2).await;
    assert!(!seen_again.contains("id: 0-1\n") && seen_again.contains("id: 0-2\n"), "{seen_again}");
    assert_eq!(open("", None).await.status(), StatusCode::TOO_MANY_REQUESTS);
    state.correlation_feed.close();
    let end = tokio::time::timeout(Duration::from_secs(20), body.next()).await.expect("in time");
    assert!(end.is_none(), "{end:?}");
    drop((body, body_again));
    assert_eq!(open("", None).await.status(), StatusCode::OK, "places are given back");
}

#[tokio::test]
async fn who_reads_too_slowly_hears_how_many_it_missed() {
    let state = Arc::new(state(Vec::new()));
    let request = Request::get("/api/correlations/stream").body(Body::empty()).unwrap();
    let response = correlate::router(state.clone()).oneshot(request).await.unwrap();
    let (mut body, mut seen) = (response.into_body().into_data_stream(), String::new());
    for n in 0..2000 {
        state.correlation_feed.publish(&[Arc::new(correlation(n))]);
    }
    let missed = events(&mut body, &mut seen, "missed", 1).await[0]["missed"].as_u64().unwrap();
    let got = events(&mut body, &mut seen, "correlation", (2000 - missed) as usize).await;
    assert!(missed > 1000 && got.last().unwrap()["id"] == format!("{TRACE}-1999"), "{missed}");
}

#[test]
fn parameters_of_links_are_those_that_are_read() {
    let path = super::links::story(&[(IdKind::Circuit, "C&1"), (IdKind::Request, "ü")]);
    let params = Params::parse(path.split_once('?').unwrap().1);
    assert_eq!((params.get("circuit_id"), params.get("request_id")), (Some("C&1"), Some("ü")));
}
