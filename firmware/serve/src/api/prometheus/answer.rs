//! The envelope and errors.

use crate::api::json;
use crate::run::RunError;
use axum::response::{IntoResponse, Response};
use bramble_query_promql::QueryError;
use bramble_storage::ReadError;
use http::{StatusCode, header};
use serde::Serialize;

/// An error in Prometheus' form.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) kind: &'static str,
    pub(super) message: String,
}

impl ApiError {
    pub(super) fn bad_data(message: impl Into<String>) -> Self {
        ApiError { status: StatusCode::BAD_REQUEST, kind: "bad_data", message: message.into() }
    }

    /// As Prometheus words a parameter that does not parse.
    pub(super) fn parameter(name: &str, message: impl std::fmt::Display) -> Self {
        Self::bad_data(format!("invalid parameter \"{name}\": {message}"))
    }

    /// Something is switched off. Prometheus answers 500 to these.
    pub(super) fn disabled(message: &str) -> Self {
        Self::of(StatusCode::INTERNAL_SERVER_ERROR, "unavailable", message)
    }

    /// Something of ours failed.
    pub(super) fn internal(message: impl ToString) -> Self {
        Self::of(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    fn of(status: StatusCode, kind: &'static str, message: impl ToString) -> Self {
        ApiError { status, kind, message: message.to_string() }
    }
}

/// What Prometheus answers, to itself and to logs, when the client is gone.
fn client_closed() -> StatusCode {
    StatusCode::from_u16(499).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        match &error {
            ReadError::Cancelled => Self::of(client_closed(), "canceled", error),
            ReadError::Timeout => Self::of(StatusCode::SERVICE_UNAVAILABLE, "timeout", error),
            ReadError::OverBudget(_) | ReadError::Limit(_) => {
                Self::of(StatusCode::UNPROCESSABLE_ENTITY, "execution", error)
            }
            ReadError::Storage(_) => Self::of(StatusCode::INTERNAL_SERVER_ERROR, "internal", error),
        }
    }
}

impl From<RunError> for ApiError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Read(read) => read.into(),
            RunError::Busy => Self::of(StatusCode::SERVICE_UNAVAILABLE, "unavailable", error),
            RunError::Queue => Self::of(StatusCode::SERVICE_UNAVAILABLE, "timeout", error),
            RunError::Panicked => Self::of(StatusCode::INTERNAL_SERVER_ERROR, "internal", error),
        }
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        match &error {
            QueryError::Parse(_) | QueryError::Type(..) => Self::parameter("query", error),
            QueryError::Storage(_) => Self::of(StatusCode::INTERNAL_SERVER_ERROR, "internal", error),
            QueryError::Timeout => Self::of(StatusCode::SERVICE_UNAVAILABLE, "timeout", error),
            QueryError::Cancelled => Self::of(client_closed(), "canceled", error),
            _ => Self::of(StatusCode::UNPROCESSABLE_ENTITY, "execution", error),
        }
    }
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    status: &'static str,
    #[serde(rename = "errorType")]
    kind: &'a str,
    error: &'a str,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody { status: "error", kind: self.kind, error: &self.message };
        let mut response = json(self.status, &body);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, http::HeaderValue::from_static("2"));
        }
        response
    }
}

/// The envelope of success.
#[derive(Serialize)]
pub(super) struct Success<T> {
    pub(super) status: &'static str,
    pub(super) data: T,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) warnings: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) infos: Vec<String>,
}

/// What is said when an answer was cut.
pub(super) const TRUNCATED: &str = "results truncated due to limit";

/// An answer without notes.
pub(super) fn success<T: Serialize>(data: T) -> Response {
    success_with(data, Vec::new(), Vec::new())
}

/// An answer with warnings and infos.
pub(super) fn success_with<T: Serialize>(data: T, warnings: Vec<String>, infos: Vec<String>) -> Response {
    json(StatusCode::OK, &Success { status: "success", data, warnings, infos })
}
