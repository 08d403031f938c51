//! Bulk calls over a store in memory: what is answered, what it holds, how it ends.

use super::bulk::{self, BulkError, PIECE_BYTES, Pieces};
use super::{federate, remote_read, victoria};
use crate::params::Params;
use crate::state::ApiState;
use crate::testing::{self, NOW_MS};
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::response::Response;
use bramble_signal::{MetricBatch, NativeHistogram, stale_marker};
use bramble_storage::memory::MemoryMetrics;
use bramble_storage::{QueryContext, ReadError};
use bramble_wire::protobuf::Writer;
use http::{HeaderMap, StatusCode, header};
use std::sync::Arc;
use std::time::Duration;

/// A state over `batch`, with a query budget of `budget_bytes`.
fn state(batch: MetricBatch, budget_bytes: usize) -> Arc<ApiState> {
    let metrics = Arc::new(MemoryMetrics::new());
    metrics.load(batch);
    Arc::new(testing::state(metrics, Arc::default(), budget_bytes))
}

/// Labels, time and value.
type Given<'a> = (&'a [(&'a str, &'a str)], i64, f64);

fn batch(samples: &[Given<'_>]) -> MetricBatch {
    let mut batch = MetricBatch::new();
    for (labels, timestamp_ms, value) in samples {
        batch.start_series(&mut labels.to_vec()).unwrap();
        batch.push_sample(*timestamp_ms, *value);
    }
    batch
}

async fn read(response: Response) -> (StatusCode, Vec<u8>) {
    let status = response.status();
    (status, to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec())
}

#[tokio::test]
async fn federation_is_sorted_by_name_and_leaves_out_what_ended_or_is_old() {
    let mut batch = batch(&[
        (&[("__name__", "b"), ("A", "1")], NOW_MS - 1000, 1.0),
        (&[("__name__", "a"), ("z", "1"), ("instance", "i")], NOW_MS - 2000, f64::INFINITY),
        (&[("__name__", "ended")], NOW_MS, stale_marker()),
        (&[("__name__", "old")], NOW_MS - 400_000, 1.0),
    ]);
    batch.start_series(&mut [("__name__", "h")]).unwrap();
    batch.push_histogram(NOW_MS, NativeHistogram { count: 1.0, zero_count: 1.0, ..Default::default() });
    let state = state(batch, 32 << 20);
    let ask = |query: &str, accept: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        federate::federate(State(state.clone()), headers, Params::parse(query))
    };
    let all = "match[]={__name__=~\".%2B\"}&match[]=b";
    let (status, body) = read(ask(all, "").await).await;
    let text = format!(
        "# TYPE a untyped\na{{instance=\"i\",z=\"1\"}} +Inf {}\n# TYPE b untyped\nb{{A=\"1\",instance=\"\"}} 1 {}\n",
        NOW_MS - 2000,
        NOW_MS - 1000
    );
    assert_eq!((status, String::from_utf8(body).unwrap()), (StatusCode::OK, text));
    let protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
    let (_, body) = read(ask(all, protobuf).await).await;
    assert!(body.windows(3).any(|w| w == b"\x0a\x01h"), "the histogram's family");
    assert_eq!(read(ask("match[]={", "").await).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(read(ask("", "").await).await, (StatusCode::OK, Vec::new()));
    assert_eq!(state.query_budget.used_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_answers_come_in_pieces_within_the_budget() {
    let names: Vec<String> = (0..20_000).map(|i| format!("series_with_a_long_name_{i}")).collect();
    let mut batch = MetricBatch::new();
    for name in &names {
        batch.start_series(&mut [("__name__", name), ("job", "a")]).unwrap();
        batch.push_sample(NOW_MS, 1.0);
    }
    let state = state(batch, 64 << 20);
    let export = victoria::export(State(state.clone()), Params::parse("match[]={job=\"a\"}"));
    let (status, body) = read(export.await).await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.len() > 20 * PIECE_BYTES);
    assert_eq!(body.iter().filter(|b| **b == b'\n').count(), names.len());
    assert_eq!(state.query_budget.used_bytes(), 0);
    // One who goes away in the middle ends the work.
    let response = victoria::export(State(state.clone()), Params::parse("match[]={job=\"a\"}")).await;
    drop(response);
    for _ in 0..1000 {
        if state.query_budget.used_bytes() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} bytes are held", state.query_budget.used_bytes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_are_answers_before_the_first_piece_and_broken_off_after_it() {
    let state = state(MetricBatch::new(), 32 << 20);
    let fail = |pieces: usize| {
        move |_: &Arc<ApiState>, _: &QueryContext, out: &mut Pieces<'_>| {
            for _ in 0..pieces {
                out.buffer.resize(PIECE_BYTES, b'x');
                out.item_done()?;
            }
            Err(BulkError::Read(ReadError::Limit("a limit".to_owned())))
        }
    };
    let error = bulk::answer(&state, "text/plain", fail(0)).await.unwrap_err();
    let (status, body) = read(error.into_text()).await;
    assert_eq!((status, body.as_slice()), (StatusCode::UNPROCESSABLE_ENTITY, &b"a limit\n"[..]));
    // More pieces than may wait: the first are on their way before the failure.
    let response = bulk::answer(&state, "text/plain", fail(20)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(to_bytes(response.into_body(), usize::MAX).await.is_err());
    let small = self::state(MetricBatch::new(), 1000);
    let error = bulk::answer(&small, "text/plain", fail(0)).await.unwrap_err();
    assert_eq!(error.into_text().status(), StatusCode::UNPROCESSABLE_ENTITY);
}

fn read_request(wishes: &[u64], name: &str) -> Body {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    writer.message(1, |query| {
        query.varint(2, NOW_MS as u64);
        query.message(3, |matcher| {
            matcher.bytes(2, "__name__");
            matcher.bytes(3, name);
        });
    });
    wishes.iter().for_each(|wish| writer.varint(2, *wish));
    Body::from(bramble_wire::remote_read::compressed(&out).unwrap())
}

#[tokio::test]
async fn remote_read_answers_in_the_form_asked_for() {
    let state = state(batch(&[(&[("__name__", "up")], NOW_MS, 1.0)]), 32 << 20);
    let ask = |body: Body| remote_read::read(State(state.clone()), body);
    let response = ask(read_request(&[1, 0], "up")).await;
    assert!(response.headers()[header::CONTENT_TYPE].to_str().unwrap().contains("ChunkedReadResponse"));
    assert!(read(response).await.1.len() > 20);
    let response = ask(read_request(&[], "up")).await;
    assert_eq!(response.headers()[header::CONTENT_ENCODING], "snappy");
    assert_eq!(read(ask(read_request(&[1], "down")).await).await, (StatusCode::OK, Vec::new()));
    assert_eq!(ask(read_request(&[9], "up")).await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(ask(Body::from("nonsense")).await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(ask(read_request(&[], "")).await.status(), StatusCode::BAD_REQUEST, "matches everything");
    assert_eq!(ask(Body::from(vec![0; 2 << 20])).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
}
