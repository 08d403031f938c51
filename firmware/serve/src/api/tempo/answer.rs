//! What the answers of Tempo's API share: errors as plain text, the account of what was read, and whether it was all.

use crate::api::error::{self, ErrorForm};
use crate::api::text;
use axum::response::{IntoResponse, Response};
use bramble_query_traceql::{Query, parse};
use bramble_storage::QueryContext;
use bramble_wire::protobuf::Writer;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};

/// Errors as plain text.
pub(super) struct Plain;

impl ErrorForm for Plain {
    fn print(status: StatusCode, message: &str) -> Response {
        text(status, message)
    }
}

/// An error in Tempo's form.
pub(super) type ApiError = error::ApiError<Plain>;

/// Media type of protobuf answers.
const PROTOBUF: &str = "application/protobuf";

/// Parts of the work that a finished query is told as; streams count up to it.
const JOBS: u32 = 100;

pub(super) fn wants_protobuf(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).is_some_and(|v| v.contains(PROTOBUF))
}

pub(super) fn protobuf(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, PROTOBUF)], body).into_response()
}

/// Reads a query; where it is wrong is in the error's text.
pub(super) fn query(text: &str) -> Result<Query, ApiError> {
    parse(text).map_err(|e| ApiError::bad(format!("invalid TraceQL query: {e}")))
}

/// What a query read, and how far it came.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Statistics {
    bytes: u64,
    spans: u64,
    blocks: u32,
    completed_jobs: u32,
}

impl Statistics {
    /// Of a query that has ended, `whole` when it read all that it was asked for.
    pub(super) fn ended(context: &QueryContext, whole: bool) -> Self {
        Self::at(context, if whole { JOBS } else { JOBS - 1 })
    }

    /// Of a query that runs, from 0 to 1.
    pub(super) fn running(context: &QueryContext, share: f64) -> Self {
        Self::at(context, (share.clamp(0.0, 0.99) * f64::from(JOBS)) as u32)
    }

    fn at(context: &QueryContext, completed_jobs: u32) -> Self {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let stats = &context.stats;
        let blocks = read(&stats.blocks).try_into().unwrap_or(u32::MAX);
        Statistics { bytes: read(&stats.bytes), spans: read(&stats.items), blocks, completed_jobs }
    }

    /// Uncompressed bytes looked at.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// As `SearchMetrics`, which searches and measures have.
    pub(super) fn json(&self) -> Value {
        json!({
            "inspectedBytes": self.bytes.to_string(), "inspectedSpans": self.spans.to_string(),
            "totalBlocks": self.blocks, "completedJobs": self.completed_jobs, "totalJobs": JOBS,
        })
    }

    /// `SearchMetrics{inspectedBytes=2, totalBlocks=3, completedJobs=4, totalJobs=5, inspectedSpans=7}`.
    pub(super) fn write(&self, number: u32, out: &mut Vec<u8>) {
        Writer::new(out).message(number, |w| {
            w.varint(2, self.bytes);
            w.varint(3, self.blocks.into());
            w.varint(4, self.completed_jobs.into());
            w.varint(5, JOBS.into());
            w.varint(7, self.spans);
        });
    }

    /// As `MetadataMetrics`, which answers about tags have.
    pub(super) fn metadata_json(&self) -> Value {
        json!({
            "inspectedBytes": self.bytes.to_string(), "totalBlocks": self.blocks,
            "completedJobs": self.completed_jobs, "totalJobs": JOBS,
        })
    }

    /// `MetadataMetrics{inspectedBytes=1, totalJobs=2, completedJobs=3, totalBlocks=4}`, which answers about tags have.
    pub(super) fn write_metadata(&self, number: u32, out: &mut Vec<u8>) {
        Writer::new(out).message(number, |w| {
            w.varint(1, self.bytes);
            w.varint(2, JOBS.into());
            w.varint(3, self.completed_jobs.into());
            w.varint(4, self.blocks.into());
        });
    }
}

/// Why an answer is not all there is; empty when it is.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(super) struct Gaps(Vec<String>);

impl Gaps {
    /// What the query warned of, and `why` it ended early.
    pub(super) fn of(context: &QueryContext, why: Option<String>) -> Self {
        let mut all = context.warnings();
        all.extend(why);
        Gaps(all)
    }

    pub(super) fn add(&mut self, why: String) {
        self.0.push(why);
    }

    pub(super) fn is_whole(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn message(&self) -> String {
        self.0.join("; ")
    }

    /// Says so in an answer, if it is not whole.
    pub(super) fn mark(&self, body: &mut Value) {
        if !self.is_whole() {
            body["status"] = "PARTIAL".into();
            body["message"] = self.message().into();
        }
    }

    /// `status=3 (PARTIAL = 1), message=4`, likewise.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        if !self.is_whole() {
            let mut writer = Writer::new(out);
            writer.varint(3, 1);
            writer.bytes(4, self.message());
        }
    }
}
