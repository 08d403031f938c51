//! Errors in Tempo's form: plain text.

use crate::api::text;
use crate::params::Params;
use crate::run::RunError;
use axum::response::{IntoResponse, Response};
use bramble_query_traceql::{Value as TraceValue, duration_text};
use bramble_storage::{QueryContext, ReadError};
use http::StatusCode;
use serde_json::{Value, json};

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
        RunError::Read(error).into()
    }
}

impl From<RunError> for ApiError {
    fn from(error: RunError) -> Self {
        ApiError(error.status(), error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        text(self.0, self.1)
    }
}

/// A whole number among the parameters.
pub(super) fn whole(params: &Params, name: &str) -> Result<Option<u64>, ApiError> {
    let parse = |text: &str| {
        text.parse()
            .map_err(|_| ApiError::bad(format!("invalid {name}: strconv.ParseUint: parsing {text:?}: invalid syntax")))
    };
    params.get(name).map(parse).transpose()
}

/// `start` and `end`, seconds, as nanoseconds, both inclusive; without them the last hour. Times that are clearly not
/// in seconds (milliseconds, nanoseconds) are read as what they are.
pub(super) fn seconds_range(params: &Params, now_s: u64) -> Result<(u64, u64), ApiError> {
    let (start, end) = (whole(params, "start")?, whole(params, "end")?);
    let (start_s, end_s) = match (start, end) {
        (None, None) => (now_s.saturating_sub(RANGE_DEFAULT_S), now_s.saturating_add(RANGE_DEFAULT_S)),
        (start, end) => (start.unwrap_or(0), end.unwrap_or(now_s.saturating_add(RANGE_DEFAULT_S))),
    };
    if end_s <= start_s {
        return Err(ApiError::bad(format!(
            "http parameter start must be before end. received start={start_s} end={end_s}"
        )));
    }
    Ok((nanoseconds(start_s), nanoseconds(end_s)))
}

/// Range without parameters, seconds: as far back, and as far ahead for senders whose clocks are ahead.
const RANGE_DEFAULT_S: u64 = 3600;

/// Nanoseconds of a time in seconds, milliseconds or nanoseconds, told apart by size: seconds reach 10^11 in the year 5138.
pub(super) fn nanoseconds(time: u64) -> u64 {
    match time {
        0..100_000_000_000 => time.saturating_mul(1_000_000_000),
        100_000_000_000..100_000_000_000_000 => time.saturating_mul(1_000_000),
        _ => time,
    }
}

/// A value as OTLP's JSON has it; 64-bit integers as text.
pub(super) fn value(value: &TraceValue<'_>) -> Value {
    match value {
        TraceValue::Nil => json!({"stringValue": "nil"}),
        TraceValue::Bool(b) => json!({"boolValue": b}),
        TraceValue::Int(i) => json!({"intValue": i.to_string()}),
        // Whole ones without a point, as protobuf's JSON has them: clients group by the printed label.
        TraceValue::Float(d) if d.fract() == 0.0 && d.abs() < 9e15 => json!({"doubleValue": *d as i64}),
        TraceValue::Float(d) if d.is_finite() => json!({"doubleValue": d}),
        TraceValue::Float(d) if d.is_nan() => json!({"doubleValue": "NaN"}),
        TraceValue::Float(d) => json!({"doubleValue": if *d > 0.0 { "Infinity" } else { "-Infinity" }}),
        TraceValue::Duration(ns) => json!({"stringValue": duration_text(*ns)}),
        TraceValue::Text(text) => json!({"stringValue": text}),
        TraceValue::Status(status) => json!({"stringValue": status.as_str()}),
        TraceValue::Kind(kind) => json!({"stringValue": kind.as_str()}),
        TraceValue::Many(values) => {
            json!({"arrayValue": {"values": values.iter().map(self::value).collect::<Vec<_>>()}})
        }
    }
}

/// A key and its value.
pub(super) fn attribute(key: &str, of: &TraceValue<'_>) -> Value {
    json!({"key": key, "value": value(of)})
}

/// What a query read, in the form of Tempo's search metrics.
pub(super) fn statistics(context: &QueryContext) -> Value {
    let read = |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
    json!({
        "inspectedBytes": read(&context.stats.bytes).to_string(),
        "inspectedSpans": read(&context.stats.items).to_string(),
        "totalBlocks": read(&context.stats.blocks),
        "completedJobs": 1, "totalJobs": 1,
    })
}
