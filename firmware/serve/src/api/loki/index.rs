//! `/index/stats`, `/index/volume`, `/index/volume_range`.

use super::answer::{ApiError, Cost, answered};
use super::times::{bounds, number, step};
use crate::api::json;
use crate::params::Params;
use crate::run::run;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use bramble_query_logql::detect::{StreamVolume, volumes};
use bramble_query_logql::{Answer, LabelSet, ParseError, QueryError, Series, parse_selector};
use bramble_signal::Matcher;
use bramble_storage::QueryContext;
use http::StatusCode;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

/// Series of a volume when no limit is given.
const SERIES: i64 = 100;
/// Points of a volume over time.
const POINTS_MAX: i64 = 11_000;

fn matchers_of(params: &Params) -> Result<Vec<Matcher>, ApiError> {
    match params.get("query") {
        None => Err(ParseError("parse error : syntax error: unexpected $end".to_owned()).into()),
        Some(text) => Ok(parse_selector(text)?),
    }
}

fn now_ns(state: &ApiState) -> i64 {
    state.clock.wall_ms().saturating_mul(1_000_000)
}

pub(super) async fn stats(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    let matchers = matchers_of(&params)?;
    let (start_ns, end_ns) = bounds(&params, now_ns(&state))?;
    let work = move |state: &Arc<ApiState>, context: &QueryContext| {
        volumes(&*state.logs, &matchers, start_ns, end_ns.saturating_add(1), context)
    };
    let found = run(&state, None, work).await??;
    let sum = |of: fn(&StreamVolume) -> u64| found.iter().map(of).sum::<u64>();
    let (entries, bytes) = (sum(|v| v.entries), sum(|v| v.bytes));
    Ok(json(
        StatusCode::OK,
        &json!({"streams": found.len(), "chunks": found.len(), "entries": entries, "bytes": bytes}),
    ))
}

/// How volumes are summed up.
struct Summing {
    targets: Vec<String>,
    by_labels: bool,
    limit: usize,
}

impl Summing {
    fn of(params: &Params, matchers: &[Matcher]) -> Result<Self, ApiError> {
        let limit = number(params, "limit")?.unwrap_or(SERIES);
        if limit <= 0 {
            return Err(ApiError::bad("limit must be a positive value"));
        }
        let by_labels = match params.get("aggregateBy") {
            None | Some("series") => false,
            Some("labels") => true,
            Some(other) => return Err(ApiError::bad(format!("invalid aggregateBy parameter: {other}"))),
        };
        let targets: Vec<String> =
            params.get("targetLabels").map_or(Vec::new(), |t| t.split(',').map(str::to_owned).collect());
        // Without targets, the labels that the selector names.
        let named = || matchers.iter().map(|m| m.name.clone()).collect();
        let targets = if targets.is_empty() && !by_labels { named() } else { targets };
        Ok(Summing { targets, by_labels, limit: usize::try_from(limit).unwrap_or(usize::MAX) })
    }

    /// The groups that a stream counts for.
    fn groups(&self, labels: &LabelSet) -> Vec<LabelSet> {
        let wanted = |name: &str| self.targets.is_empty() || self.targets.iter().any(|t| t == name);
        if self.by_labels {
            return labels.iter().filter(|(n, _)| wanted(n)).map(|(n, _)| LabelSet::from_pairs([(n, "")])).collect();
        }
        // A stream that lacks one of the targets is in none of their groups.
        if self.targets.iter().any(|t| labels.get(t).is_none()) {
            return Vec::new();
        }
        vec![LabelSet::from_pairs(labels.iter().filter(|(n, _)| wanted(n)))]
    }

    /// Bytes by group, the largest first, at most `limit` of them.
    fn sum(&self, found: Vec<StreamVolume>) -> Vec<(LabelSet, u64)> {
        let mut sums: BTreeMap<LabelSet, u64> = BTreeMap::new();
        for volume in found {
            for group in self.groups(&volume.labels) {
                *sums.entry(group).or_default() += volume.bytes;
            }
        }
        let mut sorted: Vec<_> = sums.into_iter().collect();
        sorted.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        sorted.truncate(self.limit);
        sorted
    }
}

pub(super) async fn volume(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    let matchers = matchers_of(&params)?;
    let (start_ns, end_ns) = bounds(&params, now_ns(&state))?;
    let summing = Summing::of(&params, &matchers)?;
    let work = move |state: &Arc<ApiState>, context: &QueryContext| {
        let since = Instant::now();
        let found = volumes(&*state.logs, &matchers, start_ns, end_ns.saturating_add(1), context)?;
        let series = |(labels, bytes): (LabelSet, u64)| Series { labels, points: vec![(end_ns, bytes as f64)] };
        let series = summing.sum(found).into_iter().map(series).collect();
        Ok::<_, QueryError>((Answer::Vector(series), Cost::of(context, since)))
    };
    let (answer, cost) = run(&state, None, work).await??;
    Ok(answered(&answer, false, &cost))
}

pub(super) async fn volume_range(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    let matchers = matchers_of(&params)?;
    let (start_ns, end_ns) = bounds(&params, now_ns(&state))?;
    let step_ns = step(&params, start_ns, end_ns)?;
    if end_ns.saturating_sub(start_ns) / step_ns > POINTS_MAX {
        return Err(ApiError::bad(
            "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter",
        ));
    }
    let summing = Summing::of(&params, &matchers)?;
    let work = move |state: &Arc<ApiState>, context: &QueryContext| {
        let since = Instant::now();
        let mut series: BTreeMap<LabelSet, Vec<(i64, f64)>> = BTreeMap::new();
        let mut from = start_ns;
        while from < end_ns {
            let to = from.saturating_add(step_ns).min(end_ns);
            let found = volumes(&*state.logs, &matchers, from, to, context)?;
            // A point stands for the step before it, and for nothing of the next one.
            let at = if to == end_ns { to } else { to - 1 };
            for (labels, bytes) in summing.sum(found) {
                series.entry(labels).or_default().push((at, bytes as f64));
            }
            from = to;
        }
        let one_step = end_ns.saturating_sub(start_ns) <= step_ns;
        let series = series.into_iter().map(|(labels, points)| Series { labels, points }).collect();
        let answer = if one_step { Answer::Vector(series) } else { Answer::Matrix(series) };
        Ok::<_, QueryError>((answer, Cost::of(context, since)))
    };
    let (answer, cost) = run(&state, None, work).await??;
    Ok(answered(&answer, false, &cost))
}

/// Values per label of the streams that match, for `/detected_labels`.
pub(super) fn cardinalities<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<(String, usize)> {
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, value) in pairs {
        values.entry(name).or_default().insert(value);
    }
    values.into_iter().map(|(name, set)| (name.to_owned(), set.len())).collect()
}
