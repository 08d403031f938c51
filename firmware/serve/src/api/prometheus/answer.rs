//! The envelope, values and errors.

use crate::api::json;
use crate::run::RunError;
use axum::response::{IntoResponse, Response};
use bramble_query_promql::{QueryError, Value, format_value};
use bramble_signal::{Labels, SeriesSamples};
use bramble_storage::ReadError;
use http::{StatusCode, header};
use serde::ser::{SerializeMap, SerializeSeq, SerializeTuple};
use serde::{Serialize, Serializer};

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

    fn of(status: StatusCode, kind: &'static str, message: impl ToString) -> Self {
        ApiError { status, kind, message: message.to_string() }
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        match &error {
            ReadError::Cancelled => Self::of(StatusCode::SERVICE_UNAVAILABLE, "canceled", error),
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
            QueryError::Cancelled => Self::of(StatusCode::SERVICE_UNAVAILABLE, "canceled", error),
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

/// An answer without notes.
pub(super) fn success<T: Serialize>(data: T) -> Response {
    success_with(data, Vec::new(), Vec::new())
}

/// An answer with warnings and infos.
pub(super) fn success_with<T: Serialize>(data: T, warnings: Vec<String>, infos: Vec<String>) -> Response {
    json(StatusCode::OK, &Success { status: "success", data, warnings, infos })
}

/// Labels as a JSON object.
pub(super) struct LabelsJson<'a>(pub(super) &'a Labels);

impl Serialize for LabelsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.0.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Milliseconds as JSON seconds with at most three decimals.
struct Seconds(i64);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 % 1000 == 0 {
            serializer.serialize_i64(self.0 / 1000)
        } else {
            serializer.serialize_f64(self.0 as f64 / 1000.0)
        }
    }
}

/// `[seconds, "value"]`.
struct Point(i64, f64);

impl Serialize for Point {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut pair = serializer.serialize_tuple(2)?;
        pair.serialize_element(&Seconds(self.0))?;
        pair.serialize_element(&format_value(self.1))?;
        pair.end()
    }
}

/// `resultType` and `result`.
pub(super) struct ValueJson<'a>(pub(super) &'a Value);

impl Serialize for ValueJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        match self.0 {
            Value::Scalar { time_ms, value } => {
                map.serialize_entry("resultType", "scalar")?;
                map.serialize_entry("result", &Point(*time_ms, *value))?;
            }
            Value::String { time_ms, value } => {
                map.serialize_entry("resultType", "string")?;
                map.serialize_entry("result", &(Seconds(*time_ms), value))?;
            }
            Value::Vector(samples) => {
                map.serialize_entry("resultType", "vector")?;
                map.serialize_entry("result", &Vector(samples))?;
            }
            Value::Matrix(series) => {
                map.serialize_entry("resultType", "matrix")?;
                map.serialize_entry("result", &Matrix(series))?;
            }
        }
        map.end()
    }
}

struct Vector<'a>(&'a [(Labels, i64, f64)]);

impl Serialize for Vector<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Item<'a> {
            metric: LabelsJson<'a>,
            value: Point,
        }
        let mut seq = serializer.serialize_seq(Some(self.0.len()))?;
        for (labels, time_ms, value) in self.0 {
            seq.serialize_element(&Item { metric: LabelsJson(labels), value: Point(*time_ms, *value) })?;
        }
        seq.end()
    }
}

struct Matrix<'a>(&'a [SeriesSamples]);

impl Serialize for Matrix<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Item<'a> {
            metric: LabelsJson<'a>,
            values: Points<'a>,
        }
        let mut seq = serializer.serialize_seq(Some(self.0.len()))?;
        for series in self.0 {
            seq.serialize_element(&Item { metric: LabelsJson(&series.labels), values: Points(series) })?;
        }
        seq.end()
    }
}

struct Points<'a>(&'a SeriesSamples);

impl Serialize for Points<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.0.values.len()))?;
        for (&time_ms, &value) in self.0.timestamps_ms.iter().zip(&self.0.values) {
            seq.serialize_element(&Point(time_ms, value))?;
        }
        seq.end()
    }
}
