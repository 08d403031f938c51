//! Names and values of tags, in two generations of the API.

use super::answer::{ApiError, seconds_range, statistics};
use crate::api::json;
use crate::params::Params;
use crate::run::run;
use crate::state::ApiState;
use axum::extract::{Path, State};
use axum::response::Response;
use bramble_query_traceql::syntax::ast::INTRINSICS;
use bramble_query_traceql::tags::{Tags, names, values};
use bramble_query_traceql::{Field, Intrinsic, Query, Scope, Value as TraceValue, parse, parse_field};
use bramble_storage::{QueryContext, ReadError};
use http::StatusCode;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Fixed fields that completion does not offer: they mean little to a person.
const HIDDEN: [Intrinsic; 4] =
    [Intrinsic::ChildCount, Intrinsic::NestedSetLeft, Intrinsic::NestedSetRight, Intrinsic::NestedSetParent];

/// The spans whose tags are asked for. What cannot be read is a query that is still being typed: then all spans.
fn query_of(params: &Params) -> Result<Query, ApiError> {
    let typed = params.get("q").and_then(|q| parse(q).ok()).filter(|q| q.metrics.is_none());
    typed.map_or_else(|| parse("{ }").map_err(|e| ApiError::bad(e.to_string())), Ok)
}

fn range_of(state: &ApiState, params: &Params) -> Result<(u64, u64), ApiError> {
    seconds_range(params, (state.clock.wall_ns() / 1_000_000_000) as u64)
}

type Names = BTreeMap<Scope, BTreeSet<String>>;

/// Keys by scope; all scopes, or the one that is asked for. `None` for fixed fields only.
async fn find_names(state: &Arc<ApiState>, params: &Params) -> Result<(Tags<Names>, Value), ApiError> {
    let range = range_of(state, params)?;
    let scope = match params.get("scope") {
        None | Some("none") => None,
        Some("intrinsic") => return Ok((Tags { found: Names::new(), partial: false }, json!({}))),
        Some(word) => Some(Scope::parse(word).ok_or_else(|| ApiError::bad(format!("invalid scope: {word}")))?),
    };
    let query = query_of(params)?;
    let work = move |state: &Arc<ApiState>, context: &QueryContext| -> Result<_, ReadError> {
        Ok((names(&query, state.traces.as_ref(), range, context)?, statistics(context)))
    };
    let (mut tags, statistics) = run(state, None, work).await??;
    tags.found.retain(|s, _| scope.is_none_or(|wanted| wanted == *s));
    Ok((tags, statistics))
}

/// An answer, marked when it is not complete.
fn answer(mut body: Value, partial: bool) -> Response {
    if partial {
        body["status"] = "partial".into();
    }
    json(StatusCode::OK, &body)
}

fn intrinsic_names() -> Vec<&'static str> {
    let mut names: Vec<&str> =
        INTRINSICS.iter().filter(|(i, _)| !HIDDEN.contains(i)).flat_map(|(_, words)| words.iter().copied()).collect();
    names.sort_unstable();
    names
}

/// `{"tagNames": […]}`: keys of all scopes.
pub(super) async fn names_v1(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    if params.get("scope") == Some("intrinsic") {
        return Ok(answer(json!({"tagNames": intrinsic_names(), "metrics": {}}), false));
    }
    let (tags, statistics) = find_names(&state, &params).await?;
    let all: BTreeSet<&String> = tags.found.values().flatten().collect();
    Ok(answer(json!({"tagNames": all, "metrics": statistics}), tags.partial))
}

/// `{"scopes": [{"name": …, "tags": […]}]}`.
pub(super) async fn names_v2(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    let (tags, statistics) = find_names(&state, &params).await?;
    let mut scopes: Vec<Value> =
        tags.found.iter().map(|(scope, keys)| json!({"name": scope.as_str(), "tags": keys})).collect();
    if matches!(params.get("scope"), None | Some("none" | "intrinsic")) {
        scopes.insert(0, json!({"name": "intrinsic", "tags": intrinsic_names()}));
    }
    Ok(answer(json!({"scopes": scopes, "metrics": statistics}), tags.partial))
}

async fn find_values(
    state: &Arc<ApiState>,
    params: &Params,
    field: Field,
) -> Result<(Tags<Vec<TraceValue<'static>>>, Value), ApiError> {
    let (range, query) = (range_of(state, params)?, query_of(params)?);
    let work = move |state: &Arc<ApiState>, context: &QueryContext| -> Result<_, ReadError> {
        Ok((values(&query, &field, state.traces.as_ref(), range, context)?, statistics(context)))
    };
    Ok(run(state, None, work).await??)
}

/// Type and text of a value.
fn typed(value: &TraceValue<'_>) -> (&'static str, String) {
    match value {
        TraceValue::Bool(b) => ("bool", b.to_string()),
        TraceValue::Int(i) => ("int", i.to_string()),
        TraceValue::Float(d) => ("float", d.to_string()),
        TraceValue::Duration(ns) => ("duration", bramble_query_traceql::duration_text(*ns)),
        TraceValue::Text(text) => ("string", text.clone().into_owned()),
        TraceValue::Status(status) => ("keyword", status.as_str().to_owned()),
        TraceValue::Kind(kind) => ("keyword", kind.as_str().to_owned()),
        TraceValue::Nil | TraceValue::Many(_) => ("string", String::new()),
    }
}

/// `{"tagValues": ["…"]}`: as text. The tag is a key of any scope, or one of the few old fixed fields.
pub(super) async fn values_v1(
    State(state): State<Arc<ApiState>>,
    Path(tag): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let field = match tag.as_str() {
        "name" => Field::Intrinsic(Intrinsic::Name),
        "rootName" | "root.name" => Field::Intrinsic(Intrinsic::RootName),
        "rootServiceName" | "root.service.name" => Field::Intrinsic(Intrinsic::RootService),
        _ => Field::Attribute(Scope::Any, tag),
    };
    let (tags, statistics) = find_values(&state, &params, field).await?;
    let texts: BTreeSet<String> = tags.found.iter().map(|v| typed(v).1).collect();
    Ok(answer(json!({"tagValues": texts, "metrics": statistics}), tags.partial))
}

/// `{"tagValues": [{"type": …, "value": …}]}`.
pub(super) async fn values_v2(
    State(state): State<Arc<ApiState>>,
    Path(tag): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let field = parse_field(&tag)
        .map_err(|e| ApiError::bad(format!("please provide a valid tagName: failed to parse identifier {tag}: {e}")))?;
    let (tags, statistics) = find_values(&state, &params, field).await?;
    let list: Vec<Value> =
        tags.found.iter().map(typed).map(|(kind, value)| json!({"type": kind, "value": value})).collect();
    Ok(answer(json!({"tagValues": list, "metrics": statistics}), tags.partial))
}
