//! OTLP over gRPC: the three `Export` methods and `grpc.health.v1.Health/Check`.
//!
//! The methods are unary, so framing is five bytes and is done here over the same body reader as HTTP: memory is
//! reserved below the decoder, not after it. Statuses and their trailers are tonic's.
//!
//! | condition | status | what exporters do |
//! | --- | --- | --- |
//! | taken | OK, `partial_success` only when items were refused | go on |
//! | malformed, corrupt, slow | INVALID_ARGUMENT | drop |
//! | too large | RESOURCE_EXHAUSTED without RetryInfo | drop |
//! | other compression | UNIMPLEMENTED + `grpc-accept-encoding` | drop |
//! | memory, journal or disk full, stopping | UNAVAILABLE with RetryInfo in `grpc-status-details-bin` | retry |
//!
//! Source: gRPC's `PROTOCOL-HTTP2.md` and `compression.md`; reference/apis.md §9.1 and §9.4.

use super::ReceiverState;
use super::body::{Held, read_body};
use super::counters::Protocol;
use super::otlp::{export, response};
use super::otlp_http::{header_text, respond};
use super::refusal::{Class, Refusal};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use bramble_signal::Signal;
use bramble_wire::Format;
use bramble_wire::compression::Encoding;
use bramble_wire::otlp::{RpcStatus, encode_status};
use bramble_wire::protobuf::Reader;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt;
use tonic::{Code, Status};
use tracing::Instrument;

const LOGS: &str = "opentelemetry.proto.collector.logs.v1.LogsService";
const METRICS: &str = "opentelemetry.proto.collector.metrics.v1.MetricsService";
const TRACES: &str = "opentelemetry.proto.collector.trace.v1.TraceService";
const HEALTH: &str = "grpc.health.v1.Health";

const GRPC: &str = "application/grpc";
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const ACCEPTED: HeaderValue = HeaderValue::from_static("identity,gzip,zstd,deflate,snappy");

/// Flag and length before each message.
const PREFIX_BYTES: usize = 5;

#[derive(Clone, Copy)]
enum Call {
    Export(Signal),
    HealthCheck,
}

/// The routes of OTLP/gRPC. Needs HTTP/2 with prior knowledge; a method of these services that is not known is
/// answered UNIMPLEMENTED.
pub fn otlp_grpc(state: ReceiverState) -> Router {
    let route = |call: Option<Call>| {
        any(
            move |State(state): State<ReceiverState>, request: Request| async move { answer(&state, call, request).await },
        )
    };
    let mut router = Router::new().route(&format!("/{HEALTH}/Check"), route(Some(Call::HealthCheck)));
    for (service, signal) in [(LOGS, Signal::Logs), (METRICS, Signal::Metrics), (TRACES, Signal::Traces)] {
        router = router
            .route(&format!("/{service}/Export"), route(Some(Call::Export(signal))))
            .route(&format!("/{service}/{{method}}"), route(None));
    }
    router.route(&format!("/{HEALTH}/{{method}}"), route(None)).with_state(state)
}

async fn answer(state: &ReceiverState, call: Option<Call>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if parts.method != Method::POST {
        return respond(StatusCode::METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", b"use POST\n".to_vec());
    }
    if !header_text(&parts.headers, header::CONTENT_TYPE).starts_with(GRPC) {
        let text = b"this is a gRPC endpoint: content type must be application/grpc\n".to_vec();
        return respond(StatusCode::UNSUPPORTED_MEDIA_TYPE, "text/plain; charset=utf-8", text);
    }
    let outcome = match call {
        Some(call) => handle(state, call, &parts, body).await,
        None => Err(Status::unimplemented(format!("unknown method {}", parts.uri.path()))),
    };
    let code = outcome.as_ref().map_or_else(Status::code, |_| Code::Ok);
    state.0.counters.answered(Protocol::OtlpGrpc, code as u16);
    outcome.map_or_else(refused, |message| succeeded(&message))
}

async fn handle(state: &ReceiverState, call: Call, parts: &Parts, body: Body) -> Result<Vec<u8>, Status> {
    let outcome = match call {
        Call::Export(signal) => take(state, signal, parts, body).instrument(Protocol::OtlpGrpc.span(signal)).await,
        Call::HealthCheck => {
            let body = read_body(state, Protocol::OtlpGrpc, parts, body).await;
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

/// Takes the one message out of its frame.
fn unframe(headers: &HeaderMap, body: Held) -> Result<(Encoding, Held), Refusal> {
    let Held { mut bytes, held } = body;
    let corrupt = |text: String| Err(Refusal::Corrupt(text));
    let Some((prefix, message)) = bytes.split_first_chunk::<PREFIX_BYTES>() else {
        return corrupt(format!("gRPC message prefix: {} bytes of {PREFIX_BYTES}", bytes.len()));
    };
    let [flag, length @ ..] = *prefix;
    let length = u32::from_be_bytes(length) as usize;
    if length != message.len() {
        return corrupt(format!("gRPC message: its prefix says {length} bytes, the body has {}", message.len()));
    }
    let encoding = match flag {
        0 => Encoding::Identity,
        1 => Encoding::from_header(header_text(headers, GRPC_ENCODING))?,
        other => return corrupt(format!("gRPC message: compressed flag {other}")),
    };
    bytes.drain(..PREFIX_BYTES);
    Ok((encoding, Held { bytes, held }))
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

fn status_of(refusal: &Refusal) -> Status {
    let message = refusal.message();
    match refusal.class() {
        Class::Bad => Status::invalid_argument(message),
        Class::TooLarge => Status::resource_exhausted(message),
        Class::Unsupported => Status::unimplemented(message),
        Class::Later(after) => {
            let status = RpcStatus { code: Code::Unavailable as u32, message: &message, retry_delay: Some(after) };
            let mut details = Vec::new();
            encode_status(Format::Protobuf, &status, &mut details);
            Status::with_details(Code::Unavailable, message, Bytes::from(details))
        }
    }
}

fn succeeded(message: &[u8]) -> Response {
    let mut frame = Vec::with_capacity(PREFIX_BYTES + message.len());
    frame.push(0);
    frame.extend_from_slice(&(message.len() as u32).to_be_bytes());
    frame.extend_from_slice(message);
    let trailers = HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))]);
    let body = http_body_util::Full::new(Bytes::from(frame)).with_trailers(async move { Some(Ok(trailers)) });
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(GRPC));
    response.headers_mut().insert(GRPC_ACCEPT_ENCODING, ACCEPTED);
    response
}

fn refused(status: Status) -> Response {
    let mut response = status.into_http::<Body>();
    response.headers_mut().insert(GRPC_ACCEPT_ENCODING, ACCEPTED);
    response
}
