//! Jaeger's collector over HTTP: `POST /api/traces` with one Thrift batch, and sampling.
//!
//! | condition | answer |
//! | --- | --- |
//! | taken | 202 |
//! | some spans refused | the rest is stored; 400 with each reason's first story |
//! | malformed, corrupt, slow | 400 |
//! | too large | 413 |
//! | other type | 400, as Jaeger has it; other encoding 415 |
//! | memory, journal or disk full, stopping | 503 + `Retry-After` |
//!
//! Types: `application/x-thrift`, `application/vnd.apache.thrift.binary`, and of our own accord the compact protocol as
//! `application/vnd.apache.thrift.compact`. Encodings gzip, deflate, zstd and snappy, which Jaeger has not.
//!
//! Source: Jaeger's collector `handler/http_thrift_handler.go`.

use super::ReceiverState;
use super::body::read_body;
use super::counters::Protocol;
use super::jaeger_sampling::{SamplingStrategy, api_sampling};
use super::otlp_http::header_text;
use super::refusal::Refusal;
use super::spans::{self, take_spans};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use bramble_signal::Signal;
use bramble_wire::compression::Encoding;
use bramble_wire::thrift;
use http::request::Parts;
use http::{StatusCode, header};
use tracing::Instrument;

/// The routes of Jaeger's collector.
pub fn jaeger_http(state: ReceiverState, strategy: SamplingStrategy) -> Router {
    Router::new().route("/api/traces", post(answer)).with_state(state).merge(api_sampling(strategy))
}

async fn answer(State(state): State<ReceiverState>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let outcome = take(&state, &parts, body).instrument(Protocol::JaegerHttp.span(Signal::Traces)).await;
    if let Err(refusal) = &outcome {
        state.0.counters.rejected(Protocol::JaegerHttp, refusal.reason(), 1);
    }
    let response = match outcome {
        Err(Refusal::MediaType(name)) => {
            spans::text(StatusCode::BAD_REQUEST, &format!("Unsupported content type: {name}"))
        }
        outcome => spans::answer(outcome),
    };
    state.0.counters.answered(Protocol::JaegerHttp, response.status().as_u16());
    response
}

async fn take(state: &ReceiverState, parts: &Parts, body: Body) -> Result<Option<String>, Refusal> {
    let media_type = header_text(&parts.headers, header::CONTENT_TYPE);
    let protocol = protocol(media_type);
    let encoding = Encoding::from_header(header_text(&parts.headers, header::CONTENT_ENCODING));
    let body = read_body(state, Protocol::JaegerHttp, parts, body).await?;
    let protocol = protocol.ok_or_else(|| Refusal::MediaType(media_type.chars().take(64).collect()))?;
    take_spans(state, Protocol::JaegerHttp, encoding?, body, move |state, body, batch_bytes| {
        state.0.decoders.jaeger.lend(body.len(), |decoder| {
            decoder.set_batch_bytes_max(batch_bytes);
            decoder.thrift_batch(protocol, body)
        })
    })
    .await
}

fn protocol(media_type: &str) -> Option<thrift::Protocol> {
    let essence = media_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/x-thrift" | "application/vnd.apache.thrift.binary" => Some(thrift::Protocol::Binary),
        "application/vnd.apache.thrift.compact" => Some(thrift::Protocol::Compact),
        _ => None,
    }
}
