//! Prometheus remote write 1.0: `POST /api/v1/write` and `/api/v1/push`.
//!
//! | condition | answer | what senders do |
//! | --- | --- | --- |
//! | taken | 204 | go on |
//! | some items refused | the rest is stored; 400 with the first reason | drop the request |
//! | malformed, corrupt, slow | 400 | drop |
//! | too large | 413 | drop |
//! | another message (2.0) or encoding | 415 | may fall back to 1.0 |
//! | memory, journal or disk full, stopping | 503 + `Retry-After` | retry for ever |
//!
//! Overload is 503 and not 429, because Prometheus drops on 429 by default. Snappy's block format is assumed when
//! no encoding is named, as Prometheus does; zstd (VictoriaMetrics' agent), gzip and identity are taken too.
//!
//! Source: remote write specification 1.0; reference/apis.md §9.1 and §9.2.

use super::ReceiverState;
use super::body::read_body;
use super::counters::Protocol;
use super::decode::{decode_within, run};
use super::otlp_http::{header_text, respond};
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
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tracing::Instrument;

const VERSION: HeaderName = HeaderName::from_static("x-prometheus-remote-write-version");

/// The routes of remote write.
pub fn remote_write(state: ReceiverState) -> Router {
    Router::new().route("/api/v1/write", post(answer)).route("/api/v1/push", post(answer)).with_state(state)
}

async fn answer(State(state): State<ReceiverState>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let response = match take(&state, &parts, body).instrument(Protocol::RemoteWrite.span(Signal::Metrics)).await {
        Ok(None) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        Ok(Some(partial)) => text(StatusCode::BAD_REQUEST, partial),
        Err(refusal) => {
            state.0.counters.rejected(Protocol::RemoteWrite, refusal.reason(), 1);
            refuse(&refusal)
        }
    };
    state.0.counters.answered(Protocol::RemoteWrite, response.status().as_u16());
    response
}

/// Returns what to complain about although the rest is stored.
async fn take(state: &ReceiverState, parts: &Parts, body: Body) -> Result<Option<String>, Refusal> {
    // The body is read even if its type is wrong: the connection is used again.
    let expected = check_message(&parts.headers).and_then(|()| encoding(&parts.headers));
    let body = read_body(state, Protocol::RemoteWrite, parts, body).await?;
    let encoding = expected?;
    let (decoded, held) = run(body.bytes.len(), state, move |state| {
        let message = unpack(state, encoding, body)?;
        let size = message.bytes.len();
        let memory = |decoded: &Decoded<MetricBatch>| decoded.batch.memory_bytes();
        decode_within(message, &state.0.limits.items, state.0.receive.limit_bytes(), 0, memory, |body, batch_bytes| {
            state.0.decoders.remote_write.lend(size, |decoder| {
                decoder.set_batch_bytes_max(batch_bytes);
                decoder.decode(body)
            })
        })
    })
    .await?;
    for (reason, count) in decoded.rejected.by_reason() {
        state.0.counters.rejected(Protocol::RemoteWrite, reason.as_str(), count);
    }
    let written = submit(state, Batch::Metrics(decoded.batch), held).await?;
    let rejected = decoded.rejected.count() + written.rejections.total();
    let first = decoded.rejected.first_reason().map_or(written.rejections.first(), |(_, text)| text);
    Ok((rejected > 0).then(|| format!("{rejected} samples rejected, the others are stored: {first}")))
}

/// Only `prometheus.WriteRequest`, which is also meant when nothing is said.
fn check_message(headers: &HeaderMap) -> Result<(), Refusal> {
    let content_type = header_text(headers, header::CONTENT_TYPE);
    let mut pieces = content_type.split(';').map(str::trim);
    let essence = pieces.next().unwrap_or("");
    let named = pieces.find_map(|piece| piece.split_once('=').filter(|(name, _)| name.eq_ignore_ascii_case("proto")));
    let known_type = essence.is_empty() || essence.eq_ignore_ascii_case("application/x-protobuf");
    let known_message = match named {
        Some((_, message)) => message.trim_matches('"') == "prometheus.WriteRequest",
        None => !header_text(headers, VERSION).starts_with("2."),
    };
    if known_type && known_message {
        return Ok(());
    }
    Err(Refusal::MediaType(content_type.chars().take(100).collect()))
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    match header_text(headers, header::CONTENT_ENCODING) {
        "" => Ok(Encoding::Snappy),
        named => Ok(Encoding::from_header(named)?),
    }
}

fn refuse(refusal: &Refusal) -> Response {
    let message = refusal.message();
    match refusal.class() {
        Class::Bad => text(StatusCode::BAD_REQUEST, message),
        Class::TooLarge => text(StatusCode::PAYLOAD_TOO_LARGE, message),
        Class::Unsupported => {
            let hint = "send remote write 1.0: application/x-protobuf, snappy";
            text(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("{message}; {hint}"))
        }
        Class::Later(after) => {
            let mut response = text(StatusCode::SERVICE_UNAVAILABLE, message);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after_seconds(after)));
            response
        }
    }
}

/// A line of text.
pub(crate) fn text(status: StatusCode, mut message: String) -> Response {
    message.push('\n');
    respond(status, "text/plain; charset=utf-8", message.into_bytes())
}
