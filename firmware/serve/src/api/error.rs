//! One error for all query APIs of traces: what went wrong is the same, how it is printed is each API's.

use crate::run::RunError;
use axum::response::{IntoResponse, Response};
use bramble_storage::ReadError;
use http::StatusCode;
use std::fmt;
use std::marker::PhantomData;

/// How an API prints its errors.
pub(crate) trait ErrorForm: 'static {
    /// The answer for an error.
    fn print(status: StatusCode, message: &str) -> Response;
}

/// A status and what to tell a person, in the form of the API `F`.
pub(crate) struct ApiError<F> {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    form: PhantomData<fn() -> F>,
}

impl<F> ApiError<F> {
    /// An error of any status.
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        ApiError { status, message: message.into(), form: PhantomData }
    }

    /// The request makes no sense.
    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }
}

impl<F> fmt::Debug for ApiError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.message)
    }
}

impl<F> From<ReadError> for ApiError<F> {
    fn from(error: ReadError) -> Self {
        RunError::Read(error).into()
    }
}

impl<F> From<RunError> for ApiError<F> {
    fn from(error: RunError) -> Self {
        Self::new(error.status(), error.to_string())
    }
}

impl<F: ErrorForm> IntoResponse for ApiError<F> {
    fn into_response(self) -> Response {
        F::print(self.status, &self.message)
    }
}
