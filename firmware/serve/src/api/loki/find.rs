//! `/labels`, `/label/<name>/values`, `/series`.

use super::answer::{ApiError, success};
use super::times::bounds;
use crate::params::Params;
use crate::run::run;
use crate::state::ApiState;
use axum::extract::{Path, State};
use axum::response::Response;
use bramble_query_logql::{LabelSet, parse_selector};
use bramble_signal::{Labels, Matcher};
use bramble_storage::{QueryContext, ReadError};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The selector under `query`; everything when there is none.
pub(super) fn selector(params: &Params) -> Result<Vec<Matcher>, ApiError> {
    params.get("query").map_or(Ok(Vec::new()), |text| Ok(parse_selector(text)?))
}

async fn streams(state: &Arc<ApiState>, params: &Params, matchers: Vec<Matcher>) -> Result<Vec<Labels>, ApiError> {
    let (start_ns, end_ns) = bounds(params, state.clock.wall_ms().saturating_mul(1_000_000))?;
    let work = move |state: &Arc<ApiState>, context: &QueryContext| {
        state.logs.streams(&matchers, start_ns, end_ns.saturating_add(1), context)
    };
    Ok(run(state, None, work).await??)
}

/// A list; without `data` when it is empty, as Loki answers.
fn listed(found: BTreeSet<String>) -> Response {
    if found.is_empty() {
        return crate::api::json(http::StatusCode::OK, &serde_json::json!({"status": "success"}));
    }
    success(found)
}

pub(super) async fn label_names(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    let matchers = selector(&params)?;
    let found = streams(&state, &params, matchers).await?;
    let names = found.iter().flat_map(|l| l.iter().map(|(n, _)| n)).filter(|n| !n.starts_with("__"));
    Ok(listed(names.map(str::to_owned).collect()))
}

pub(super) async fn label_values(
    State(state): State<Arc<ApiState>>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let matchers = selector(&params)?;
    let found = streams(&state, &params, matchers).await?;
    Ok(listed(found.iter().filter_map(|l| l.get(&name)).map(str::to_owned).collect()))
}

pub(super) async fn series(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    let (start_ns, end_ns) = bounds(&params, state.clock.wall_ms().saturating_mul(1_000_000))?;
    let mut selectors = Vec::new();
    for text in params.all(&["match[]", "match"]) {
        selectors.push(parse_selector(text)?);
    }
    if selectors.is_empty() {
        selectors.push(Vec::new());
    }
    let work = move |state: &Arc<ApiState>, context: &QueryContext| {
        let mut found = BTreeSet::new();
        for matchers in &selectors {
            found.extend(state.logs.streams(matchers, start_ns, end_ns.saturating_add(1), context)?);
        }
        Ok::<BTreeSet<Labels>, ReadError>(found)
    };
    let found = run(&state, None, work).await??;
    let sets: Vec<LabelSet> = found.iter().map(|l| LabelSet::from_pairs(l.iter())).collect();
    Ok(success(sets.iter().map(super::answer::LabelsJson).collect::<Vec<_>>()))
}
