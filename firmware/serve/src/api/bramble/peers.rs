//! What other hubs ask this one.
//!
//! | call | what |
//! | --- | --- |
//! | `GET /api/peer/v1/hello` | who this is |
//! | `POST /api/peer/v1/read` | a question ([`bramble_peers::Request`]); frames come back |
//!
//! Answers come from this hub's own stores alone. They have turns of their own: if another hub's questions waited behind queries of
//! this one which wait for that hub, neither would ever go on. While a store works, the stream says every second that it is alive.

use crate::api::json;
use crate::state::ApiState;
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bramble_peers::{
    ALIVE, Gone, HELLO_PATH, Hello, READ_PATH, REQUEST_BYTES_MAX, Request, Sink, Stores, answer, refuse,
};
use bramble_runtime::Cancel;
use bramble_storage::{LogSource, MetricSource, QueryContext, TraceSource};
use bytes::Bytes;
use http::{StatusCode, header};
use http_body::Frame;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Sleep, sleep, timeout_at};

/// How often one who is asked says that it is alive.
const ALIVE_EVERY: Duration = Duration::from_secs(1);
/// Pieces that wait for the asker.
const PIECES_WAITING_MAX: usize = 2;

/// This hub's own stores, as other hubs may ask them.
pub struct OwnStores {
    /// Metrics.
    pub metrics: Arc<dyn MetricSource>,
    /// Logs, own streams too.
    pub logs: Arc<dyn LogSource>,
    /// Traces, spans that were made up too.
    pub traces: Arc<dyn TraceSource>,
    /// This hub's id.
    pub hub_id: String,
    /// And its name, for people.
    pub hub_name: String,
}

struct Door {
    state: Arc<ApiState>,
    own: OwnStores,
    /// Turns of other hubs.
    turns: Arc<Semaphore>,
    /// And of questions that they ask while they read the answer to another one.
    turns_within: Arc<Semaphore>,
}

/// The calls of other hubs, for the main door. As many of their questions are answered at once as queries of this hub.
pub fn router(state: Arc<ApiState>, own: OwnStores) -> Router {
    let turns = || Arc::new(Semaphore::new(state.query_gate.slots()));
    let (turns, turns_within) = (turns(), turns());
    Router::new()
        .route(HELLO_PATH, get(hello))
        .route(READ_PATH, post(read))
        .layer(DefaultBodyLimit::max(2 * REQUEST_BYTES_MAX))
        .with_state(Arc::new(Door { state, own, turns, turns_within }))
}

async fn hello(State(door): State<Arc<Door>>) -> Response {
    let hello = Hello {
        hub_id: door.own.hub_id.clone(),
        name: door.own.hub_name.clone(),
        rolled_up_before_ms: door.own.metrics.rolled_up_before_ms(),
        floating_names: door.own.logs.floating_names(),
    };
    json(StatusCode::OK, &hello)
}

async fn read(State(door): State<Arc<Door>>, body: Bytes) -> Response {
    let request = match Request::read(&body) {
        Ok(request) => request,
        Err(why) => return json(StatusCode::BAD_REQUEST, &serde_json::json!({ "error": why })),
    };
    let (sender, pieces) = mpsc::channel(PIECES_WAITING_MAX);
    let cancel = Cancel::new();
    tokio::spawn(work(door, request, sender, cancel.clone()));
    let pieces = Pieces { pieces, cancel, alive: Box::pin(sleep(ALIVE_EVERY)) };
    (StatusCode::OK, [(header::CONTENT_TYPE, "application/octet-stream")], Body::new(pieces)).into_response()
}

/// Hands pieces to the connection, from a thread that may block.
struct Outgoing {
    sender: mpsc::Sender<Vec<u8>>,
    deadline: Instant,
    runtime: Handle,
}

impl Sink for Outgoing {
    fn put(&mut self, chunks: Vec<u8>) -> Result<(), Gone> {
        // One who takes nothing until the query's time is over holds a thread no longer.
        match self.runtime.block_on(timeout_at(self.deadline.into(), self.sender.send(chunks))) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }
}

async fn work(door: Arc<Door>, request: Request, sender: mpsc::Sender<Vec<u8>>, cancel: Cancel) {
    let deadline = Instant::now() + door.state.query_timeout;
    let turns = if request.is_within_another() { &door.turns_within } else { &door.turns };
    let turn = tokio::select! {
        turn = timeout_at(deadline.into(), turns.clone().acquire_owned()) => turn,
        () = sender.closed() => return,
    };
    let mut out = Outgoing { sender, deadline, runtime: Handle::current() };
    let worked = tokio::task::spawn_blocking(move || {
        let Ok(Ok(_turn)) = turn else { return refuse("it is busy", &mut out) };
        let context = match QueryContext::new(&door.state.query_budget, Some(deadline), cancel) {
            Ok(context) => context,
            Err(over) => return refuse(&over.to_string(), &mut out),
        };
        if !door.state.operations.is_ready() {
            context.warn("partial: the journal is still being replayed after a restart");
        }
        let own = &door.own;
        let stores = Stores { metrics: &*own.metrics, logs: &*own.logs, traces: &*own.traces };
        answer(&request, stores, &context, &mut out);
    });
    // One that panicked has sent no end, which the asker sees.
    let _ = worked.await;
}

/// The body: pieces as they come, and signs of life between them. Dropping it ends the work behind it.
struct Pieces {
    pieces: mpsc::Receiver<Vec<u8>>,
    cancel: Cancel,
    alive: Pin<Box<Sleep>>,
}

impl Drop for Pieces {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let piece = match this.pieces.poll_recv(context) {
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Ready(Some(piece)) => Bytes::from(piece),
            Poll::Pending => match this.alive.as_mut().poll(context) {
                Poll::Ready(()) => Bytes::from_static(&ALIVE),
                Poll::Pending => return Poll::Pending,
            },
        };
        this.alive.as_mut().reset(tokio::time::Instant::now() + ALIVE_EVERY);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use axum::body::to_bytes;
    use bramble_signal::MetricBatch;
    use bramble_storage::memory::{MemoryLogs, MemoryMetrics, MemoryTraces};
    use bramble_storage::{SpanCursor, SpanScan};
    use tower::ServiceExt;

    fn door(metrics: Arc<MemoryMetrics>) -> Router {
        let state = Arc::new(testing::state(metrics.clone(), Arc::default(), 16 << 20));
        let (logs, traces) = (Arc::new(MemoryLogs::new()), Arc::new(MemoryTraces::new()));
        router(state, OwnStores { metrics, logs, traces, hub_id: "id".to_owned(), hub_name: "attic".to_owned() })
    }

    fn ask(body: &str) -> http::Request<Body> {
        http::Request::post(READ_PATH).body(Body::from(body.to_owned())).unwrap()
    }

    #[tokio::test]
    async fn who_is_there_and_what_is_wrong() {
        let hello = door(Arc::default()).oneshot(http::Request::get(HELLO_PATH).body(Body::empty()).unwrap());
        let body = to_bytes(hello.await.unwrap().into_body(), 10_000).await.unwrap();
        let hello: Hello = serde_json::from_slice(&body).unwrap();
        assert_eq!((hello.hub_id.as_str(), hello.name.as_str()), ("id", "attic"));
        let refused = door(Arc::default()).oneshot(ask(r#"{"ask":"everything"}"#)).await.unwrap();
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
        let body = to_bytes(refused.into_body(), 10_000).await.unwrap();
        let told: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert!(told["error"].as_str().unwrap().contains("unknown variant `everything`"), "{told}");
    }

    #[tokio::test]
    async fn frames_come_and_end() {
        let metrics = Arc::new(MemoryMetrics::new());
        let mut batch = MetricBatch::new();
        batch.start_series(&mut [("__name__", "up")]).unwrap();
        batch.push_sample(5, 1.0);
        metrics.load(batch);
        let asked = r#"{"ask":"samples","matchers":[["__name__","=","up"]],"start_ms":0,"end_ms":9}"#;
        let answered = door(metrics).oneshot(ask(asked)).await.unwrap();
        assert_eq!(answered.status(), StatusCode::OK);
        let body = to_bytes(answered.into_body(), 10_000).await.unwrap();
        // A chunk with the series, then one with the end.
        let length = |bytes: &[u8]| u32::from_le_bytes(*bytes.first_chunk::<4>().unwrap()) as usize;
        let (mut at, mut chunks) = (0, 0);
        while at < body.len() {
            at += 4 + length(&body[at..]);
            chunks += 1;
        }
        assert!(at == body.len() && chunks >= 2, "{body:?}");
    }

    /// A store in which a query finds nothing until it is stopped.
    struct Stuck;

    struct Searching<'a>(&'a QueryContext);

    impl SpanCursor for Searching<'_> {
        fn next(&mut self, _: &mut bramble_signal::SpanBatch) -> Result<bool, bramble_storage::ReadError> {
            loop {
                self.0.check()?;
                std::thread::park_timeout(Duration::from_millis(1));
            }
        }
    }

    impl TraceSource for Stuck {
        fn trace(
            &self,
            _: bramble_signal::TraceId,
            _: &QueryContext,
        ) -> Result<bramble_signal::SpanBatch, bramble_storage::ReadError> {
            Ok(bramble_signal::SpanBatch::new())
        }

        fn scan<'a>(
            &'a self,
            _: &SpanScan<'_>,
            context: &'a QueryContext,
        ) -> Result<Box<dyn SpanCursor + 'a>, bramble_storage::ReadError> {
            Ok(Box::new(Searching(context)))
        }

        fn services(&self, _: u64, _: u64, _: &QueryContext) -> Result<Vec<String>, bramble_storage::ReadError> {
            Ok(Vec::new())
        }

        fn operations(
            &self,
            _: &str,
            _: u64,
            _: u64,
            _: &QueryContext,
        ) -> Result<Vec<(String, bramble_signal::SpanKind)>, bramble_storage::ReadError> {
            Ok(Vec::new())
        }
    }

    #[tokio::test]
    async fn who_works_says_so_and_stops_when_nobody_listens() {
        let state = Arc::new(testing::state(Arc::default(), Arc::default(), 16 << 20));
        let (metrics, logs) = (Arc::new(MemoryMetrics::new()), Arc::new(MemoryLogs::new()));
        let own = OwnStores { metrics, logs, traces: Arc::new(Stuck), hub_id: String::new(), hub_name: String::new() };
        let turns = || Arc::new(Semaphore::new(1));
        let door = Arc::new(Door { state, own, turns: turns(), turns_within: turns() });
        let asked = r#"{"ask":"trace_ids","start_ns":0,"end_ns":9,"predicates":[],"fields":{"attributes":null,"events":true,"links":true,"trace_state":true}}"#;
        let answered = read(State(door.clone()), Bytes::from_static(asked.as_bytes())).await;
        let mut body = answered.into_body();
        let first = http_body_util::BodyExt::frame(&mut body).await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(&first[..], &ALIVE);
        assert_eq!(door.turns.available_permits(), 0);
        drop(body);
        // Its turn comes back, which is the next one's.
        let turn = tokio::time::timeout(Duration::from_secs(30), door.turns.acquire()).await;
        assert!(turn.is_ok());
    }
}
