//! OTLP over HTTP: `POST /v1/{logs,metrics,traces}`, protobuf or JSON, answered in the same type.
//!
//! | condition | answer | what exporters do |
//! | --- | --- | --- |
//! | taken | 200, response message, `partial_success` only when items were refused | go on |
//! | malformed, corrupt, slow | 400, `google.rpc.Status` | drop |
//! | too large | 413, `google.rpc.Status` | drop |
//! | other type or encoding | 415, text naming what is known | drop |
//! | logs over their rate or number of streams | 429 + `Retry-After`, `google.rpc.Status` | retry |
//! | memory, journal or disk full, stopping | 503 + `Retry-After`, `google.rpc.Status` | retry |
//!
//! Source: opentelemetry-proto `docs/specification.md`; reference/apis.md §9.1 and §9.4.

use super::ReceiverState;
use super::body::read_body;
use super::counters::Protocol;
use super::otlp::{Partial, export, response};
use super::refusal::{Class, Refusal, retry_after_seconds};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use bramble_signal::Signal;
use bramble_wire::Format;
use bramble_wire::compression::Encoding;
use bramble_wire::otlp::{RpcStatus, encode_status};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tracing::Instrument;

/// The routes of OTLP/HTTP.
pub fn otlp_http(state: ReceiverState) -> Router {
    let route = |signal: Signal| {
        post(move |State(state): State<ReceiverState>, request: Request| async move {
            answer(&state, Protocol::OtlpHttp, signal, request).await
        })
    };
    Router::new()
        .route("/v1/logs", route(Signal::Logs))
        .route("/v1/metrics", route(Signal::Metrics))
        .route("/v1/traces", route(Signal::Traces))
        .with_state(state)
}

/// Answers one export request; also used for OTLP on Loki's port.
pub(crate) async fn answer(state: &ReceiverState, protocol: Protocol, signal: Signal, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let media_type = header_text(&parts.headers, header::CONTENT_TYPE);
    let format = Format::from_media_type(media_type);
    let outcome = match format {
        Some(format) => {
            let span = protocol.span(signal);
            take(state, protocol, signal, format, &parts, body).instrument(span).await
        }
        None => {
            let refusal = read_body(state, protocol, &parts, body).await.err();
            Err(refusal.unwrap_or_else(|| Refusal::MediaType(media_type.chars().take(64).collect())))
        }
    };
    let response = match outcome {
        Ok(partial) => {
            let format = format.unwrap_or(Format::Protobuf);
            respond(StatusCode::OK, format.media_type(), response(format, signal, &partial))
        }
        Err(refusal) => {
            state.0.counters.rejected(protocol, refusal.reason(), 1);
            refuse(format.unwrap_or(Format::Protobuf), &refusal)
        }
    };
    state.0.counters.answered(protocol, response.status().as_u16());
    response
}

async fn take(
    state: &ReceiverState,
    protocol: Protocol,
    signal: Signal,
    format: Format,
    parts: &Parts,
    body: Body,
) -> Result<Partial, Refusal> {
    let encoding = Encoding::from_header(header_text(&parts.headers, header::CONTENT_ENCODING));
    let body = read_body(state, protocol, parts, body).await?;
    export(state, protocol, signal, format, encoding?, body).await
}

fn refuse(format: Format, refusal: &Refusal) -> Response {
    // Numbers of google.rpc.Code: INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNAVAILABLE.
    let (status, code, retry_delay) = match refusal.class() {
        Class::Bad => (StatusCode::BAD_REQUEST, 3, None),
        Class::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, 8, None),
        Class::Later(after) if matches!(refusal, Refusal::TooFast(..)) => {
            (StatusCode::TOO_MANY_REQUESTS, 8, Some(after))
        }
        Class::Later(after) => (StatusCode::SERVICE_UNAVAILABLE, 14, Some(after)),
        Class::Unsupported => return unsupported(refusal),
    };
    let message = refusal.message();
    let mut body = Vec::new();
    encode_status(format, &RpcStatus { code, message: &message, retry_delay }, &mut body);
    let mut response = respond(status, format.media_type(), body);
    if let Some(after) = retry_delay {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after_seconds(after)));
    }
    response
}

fn unsupported(refusal: &Refusal) -> Response {
    let known = match refusal {
        Refusal::Encoding(_) => "gzip, zstd, deflate, snappy, identity",
        _ => "application/x-protobuf, application/json",
    };
    let text = format!("{}; supported: {known}\n", refusal.message());
    respond(StatusCode::UNSUPPORTED_MEDIA_TYPE, "text/plain; charset=utf-8", text.into_bytes())
}

/// A response of a fixed content type.
pub(crate) fn respond(status: StatusCode, media_type: &'static str, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// A header as text; empty when it is absent or not text.
pub(crate) fn header_text(headers: &HeaderMap, name: HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}
