//! VictoriaMetrics' ways to bring in old samples: `POST /api/v1/import` (lines of JSON) and
//! `POST /api/v1/import/prometheus` (Prometheus text; OpenMetrics when the content type says so).
//!
//! | condition | answer |
//! | --- | --- |
//! | everything taken | 204 |
//! | some lines or series refused | the others are stored; 400 with how many, and the first with its line |
//! | corrupt body, a line too long | 400, 413; what came before is stored, and the answer says up to which line |
//! | memory, journal or disk full, stopping | 503 + `Retry-After`, the same; sending all of it again is harmless |
//!
//! VictoriaMetrics answers 204 whatever lines were wrong and logs them; here the sender hears of it.
//!
//! A body may be of any length: it is unfolded, cut into lines and written batch by batch while it arrives. Memory, all
//! of it from the budget `receive`: the lines not parsed yet (one of at most [`LINE_BYTES_MAX`], or a quarter of the
//! budget, and a step of decompression) and a batch of about [`BATCH_BYTES`]; of JSON, what the line at hand becomes.
//! Samples are marked as backfill: the window for samples out of order is not applied.
//!
//! Parameters: `extra_label=name=value`, repeated; for text also `timestamp`, milliseconds, for samples without one.
//! Content encodings gzip, zstd and deflate.

mod feed;
mod lines;
#[cfg(test)]
mod tests;

use super::ReceiverState;
use super::body::next_chunk;
use super::counters::Protocol;
use super::otlp_http::header_text;
use super::refusal::{Class, Refusal, retry_after_seconds};
use super::remote_write::text;
use super::submit::{Batch, submit};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use bramble_signal::Signal;
use bramble_storage::Rejections;
use bramble_wire::compression::Encoding;
use bramble_wire::exposition::{CollectOptions, ExpositionFormat};
use feed::{Feed, Step};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use lines::Lines;
use std::time::Duration;
use tracing::Instrument;

/// Longest line, in bytes.
const LINE_BYTES_MAX: usize = 16 << 20;

/// Memory after which a batch is written.
const BATCH_BYTES: usize = 1 << 20;

/// How long an import waits for memory that others hold, and the pause between tries.
const WAIT_MAX: Duration = Duration::from_secs(10);
const WAIT_STEP: Duration = Duration::from_millis(50);

/// The routes of imports.
pub fn import(state: ReceiverState) -> Router {
    Router::new()
        .route("/api/v1/import", post(json_lines).put(json_lines))
        .route("/api/v1/import/prometheus", post(prometheus).put(prometheus))
        .with_state(state)
}

async fn json_lines(State(state): State<ReceiverState>, request: Request) -> Response {
    answer(&state, request, |_, options, limits| Ok(Lines::json(options, limits))).await
}

async fn prometheus(State(state): State<ReceiverState>, request: Request) -> Response {
    answer(&state, request, |parts, options, limits| {
        let format = match ExpositionFormat::from_content_type(header_text(&parts.headers, header::CONTENT_TYPE)) {
            Some(ExpositionFormat::Protobuf) => return Err(Refusal::MediaType("protobuf".to_owned())),
            Some(format) => format,
            // Whatever curl says a form is.
            None => ExpositionFormat::Text,
        };
        Ok(Lines::exposition(format, options, limits))
    })
    .await
}

type MakeLines = fn(&Parts, CollectOptions, bramble_wire::Limits) -> Result<Lines, Refusal>;

async fn answer(state: &ReceiverState, request: Request, make_lines: MakeLines) -> Response {
    let (parts, body) = request.into_parts();
    let mut progress = Progress::default();
    let taking = take(state, &parts, body, make_lines, &mut progress);
    let outcome = taking.instrument(Protocol::Import.span(Signal::Metrics)).await;
    let response = match outcome {
        Ok(()) => progress.response(),
        Err(refusal) => {
            state.0.counters.rejected(Protocol::Import, refusal.reason(), 1);
            refuse(&refusal, &progress)
        }
    };
    state.0.counters.answered(Protocol::Import, response.status().as_u16());
    response
}

/// What came of the body so far.
#[derive(Default)]
struct Progress {
    /// Lines that were read before the last batch was written.
    lines_written: u64,
    /// Lines and series refused by reading, and samples refused by the store.
    refused: u64,
    first: Option<String>,
}

impl Progress {
    fn refuse(&mut self, count: u64, first: impl FnOnce() -> String) {
        if count > 0 {
            self.refused += count;
            self.first.get_or_insert_with(first);
        }
    }

    fn refuse_of_store(&mut self, rejections: &Rejections) {
        self.refuse(rejections.total(), || rejections.first().to_owned());
    }

    fn response(&self) -> Response {
        match &self.first {
            None => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::NO_CONTENT;
                response
            }
            Some(first) => {
                let message = format!("{} refused, everything else is stored; first: {first}", self.refused);
                text(StatusCode::BAD_REQUEST, message)
            }
        }
    }
}

fn refuse(refusal: &Refusal, progress: &Progress) -> Response {
    let message = match progress.lines_written {
        0 => refusal.message(),
        lines => format!("{}; {lines} lines before are stored", refusal.message()),
    };
    match refusal.class() {
        Class::Bad => text(StatusCode::BAD_REQUEST, message),
        Class::TooLarge => text(StatusCode::PAYLOAD_TOO_LARGE, message),
        Class::Unsupported => text(StatusCode::UNSUPPORTED_MEDIA_TYPE, message),
        Class::Later(after) => {
            let mut response = text(StatusCode::SERVICE_UNAVAILABLE, message);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after_seconds(after)));
            response
        }
    }
}

async fn take(
    state: &ReceiverState,
    parts: &Parts,
    mut body: Body,
    make_lines: MakeLines,
    progress: &mut Progress,
) -> Result<(), Refusal> {
    let encoding = Encoding::from_header(header_text(&parts.headers, header::CONTENT_ENCODING))?;
    let options = options_of(parts, state.0.clock.wall_ms())?;
    let lines = make_lines(parts, options, state.0.limits.items)?;
    let mut feed = Feed::new(encoding, lines, state.0.receive.reserve(0)?, state.0.receive.limit_bytes())?;
    let mut waited = Duration::ZERO;
    loop {
        let (back, step) = work(feed).await?;
        feed = back;
        match step {
            Err(Refusal::OverBudget(_)) if waited < WAIT_MAX => {
                tokio::time::sleep(WAIT_STEP).await;
                waited += WAIT_STEP;
                continue;
            }
            Err(refusal) => return Err(refusal),
            Ok(Step::NeedInput) => match next_chunk(&mut body, state.0.limits.body_idle_max).await? {
                Some(chunk) => {
                    state.0.counters.received(Protocol::Import, chunk.len() as u64);
                    feed.push(chunk);
                }
                None => feed.end(),
            },
            Ok(Step::BatchReady) => write(state, &mut feed, progress).await?,
            Ok(Step::Done) => return write(state, &mut feed, progress).await,
        }
        waited = Duration::ZERO;
    }
}

/// A step, off the network threads.
async fn work(mut feed: Feed) -> Result<(Feed, Result<Step, Refusal>), Refusal> {
    let stepped = tokio::task::spawn_blocking(move || {
        let step = feed.step();
        (feed, step)
    });
    stepped.await.map_err(|error| {
        tracing::error!(%error, "an import stopped");
        bramble_storage::WriteError::ShuttingDown.into()
    })
}

async fn write(state: &ReceiverState, feed: &mut Feed, progress: &mut Progress) -> Result<(), Refusal> {
    let (decoded, held) = feed.take_batch();
    if let Some((count, first)) = feed.take_bad() {
        state.0.counters.rejected(Protocol::Import, "malformed_line", count);
        progress.refuse(count, || first);
    }
    for (reason, count) in decoded.rejected.by_reason() {
        state.0.counters.rejected(Protocol::Import, reason.as_str(), count);
    }
    if let Some((_, first)) = decoded.rejected.first_reason() {
        progress.refuse(decoded.rejected.count(), || first.to_owned());
    }
    let mut batch = decoded.batch;
    batch.backfill = true;
    let written = submit(state, Batch::Metrics(batch), held).await?;
    progress.refuse_of_store(&written.rejections);
    progress.lines_written = feed.lines_read();
    Ok(())
}

/// What the query string says.
fn options_of(parts: &Parts, now_ms: i64) -> Result<CollectOptions, Refusal> {
    let mut options = CollectOptions::at(now_ms);
    let bad = |message: String| Refusal::Corrupt(message);
    for (name, value) in form_urlencoded::parse(parts.uri.query().unwrap_or("").as_bytes()) {
        match &*name {
            "extra_label" => {
                let label = value.split_once('=').filter(|(name, _)| !name.is_empty());
                let (name, value) = label.ok_or_else(|| bad(format!("extra_label {value:.60?} is not name=value")))?;
                options.labels.push((name.to_owned(), value.to_owned()));
            }
            "timestamp" => {
                let wrong = |_| bad(format!("timestamp {value:.40?} is not a number of milliseconds"));
                options.timestamp_ms = value.parse().map_err(wrong)?;
            }
            _ => {}
        }
    }
    Ok(options)
}
