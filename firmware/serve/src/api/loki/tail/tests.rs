//! Tails over a real socket and stores in memory.

use crate::api::loki;
use crate::state::ApiState;
use crate::testing::{self, NOW_MS};
use bramble_signal::LogBatch;
use bramble_storage::LogSink;
use bramble_storage::memory::MemoryLogs;
use futures_util::StreamExt;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};

const NOW_NS: i64 = NOW_MS * 1_000_000;

/// A server, and what stands for its write path.
struct Served {
    state: Arc<ApiState>,
    logs: Arc<MemoryLogs>,
    address: String,
}

async fn served(change: impl FnOnce(&mut ApiState)) -> Served {
    let logs = Arc::new(MemoryLogs::new());
    let mut state = testing::state(Arc::default(), logs.clone(), 32 << 20);
    change(&mut state);
    let state = Arc::new(state);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let router = axum::Router::new().nest("/loki", loki::router(state.clone())).merge(loki::router(state.clone()));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Served { state, logs, address }
}

impl Served {
    /// Commits entries of one stream: (nanoseconds after now, line).
    fn commit(&self, service: &str, entries: &[(i64, &str)]) -> u64 {
        let mut batch = LogBatch::new();
        batch.start_stream(&mut [("service", service)]).unwrap();
        for (t, line) in entries {
            batch.push_entry(NOW_NS + t, line.as_bytes(), &mut []).unwrap();
        }
        let prepared = self.logs.prepare(batch, NOW_NS).unwrap();
        let offering = self.state.tails.taps.offering();
        let lost = offering.offer(&prepared.batch);
        self.logs.apply(prepared, 1);
        lost
    }

    async fn open(&self, path: &str, query: &[(&str, &str)]) -> Result<WebSocketStream<TcpStream>, Error> {
        let query: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        let stream = TcpStream::connect(&self.address).await?;
        let url = format!("ws://{}{path}?{query}", self.address);
        Ok(tokio_tungstenite::client_async(url, stream).await?.0)
    }

    async fn tail(&self, query: &[(&str, &str)]) -> WebSocketStream<TcpStream> {
        self.open("/loki/api/v1/tail", query).await.unwrap()
    }

    /// Status and text of a refused upgrade.
    async fn refused(&self, query: &[(&str, &str)]) -> (u16, String) {
        match self.open("/loki/api/v1/tail", query).await {
            Err(Error::Http(answer)) => {
                let body = answer.body().clone().unwrap_or_default();
                (answer.status().as_u16(), String::from_utf8_lossy(&body).into_owned())
            }
            other => panic!("{:?}", other.map(|_| ())),
        }
    }

    /// Waits for a tail to be subscribed.
    async fn listened_to(&self, count: usize) {
        while self.state.tails.taps.listeners() < count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// The next frame, or how the tail was closed.
async fn frame(socket: &mut WebSocketStream<TcpStream>) -> Result<serde_json::Value, (u16, String)> {
    loop {
        match timeout(Duration::from_secs(20), socket.next()).await.expect("a frame in time") {
            Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
            Some(Ok(Message::Close(Some(close)))) => return Err((close.code.into(), close.reason.to_string())),
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Lines of a frame as they stand in it.
fn lines(frame: &serde_json::Value) -> Vec<String> {
    let streams = frame["streams"].as_array().unwrap();
    let values = streams.iter().flat_map(|s| s["values"].as_array().unwrap());
    values.map(|v| v[1].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn history_first_then_what_comes_by_its_pipeline() {
    let served = served(|_| {}).await;
    served.commit("a", &[(1, "old"), (2, "level=info older"), (3, "level=info old")]);
    served.commit("b", &[(1, "level=info of another")]);
    let query = [("query", r#"{service="a"} |= "level" | logfmt"#), ("limit", "1"), ("start", "1794990000")];
    let mut tail = served.tail(&query).await;
    let first = frame(&mut tail).await.unwrap();
    assert_eq!(
        first.to_string(),
        r#"{"dropped_entries":null,"streams":[{"stream":{"level":"info","service":"a"},"values":[["1795000000000000003","level=info old"]]}]}"#
    );
    served.commit("a", &[(9, "nothing"), (8, "level=warn new")]);
    served.commit("b", &[(9, "level=warn new")]);
    assert_eq!(lines(&frame(&mut tail).await.unwrap()), ["level=warn new"]);
    tail.close(None).await.unwrap();
    while served.state.tails.running.load(std::sync::atomic::Ordering::Relaxed) > 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(served.state.tails.taps.listeners(), 0);
}

#[tokio::test]
async fn a_browser_asks_for_labels_by_origin_with_a_parameter() {
    let served = served(|_| {}).await;
    served.commit("a", &[(1, "level=info x=y")]);
    let query =
        [("query", r#"{service="a"} | logfmt"#), ("start", "1794990000"), ("encoding_flags", "categorize-labels")];
    let mut tail = served.tail(&query).await;
    let first = frame(&mut tail).await.unwrap();
    assert_eq!(first["encodingFlags"][0], "categorize-labels");
    assert_eq!(first["streams"][0]["values"][0][2]["parsed"]["level"], "info");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_missed_or_doubled_at_the_seam() {
    let served = Arc::new(served(|_| {}).await);
    let writer = {
        let served = served.clone();
        tokio::task::spawn_blocking(move || {
            for n in 0..3000i64 {
                served.commit("a", &[(n, &format!("entry {n}"))]);
                if n % 20 == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        })
    };
    tokio::time::sleep(Duration::from_millis(30)).await;
    for _ in 0..3 {
        let query = [("query", r#"{service="a"}"#), ("limit", "5000"), ("start", "1794990000")];
        let mut tail = served.tail(&query).await;
        let mut got: BTreeMap<String, u32> = BTreeMap::new();
        while !got.contains_key("entry 2999") {
            for line in lines(&frame(&mut tail).await.unwrap()) {
                *got.entry(line).or_default() += 1;
            }
        }
        assert_eq!(got.len(), 3000);
        assert!(got.values().all(|n| *n == 1));
    }
    writer.await.unwrap();
}

#[tokio::test]
async fn entries_held_leave_in_order() {
    let served = served(|_| {}).await;
    served.commit("a", &[(1, "history")]);
    // Long enough for a machine that stands still for a while between the commits.
    let query = [("query", r#"{service="a"}"#), ("start", "1794990000"), ("delay_for", "4")];
    let mut tail = served.tail(&query).await;
    // History is not held: what is committed before it was read would leave with it.
    assert_eq!(lines(&frame(&mut tail).await.unwrap()), ["history"]);
    for (t, line) in [(30, "c"), (10, "a"), (20, "b")] {
        served.commit("a", &[(t, line)]);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut got = Vec::new();
    while got.len() < 3 {
        got.extend(lines(&frame(&mut tail).await.unwrap()));
    }
    assert_eq!(got, ["a", "b", "c"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_loses_and_hears_of_it() {
    let served = Arc::new(served(|_| {}).await);
    let mut tail = served.tail(&[("query", r#"{service="a"}"#)]).await;
    served.listened_to(1).await;
    let long = "x".repeat(20_000);
    let mut sent = 0;
    // Until what the kernel takes is full too, and for a while longer.
    let mut lost = 0;
    while lost < 300 {
        sent += 1;
        lost += served.commit("a", &[(sent, &long)]);
        assert!(served.state.query_budget.used_bytes() < 8 << 20);
        assert!(sent < 20_000, "a queue without a bound");
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    let (mut got, mut dropped) = (0, 0);
    while got + dropped < sent {
        let frame = frame(&mut tail).await.unwrap();
        got += lines(&frame).len() as i64;
        if let Some(entries) = frame["dropped_entries"].as_array() {
            assert_eq!(entries[0]["labels"], serde_json::json!({"service": "a"}));
            assert!(entries[0]["timestamp"].as_str().unwrap().parse::<i64>().unwrap() > NOW_NS);
            dropped += entries.len() as i64;
        }
    }
    assert_eq!((got + dropped, dropped as u64), (sent, lost));
}

#[tokio::test]
async fn refusals() {
    let served = served(|state| state.tails.concurrent_max = 2).await;
    let says = async |query: &[(&str, &str)]| served.refused(query).await;
    let selector = ("query", r#"{service="a"}"#);
    let (status, text) = says(&[("query", r#"{service="a"} |="#)]).await;
    assert!(status == 400 && text.contains("parse error"), "{status} {text}");
    let rate = ("query", r#"rate({service="a"}[1m])"#);
    assert_eq!(says(&[rate]).await, (400, "only log selector is supported".to_owned()));
    let (status, text) = says(&[("query", r#"{service="a"} |~ "(""#)]).await;
    assert!(status == 400 && !text.is_empty(), "{status} {text}");
    assert_eq!(says(&[selector, ("delay_for", "6")]).await, (400, "delay_for can't be greater than 5".to_owned()));
    assert_eq!(says(&[selector, ("delay_for", "x")]).await.0, 400);
    assert_eq!(says(&[selector, ("limit", "0")]).await.0, 400);
    let mut tails = vec![served.tail(&[selector]).await, served.tail(&[selector]).await];
    served.listened_to(2).await;
    let mut third = served.tail(&[selector]).await;
    let reason =
        "rpc error: code = Code(400) desc = max concurrent tail requests limit exceeded, count > limit (3 > 2)";
    assert_eq!(frame(&mut third).await.unwrap_err(), (1011, reason.to_owned()));
    tails.pop();
    while served.state.tails.running.load(std::sync::atomic::Ordering::Relaxed) > 1 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let _again = served.tail(&[selector]).await;
    served.listened_to(2).await;
}

#[tokio::test]
async fn pings_the_time_limit_and_the_old_form() {
    let served = served(|state| state.tails.duration_max = Duration::from_millis(2500)).await;
    let mut tail = served.open("/loki/api/prom/tail", &[("query", r#"{service="a"}"#)]).await.unwrap();
    served.listened_to(1).await;
    served.commit("a", &[(5, "x")]);
    let first = frame(&mut tail).await.unwrap();
    assert_eq!(
        first["streams"],
        serde_json::json!([{"labels": r#"{service="a"}"#, "entries": [{"ts": "2026-11-18T11:06:40.000000005Z", "line": "x"}]}])
    );
    let (mut pings, mut end) = (0, None);
    while let Ok(Some(Ok(message))) = timeout(Duration::from_secs(20), tail.next()).await {
        match message {
            Message::Ping(_) => pings += 1,
            Message::Close(close) => end = close.map(|c| (u16::from(c.code), c.reason.to_string())),
            _ => {}
        }
    }
    assert!(pings >= 2, "{pings}");
    assert_eq!(end, Some((1011, "reached tail max duration limit".to_owned())));
}
