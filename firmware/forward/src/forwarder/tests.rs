mod fake;
mod servers;

use super::*;
use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::post;
use bramble_runtime::{BudgetName, SystemClock};
use bramble_signal::MetricBatch;
use bramble_wire::Limits;
use bramble_wire::remote_write::{Decoder, Message};
use serde_json::json;
use std::sync::atomic::AtomicUsize;

fn batch(number: u64) -> MetricBatch {
    let mut batch = MetricBatch::new();
    batch
        .start_series(&mut [("__name__", "n"), ("job", if number.is_multiple_of(2) { "even" } else { "odd" })])
        .unwrap();
    batch.push_sample(number as i64, number as f64);
    batch
}

fn destination(table: serde_json::Value) -> DestinationConfig {
    serde_json::from_value(table).unwrap()
}

/// One destination that is busy at first and says when to come back, one that refuses, one that is dead: what the first wants
/// arrives once and in order, the others delay neither it nor who hands over, and nothing is forgotten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bad_destination_delays_neither_ingest_nor_another() {
    let taken: Arc<Mutex<Vec<i64>>> = Arc::default();
    let requests = Arc::new(AtomicUsize::new(0));
    let (seen, count) = (taken.clone(), requests.clone());
    let write = move |body: Bytes| {
        let (seen, count) = (seen.clone(), count.clone());
        async move {
            if count.fetch_add(1, Ordering::SeqCst) == 0 {
                return (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "0.2")], "busy").into_response();
            }
            let body = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
            let decoded = Decoder::new(Limits::default()).decode(Message::V2, &body).unwrap();
            let times = decoded.batch.iter().flat_map(|(_, samples)| samples.iter().map(|s| s.timestamp_ms));
            seen.lock().extend(times);
            StatusCode::NO_CONTENT.into_response()
        }
    };
    let refuse = || async { (StatusCode::BAD_REQUEST, "no") };
    let router = Router::new().route("/write", post(write)).route("/refuse", post(refuse));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    // A port that nobody listens on.
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let environment = Environment {
        data_dir: directory.path().to_path_buf(),
        clock: Arc::new(SystemClock::new()),
        seed: 3,
        memory: Budget::standalone(BudgetName::Receive, 8 << 20),
        registry: prometheus::Registry::new(),
    };
    let url = |path: &str| format!("http://{address}{path}");
    let even = json!({ "metrics": ["{job=\"even\"}"] });
    let configs = vec![
        destination(json!({ "name": "good", "kind": "remote_write", "endpoint": url("/write"), "match": even })),
        destination(json!({ "name": "refusing", "kind": "remote_write", "endpoint": url("/refuse") })),
        destination(json!({ "name": "dead", "kind": "otlp", "endpoint": format!("http://{dead}"), "retry_max": "1s" })),
    ];
    let forwarder = Forwarder::start(&environment, configs).unwrap();
    assert!(forwarder.wants(Signal::Metrics) && forwarder.wants(Signal::Traces));
    let begun = std::time::Instant::now();
    for number in 1..=100 {
        forwarder.observe(Durable::Metrics(&batch(number)), number);
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let waiting = async {
        while taken.lock().len() < 50 || forwarder.status()[1].dropped_items < 100 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap();
    assert_eq!(*taken.lock(), (1..=50).map(|n| n * 2).collect::<Vec<i64>>());
    assert!(forwarder.durable_through() <= 100);
    forwarder.finish(Duration::from_millis(50)).await;
    assert_eq!(forwarder.durable_through(), 100, "what the dead one did not take is on disk");
    let dead = &forwarder.status()[2];
    assert_eq!((dead.items, dead.memory_bytes, dead.connected), (100, 0, dead.connected));
    assert!(dead.last_error.is_some());
    server.abort();
}
