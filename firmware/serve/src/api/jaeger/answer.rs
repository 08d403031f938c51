//! Answers in Jaeger's envelope: `{"data": …, "total": n, "limit": 0, "offset": 0, "errors": null | […]}`.

use super::model;
use crate::api::error::{self, ErrorForm};
use crate::api::json;
use crate::api::stream::{Parts, streamed};
use axum::response::Response;
use bramble_signal::SpanBatch;
use bramble_storage::QueryContext;
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::ops::Range;

/// Errors of API v1.
pub(super) struct Enveloped;

/// An error in Jaeger's form.
pub(super) type ApiError = error::ApiError<Enveloped>;

impl ErrorForm for Enveloped {
    fn print(status: StatusCode, message: &str) -> Response {
        let errors = json!([{"code": status.as_u16(), "msg": message}]);
        json(status, &json!({"data": null, "total": 0, "limit": 0, "offset": 0, "errors": errors}))
    }
}

#[derive(Serialize)]
struct Envelope<T> {
    data: T,
    total: usize,
    limit: usize,
    offset: usize,
    errors: Value,
}

/// Warnings of a query become errors without a code, as Jaeger does with partial results.
fn errors_of(warnings: &[String]) -> Value {
    if warnings.is_empty() { Value::Null } else { warnings.iter().map(|w| json!({"code": 0, "msg": w})).collect() }
}

/// The envelope of something small.
pub(super) fn envelope<T: Serialize>(data: T, total: usize, warnings: &[String]) -> Response {
    json(StatusCode::OK, &Envelope { data, total, limit: 0, offset: 0, errors: errors_of(warnings) })
}

/// The envelope of all traces of a batch, written span by span. `held` is what the batch was charged to.
pub(super) fn traces(batch: SpanBatch, held: QueryContext) -> Response {
    let warnings = held.warnings();
    streamed(TraceParts::new(batch, &warnings), held)
}

/// Where writing is: before a span of a trace, or behind its last one.
struct TraceParts {
    batch: SpanBatch,
    /// Spans of each trace.
    traces: Vec<Range<usize>>,
    trace: usize,
    span: usize,
    /// Resources of the trace, numbered as processes from 1.
    processes: Vec<u32>,
    numbers: HashMap<u32, usize>,
    tail: String,
    began: bool,
}

impl TraceParts {
    fn new(mut batch: SpanBatch, warnings: &[String]) -> Self {
        let mut order = HashMap::new();
        for span in &batch.spans {
            let next = order.len();
            order.entry(span.trace_id).or_insert(next);
        }
        batch.spans.sort_by_key(|span| order.get(&span.trace_id).copied());
        let (mut traces, mut start) = (Vec::with_capacity(order.len()), 0);
        for spans in batch.spans.chunk_by(|a, b| a.trace_id == b.trace_id) {
            traces.push(start..start + spans.len());
            start += spans.len();
        }
        let tail =
            format!("],\"total\":{},\"limit\":0,\"offset\":0,\"errors\":{}}}", traces.len(), errors_of(warnings));
        TraceParts {
            batch,
            traces,
            trace: 0,
            span: 0,
            processes: Vec::new(),
            numbers: HashMap::new(),
            tail,
            began: false,
        }
    }

    /// The process number of a resource in this trace.
    fn process(&mut self, resource: u32) -> usize {
        *self.numbers.entry(resource).or_insert_with(|| {
            self.processes.push(resource);
            self.processes.len()
        })
    }

    fn finish_trace(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"],\"processes\":{");
        for (i, resource) in self.processes.drain(..).enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let process = self.batch.resources.get(resource as usize).map(|r| model::process(&self.batch, r));
            out.extend_from_slice(format!("{comma}\"p{}\":{}", i + 1, process.unwrap_or_default()).as_bytes());
        }
        out.extend_from_slice(b"},\"warnings\":null}");
        self.numbers.clear();
        self.trace += 1;
    }
}

impl Parts for TraceParts {
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        if !self.began {
            self.began = true;
            out.extend_from_slice(b"{\"data\":[");
        }
        let Some(range) = self.traces.get(self.trace).cloned() else {
            out.extend_from_slice(self.tail.as_bytes());
            return false;
        };
        let Some(span) = self.batch.spans.get(self.span).copied().filter(|_| self.span < range.end) else {
            self.finish_trace(out);
            return true;
        };
        if self.span == range.start {
            let comma = if self.trace == 0 { "" } else { "," };
            out.extend_from_slice(format!("{comma}{{\"traceID\":\"{}\",\"spans\":[", span.trace_id).as_bytes());
        } else {
            out.push(b',');
        }
        let process = format!("p{}", self.process(span.resource));
        out.extend_from_slice(model::span(&self.batch, &span, &process).to_string().as_bytes());
        self.span += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_signal::{ResourceEntry, ScopeEntry, SpanEntry, SpanId, TraceId};

    #[test]
    fn spans_of_traces_that_come_mixed_are_put_together() {
        let mut batch = SpanBatch::new();
        batch.resources.extend([ResourceEntry::default(); 2]);
        batch.scopes.push(ScopeEntry::default());
        for (trace, span, resource) in [(1, 1, 0), (2, 2, 1), (1, 3, 1)] {
            let (trace_id, span_id) = (TraceId([trace; 16]), SpanId([span; 8]));
            batch.spans.push(SpanEntry { trace_id, span_id, resource, ..Default::default() });
        }
        let mut parts = TraceParts::new(batch, &["slow".to_owned()]);
        let mut out = Vec::new();
        while parts.write_next(&mut out) {}
        let answer: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&answer["total"], &answer["errors"][0]["msg"]), (&json!(2), &json!("slow")));
        let spans = |trace: usize| answer["data"][trace]["spans"].as_array().unwrap().clone();
        assert_eq!((spans(0).len(), spans(1).len()), (2, 1));
        assert_eq!((&spans(0)[1]["processID"], &spans(1)[0]["processID"]), (&json!("p2"), &json!("p1")));
        assert_eq!(answer["data"][0]["processes"]["p2"]["serviceName"], "unknown_service");
    }

    #[test]
    fn nothing_is_an_empty_list() {
        let mut out = Vec::new();
        assert!(!TraceParts::new(SpanBatch::new(), &[]).write_next(&mut out));
        let answer: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(answer, json!({"data": [], "total": 0, "limit": 0, "offset": 0, "errors": null}));
    }
}
