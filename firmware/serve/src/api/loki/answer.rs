//! The envelope and errors.

use crate::api::{json, text};
use crate::run::RunError;
use axum::response::{IntoResponse, Response};
use bramble_query_logql::{LabelSet, ParseError, QueryError};
use bramble_storage::ReadError;
use http::{StatusCode, header};
use serde::{Serialize, Serializer};

/// Status of a query whose client went away, as nginx and Loki count it.
const CLIENT_CLOSED: u16 = 499;

/// An error in Loki's form: its text.
#[derive(Debug)]
pub(crate) struct ApiError(pub(crate) StatusCode, pub(crate) String);

impl ApiError {
    pub(crate) fn bad(message: impl Into<String>) -> Self {
        ApiError(StatusCode::BAD_REQUEST, message.into())
    }
}

impl From<ParseError> for ApiError {
    fn from(error: ParseError) -> Self {
        Self::bad(error.0)
    }
}

const CANCELLED: &str = "the request was cancelled by the client";
const TIMED_OUT: &str = "request timed out, decrease the duration of the request or add more label matchers (prefer \
                         exact match over regex match) to reduce the amount of data processed";

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        let closed = || StatusCode::from_u16(CLIENT_CLOSED).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        match error {
            ReadError::Timeout => ApiError(StatusCode::GATEWAY_TIMEOUT, TIMED_OUT.to_owned()),
            ReadError::Cancelled => ApiError(closed(), CANCELLED.to_owned()),
            ReadError::OverBudget(_) | ReadError::Limit(_) => {
                ApiError(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
            }
            ReadError::Storage(_) => ApiError(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }
}

impl From<RunError> for ApiError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Read(read) => read.into(),
            RunError::Busy => ApiError(StatusCode::TOO_MANY_REQUESTS, "too many outstanding requests".to_owned()),
            RunError::Queue => ApiError(StatusCode::TOO_MANY_REQUESTS, error.to_string()),
            RunError::Panicked => ApiError(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Query(message) => Self::bad(message),
            QueryError::Execution(message) => ApiError(StatusCode::INTERNAL_SERVER_ERROR, message),
            QueryError::Read(read) => read.into(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = text(self.0, self.1);
        if self.0 == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(header::RETRY_AFTER, http::HeaderValue::from_static("2"));
        }
        response
    }
}

/// The envelope of success.
pub(super) fn success<T: Serialize>(data: T) -> Response {
    #[derive(Serialize)]
    struct Envelope<T> {
        status: &'static str,
        data: T,
    }
    json(StatusCode::OK, &Envelope { status: "success", data })
}

/// Labels as a JSON object.
pub(super) struct LabelsJson<'a>(pub(super) &'a LabelSet);

impl Serialize for LabelsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter())
    }
}
