//! Errors in Tempo's form: plain text.

use crate::api::text;
use crate::run::RunError;
use axum::response::{IntoResponse, Response};
use bramble_storage::ReadError;
use http::StatusCode;

/// An error: status and text.
#[derive(Debug)]
pub(super) struct ApiError(pub(super) StatusCode, pub(super) String);

impl ApiError {
    pub(super) fn bad(message: impl Into<String>) -> Self {
        ApiError(StatusCode::BAD_REQUEST, message.into())
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        let status = match error {
            ReadError::Timeout | ReadError::Cancelled => StatusCode::SERVICE_UNAVAILABLE,
            ReadError::OverBudget(_) | ReadError::Limit(_) => StatusCode::UNPROCESSABLE_ENTITY,
            ReadError::Storage(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        ApiError(status, error.to_string())
    }
}

impl From<RunError> for ApiError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Read(read) => read.into(),
            RunError::Busy => ApiError(StatusCode::TOO_MANY_REQUESTS, error.to_string()),
            RunError::Panicked => ApiError(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        text(self.0, self.1)
    }
}
