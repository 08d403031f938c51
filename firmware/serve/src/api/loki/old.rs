//! The API before v1, `/api/prom/…`: queries and lists in its forms.

use super::answer::ApiError;
use super::find::{names, values};
use super::now_ns;
use super::query::{check_shards, direction};
use super::times::{limit, range};
use crate::api::json;
use crate::params::{Params, rfc3339_of_ns};
use crate::run::run;
use crate::state::ApiState;
use axum::extract::{Path, State};
use axum::response::Response;
use bramble_query_logql::syntax::quote;
use bramble_query_logql::{Answer, Expr, LogParams, Stream, eval, parse};
use bramble_storage::QueryContext;
use http::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;

/// Lines when no limit is given.
const LINES: usize = 100;

/// `{name="value", …}`
pub(super) fn labels_text(stream: &Stream) -> String {
    let pairs: Vec<String> = stream.labels.iter().map(|(name, value)| format!("{name}={}", quote(value))).collect();
    format!("{{{}}}", pairs.join(", "))
}

fn stream_json(stream: &Stream) -> Value {
    let entry = |entry: &bramble_query_logql::Entry| json!({"ts": rfc3339_of_ns(entry.timestamp_ns), "line": String::from_utf8_lossy(&entry.line)});
    json!({"labels": labels_text(stream), "entries": stream.entries.iter().map(entry).collect::<Vec<_>>()})
}

/// `/api/prom/query`: lines; `regexp` is one more filter of them.
pub(super) async fn query(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    let now_ns = now_ns(&state);
    let bounds = range(&params, now_ns)?;
    let limit = limit(&params, "limit", LINES, state.loki_limits.max_entries_limit_per_query)?;
    let direction = direction(&params)?;
    check_shards(&params)?;
    let mut text = params.raw("query").unwrap_or("").to_owned();
    if let Some(regexp) = params.get("regexp") {
        text = format!("{text} |~ {}", quote(regexp));
    }
    let Expr::Log(log) = parse(&text)? else {
        return Err(ApiError::bad("legacy endpoints only support streams result type"));
    };
    let Some((start_ns, end_ns)) = state.loki_limits.allowed(bounds, now_ns)? else {
        return Ok(json(StatusCode::OK, &json!({"streams": []})));
    };
    let work = move |state: &Arc<ApiState>, context: &QueryContext| {
        let params = LogParams { start_ns, end_ns, limit, direction, interval_ns: 0, categorize: false };
        eval::log(&*state.logs, &log, &params, context)
    };
    let streams = match run(&state, None, work).await?? {
        Answer::Streams(streams) => streams,
        _ => Vec::new(),
    };
    Ok(json(StatusCode::OK, &json!({"streams": streams.iter().map(stream_json).collect::<Vec<_>>()})))
}

/// `/api/prom/label`
pub(super) async fn label_names(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    Ok(json(StatusCode::OK, &json!({"values": names(&state, &params).await?})))
}

/// `/api/prom/label/<name>/values`
pub(super) async fn label_values(
    State(state): State<Arc<ApiState>>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    Ok(json(StatusCode::OK, &json!({"values": values(&state, name, &params).await?})))
}
