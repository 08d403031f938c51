//! `tempopb.StreamingQuerier`: the questions of the HTTP API as server streams over gRPC, for Grafana's streaming. And
//! `grpc.health.v1.Health/Check`.
//!
//! Needs HTTP/2 with prior knowledge, which every door takes beside HTTP/1.1. Grafana ignores the path of its data
//! source's URL here, so the routes are at the root of Tempo's door and of the main door.
//!
//! | what happened | status |
//! | --- | --- |
//! | cannot be understood (TraceQL with a position), beyond a limit of the API | INVALID_ARGUMENT |
//! | no turn, not enough memory, too much to read | RESOURCE_EXHAUSTED |
//! | out of time with nothing found | DEADLINE_EXCEEDED |
//! | out of time with something found | OK; the last message says `PARTIAL`, so does the trailer `bramble-partial` |
//!
//! Messages are cut at [`TempoLimits::max_grpc_streaming_packet_size`](super::TempoLimits).

mod body;
mod frame;
mod health;
mod requests;

pub(super) use body::Work;
pub(super) use frame::Message;

use super::answer::ApiError;
use super::tags;
use super::times::{now_ns, now_s};
use crate::client;
use crate::state::ApiState;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use bramble_wire::protobuf::Reader;
use http::{HeaderValue, Method, StatusCode, header};
use std::sync::Arc;
use tonic::Status;

const SERVICE: &str = "tempopb.StreamingQuerier";
const GRPC: &str = "application/grpc";

/// Reads a request and makes the work that answers it.
type Call = fn(&ApiState, Reader<'_>) -> Result<Work, ApiError>;

const CALLS: [(&str, Call); 7] = [
    ("Search", |state, request| Ok(requests::search(request, now_s(state))?.search(&state.tempo_limits)?.streamed())),
    ("SearchTags", |state, request| {
        Ok(requests::names(request, now_s(state))?.of(&state.tempo_limits)?.streamed(tags::Form::V1))
    }),
    ("SearchTagsV2", |state, request| {
        Ok(requests::names(request, now_s(state))?.of(&state.tempo_limits)?.streamed(tags::Form::V2))
    }),
    ("SearchTagValues", |state, request| {
        let asked = requests::values(request, now_s(state))?;
        Ok(asked.of(&state.tempo_limits, tags::Form::V1)?.streamed(tags::Form::V1))
    }),
    ("SearchTagValuesV2", |state, request| {
        let asked = requests::values(request, now_s(state))?;
        Ok(asked.of(&state.tempo_limits, tags::Form::V2)?.streamed(tags::Form::V2))
    }),
    ("MetricsQueryRange", |state, request| {
        let asked = requests::range_of_measure(request, now_ns(state))?;
        Ok(asked.measure(&state.tempo_limits)?.streamed())
    }),
    ("MetricsQueryInstant", |state, request| {
        let asked = requests::instant(request, now_ns(state))?;
        Ok(asked.measure(&state.tempo_limits)?.streamed())
    }),
];

/// The routes of both services.
pub fn router(state: Arc<ApiState>) -> Router {
    let mut router = Router::new();
    for (method, call) in CALLS {
        let handler = move |State(state): State<Arc<ApiState>>, request: Request| answer(state, call, request);
        router = router.route(&format!("/{SERVICE}/{method}"), any(handler));
    }
    router
        .route(&format!("/{SERVICE}/{{method}}"), any(unknown))
        .route(&format!("/{}/Check", health::SERVICE), any(health::check))
        .route(&format!("/{}/{{method}}", health::SERVICE), any(unknown))
        .with_state(state)
}

async fn unknown(request: Request) -> Response {
    match misplaced(&request) {
        Some(response) => response,
        None => refused(Status::unimplemented(format!("unknown method {}", request.uri().path()))),
    }
}

/// The answer to what is not gRPC at all.
fn misplaced(request: &Request) -> Option<Response> {
    if request.method() != Method::POST {
        return Some(crate::api::text(StatusCode::METHOD_NOT_ALLOWED, "use POST\n"));
    }
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let text = "this is a gRPC endpoint: content type must be application/grpc\n";
    (!kind.starts_with(GRPC)).then(|| crate::api::text(StatusCode::UNSUPPORTED_MEDIA_TYPE, text))
}

async fn answer(state: Arc<ApiState>, call: Call, request: Request) -> Response {
    if let Some(response) = misplaced(&request) {
        return response;
    }
    let timeout = frame::timeout(request.headers());
    let work = match frame::read(request).await {
        Ok(message) => call(&state, Reader::new(&message)).map_err(status_of),
        Err(status) => Err(status),
    };
    match work {
        Ok(work) => {
            let mut response = Response::new(Body::new(body::stream(state, client::current(), timeout, work)));
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(GRPC));
            response
        }
        Err(status) => refused(status),
    }
}

/// An error as gRPC says it.
fn status_of(error: ApiError) -> Status {
    let message = error.message;
    match error.status {
        StatusCode::BAD_REQUEST => Status::invalid_argument(message),
        StatusCode::NOT_FOUND => Status::not_found(message),
        StatusCode::UNPROCESSABLE_ENTITY | StatusCode::TOO_MANY_REQUESTS => Status::resource_exhausted(message),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => Status::deadline_exceeded(message),
        _ => Status::internal(message),
    }
}

fn refused(status: Status) -> Response {
    let mut response = status.into_http::<Body>();
    response.headers_mut().insert("grpc-accept-encoding", frame::ACCEPTED);
    response
}
