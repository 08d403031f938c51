//! A trace by its id, in two generations of the API, as protobuf or JSON.

use super::answer::{ApiError, Gaps, Statistics, protobuf, query, wants_protobuf};
use super::times::whole;
use crate::params::Params;
use crate::run::run;
use crate::state::ApiState;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bramble_query_traceql::Query;
use bramble_query_traceql::eval::view::TraceView;
use bramble_query_traceql::syntax::ast::{SpansetExpr, Stage};
use bramble_signal::{SpanBatch, TraceId};
use bramble_storage::{QueryContext, ReadError};
use bramble_wire::otlp::{JsonDialect, encode_resource_spans_json, encode_traces_protobuf};
use bramble_wire::protobuf::Writer;
use http::{HeaderMap, StatusCode, header};
use std::collections::HashSet;
use std::sync::Arc;

fn id_of(text: &str) -> Result<TraceId, ApiError> {
    TraceId::parse(text)
        .ok_or_else(|| ApiError::bad("trace IDs can only contain hex characters and be at most 32 of them"))
}

/// Time bounds are hints that this store does not need; they must still make sense.
fn check_range(params: &Params) -> Result<(), ApiError> {
    match (whole(params, "start")?, whole(params, "end")?) {
        (Some(start), Some(end)) if end <= start => Err(ApiError::bad("http parameter start must be before end")),
        _ => Ok(()),
    }
}

/// Which of a trace's spans are wanted.
struct Wanted {
    filter: Query,
    /// Whether with all spans above them.
    keep_hierarchy: bool,
}

impl Wanted {
    /// `None` for all.
    fn of_params(params: &Params) -> Result<Option<Self>, ApiError> {
        let Some(text) = params.get("q") else { return Ok(None) };
        let filter = query(text)?;
        let is_filter = matches!(filter.stages.as_slice(), [Stage::Spanset(SpansetExpr::Filter(_))]);
        if !is_filter || filter.metrics.is_some() {
            return Err(ApiError::bad("q must be a single spanset filter: { … }"));
        }
        let keep_hierarchy = match params.get("keep_hierarchy") {
            None => true,
            Some(text) => text
                .parse()
                .map_err(|_| ApiError::bad(format!("invalid keep_hierarchy: {text:?} is not true or false")))?,
        };
        Ok(Some(Wanted { filter, keep_hierarchy }))
    }

    fn choose(&self, trace: &SpanBatch) -> SpanBatch {
        let mut chosen = SpanBatch::new();
        if trace.spans.is_empty() {
            return chosen;
        }
        let view = TraceView::new(trace, &trace.spans);
        let mut keep = HashSet::new();
        for at in bramble_query_traceql::eval::run(&view, &self.filter.stages).into_iter().flat_map(|set| set.spans) {
            let mut at = Some(at);
            // Ends where the way up is kept already, so also in a cycle.
            while let Some(place) = at.filter(|place| keep.insert(*place)) {
                at = view.tree().parents.get(place).copied().flatten().filter(|_| self.keep_hierarchy);
            }
        }
        let spans = trace.spans.iter().enumerate().filter(|(place, _)| keep.contains(place));
        spans.for_each(|(_, span)| chosen.push_from(trace, span));
        chosen
    }
}

struct Found {
    trace: SpanBatch,
    is_known: bool,
    gaps: Gaps,
    statistics: Statistics,
}

async fn find(state: &Arc<ApiState>, id: &str, params: &Params, wanted: Option<Wanted>) -> Result<Found, ApiError> {
    let id = id_of(id)?;
    check_range(params)?;
    let work = move |state: &Arc<ApiState>, context: &QueryContext| -> Result<Found, ReadError> {
        let trace = state.traces.trace(id, context)?;
        let is_known = !trace.is_empty();
        let trace = match wanted {
            None => trace,
            Some(wanted) => wanted.choose(&trace),
        };
        Ok(Found { trace, is_known, gaps: Gaps::of(context, None), statistics: Statistics::ended(context, true) })
    };
    Ok(run(state, None, work).await??)
}

fn json(body: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// `Trace`: 404 when it is not known.
pub(super) async fn v1(
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    let found = find(&state, &id, &params, None).await?;
    if !found.is_known {
        return Err(ApiError::new(StatusCode::NOT_FOUND, "trace not found"));
    }
    if wants_protobuf(&headers) {
        let mut body = Vec::new();
        encode_traces_protobuf(&found.trace, &mut body);
        return Ok(protobuf(body));
    }
    let mut body = String::from("{\"batches\":");
    encode_resource_spans_json(&found.trace, JsonDialect::Tempo, &mut body);
    body.push('}');
    Ok(json(body))
}

/// `TraceByIDResponse{trace=1, metrics=2{inspectedBytes=1}, status=3, message=4}`. For JSON an unknown trace is an empty
/// one, as recorded; for protobuf it is 404, because Grafana reads the trace of a 200 without looking.
pub(super) async fn v2(
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    let found = find(&state, &id, &params, Wanted::of_params(&params)?).await?;
    if wants_protobuf(&headers) {
        if !found.is_known {
            return Err(ApiError::new(StatusCode::NOT_FOUND, "trace not found"));
        }
        let (mut inner, mut body) = (Vec::new(), Vec::new());
        encode_traces_protobuf(&found.trace, &mut inner);
        let mut writer = Writer::new(&mut body);
        writer.bytes(1, &inner);
        writer.message(2, |metrics| metrics.varint(1, found.statistics.bytes()));
        found.gaps.write(&mut body);
        return Ok(protobuf(body));
    }
    let mut body = String::from("{\"trace\":{");
    if !found.trace.is_empty() {
        body.push_str("\"resourceSpans\":");
        encode_resource_spans_json(&found.trace, JsonDialect::Tempo, &mut body);
    }
    body.push_str(&format!("}},\"metrics\":{{\"inspectedBytes\":\"{}\"}}", found.statistics.bytes()));
    if !found.gaps.is_whole() {
        body.push_str(&format!(
            ",\"status\":\"PARTIAL\",\"message\":{}",
            serde_json::Value::from(found.gaps.message())
        ));
    }
    body.push('}');
    Ok(json(body))
}
