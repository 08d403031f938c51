//! `/detected_labels`, `/detected_fields`, `/detected_field/<name>/values`.

use super::answer::ApiError;
use super::find::selector;
use super::now_ns;
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
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Lines looked at, and fields listed, when nothing is said.
const LINES: usize = 100;
const FIELDS: usize = 1000;
const MOST: usize = 5000;

/// Labels that are listed whatever their values.
const ALWAYS: [&str; 4] = ["cluster", "namespace", "instance", "pod"];
/// Most values of other labels that are listed.
const CARDINALITY_MAX: usize = 50;

/// Whether a value is a number or a UUID, which nobody chooses from a list.
fn is_id(value: &str) -> bool {
    let uuid = || {
        let groups: Vec<&str> = value.split('-').collect();
        let hex = |g: &&str| g.bytes().all(|b| b.is_ascii_hexdigit());
        groups.iter().map(|g| g.len()).eq([8, 4, 4, 4, 12]) && groups.iter().all(hex)
    };
    value.parse::<f64>().is_ok() || uuid()
}

/// Values per label that is worth choosing from.
fn cardinalities<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<(String, usize)> {
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, value) in pairs {
        values.entry(name).or_default().insert(value);
    }
    let worth = |(name, set): &(&str, BTreeSet<&str>)| {
        ALWAYS.contains(name) || (set.len() <= CARDINALITY_MAX && !set.iter().all(|value| is_id(value)))
    };
    values.into_iter().filter(worth).map(|(name, set)| (name.to_owned(), set.len())).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_not_listed() {
        let many: Vec<String> = (0..51).map(|n| format!("v{n}")).collect();
        let few =
            [("app", "a"), ("app", "7"), ("pid", "12"), ("id", "00000000-0000-0000-0000-0000000000aF"), ("pod", "1")];
        let pairs = few.into_iter().chain(many.iter().map(|value| ("many", value.as_str())));
        assert_eq!(cardinalities(pairs), [("app".to_owned(), 2), ("pod".to_owned(), 1)]);
        assert!(!is_id("a-b") && !is_id("0000-0000"));
    }
}
