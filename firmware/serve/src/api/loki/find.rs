//! `/labels`, `/label/<name>/values`, `/series`.

use super::answer::{ApiError, success};
use super::now_ns;
use super::times::bounds;
use crate::params::Params;
use crate::run::run;
use crate::state::ApiState;
use axum::extract::{Path, State};
use axum::response::Response;
use bramble_query_logql::{LabelSet, parse_selector};
use bramble_signal::{Labels, Matcher, floating_label};
use bramble_storage::{Direction, LogRows, LogSelect, QueryContext, ReadError};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

/// The selector under `query`; everything when there is none.
pub(super) fn selector(params: &Params) -> Result<Vec<Matcher>, ApiError> {
    params.get("query").map_or(Ok(Vec::new()), |text| Ok(parse_selector(text)?))
}

/// Newest entries that are looked at for what only entries have: names and values of floating labels.
const ENTRIES_SEEN_MAX: usize = 10_000;
/// Values of a floating label that are listed.
const VALUES_MAX: usize = 1000;

/// The range of a request, as far as it may be asked about.
fn range_of(state: &ApiState, params: &Params) -> Result<Option<(i64, i64)>, ApiError> {
    let now_ns = now_ns(state);
    state.loki_limits.allowed(bounds(params, now_ns)?, now_ns)
}

/// Calls `each` with the floating labels of the newest entries that match, until it has enough.
fn floating_pairs(
    state: &ApiState,
    matchers: &[Matcher],
    (start_ns, end_ns): (i64, i64),
    context: &QueryContext,
    mut each: impl FnMut(&str, &str) -> ControlFlow<()>,
) -> Result<(), ReadError> {
    let select = LogSelect {
        matchers,
        start_ns,
        end_ns: end_ns.saturating_add(1),
        direction: Direction::Backward,
        rows_hint: Some(ENTRIES_SEEN_MAX),
        ..LogSelect::default()
    };
    let (mut cursor, mut rows, mut seen) = (state.logs.select(&select, context)?, LogRows::default(), 0);
    while seen < ENTRIES_SEEN_MAX && cursor.next(&mut rows)? {
        context.check()?;
        seen += rows.order.len();
        for entry in rows.batch.streams().flat_map(|stream| stream.entries()) {
            for (name, value) in entry.metadata.iter() {
                if let Some(label) = floating_label(name)
                    && each(label, value).is_break()
                {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// A list; without `data` when it is empty, as Loki answers.
fn listed(found: BTreeSet<String>) -> Response {
    if found.is_empty() {
        return crate::api::json(http::StatusCode::OK, &serde_json::json!({"status": "success"}));
    }
    success(found)
}

pub(super) async fn label_names(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    Ok(listed(names(&state, &params).await?))
}

/// Names of labels of streams that match, and of the floating labels of their newest entries.
pub(super) async fn names(state: &Arc<ApiState>, params: &Params) -> Result<BTreeSet<String>, ApiError> {
    let matchers = selector(params)?;
    let Some((start_ns, end_ns)) = range_of(state, params)? else { return Ok(BTreeSet::new()) };
    let work = move |state: &Arc<ApiState>, context: &QueryContext| {
        let streams = state.logs.streams(&matchers, start_ns, end_ns.saturating_add(1), context)?;
        let names = streams.iter().flat_map(|l| l.iter().map(|(n, _)| n)).filter(|n| !n.starts_with("__"));
        let mut found: BTreeSet<String> = names.map(str::to_owned).collect();
        let mut floating: BTreeSet<String> = state.logs.floating_names().into_iter().collect();
        if !streams.is_empty() && !floating.is_empty() {
            floating_pairs(state, &matchers, (start_ns, end_ns), context, |name, _| {
                if let Some(name) = floating.take(name) {
                    found.insert(name);
                }
                if floating.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
        }
        Ok::<_, ReadError>(found)
    };
    Ok(run(state, None, work).await??)
}

pub(super) async fn label_values(
    State(state): State<Arc<ApiState>>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    Ok(listed(values(&state, name, &params).await?))
}

/// Values of a label of streams that match; of a floating label, those of the newest entries.
pub(super) async fn values(state: &Arc<ApiState>, name: String, params: &Params) -> Result<BTreeSet<String>, ApiError> {
    let matchers = selector(params)?;
    let Some((start_ns, end_ns)) = range_of(state, params)? else { return Ok(BTreeSet::new()) };
    let work = move |state: &Arc<ApiState>, context: &QueryContext| {
        let streams = state.logs.streams(&matchers, start_ns, end_ns.saturating_add(1), context)?;
        let mut found: BTreeSet<String> = streams.iter().filter_map(|l| l.get(&name)).map(str::to_owned).collect();
        if !streams.is_empty() && state.logs.floating_names().contains(&name) {
            floating_pairs(state, &matchers, (start_ns, end_ns), context, |label, value| {
                if label == name && !found.contains(value) {
                    found.insert(value.to_owned());
                }
                if found.len() < VALUES_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
        }
        Ok::<_, ReadError>(found)
    };
    Ok(run(state, None, work).await??)
}

pub(super) async fn series(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    let range = range_of(&state, &params)?;
    let mut selectors = Vec::new();
    for text in params.all(&["match[]", "match"]) {
        selectors.push(parse_selector(text)?);
    }
    if selectors.is_empty() {
        selectors.push(Vec::new());
    }
    let work = move |state: &Arc<ApiState>, context: &QueryContext| {
        let mut found = BTreeSet::new();
        for (matchers, (start_ns, end_ns)) in selectors.iter().zip(range.into_iter().cycle()) {
            found.extend(state.logs.streams(matchers, start_ns, end_ns.saturating_add(1), context)?);
        }
        Ok::<BTreeSet<Labels>, ReadError>(found)
    };
    let found = run(&state, None, work).await??;
    let sets: Vec<LabelSet> = found.iter().map(|l| LabelSet::from_pairs(l.iter())).collect();
    Ok(success(sets.iter().map(super::answer::LabelsJson).collect::<Vec<_>>()))
}
