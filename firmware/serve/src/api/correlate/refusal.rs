//! Errors of this API: `{"error": "…", "field": "…"}`.

use crate::api;
use crate::run::RunError;
use axum::response::{IntoResponse, Response};
use bramble_storage::ReadError;
use http::StatusCode;

/// A status, what to tell a person, and the parameter that it is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) field: Option<&'static str>,
    pub(super) message: String,
}

impl Refusal {
    /// An error that is about no parameter.
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Refusal { status, field: None, message: message.into() }
    }

    /// A parameter makes no sense.
    pub(super) fn bad(field: &'static str, message: impl Into<String>) -> Self {
        Refusal { status: StatusCode::BAD_REQUEST, field: Some(field), message: message.into() }
    }
}

impl From<RunError> for Refusal {
    fn from(error: RunError) -> Self {
        Self::new(error.status(), error.to_string())
    }
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        RunError::Read(error).into()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut body = serde_json::json!({"error": self.message});
        if let Some(field) = self.field {
            body["field"] = field.into();
        }
        api::json(self.status, &body)
    }
}
