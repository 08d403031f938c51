//! One folder per API.

pub mod bramble;
pub mod correlate;
mod error;
pub mod jaeger;
pub mod loki;
pub mod prometheus;
mod stream;
pub mod tempo;

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::Serialize;

/// A JSON answer.
pub(crate) fn json<T: Serialize>(status: StatusCode, body: &T) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => (status, json_head(), bytes).into_response(),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, format!("answer cannot be printed: {e}")).into_response(),
    }
}

/// The header of JSON answers.
pub(crate) fn json_head() -> [(header::HeaderName, &'static str); 1] {
    [(header::CONTENT_TYPE, "application/json")]
}

/// A plain text answer.
pub(crate) fn text(status: StatusCode, body: impl Into<String>) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body.into()).into_response()
}

/// Compresses answers where the client asks for it.
pub fn compression() -> tower_http::compression::CompressionLayer {
    tower_http::compression::CompressionLayer::new().gzip(true).zstd(true).deflate(true)
}
