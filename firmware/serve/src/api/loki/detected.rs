//! `/detected_labels`, `/detected_fields`, `/detected_field/<name>/values`, `/patterns`.

use super::answer::{ApiError, success};
use super::find::selector;
use super::index::cardinalities;
use super::times::{bounds, limit};
use crate::api::json;
use crate::params::Params;
use crate::run::run;
use crate::state::ApiState;
use axum::extract::{Path, State};
use axum::response::Response;
use bramble_query_logql::detect::{Field, Parser, fields as fields_of};
use bramble_query_logql::{Expr, parse};
use bramble_storage::QueryContext;
use http::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;

/// Lines looked at, and fields listed, when nothing is said.
const LINES: usize = 100;
const FIELDS: usize = 1000;
const MOST: usize = 5000;

fn now_ns(state: &ApiState) -> i64 {
    state.clock.wall_ms().saturating_mul(1_000_000)
}

pub(super) async fn labels(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    let matchers = selector(&params)?;
    let (start_ns, end_ns) = bounds(&params, now_ns(&state))?;
    let work = move |state: &Arc<ApiState>, context: &QueryContext| {
        state.logs.streams(&matchers, start_ns, end_ns.saturating_add(1), context)
    };
    let found = run(&state, None, work).await??;
    let pairs = found.iter().flat_map(|l| l.iter()).filter(|(n, _)| !n.starts_with("__"));
    let listed: Vec<Value> = cardinalities(pairs)
        .into_iter()
        .map(|(label, cardinality)| json!({"label": label, "cardinality": cardinality}))
        .collect();
    Ok(json(StatusCode::OK, &json!({"detectedLabels": listed})))
}

async fn found(state: &Arc<ApiState>, params: &Params) -> Result<(Vec<Field>, usize), ApiError> {
    let name = if params.get("field_limit").is_some() { "field_limit" } else { "limit" };
    let most = limit(params, name, FIELDS, MOST)?;
    let lines = limit(params, "line_limit", LINES, MOST)?;
    let bounds = bounds(params, now_ns(state))?;
    let Expr::Log(log) = parse(params.raw("query").unwrap_or(""))? else {
        return Err(ApiError::bad("only log selectors are supported"));
    };
    let work = move |state: &Arc<ApiState>, context: &QueryContext| {
        fields_of(&*state.logs, &log, bounds, lines, most, context)
    };
    Ok((run(state, None, work).await??, most))
}

pub(super) async fn fields(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    let (found, limit) = found(&state, &params).await?;
    let field = |field: Field| {
        let mut out = json!({
            "label": field.label, "type": field.kind, "cardinality": field.values.len(),
            "parsers": match field.parser {
                Some(Parser::Json) => json!(["json"]),
                Some(Parser::Logfmt) => json!(["logfmt"]),
                None => Value::Null,
            },
        });
        if !field.json_path.is_empty() {
            out["jsonPath"] = json!(field.json_path);
        }
        out
    };
    let listed: Vec<Value> = found.into_iter().map(field).collect();
    Ok(json(StatusCode::OK, &json!({"fields": listed, "limit": limit})))
}

pub(super) async fn field_values(
    State(state): State<Arc<ApiState>>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let (found, limit) = found(&state, &params).await?;
    let values = found.into_iter().find(|f| f.label == name).map(|f| f.values).unwrap_or_default();
    Ok(json(StatusCode::OK, &json!({"values": values, "limit": limit})))
}

/// Templates of lines are not read out of the store yet: a valid request finds none.
pub(super) async fn patterns(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    bounds(&params, now_ns(&state))?;
    parse(params.raw("query").unwrap_or(""))?;
    let none: [(); 0] = [];
    Ok(success(none))
}
