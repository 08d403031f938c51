//! Search for traces: by TraceQL, or by tags in logfmt. Asked over HTTP or gRPC, answered at once or as a stream.

mod by_tags;
mod print;

use super::answer::{ApiError, Gaps, Statistics, protobuf, query, wants_protobuf};
use super::grpc::{Message, Work};
use super::limits::TempoLimits;
use super::times::{now_s, range_of, whole};
use crate::api::json;
use crate::params::Params;
use crate::run::run;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use bramble_query_traceql::{Partial, Query, SearchOptions, search_with};
use bramble_storage::{QueryContext, ReadError};
pub(super) use by_tags::ByTags;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Pause between messages of a stream that bring something new.
const PAUSE: Duration = Duration::from_millis(100);

/// Memory of a trace's message beside its spans, bytes; generous.
const TRACE_BYTES: usize = 1024;

/// What is asked for, as it comes by either way.
#[derive(Default, Debug)]
pub(super) struct Asked {
    pub(super) query: Option<String>,
    pub(super) by_tags: ByTags,
    pub(super) limit: Option<u64>,
    pub(super) spans_per_set: Option<u64>,
    /// Nanoseconds, both inclusive.
    pub(super) range_ns: (u64, u64),
}

/// A search that may run.
pub(super) struct Search {
    query: Query,
    options: SearchOptions,
    with_sets: bool,
    packet_bytes: usize,
}

impl Asked {
    fn of_params(params: &Params, now_s: u64) -> Result<Self, ApiError> {
        Ok(Asked {
            limit: whole(params, "limit")?,
            spans_per_set: whole(params, "spss")?,
            range_ns: range_of(params, now_s)?,
            query: params.get("q").map(str::to_owned),
            by_tags: ByTags::of_params(params)?,
        })
    }

    /// # Errors
    /// When it cannot be understood or goes beyond a limit.
    pub(super) fn search(self, limits: &TempoLimits) -> Result<Search, ApiError> {
        let (limit, spans_per_set) = (limits.result_limit(self.limit)?, limits.spans_per_set(self.spans_per_set)?);
        limits.check_search(self.range_ns)?;
        let by_tags = self.by_tags.query().filter(|_| self.query.is_none());
        let with_sets = self.query.is_some();
        let text = self.query.or(by_tags).unwrap_or_else(|| "{ }".to_owned());
        limits.check_query(&text)?;
        let (start_ns, end_ns) = self.range_ns;
        Ok(Search {
            query: query(&text)?,
            options: SearchOptions { start_ns, end_ns, limit, spans_per_set },
            with_sets,
            packet_bytes: limits.packet_bytes(),
        })
    }
}

impl Search {
    fn json(&self, state: &ApiState, context: &QueryContext) -> Result<Value, ReadError> {
        let found = search_with(&self.query, state.traces.as_ref(), &self.options, context, &mut |_| true)?;
        let traces: Vec<Value> = found.traces.iter().map(|t| print::trace_json(t, self.with_sets)).collect();
        let gaps = Gaps::of(context, found.partial.as_ref().map(ToString::to_string));
        let statistics = Statistics::ended(context, found.partial.is_none());
        let mut body = json!({"traces": traces, "metrics": statistics.json()});
        gaps.mark(&mut body);
        Ok(body)
    }

    /// `SearchResponse{traces=1, metrics=2, status=3, message=4}`.
    fn protobuf(&self, state: &ApiState, context: &QueryContext) -> Result<Vec<u8>, ReadError> {
        let found = search_with(&self.query, state.traces.as_ref(), &self.options, context, &mut |_| true)?;
        let mut body = Vec::new();
        found.traces.iter().for_each(|t| print::write_trace(1, t, self.with_sets, usize::MAX, &mut body));
        Statistics::ended(context, found.partial.is_none()).write(2, &mut body);
        Gaps::of(context, found.partial.as_ref().map(ToString::to_string)).write(&mut body);
        Ok(body)
    }

    /// The same as a stream: each trace once, as it is found.
    pub(super) fn streamed(self) -> Work {
        Box::new(move |state, context, outbox| {
            let (mut message, mut sent, mut share) = (Message::new(), Instant::now(), 0f64);
            let (start_ns, end_ns) = (self.options.start_ns, self.options.end_ns);
            let mut first = true;
            let mut refused = None;
            let found = search_with(&self.query, state.traces.as_ref(), &self.options, context, &mut |trace| {
                let before = message.len();
                print::write_trace(1, trace, self.with_sets, self.packet_bytes - TRACE_BYTES, message.fields());
                if let Err(over) = context.reserve(message.len().saturating_sub(before)) {
                    refused = Some(ReadError::from(over));
                    return false;
                }
                // Newest first: what lies above this trace has been seen. Not exact, and only shown as a bar.
                let seen = end_ns.saturating_sub(trace.start_ns) as f64 / end_ns.saturating_sub(start_ns).max(1) as f64;
                share = share.max(seen);
                let is_due = first || (sent.elapsed() >= PAUSE && outbox.is_clear());
                if is_due || message.len() >= self.packet_bytes / 2 {
                    Statistics::running(context, share).write(2, message.fields());
                    outbox.push(std::mem::take(&mut message));
                    (first, sent) = (false, Instant::now());
                }
                outbox.send()
            })?;
            let out_of_time = matches!(found.partial, Some(Partial::Time)) && found.traces.is_empty();
            if let Some(error) = refused.or(out_of_time.then_some(ReadError::Timeout)) {
                return Err(error.into());
            }
            let gaps = Gaps::of(context, found.partial.as_ref().map(ToString::to_string));
            Statistics::ended(context, found.partial.is_none()).write(2, message.fields());
            gaps.write(message.fields());
            outbox.push(message);
            Ok(gaps)
        })
    }
}

/// `{"traces": […], "metrics": {…}}`, with `status` and `message` when that is not all.
pub(super) async fn traces(
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    let search = Asked::of_params(&params, now_s(&state))?.search(&state.tempo_limits)?;
    if wants_protobuf(&headers) {
        return Ok(protobuf(run(&state, None, move |state, context| search.protobuf(state, context)).await??));
    }
    let body = run(&state, None, move |state, context| search.json(state, context)).await??;
    Ok(json(StatusCode::OK, &body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_parameters_are_named() {
        for (query, word) in [
            ("limit=abc", "limit"),
            ("limit=-1", "limit"),
            ("limit=0", "limit"),
            ("limit=10001", "limit"),
            ("spss=-1", "spss"),
            ("start=x", "start"),
            ("start=5&end=4", "start=5 end=4"),
            ("q=%7B", "col 2"),
            ("minDuration=5", "minDuration"),
        ] {
            let asked = Asked::of_params(&Params::parse(query), 10);
            let error = asked.and_then(|asked| asked.search(&TempoLimits::default())).err().unwrap();
            assert!(error.message.contains(word), "{query}: {}", error.message);
        }
    }
}
