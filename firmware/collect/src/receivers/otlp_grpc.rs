//! OTLP over gRPC: the three `Export` methods and `grpc.health.v1.Health/Check`.
//!
//! | condition | status | what exporters do |
//! | --- | --- | --- |
//! | taken | OK, `partial_success` only when items were refused | go on |
//! | malformed, corrupt, slow | INVALID_ARGUMENT | drop |
//! | too large | RESOURCE_EXHAUSTED without RetryInfo | drop |
//! | other compression | UNIMPLEMENTED + `grpc-accept-encoding` | drop |
//! | memory, journal or disk full, stopping | UNAVAILABLE with RetryInfo in `grpc-status-details-bin` | retry |
//!
//! Source: reference/apis.md §9.1 and §9.4.

use super::ReceiverState;
use super::body::read_body;
use super::counters::Protocol;
use super::grpc::{answer, status_of, unframe};
use super::otlp::{export, response};
use super::refusal::Refusal;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::routing::any;
use bramble_signal::Signal;
use bramble_wire::Format;
use bramble_wire::protobuf::Reader;
use http::request::Parts;
use tonic::Status;
use tracing::Instrument;

const LOGS: &str = "opentelemetry.proto.collector.logs.v1.LogsService";
const METRICS: &str = "opentelemetry.proto.collector.metrics.v1.MetricsService";
const TRACES: &str = "opentelemetry.proto.collector.trace.v1.TraceService";
const HEALTH: &str = "grpc.health.v1.Health";

#[derive(Clone, Copy)]
enum Call {
    Export(Signal),
    HealthCheck,
}

/// The routes of OTLP/gRPC. Needs HTTP/2 with prior knowledge; a method of these services that is not known is
/// answered UNIMPLEMENTED.
pub fn otlp_grpc(state: ReceiverState) -> Router {
    let route = |call: Option<Call>| {
        any(move |State(state): State<ReceiverState>, request: Request| async move {
            answer(&state, Protocol::OtlpGrpc, call, request, |call, parts, body| handle(&state, call, parts, body))
                .await
        })
    };
    let mut router = Router::new().route(&format!("/{HEALTH}/Check"), route(Some(Call::HealthCheck)));
    for (service, signal) in [(LOGS, Signal::Logs), (METRICS, Signal::Metrics), (TRACES, Signal::Traces)] {
        router = router
            .route(&format!("/{service}/Export"), route(Some(Call::Export(signal))))
            .route(&format!("/{service}/{{method}}"), route(None));
    }
    router.route(&format!("/{HEALTH}/{{method}}"), route(None)).with_state(state)
}

async fn handle(state: &ReceiverState, call: Call, parts: Parts, body: Body) -> Result<Vec<u8>, Status> {
    let outcome = match call {
        Call::Export(signal) => take(state, signal, &parts, body).instrument(Protocol::OtlpGrpc.span(signal)).await,
        Call::HealthCheck => {
            let body = read_body(state, Protocol::OtlpGrpc, &parts, body).await;
            match body.and_then(|body| unframe(&parts.headers, body)) {
                Ok((_, message)) => return health(&message.bytes),
                Err(refusal) => Err(refusal),
            }
        }
    };
    outcome.map_err(|refusal| {
        state.0.counters.rejected(Protocol::OtlpGrpc, refusal.reason(), 1);
        status_of(&refusal)
    })
}

async fn take(state: &ReceiverState, signal: Signal, parts: &Parts, body: Body) -> Result<Vec<u8>, Refusal> {
    let body = read_body(state, Protocol::OtlpGrpc, parts, body).await?;
    let (encoding, message) = unframe(&parts.headers, body)?;
    let partial = export(state, Protocol::OtlpGrpc, signal, Format::Protobuf, encoding, message).await?;
    Ok(response(Format::Protobuf, signal, &partial))
}

/// `HealthCheckRequest{service = 1}` to `HealthCheckResponse{status = 1: SERVING}`.
fn health(request: &[u8]) -> Result<Vec<u8>, Status> {
    let mut service = "";
    let mut reader = Reader::new(request);
    while let Some(field) = reader.next().map_err(|e| Status::invalid_argument(e.to_string()))? {
        if field.number == 1 {
            service = field.text().map_err(|e| Status::invalid_argument(e.to_string()))?;
        }
    }
    match service {
        "" | LOGS | METRICS | TRACES | HEALTH => Ok(vec![0x08, 0x01]),
        _ => Err(Status::not_found("unknown service")),
    }
}
