//! Jaeger's collector over gRPC: `PostSpans`, `GetSamplingStrategy`, and `grpc.health.v1.Health/Check`.
//!
//! Statuses are those of OTLP/gRPC. `PostSpansResponse` has no room for a partial success: when some spans are refused
//! the rest is stored and the status is INVALID_ARGUMENT with each reason's first story, on which senders drop.
//!
//! Source: jaeger-idl `proto/api_v2/{collector,sampling}.proto`.

use super::ReceiverState;
use super::body::read_body;
use super::counters::Protocol;
use super::grpc::{answer, status_of, unframe};
use super::jaeger_sampling::SamplingStrategy;
use super::refusal::Refusal;
use super::spans::take_spans;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::routing::any;
use bramble_signal::Signal;
use http::request::Parts;
use tonic::Status;
use tracing::Instrument;

const COLLECTOR: &str = "jaeger.api_v2.CollectorService";
const SAMPLING: &str = "jaeger.api_v2.SamplingManager";
const HEALTH: &str = "grpc.health.v1.Health";

#[derive(Clone, Copy)]
enum Call {
    PostSpans,
    GetSamplingStrategy(SamplingStrategy),
    HealthCheck,
}

/// The routes of Jaeger's collector. Needs HTTP/2 with prior knowledge.
pub fn jaeger_grpc(state: ReceiverState, strategy: SamplingStrategy) -> Router {
    let route = |call: Option<Call>| {
        any(move |State(state): State<ReceiverState>, request: Request| async move {
            answer(&state, Protocol::JaegerGrpc, call, request, |call, parts, body| handle(&state, call, parts, body))
                .await
        })
    };
    Router::new()
        .route(&format!("/{COLLECTOR}/PostSpans"), route(Some(Call::PostSpans)))
        .route(&format!("/{SAMPLING}/GetSamplingStrategy"), route(Some(Call::GetSamplingStrategy(strategy))))
        .route(&format!("/{HEALTH}/Check"), route(Some(Call::HealthCheck)))
        .route("/{service}/{method}", route(None))
        .with_state(state)
}

async fn handle(state: &ReceiverState, call: Call, parts: Parts, body: Body) -> Result<Vec<u8>, Status> {
    let outcome = take(state, call, &parts, body).instrument(Protocol::JaegerGrpc.span(Signal::Traces)).await;
    match (outcome, call) {
        (Err(refusal), _) => {
            state.0.counters.rejected(Protocol::JaegerGrpc, refusal.reason(), 1);
            Err(status_of(&refusal))
        }
        (Ok(Some(story)), _) => Err(Status::invalid_argument(story)),
        (Ok(None), Call::PostSpans) => Ok(Vec::new()),
        (Ok(None), Call::GetSamplingStrategy(strategy)) => Ok(strategy.protobuf()),
        // SERVING.
        (Ok(None), Call::HealthCheck) => Ok(vec![0x08, 0x01]),
    }
}

async fn take(state: &ReceiverState, call: Call, parts: &Parts, body: Body) -> Result<Option<String>, Refusal> {
    let body = read_body(state, Protocol::JaegerGrpc, parts, body).await?;
    let (encoding, message) = unframe(&parts.headers, body)?;
    if !matches!(call, Call::PostSpans) {
        return Ok(None);
    }
    take_spans(state, Protocol::JaegerGrpc, encoding, message, |state, body, batch_bytes| {
        state.0.decoders.jaeger.lend(body.len(), |decoder| {
            decoder.set_batch_bytes_max(batch_bytes);
            decoder.post_spans(body)
        })
    })
    .await
}
