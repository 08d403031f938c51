//! `/index/stats`, `/index/volume`, `/index/volume_range`: from what the store knows without reading lines.

use super::answer::ApiError;
use super::now_ns;
use super::stats::Timer;
use super::times::{bounds, number, step};
use super::value::answered;
use crate::api::json;
use crate::params::Params;
use crate::run::{run, run_holding};
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use bramble_query_logql::{Answer, LabelSet, ParseError, Series, parse_selector};
use bramble_signal::{Labels, Matcher};
use bramble_storage::{QueryContext, ReadError, StreamTotals};
use http::StatusCode;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

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

pub(super) async fn stats(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    let matchers = matchers_of(&params)?;
    let (start_ns, end_ns) = bounds(&params, now_ns(&state))?;
    let work = move |state: &Arc<ApiState>, context: &QueryContext| {
        state.logs.totals(&matchers, start_ns, end_ns.saturating_add(1), context)
    };
    let found = run(&state, None, work).await??;
    let sum = |of: fn(&StreamTotals) -> u64| found.iter().map(of).sum::<u64>();
    let (chunks, entries, bytes) = (sum(|t| t.chunks), sum(|t| t.entries), sum(|t| t.bytes));
    Ok(json(StatusCode::OK, &json!({"streams": found.len(), "chunks": chunks, "entries": entries, "bytes": bytes})))
}

/// How volumes are summed up.
struct Summing {
    targets: Vec<String>,
    by_labels: bool,
    limit: usize,
}

impl Summing {
    /// `most` is what a request's limit is cut to.
    fn of(params: &Params, matchers: &[Matcher], most: usize) -> Result<Self, ApiError> {
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
        Ok(Summing { targets, by_labels, limit: usize::try_from(limit).unwrap_or(usize::MAX).min(most) })
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
    fn sum<'a>(&self, found: impl Iterator<Item = (&'a Labels, u64)>) -> Vec<(LabelSet, u64)> {
        let mut sums: BTreeMap<LabelSet, u64> = BTreeMap::new();
        for (labels, bytes) in found {
            for group in self.groups(&LabelSet::from_pairs(labels.iter())) {
                *sums.entry(group).or_default() += bytes;
            }
        }
        let mut sorted: Vec<_> = sums.into_iter().collect();
        sorted.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        sorted.truncate(self.limit);
        sorted
    }
}

/// Evaluates when it is the request's turn and answers.
async fn answer<F>(state: &Arc<ApiState>, evaluate: F) -> Result<Response, ApiError>
where
    F: FnOnce(&Arc<ApiState>, &QueryContext) -> Result<Answer, ReadError> + Send + 'static,
{
    let timer = Timer::start();
    let work = move |state: &Arc<ApiState>, context: &QueryContext| {
        let timings = timer.turn();
        evaluate(state, context).map(|answer| (answer, timings.evaluated()))
    };
    let (outcome, held) = run_holding(state, None, work).await?;
    let (answer, timings) = outcome?;
    let stats = timings.json(&answer, &held);
    Ok(answered(answer, false, &stats, held))
}

pub(super) async fn volume(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    let matchers = matchers_of(&params)?;
    let (start_ns, end_ns) = bounds(&params, now_ns(&state))?;
    let summing = Summing::of(&params, &matchers, state.loki_limits.volume_max_series)?;
    answer(&state, move |state, context| {
        let found = state.logs.totals(&matchers, start_ns, end_ns.saturating_add(1), context)?;
        let series = |(labels, bytes): (LabelSet, u64)| Series { labels, points: vec![(end_ns, bytes as f64)] };
        Ok(Answer::Vector(summing.sum(found.iter().map(|t| (&t.labels, t.bytes))).into_iter().map(series).collect()))
    })
    .await
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
    let summing = Summing::of(&params, &matchers, state.loki_limits.volume_max_series)?;
    answer(&state, move |state, context| {
        let found = state.logs.totals_by_step(&matchers, start_ns, end_ns, step_ns, context)?;
        let mut steps: BTreeMap<i64, Vec<(&Labels, u64)>> = BTreeMap::new();
        for stream in &found {
            for &(from_ns, _, bytes) in &stream.steps {
                steps.entry(from_ns).or_default().push((&stream.labels, bytes));
            }
        }
        let mut series: BTreeMap<LabelSet, Vec<(i64, f64)>> = BTreeMap::new();
        for (from_ns, streams) in steps {
            let to_ns = from_ns.saturating_add(step_ns).min(end_ns);
            // A point stands for the step before it, and for nothing of the next one.
            let at_ns = if to_ns == end_ns { to_ns } else { to_ns - 1 };
            for (labels, bytes) in summing.sum(streams.into_iter()) {
                series.entry(labels).or_default().push((at_ns, bytes as f64));
            }
        }
        let one_step = end_ns.saturating_sub(start_ns) <= step_ns;
        let series = series.into_iter().map(|(labels, points)| Series { labels, points }).collect();
        Ok(if one_step { Answer::Vector(series) } else { Answer::Matrix(series) })
    })
    .await
}
