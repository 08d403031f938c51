//! `grpc.health.v1.Health/Check`.

use super::{SERVICE as QUERIER, frame, misplaced, refused};
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bramble_wire::protobuf::{Reader, Writer};
use http::{HeaderMap, HeaderValue, header};
use http_body_util::{BodyExt, Full};
use tonic::Status;

pub(super) const SERVICE: &str = "grpc.health.v1.Health";

/// `HealthCheckResponse.ServingStatus`.
const SERVING: u64 = 1;

/// `HealthCheckRequest{service=1}` to `HealthCheckResponse{status=1}`.
pub(super) async fn check(request: Request) -> Response {
    if let Some(response) = misplaced(&request) {
        return response;
    }
    let known = match frame::read(request).await {
        Ok(message) => service_of(&message),
        Err(status) => Err(status),
    };
    if let Err(status) = known {
        return refused(status);
    }
    let mut message = frame::Message::new();
    Writer::new(message.fields()).varint(1, SERVING);
    let trailers =
        HeaderMap::from_iter([(header::HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"))]);
    let body = Full::new(message.framed()).with_trailers(async move { Some(Ok(trailers)) });
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(super::GRPC));
    response
}

fn service_of(request: &[u8]) -> Result<(), Status> {
    let mut service = "";
    let mut reader = Reader::new(request);
    let bad = |e: bramble_wire::DecodeError| Status::invalid_argument(e.to_string());
    while let Some(field) = reader.next().map_err(bad)? {
        if field.number == 1 {
            service = field.text().map_err(bad)?;
        }
    }
    if ["", QUERIER, SERVICE].contains(&service) { Ok(()) } else { Err(Status::not_found("unknown service")) }
}
