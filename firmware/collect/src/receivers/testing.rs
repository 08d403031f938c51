//! A writer that remembers, and requests against a router.

use super::{LokiOptions, OtlpOptions, ReceiveCounters, ReceiveLimits, ReceiverState};
use axum::Router;
use axum::body::Body;
use axum::response::Response;
use bramble_runtime::{Budget, BudgetName, ManualClock, Reservation};
use bramble_signal::{LogBatch, MetricBatch, Signal, SpanBatch};
use bramble_storage::{Done, RejectReason, Rejections, Urgency, WriteError, Writer, Written};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use prometheus::Registry;
use std::sync::Arc;
use tower::ServiceExt;

/// What was written, and what to answer.
#[derive(Default)]
pub(crate) struct FakeWriter {
    pub(crate) metrics: Mutex<Vec<MetricBatch>>,
    pub(crate) logs: Mutex<Vec<LogBatch>>,
    pub(crate) spans: Mutex<Vec<SpanBatch>>,
    /// Answers everything with this.
    pub(crate) fail: Mutex<Option<WriteError>>,
    /// Rejects one item of each batch.
    pub(crate) reject_one: Mutex<bool>,
    /// Leaves exemplars out without a word, as stores do.
    pub(crate) forget_exemplars: Mutex<bool>,
    /// So many times more it says that there is no room.
    pub(crate) full_for: Mutex<u32>,
}

impl FakeWriter {
    fn finish(&self, taken: Written, held: Reservation, urgency: Urgency, done: Done) {
        assert_ne!(urgency, Urgency::OwnTelemetry);
        assert!(held.bytes() > 0, "what is handed over is paid for");
        drop(held);
        if let Some(error) = self.fail.lock().clone() {
            return done(Err(error));
        }
        let mut rejections = Rejections::new();
        if *self.reject_one.lock() {
            rejections.add(RejectReason::TooOld, 1, || "sample is too old".to_owned());
        }
        done(Ok(Written { rejections, ..taken }));
    }
}

impl Writer for FakeWriter {
    fn write_metrics(&self, batch: MetricBatch, held: Reservation, urgency: Urgency, done: Done) {
        let taken = Written {
            accepted: batch.sample_count() as u64 - u64::from(*self.reject_one.lock()),
            histograms: batch.histogram_count() as u64,
            exemplars: if *self.forget_exemplars.lock() { 0 } else { batch.exemplar_count() as u64 },
            ..Written::default()
        };
        self.metrics.lock().push(batch);
        self.finish(taken, held, urgency, done);
    }

    fn write_logs(&self, batch: LogBatch, held: Reservation, urgency: Urgency, done: Done) {
        self.logs.lock().push(batch);
        self.finish(Written { accepted: 1, ..Written::default() }, held, urgency, done);
    }

    fn write_spans(&self, batch: SpanBatch, held: Reservation, urgency: Urgency, done: Done) {
        self.spans.lock().push(batch);
        self.finish(Written { accepted: 1, ..Written::default() }, held, urgency, done);
    }

    fn has_room(&self, _: Signal, memory_bytes: usize) -> bool {
        assert!(memory_bytes > 0);
        let mut full_for = self.full_for.lock();
        *full_for = full_for.saturating_sub(1);
        *full_for == 0
    }
}

/// A door with everything behind it.
pub(crate) struct Bench {
    pub(crate) writer: Arc<FakeWriter>,
    pub(crate) budget: Budget,
    pub(crate) registry: Registry,
    pub(crate) state: ReceiverState,
}

/// A time in 2026, in seconds.
pub(crate) const NOW_SECONDS: i64 = 1_795_000_000;

impl Bench {
    /// With a `receive` budget of `budget_bytes`.
    pub(crate) fn new(budget_bytes: usize, limits: ReceiveLimits) -> Self {
        let writer = Arc::new(FakeWriter::default());
        let budget = Budget::standalone(BudgetName::Receive, budget_bytes);
        let registry = Registry::new();
        let state = ReceiverState::new(
            writer.clone(),
            budget.clone(),
            Arc::new(ManualClock::new(NOW_SECONDS * 1_000_000_000)),
            limits,
            (LokiOptions::default(), OtlpOptions::default()),
            ReceiveCounters::register(&registry).unwrap(),
        );
        Bench { writer, budget, registry, state }
    }

    pub(crate) fn small() -> Self {
        let limits = ReceiveLimits { body_bytes_max: 100_000, decompressed_bytes_max: 400_000, ..Default::default() };
        Self::new(4 << 20, limits)
    }

    /// A counter's value by the values of its labels, in the order of their names.
    pub(crate) fn counted(&self, name: &str, labels: &[&str]) -> u64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family.map(|family| family.get_metric()).unwrap_or_default();
        let matching = metrics.iter().find(|m| m.get_label().iter().map(|l| l.value()).eq(labels.iter().copied()));
        matching.map_or(0, |metric| metric.get_counter().get_value() as u64)
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: HeaderMap,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("")
    }
}

pub(crate) async fn send(router: &Router, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
    read(response).await
}

pub(crate) async fn get(router: &Router, path: &str) -> Answer {
    let request = Request::get(path).body(Body::empty()).unwrap();
    read(router.clone().oneshot(request).await.unwrap()).await
}

async fn read(response: Response) -> Answer {
    let (parts, body) = response.into_parts();
    let collected = body.collect().await.unwrap();
    let trailers = collected.trailers().cloned().unwrap_or_default();
    let body = collected.to_bytes().to_vec();
    Answer { status: parts.status, headers: parts.headers, body, trailers }
}

/// A body that arrives in pieces without a declared length.
pub(crate) fn chunked(pieces: Vec<Vec<u8>>) -> Body {
    let frames = pieces.into_iter().map(|piece| Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from(piece))));
    Body::new(Pieces(frames.collect::<Vec<_>>().into_iter()))
}

struct Pieces(std::vec::IntoIter<Result<http_body::Frame<Bytes>, std::io::Error>>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
        std::task::Poll::Ready(self.0.next())
    }
}

pub(crate) fn gzip(data: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn snappy(data: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(data).unwrap()
}
