//! Zipkin's collector: `POST /api/v2/spans` and `/api/v1/spans` (also below `/zipkin`), `GET /health`.
//!
//! | condition | answer |
//! | --- | --- |
//! | taken | 202 |
//! | some spans refused | the rest is stored; 400 with each reason's first story |
//! | malformed, corrupt, slow, empty body | 400 |
//! | too large | 413 |
//! | other encoding | 415 |
//! | memory, journal or disk full, stopping | 503 + `Retry-After` |
//!
//! The type says what a body is: `application/x-protobuf` version 2, `application/x-thrift` version 1; anything else, or
//! none, is JSON of either version, as Zipkin itself has it. Encodings gzip, deflate, zstd and snappy.
//!
//! Source: zipkin-api `zipkin2-api.yaml`; Zipkin's `ZipkinHttpCollector`.

use super::ReceiverState;
use super::body::read_body;
use super::counters::Protocol;
use super::otlp_http::{header_text, respond};
use super::refusal::Refusal;
use super::spans::{self, take_spans};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use bramble_signal::Signal;
use bramble_wire::compression::Encoding;
use http::request::Parts;
use http::{StatusCode, header};
use tracing::Instrument;

/// How spans are written.
#[derive(Clone, Copy)]
enum Format {
    Json,
    Protobuf,
    Thrift,
}

/// The routes of Zipkin's collector.
pub fn zipkin(state: ReceiverState) -> Router {
    let up = || async { respond(StatusCode::OK, "application/json", br#"{"status":"UP"}"#.to_vec()) };
    let mut router = Router::new().route("/health", get(up));
    for prefix in ["", "/zipkin"] {
        for version in ["v1", "v2"] {
            router = router.route(&format!("{prefix}/api/{version}/spans"), post(answer));
        }
    }
    router.with_state(state)
}

async fn answer(State(state): State<ReceiverState>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let outcome = take(&state, &parts, body).instrument(Protocol::Zipkin.span(Signal::Traces)).await;
    if let Err(refusal) = &outcome {
        state.0.counters.rejected(Protocol::Zipkin, refusal.reason(), 1);
    }
    let response = spans::answer(outcome);
    state.0.counters.answered(Protocol::Zipkin, response.status().as_u16());
    response
}

async fn take(state: &ReceiverState, parts: &Parts, body: Body) -> Result<Option<String>, Refusal> {
    let format = format(header_text(&parts.headers, header::CONTENT_TYPE));
    let encoding = Encoding::from_header(header_text(&parts.headers, header::CONTENT_ENCODING));
    let body = read_body(state, Protocol::Zipkin, parts, body).await?;
    if body.bytes.is_empty() {
        return Err(Refusal::Corrupt("Empty POST body".to_owned()));
    }
    let now_ns = state.0.clock.wall_ns();
    take_spans(state, Protocol::Zipkin, encoding?, body, move |state, body, batch_bytes| {
        state.0.decoders.zipkin.lend(body.len(), |decoder| {
            decoder.set_batch_bytes_max(batch_bytes);
            match format {
                Format::Json => decoder.json(body, now_ns),
                Format::Protobuf => decoder.protobuf(body, now_ns),
                Format::Thrift => decoder.thrift(body, now_ns),
            }
        })
    })
    .await
}

fn format(media_type: &str) -> Format {
    let essence = media_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/x-protobuf" => Format::Protobuf,
        "application/x-thrift" => Format::Thrift,
        _ => Format::Json,
    }
}
