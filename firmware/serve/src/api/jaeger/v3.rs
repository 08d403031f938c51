//! API v3, what newer Jaeger UIs and Grafana's Jaeger source (with its toggle) call: OTLP as JSON, by HTTP.
//!
//! Names of parameters come in camel case (jaeger-ui) or with underscores (Grafana): both are read.

use super::search::{LIMIT_DEFAULT, LOOKBACK_DEFAULT_US, Search, go_duration_ns};
use super::{Shared, find_operations, find_services, operations_json};
use crate::api::error::{self, ErrorForm};
use crate::api::json;
use crate::api::stream::{Parts, streamed};
use crate::params::{Params, rfc3339_ns};
use crate::run::{run, run_holding};
use crate::state::ApiState;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use bramble_signal::{SpanBatch, SpanEntry, SpanId, StatusCode as Outcome, TraceId};
use bramble_storage::{QueryContext, ReadError, SpanFields, SpanPredicate, ValueTest};
use bramble_wire::otlp::{JsonDialect, encode_resource_spans_json};
use http::StatusCode;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// Errors as the gateway of API v3 prints them.
pub(super) struct Gateway;

pub(super) type ApiError = error::ApiError<Gateway>;

impl ErrorForm for Gateway {
    fn print(status: StatusCode, message: &str) -> Response {
        json(status, &json!({"error": {"httpCode": status.as_u16(), "message": message}}))
    }
}

/// Everything below `/api/v3`.
pub(super) fn router() -> Router<Arc<ApiState>> {
    Router::new()
        .route("/services", get(services))
        .route("/operations", get(operations))
        .route("/traces", get(traces))
        .route("/traces/{id}", get(trace))
        .route("/trace-summaries", get(summaries))
}

async fn services(State(state): Shared) -> Result<Response, ApiError> {
    let (services, _) = find_services(&state).await?;
    Ok(json(StatusCode::OK, &json!({"services": services})))
}

/// A parameter under any of its names.
fn either<'a>(params: &'a Params, names: &[&str]) -> Option<&'a str> {
    names.iter().find_map(|name| params.get(name))
}

async fn operations(State(state): Shared, params: Params) -> Result<Response, ApiError> {
    let service = params.get("service").ok_or_else(|| ApiError::bad("missing parameter service"))?.to_owned();
    let (operations, _) = find_operations(&state, service).await?;
    let list = operations_json(&operations, either(&params, &["span_kind", "spanKind"]));
    Ok(json(StatusCode::OK, &json!({"operations": list})))
}

fn time_ns(params: &Params, names: [&str; 2]) -> Result<Option<u64>, ApiError> {
    let Some(text) = either(params, &names) else { return Ok(None) };
    let ns = rfc3339_ns(text).ok_or_else(|| {
        ApiError::bad(format!("malformed parameter {}: {text:?} is not a time of RFC 3339", names[0]))
    })?;
    Ok(Some(u64::try_from(ns.max(0)).unwrap_or(u64::MAX)))
}

fn duration_ns(params: &Params, names: [&str; 2]) -> Result<Option<u64>, ApiError> {
    let Some(text) = either(params, &names) else { return Ok(None) };
    let ns = go_duration_ns(text);
    ns.map(Some).ok_or_else(|| ApiError::bad(format!("malformed parameter {}: invalid duration {text:?}", names[0])))
}

fn search_of(params: &Params, now_us: u64) -> Result<Search, ApiError> {
    let mut predicates = Vec::new();
    let service = either(params, &["query.service_name", "query.serviceName"]);
    predicates.extend(service.map(|s| SpanPredicate::Service(ValueTest::is(s))));
    let operation = either(params, &["query.operation_name", "query.operationName"]);
    predicates.extend(operation.map(|o| SpanPredicate::Name(ValueTest::is(o))));
    let shortest = duration_ns(params, ["query.duration_min", "query.durationMin"])?;
    let longest = duration_ns(params, ["query.duration_max", "query.durationMax"])?;
    predicates.extend(shortest.map(SpanPredicate::DurationAtLeast));
    predicates.extend(longest.map(SpanPredicate::DurationAtMost));
    let depth = ["query.search_depth", "query.searchDepth", "query.num_traces", "query.numTraces"];
    let limit = match either(params, &depth).map(str::parse) {
        None => LIMIT_DEFAULT,
        Some(Ok(limit)) => limit,
        Some(Err(_)) => return Err(ApiError::bad("malformed parameter query.search_depth: it is not a number")),
    };
    let tags: BTreeMap<String, String> = match params.get("query.attributes").map(serde_json::from_str) {
        None => BTreeMap::new(),
        Some(Ok(tags)) => tags,
        Some(Err(e)) => return Err(ApiError::bad(format!("malformed parameter query.attributes: {e}"))),
    };
    let end_ns =
        time_ns(params, ["query.start_time_max", "query.startTimeMax"])?.unwrap_or(now_us.saturating_mul(1000));
    let start_ns = time_ns(params, ["query.start_time_min", "query.startTimeMin"])?
        .unwrap_or(end_ns.saturating_sub(LOOKBACK_DEFAULT_US * 1000));
    if end_ns < start_ns {
        return Err(ApiError::bad("query.start_time_max is before query.start_time_min"));
    }
    Ok(Search { ids: Vec::new(), predicates, tags: tags.into_iter().collect(), start_ns, end_ns, limit })
}

/// `{"result": {"resourceSpans": […]}}`, trace by trace.
struct ResultParts {
    traces: std::vec::IntoIter<SpanBatch>,
    began: bool,
    comma: bool,
}

impl Parts for ResultParts {
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        if !std::mem::replace(&mut self.began, true) {
            out.extend_from_slice(b"{\"result\":{\"resourceSpans\":[");
        }
        let Some(trace) = self.traces.next() else {
            out.extend_from_slice(b"]}}");
            return false;
        };
        let mut list = String::new();
        encode_resource_spans_json(&trace, JsonDialect::Otlp, &mut list);
        // Without its brackets: all traces are one list.
        let inner = list.strip_prefix('[').and_then(|l| l.strip_suffix(']')).unwrap_or("");
        if !inner.is_empty() && std::mem::replace(&mut self.comma, true) {
            out.push(b',');
        }
        out.extend_from_slice(inner.as_bytes());
        true
    }
}

fn result(traces: Vec<SpanBatch>, held: QueryContext) -> Result<Response, ApiError> {
    // The text of the largest one, beside the traces themselves.
    let largest = traces.iter().map(|t| t.memory_bytes() * 2).max().unwrap_or(0);
    held.reserve(largest).map_err(ReadError::from)?;
    Ok(streamed(ResultParts { traces: traces.into_iter(), began: false, comma: false }, held))
}

pub(super) async fn trace(State(state): Shared, Path(id): Path<String>) -> Result<Response, ApiError> {
    let id = TraceId::parse(&id)
        .ok_or_else(|| ApiError::bad(format!("malformed parameter trace_id: {id:?} is not 1 to 32 hex digits")))?;
    let work = move |state: &Arc<ApiState>, context: &QueryContext| state.traces.trace(id, context);
    let (trace, held) = run_holding(&state, None, work).await?;
    let trace = trace?;
    if trace.is_empty() {
        return Err(ApiError::new(StatusCode::NOT_FOUND, "trace not found"));
    }
    result(vec![trace], held)
}

pub(super) async fn traces(State(state): Shared, params: Params) -> Result<Response, ApiError> {
    let search = search_of(&params, (state.clock.wall_ns() / 1000) as u64)?;
    let work = move |state: &Arc<ApiState>, context: &QueryContext| {
        let mut found = Vec::new();
        search.each_trace(state, SpanFields::ALL, context, |batch, spans| {
            let mut trace = SpanBatch::new();
            spans.iter().for_each(|span| trace.push_from(batch, span));
            context.reserve(trace.memory_bytes())?;
            found.push(trace);
            Ok(())
        })?;
        Ok::<_, ReadError>(found)
    };
    let (found, held) = run_holding(&state, None, work).await?;
    let found = found?;
    if found.is_empty() {
        return Err(ApiError::new(StatusCode::NOT_FOUND, "No traces found"));
    }
    result(found, held)
}

pub(super) async fn summaries(State(state): Shared, params: Params) -> Result<Response, ApiError> {
    let search = search_of(&params, (state.clock.wall_ns() / 1000) as u64)?;
    let work = move |state: &Arc<ApiState>, context: &QueryContext| {
        let mut found = Vec::new();
        search.each_trace(state, SpanFields::LEAST, context, |batch, spans| {
            let summary = summary(batch, spans);
            context.reserve(1024)?;
            found.push(summary);
            Ok(())
        })?;
        Ok::<_, ReadError>(found)
    };
    let found = run(&state, None, work).await??;
    Ok(json(StatusCode::OK, &json!({"summaries": found})))
}

/// What lists show of a trace.
fn summary(batch: &SpanBatch, spans: &[SpanEntry]) -> Value {
    let ids: HashSet<SpanId> = spans.iter().map(|s| s.span_id).collect();
    let is_orphan = |s: &&SpanEntry| !s.parent_span_id.is_zero() && !ids.contains(&s.parent_span_id);
    let failed = |s: &SpanEntry| usize::from(s.status == Outcome::Error);
    let mut services: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for span in spans {
        let (count, errors) = services.entry(batch.service(span)).or_default();
        *count += 1;
        *errors += failed(span);
    }
    let services: Vec<Value> = services
        .into_iter()
        .map(|(name, (count, errors))| json!({"name": name, "spanCount": count, "errorSpanCount": errors}))
        .collect();
    // Without a root the earliest span stands for it.
    let roots = spans.iter().filter(|s| s.parent_span_id.is_zero()).min_by_key(|s| s.start_ns);
    let root = roots.or_else(|| spans.iter().min_by_key(|s| s.start_ns));
    let (service, name) = root.map_or(("", ""), |r| (batch.service(r), batch.text(r.name)));
    json!({
        "traceId": spans.first().map(|s| s.trace_id).unwrap_or_default().to_string(),
        "rootServiceName": service,
        "rootOperationName": name,
        "minStartTimeUnixNano": spans.iter().map(|s| s.start_ns).min().unwrap_or(0).to_string(),
        "maxEndTimeUnixNano": spans.iter().map(|s| s.end_ns.max(s.start_ns)).max().unwrap_or(0).to_string(),
        "spanCount": spans.len(),
        "errorSpanCount": spans.iter().map(failed).sum::<usize>(),
        "orphanSpanCount": spans.iter().filter(is_orphan).count(),
        "services": services,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_read() {
        for text in [
            "query.service_name=s&query.duration_min=1ms&query.search_depth=7&query.start_time_min=1970-01-01T00:00:01Z",
            "query.serviceName=s&query.durationMin=1ms&query.searchDepth=7&query.startTimeMin=1970-01-01T00:00:01Z",
        ] {
            let search = search_of(&Params::parse(text), 5_000_000).unwrap();
            assert_eq!((search.limit, search.start_ns, search.end_ns), (7, 1_000_000_000, 5_000_000_000));
            let wanted = [SpanPredicate::Service(ValueTest::is("s")), SpanPredicate::DurationAtLeast(1_000_000)];
            assert_eq!(search.predicates, wanted);
        }
        for bad in ["query.search_depth=x", "query.attributes=%7B", "query.duration_min=1", "query.start_time_max=x"] {
            let error = search_of(&Params::parse(bad), 0).err().unwrap();
            assert!(error.message.contains(bad.split('=').next().unwrap()), "{error:?}");
        }
    }
}
