//! The envelope, values and errors.

use crate::api::{json, text};
use crate::run::RunError;
use axum::response::{IntoResponse, Response};
use bramble_query_logql::syntax::value_text;
use bramble_query_logql::{Answer, Entry, LabelSet, ParseError, QueryError, Series, Stream};
use bramble_storage::{QueryContext, ReadError};
use http::{StatusCode, header};
use serde::ser::{SerializeMap, SerializeSeq, SerializeTuple};
use serde::{Serialize, Serializer};
use serde_json::json;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Status of a query whose client went away, as nginx and Loki count it.
const CLIENT_CLOSED: u16 = 499;

/// An error in Loki's form: its text.
#[derive(Debug)]
pub(super) struct ApiError(pub(super) StatusCode, pub(super) String);

impl ApiError {
    pub(super) fn bad(message: impl Into<String>) -> Self {
        ApiError(StatusCode::BAD_REQUEST, message.into())
    }
}

impl From<ParseError> for ApiError {
    fn from(error: ParseError) -> Self {
        Self::bad(error.0)
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        let status = match error {
            ReadError::Timeout => StatusCode::GATEWAY_TIMEOUT,
            ReadError::Cancelled => StatusCode::from_u16(CLIENT_CLOSED).unwrap_or(StatusCode::SERVICE_UNAVAILABLE),
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
            RunError::Busy | RunError::Queue => ApiError(StatusCode::TOO_MANY_REQUESTS, error.to_string()),
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

/// What a query read, for the answer.
pub(super) struct Cost {
    seconds: f64,
    bytes: u64,
    lines: u64,
    pub(super) warnings: Vec<String>,
}

impl Cost {
    pub(super) fn of(context: &QueryContext, since: Instant) -> Self {
        Cost {
            seconds: since.elapsed().as_secs_f64(),
            bytes: context.stats.bytes.load(Ordering::Relaxed),
            lines: context.stats.items.load(Ordering::Relaxed),
            warnings: context.warnings(),
        }
    }

    fn json(&self) -> serde_json::Value {
        let per_second = |n: u64| if self.seconds > 0.0 { (n as f64 / self.seconds) as u64 } else { 0 };
        json!({"summary": {
            "bytesProcessedPerSecond": per_second(self.bytes), "linesProcessedPerSecond": per_second(self.lines),
            "totalBytesProcessed": self.bytes, "totalLinesProcessed": self.lines, "execTime": self.seconds,
            "queueTime": 0, "subqueries": 0, "totalEntriesReturned": 0, "splits": 1, "shards": 1,
        }})
    }
}

/// Labels as a JSON object.
pub(super) struct LabelsJson<'a>(pub(super) &'a LabelSet);

impl Serialize for LabelsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter())
    }
}

/// Nanoseconds as JSON seconds with at most three decimals.
struct Seconds(i64);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ms = self.0.div_euclid(1_000_000);
        if ms % 1000 == 0 { serializer.serialize_i64(ms / 1000) } else { serializer.serialize_f64(ms as f64 / 1000.0) }
    }
}

/// `[seconds, "value"]`
struct Point(i64, f64);

impl Serialize for Point {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut pair = serializer.serialize_tuple(2)?;
        pair.serialize_element(&Seconds(self.0))?;
        pair.serialize_element(&value_text(self.1))?;
        pair.end()
    }
}

/// `["ns", "line"]`, and by origin `{"structuredMetadata": {…}, "parsed": {…}}` if asked for.
struct Line<'a>(&'a Entry, bool);

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Origins<'a> {
            #[serde(rename = "structuredMetadata", skip_serializing_if = "Option::is_none")]
            metadata: Option<LabelsJson<'a>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            parsed: Option<LabelsJson<'a>>,
        }
        let Line(entry, categorize) = self;
        let mut seq = serializer.serialize_seq(None)?;
        seq.serialize_element(&entry.timestamp_ns.to_string())?;
        seq.serialize_element(&*String::from_utf8_lossy(&entry.line))?;
        if *categorize {
            let some = |set: &'_ LabelSet| !set.is_empty();
            seq.serialize_element(&Origins {
                metadata: some(&entry.metadata).then_some(LabelsJson(&entry.metadata)),
                parsed: some(&entry.parsed).then_some(LabelsJson(&entry.parsed)),
            })?;
        }
        seq.end()
    }
}

struct StreamJson<'a>(&'a Stream, bool);

impl Serialize for StreamJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("stream", &LabelsJson(&self.0.labels))?;
        map.serialize_entry("values", &self.0.entries.iter().map(|e| Line(e, self.1)).collect::<Vec<_>>())?;
        map.end()
    }
}

struct SeriesJson<'a>(&'a Series, bool);

impl Serialize for SeriesJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("metric", &LabelsJson(&self.0.labels))?;
        match (self.1, self.0.points.first()) {
            (true, Some((time, value))) => map.serialize_entry("value", &Point(*time, *value))?,
            _ => map.serialize_entry("values", &self.0.points.iter().map(|p| Point(p.0, p.1)).collect::<Vec<_>>())?,
        }
        map.end()
    }
}

/// `data` of a query's answer.
struct Data<'a> {
    answer: &'a Answer,
    categorize: bool,
    cost: &'a Cost,
}

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self.answer {
            Answer::Streams(streams) => {
                map.serialize_entry("resultType", "streams")?;
                if self.categorize {
                    map.serialize_entry("encodingFlags", &["categorize-labels"])?;
                }
                map.serialize_entry(
                    "result",
                    &streams.iter().map(|s| StreamJson(s, self.categorize)).collect::<Vec<_>>(),
                )?;
            }
            Answer::Vector(series) => {
                map.serialize_entry("resultType", "vector")?;
                map.serialize_entry("result", &series.iter().map(|s| SeriesJson(s, true)).collect::<Vec<_>>())?;
            }
            Answer::Matrix(series) => {
                map.serialize_entry("resultType", "matrix")?;
                map.serialize_entry("result", &series.iter().map(|s| SeriesJson(s, false)).collect::<Vec<_>>())?;
            }
            Answer::Scalar { time_ns, value } => {
                map.serialize_entry("resultType", "scalar")?;
                map.serialize_entry("result", &Point(*time_ns, *value))?;
            }
        }
        map.serialize_entry("stats", &self.cost.json())?;
        map.end()
    }
}

/// The answer of a query.
pub(super) fn answered(answer: &Answer, categorize: bool, cost: &Cost) -> Response {
    #[derive(Serialize)]
    struct Envelope<'a> {
        status: &'static str,
        #[serde(skip_serializing_if = "<[String]>::is_empty")]
        warnings: &'a [String],
        data: Data<'a>,
    }
    let data = Data { answer, categorize, cost };
    json(StatusCode::OK, &Envelope { status: "success", warnings: &cost.warnings, data })
}
