//! gRPC's framing of unary calls, done here over the same body reader as HTTP: memory is reserved below the decoder, not
//! after it. Statuses and their trailers are tonic's.
//!
//! Source: gRPC's `PROTOCOL-HTTP2.md` and `compression.md`.

use super::ReceiverState;
use super::body::Held;
use super::counters::Protocol;
use super::otlp_http::{header_text, respond};
use super::refusal::{Class, Refusal};
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bramble_wire::Format;
use bramble_wire::compression::Encoding;
use bramble_wire::otlp::{RpcStatus, encode_status};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt;
use tonic::{Code, Status};

const GRPC: &str = "application/grpc";
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const ACCEPTED: HeaderValue = HeaderValue::from_static("identity,gzip,zstd,deflate,snappy");

/// Flag and length before each message.
const PREFIX_BYTES: usize = 5;

/// Answers a request: `handle` takes what is a call of a method that we know. Counts how it ended.
pub(super) async fn answer<C, F>(
    state: &ReceiverState,
    protocol: Protocol,
    call: Option<C>,
    request: Request,
    handle: impl FnOnce(C, Parts, Body) -> F,
) -> Response
where
    F: Future<Output = Result<Vec<u8>, Status>>,
{
    let (parts, body) = request.into_parts();
    if let Some(response) = not_a_call(&parts) {
        return response;
    }
    let outcome = match call {
        Some(call) => handle(call, parts, body).await,
        None => Err(Status::unimplemented(format!("unknown method {}", parts.uri.path()))),
    };
    let code = outcome.as_ref().map_or_else(Status::code, |_| Code::Ok);
    state.0.counters.answered(protocol, code as u16);
    outcome.map_or_else(refused, |message| succeeded(&message))
}

/// The answer to what is no call at all.
fn not_a_call(parts: &Parts) -> Option<Response> {
    if parts.method != Method::POST {
        return Some(respond(StatusCode::METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", b"use POST\n".to_vec()));
    }
    if !header_text(&parts.headers, header::CONTENT_TYPE).starts_with(GRPC) {
        let text = b"this is a gRPC endpoint: content type must be application/grpc\n".to_vec();
        return Some(respond(StatusCode::UNSUPPORTED_MEDIA_TYPE, "text/plain; charset=utf-8", text));
    }
    None
}

/// Takes the one message out of its frame.
pub(super) fn unframe(headers: &HeaderMap, body: Held) -> Result<(Encoding, Held), Refusal> {
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

/// A refusal as a status: what may be sent again says when.
pub(super) fn status_of(refusal: &Refusal) -> Status {
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

/// The answer to a call that succeeded.
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

/// The answer to a call that did not.
fn refused(status: Status) -> Response {
    let mut response = status.into_http::<Body>();
    response.headers_mut().insert(GRPC_ACCEPT_ENCODING, ACCEPTED);
    response
}
