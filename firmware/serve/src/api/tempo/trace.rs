//! A trace by its id, in two generations of the API, as protobuf or JSON.

use super::answer::ApiError;
use crate::params::Params;
use crate::run::run;
use crate::state::ApiState;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bramble_signal::{SpanBatch, TraceId};
use bramble_storage::QueryContext;
use bramble_wire::otlp::{JsonDialect, encode_resource_spans_json, encode_traces_protobuf};
use bramble_wire::protobuf::Writer;
use http::{HeaderMap, StatusCode, header};
use std::sync::Arc;

const PROTOBUF: &str = "application/protobuf";

fn wants_protobuf(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).is_some_and(|v| v.contains(PROTOBUF))
}

fn id_of(text: &str) -> Result<TraceId, ApiError> {
    TraceId::parse(text)
        .ok_or_else(|| ApiError::bad("trace IDs can only contain hex characters and be at most 32 of them"))
}

/// Time bounds are hints that this store does not need; they must still make sense.
fn check_range(params: &Params) -> Result<(), ApiError> {
    let seconds = |name: &str| match params.get(name) {
        None => Ok(None),
        Some(text) => text
            .parse::<u64>()
            .map(Some)
            .map_err(|_| ApiError::bad(format!("invalid {name}: {text:?} is not a number of seconds"))),
    };
    match (seconds("start")?, seconds("end")?) {
        (Some(start), Some(end)) if end <= start => Err(ApiError::bad("http parameter start must be before end")),
        _ => Ok(()),
    }
}

async fn find(state: &Arc<ApiState>, id: &str, params: &Params) -> Result<SpanBatch, ApiError> {
    let id = id_of(id)?;
    check_range(params)?;
    Ok(run(state, None, move |state: &Arc<ApiState>, context: &QueryContext| state.traces.trace(id, context)).await??)
}

fn json(body: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn protobuf(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, PROTOBUF)], body).into_response()
}

/// `Trace`: 404 when it is not known.
pub(super) async fn v1(
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    let trace = find(&state, &id, &params).await?;
    if trace.is_empty() {
        return Err(ApiError(StatusCode::NOT_FOUND, "trace not found".to_owned()));
    }
    if wants_protobuf(&headers) {
        let mut body = Vec::new();
        encode_traces_protobuf(&trace, &mut body);
        return Ok(protobuf(body));
    }
    let mut body = String::from("{\"batches\":");
    encode_resource_spans_json(&trace, JsonDialect::Tempo, &mut body);
    body.push('}');
    Ok(json(body))
}

/// `TraceByIDResponse`: for JSON an unknown trace is an empty one, as recorded; for protobuf it is 404, because Grafana
/// reads the trace of a 200 without looking.
pub(super) async fn v2(
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    let trace = find(&state, &id, &params).await?;
    if wants_protobuf(&headers) {
        if trace.is_empty() {
            return Err(ApiError(StatusCode::NOT_FOUND, "trace not found".to_owned()));
        }
        let (mut inner, mut body) = (Vec::new(), Vec::new());
        encode_traces_protobuf(&trace, &mut inner);
        Writer::new(&mut body).bytes(1, &inner);
        return Ok(protobuf(body));
    }
    if trace.is_empty() {
        return Ok(json("{\"trace\":{}}".to_owned()));
    }
    let mut body = String::from("{\"trace\":{\"resourceSpans\":");
    encode_resource_spans_json(&trace, JsonDialect::Tempo, &mut body);
    body.push_str("}}");
    Ok(json(body))
}
