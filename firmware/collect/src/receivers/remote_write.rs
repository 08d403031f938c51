//! Prometheus remote write 1.0 and 2.0: `POST /api/v1/write` and `/api/v1/push`; and OTLP metrics where Prometheus
//! (`/api/v1/otlp/v1/metrics`) and VictoriaMetrics (`/opentelemetry/…`) take them, answered as on OTLP's own port.
//!
//! The `Content-Type` alone says which message a body is; without a `proto` parameter it is 1.0's.
//!
//! | condition | answer | what senders do |
//! | --- | --- | --- |
//! | taken | 204 | go on |
//! | some items refused | the rest is stored; 400 with the first reason | drop the request |
//! | malformed, corrupt, slow | 400 | drop |
//! | too large | 413 | drop |
//! | another message or encoding | 415 | may fall back to the other version |
//! | memory, journal or disk full, stopping | 503 + `Retry-After` | retry for ever |
//!
//! Every answer but a 415 carries the three `X-Prometheus-Remote-Write-*-Written` headers, by which senders of 2.0
//! know what arrived; what is there already counts as written, so that a retry is told the same. Overload is 503 and
//! not 429, because Prometheus drops on 429 by default. Snappy's block format is assumed when no encoding is named,
//! as Prometheus does; zstd (VictoriaMetrics' agent), gzip and identity are taken too.
//!
//! Source: remote write specifications 1.0 and 2.0-rc.4; reference/apis.md §9.1 and §9.2.

use super::ReceiverState;
use super::body::read_body;
use super::counters::Protocol;
use super::decode::{decode_within, run};
use super::otlp_http::{self, header_text, respond};
use super::refusal::{Class, Refusal, retry_after_seconds};
use super::submit::{Batch, submit};
use super::unpack::unpack;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use bramble_signal::{MetricBatch, Signal};
use bramble_wire::Decoded;
use bramble_wire::compression::Encoding;
use bramble_wire::remote_write::Message;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tracing::Instrument;

const SAMPLES_WRITTEN: HeaderName = HeaderName::from_static("x-prometheus-remote-write-samples-written");
const HISTOGRAMS_WRITTEN: HeaderName = HeaderName::from_static("x-prometheus-remote-write-histograms-written");
const EXEMPLARS_WRITTEN: HeaderName = HeaderName::from_static("x-prometheus-remote-write-exemplars-written");

/// The routes of remote write, and of OTLP metrics on the same port.
pub fn remote_write(state: ReceiverState) -> Router {
    Router::new()
        .route("/api/v1/write", post(answer))
        .route("/api/v1/push", post(answer))
        .route("/api/v1/otlp/v1/metrics", post(answer_otlp))
        .route("/opentelemetry/v1/metrics", post(answer_otlp))
        .route("/opentelemetry/api/v1/push", post(answer_otlp))
        .with_state(state)
}

async fn answer_otlp(State(state): State<ReceiverState>, request: Request) -> Response {
    otlp_http::answer(&state, Protocol::OtlpHttp, Signal::Metrics, request).await
}

/// What was stored of a request that was taken.
#[derive(Default)]
struct Taken {
    samples: u64,
    histograms: u64,
    exemplars: u64,
    /// What to complain about although the rest is stored.
    complaint: Option<String>,
}

async fn answer(State(state): State<ReceiverState>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let outcome = take(&state, &parts, body).instrument(Protocol::RemoteWrite.span(Signal::Metrics)).await;
    let response = match outcome {
        Ok(Taken { complaint: None, samples, histograms, exemplars }) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            written(response, [samples, histograms, exemplars])
        }
        Ok(Taken { complaint: Some(complaint), samples, histograms, exemplars }) => {
            written(text(StatusCode::BAD_REQUEST, complaint), [samples, histograms, exemplars])
        }
        Err(refusal) => {
            state.0.counters.rejected(Protocol::RemoteWrite, refusal.reason(), 1);
            refuse(&refusal)
        }
    };
    state.0.counters.answered(Protocol::RemoteWrite, response.status().as_u16());
    response
}

/// Adds the headers that say what was written.
fn written(mut response: Response, counts: [u64; 3]) -> Response {
    for (name, count) in [SAMPLES_WRITTEN, HISTOGRAMS_WRITTEN, EXEMPLARS_WRITTEN].into_iter().zip(counts) {
        response.headers_mut().insert(name, HeaderValue::from(count));
    }
    response
}

async fn take(state: &ReceiverState, parts: &Parts, body: Body) -> Result<Taken, Refusal> {
    // The body is read even if its type is wrong: the connection is used again.
    let expected = message_of(&parts.headers).and_then(|message| Ok((message, encoding(&parts.headers)?)));
    let body = read_body(state, Protocol::RemoteWrite, parts, body).await?;
    let (message, encoding) = expected?;
    let (decoded, held) = run(body.bytes.len(), state, move |state| {
        let body = unpack(state, encoding, body)?;
        let size = body.bytes.len();
        let memory = |decoded: &Decoded<MetricBatch>| decoded.batch.memory_bytes();
        decode_within(body, &state.0.limits.items, state.0.request_bytes_max(), 0, memory, |body, batch_bytes| {
            state.0.decoders.remote_write.lend(size, |decoder| {
                decoder.set_batch_bytes_max(batch_bytes);
                decoder.decode(message, body)
            })
        })
    })
    .await?;
    for (reason, count) in decoded.rejected.by_reason() {
        state.0.counters.rejected(Protocol::RemoteWrite, reason.as_str(), count);
    }
    state.0.counters.rejected(Protocol::RemoteWrite, "exemplar_skipped", decoded.exemplars_skipped);
    let exemplars = decoded.batch.exemplar_count() as u64;
    let written = submit(state, Batch::Metrics(decoded.batch), held).await?;
    // In the batch, histograms that end their series are plain markers.
    let histograms = (written.histograms + decoded.stale_histograms).min(written.accepted);
    let rejected = decoded.rejected.count() + written.rejections.total();
    let first = decoded.rejected.first_reason().map_or(written.rejections.first(), |(_, text)| text);
    // Stores leave exemplars out without a word; 2.0 wants to hear of everything that was not written.
    let left_out = if message == Message::V2 { exemplars.saturating_sub(written.exemplars) } else { 0 };
    let complaint = match (rejected, left_out) {
        (0, 0) => None,
        (0, _) => Some(format!("{left_out} exemplars are too old or too far ahead, all else is stored")),
        _ => Some(format!("{rejected} samples rejected, the others are stored: {first}")),
    };
    Ok(Taken { samples: written.accepted - histograms, histograms, exemplars: written.exemplars, complaint })
}

fn message_of(headers: &HeaderMap) -> Result<Message, Refusal> {
    let content_type = header_text(headers, header::CONTENT_TYPE);
    Message::from_content_type(content_type).ok_or_else(|| Refusal::MediaType(content_type.chars().take(100).collect()))
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    match header_text(headers, header::CONTENT_ENCODING) {
        "" => Ok(Encoding::Snappy),
        named => Ok(Encoding::from_header(named)?),
    }
}

fn refuse(refusal: &Refusal) -> Response {
    let message = refusal.message();
    let response = match refusal.class() {
        Class::Bad => text(StatusCode::BAD_REQUEST, message),
        Class::TooLarge => text(StatusCode::PAYLOAD_TOO_LARGE, message),
        Class::Unsupported => {
            let hint = "known are application/x-protobuf with proto=prometheus.WriteRequest or \
                        proto=io.prometheus.write.v2.Request, and the encodings snappy, zstd, gzip";
            return text(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("{message}; {hint}"));
        }
        Class::Later(after) => {
            let mut response = text(StatusCode::SERVICE_UNAVAILABLE, message);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after_seconds(after)));
            response
        }
    };
    written(response, [0; 3])
}

/// A line of text.
pub(crate) fn text(status: StatusCode, mut message: String) -> Response {
    message.push('\n');
    respond(status, "text/plain; charset=utf-8", message.into_bytes())
}
