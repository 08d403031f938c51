//! Loki push: `POST /loki/api/v1/push`, the old `/api/prom/push`, and OTLP logs at `/otlp/v1/logs`.
//!
//! | condition | answer | what senders do |
//! | --- | --- | --- |
//! | taken, also when nothing was in it | 204 | go on |
//! | some entries refused | the rest is stored; 400 with each reason's first story | drop or send all again |
//! | some or all over their rate, or the number of streams | the rest is stored; 429 + `Retry-After` | retry |
//! | malformed, corrupt, slow, other encoding | 400 | drop |
//! | no stream in it | 422 | drop |
//! | too large | 413 | drop |
//! | memory, journal or disk full | 429 + `Retry-After` | retry |
//! | stopping | 503 + `Retry-After` | retry |
//!
//! Everything that is not called JSON is protobuf in snappy's block format, whatever `Content-Encoding` says;
//! `gzip`, `deflate` and `zstd` go around that. The same answers under the paths that VictoriaLogs has for these
//! protocols.
//!
//! Source: Loki's HTTP API documentation and `pkg/distributor`; reference/apis.md §9.1 and §9.3.

use super::ReceiverState;
use super::body::{Held, read_body};
use super::counters::Protocol;
use super::decode::{decode_within, run};
use super::json_lines::json_lines;
use super::log_batch::{Admitted, Complaint, admit, complaint};
use super::otlp_http::{self, header_text};
use super::rates::PER_STREAM;
use super::refusal::{Class, Refusal, retry_after_seconds};
use super::remote_write::text;
use super::submit::{Batch, submit};
use super::unpack::unpack;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use bramble_signal::{LogBatch, Signal};
use bramble_storage::WriteError;
use bramble_wire::compression::Encoding;
use bramble_wire::{DecodeErrorKind, Decoded, Format, Rejected};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use std::time::Duration;
use tracing::Instrument;

/// The routes of Loki's push API, OTLP logs as collectors send them to Loki, and VictoriaLogs' ways in.
pub fn loki_push(state: ReceiverState) -> Router {
    Router::new()
        .route("/loki/api/v1/push", post(answer))
        .route("/api/prom/push", post(answer))
        .route("/otlp/v1/logs", post(answer_otlp))
        .route("/insert/loki/api/v1/push", post(answer))
        .route("/insert/opentelemetry/v1/logs", post(answer_otlp))
        .with_state(state.clone())
        .merge(json_lines(state))
}

async fn answer_otlp(State(state): State<ReceiverState>, request: Request) -> Response {
    otlp_http::answer(&state, Protocol::LokiPush, Signal::Logs, request).await
}

async fn answer(State(state): State<ReceiverState>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let response = match take(&state, &parts, body).instrument(Protocol::LokiPush.span(Signal::Logs)).await {
        Ok(None) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        Ok(Some(Complaint { text: story, retry_after: None, .. })) => text(StatusCode::BAD_REQUEST, story),
        Ok(Some(Complaint { text: story, retry_after: Some(after), .. })) => {
            later(StatusCode::TOO_MANY_REQUESTS, story, after)
        }
        Err(refusal) => {
            state.0.counters.rejected(Protocol::LokiPush, refusal.reason(), 1);
            refuse(&refusal)
        }
    };
    state.0.counters.answered(Protocol::LokiPush, response.status().as_u16());
    response
}

/// Returns what to complain about although the rest is stored.
async fn take(state: &ReceiverState, parts: &Parts, body: Body) -> Result<Option<Complaint>, Refusal> {
    let format = Format::from_media_type(header_text(&parts.headers, header::CONTENT_TYPE)).unwrap_or(Format::Protobuf);
    let encoding = outer_encoding(&parts.headers);
    let body = read_body(state, Protocol::LokiPush, parts, body).await?;
    let encoding = encoding?;
    let body_bytes = body.bytes.len();
    let work = move |state: &ReceiverState| {
        let inner = unpack(state, encoding, body)?;
        let message = if format == Format::Protobuf { unpack(state, Encoding::Snappy, inner)? } else { inner };
        decode(state, format, message)
    };
    let (rejected, admitted) = run(body_bytes, state, work).await?;
    store(state, Protocol::LokiPush, &rejected, admitted).await
}

/// Stores a batch; returns what to complain about although the rest is stored.
///
/// # Errors
/// [`Refusal::Write`].
pub(crate) async fn store(
    state: &ReceiverState,
    protocol: Protocol,
    rejected: &Rejected,
    Admitted { batch, held, limited }: Admitted,
) -> Result<Option<Complaint>, Refusal> {
    for (reason, count) in rejected.by_reason() {
        state.0.counters.rejected(protocol, reason.as_str(), count);
    }
    if let Some(limited) = &limited {
        state.0.counters.rejected(protocol, PER_STREAM, limited.entries);
    }
    let written = submit(state, Batch::Logs(batch), held).await?;
    Ok(complaint(rejected, limited.as_ref(), &written))
}

fn decode(state: &ReceiverState, format: Format, message: Held) -> Result<(Rejected, Admitted), Refusal> {
    let size = message.bytes.len();
    // Entries of a JSON stream are staged, because its labels may come after them.
    let scratch = if format == Format::Json { size } else { 0 };
    let memory = |decoded: &Decoded<LogBatch>| decoded.batch.memory_bytes();
    let budget = state.0.request_bytes_max();
    let (decoded, held) =
        decode_within(message, &state.0.limits.items, budget, scratch, memory, |body, batch_bytes| {
            state.0.decoders.loki.lend(size, |decoder| {
                decoder.set_batch_bytes_max(batch_bytes);
                decoder.decode(format, body)
            })
        })?;
    Ok((decoded.rejected, admit(state, decoded.batch, held)?))
}

/// What is around the message. `snappy` changes nothing: protobuf is in snappy anyway, JSON never.
fn outer_encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    match Encoding::from_header(header_text(headers, header::CONTENT_ENCODING))? {
        Encoding::Identity | Encoding::Snappy => Ok(Encoding::Identity),
        known @ (Encoding::Gzip | Encoding::Deflate | Encoding::Zstd) => Ok(known),
    }
}

/// A refusal as Loki puts it.
pub(crate) fn refuse(refusal: &Refusal) -> Response {
    let message = match refusal {
        Refusal::Encoding(name) => format!("Content-Encoding {name:?} not supported"),
        // In Loki's words already.
        Refusal::Malformed(error) if error.kind() == DecodeErrorKind::NoStreams => {
            return text(StatusCode::UNPROCESSABLE_ENTITY, error.message().to_owned());
        }
        _ => refusal.message(),
    };
    match refusal.class() {
        Class::Bad | Class::Unsupported => text(StatusCode::BAD_REQUEST, message),
        Class::TooLarge => text(StatusCode::PAYLOAD_TOO_LARGE, message),
        Class::Later(after) => {
            let status = match refusal {
                Refusal::Write(WriteError::ShuttingDown) => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::TOO_MANY_REQUESTS,
            };
            later(status, message, after)
        }
    }
}

/// An answer that asks to come again.
pub(crate) fn later(status: StatusCode, message: String, after: Duration) -> Response {
    let mut response = text(status, message);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after_seconds(after)));
    response
}
