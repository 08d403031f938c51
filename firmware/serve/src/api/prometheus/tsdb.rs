//! `/status/tsdb`: whose labels fill the head, as Prometheus tells it and, at its door or with its parameters, as
//! VictoriaMetrics does.

use super::answer::{ApiError, success};
use super::asked::selectors_of;
use crate::api::json;
use crate::params::Params;
use crate::run::run;
use crate::state::ApiState;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use bramble_signal::{Labels, METRIC_NAME, Matcher};
use bramble_storage::{Cardinality, MetricSelect, QueryContext, ReadError};
use http::StatusCode;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Rows of each list, unless `limit` or `topN` says otherwise, and the most.
const ROWS: usize = 10;
const ROWS_MAX: usize = 1000;

const DAY_MS: i64 = 86_400_000;

/// Put into the extensions of requests at VictoriaMetrics' door.
#[derive(Clone, Copy)]
pub(super) struct Victoria;

/// What VictoriaMetrics' clients ask: series of one day that match.
struct Walk {
    /// `focusLabel`.
    focus: Option<String>,
    selectors: Vec<Vec<Matcher>>,
    start_ms: i64,
    end_ms: i64,
}

fn limit_of(params: &Params, name: &str) -> Result<usize, ApiError> {
    match params.get(name).map(str::parse::<usize>) {
        None => Ok(ROWS),
        Some(Ok(n)) if n >= 1 => Ok(n.min(ROWS_MAX)),
        Some(_) => Err(ApiError::bad_data(format!("{name} must be a positive number"))),
    }
}

fn walk_of(params: &Params, now_ms: i64) -> Result<Walk, ApiError> {
    let start_ms = match params.get("date") {
        None => now_ms.div_euclid(DAY_MS) * DAY_MS,
        Some(text) => crate::params::parse_time_ms(&format!("{text}T00:00:00Z"))
            .map_err(|_| ApiError::bad_data(format!("cannot parse `date` arg {text:?}")))?,
    };
    let selectors = selectors_of(params).map_err(ApiError::bad_data)?;
    let focus = params.get("focusLabel").map(str::to_owned);
    Ok(Walk { focus, selectors, start_ms, end_ms: start_ms + DAY_MS - 1 })
}

pub(super) async fn tsdb(
    State(state): State<Arc<ApiState>>,
    victoria: Option<Extension<Victoria>>,
    params: Params,
) -> Result<Response, ApiError> {
    let of_victoria = ["topN", "date", "focusLabel", "match[]"].iter().any(|name| params.get(name).is_some());
    if victoria.is_none() && !of_victoria {
        let limit = limit_of(&params, "limit")?;
        let work = move |state: &Arc<ApiState>, _: &QueryContext| state.metrics.cardinality(limit);
        return Ok(success(shape(&run(&state, None, work).await?)));
    }
    let (limit, walk) = (limit_of(&params, "topN")?, walk_of(&params, state.clock.wall_ms())?);
    let work = move |state: &Arc<ApiState>, context: &QueryContext| walk.count(state, context);
    let counts = run(&state, None, work).await??;
    Ok(json(StatusCode::OK, &counts.shape(limit)))
}

fn rows(counts: &[(String, u64)]) -> Vec<Value> {
    counts.iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
}

fn shape(head: &Cardinality) -> Value {
    let (min_ms, max_ms) = if head.min_ms > head.max_ms { (0, 0) } else { (head.min_ms, head.max_ms) };
    json!({
        // A series' samples in the head are one chain.
        "headStats": {
            "numSeries": head.series, "numLabelPairs": head.label_pairs, "chunkCount": head.series,
            "minTime": min_ms, "maxTime": max_ms,
        },
        "seriesCountByMetricName": rows(&head.series_by_metric),
        "labelValueCountByLabelName": rows(&head.values_by_label),
        "memoryInBytesByLabelName": rows(&head.bytes_by_label),
        "seriesCountByLabelValuePair": rows(&head.series_by_pair),
    })
}

/// Series counted one by one.
#[derive(Default)]
struct Counts {
    seen: HashSet<Labels>,
    pairs: HashMap<(String, String), u64>,
    focus: Vec<(String, u64)>,
}

/// What an entry of a table costs beside its text, in bytes.
const ENTRY_BYTES: usize = 64;

impl Walk {
    fn count(&self, state: &ApiState, context: &QueryContext) -> Result<Counts, ReadError> {
        let (mut counts, everything) = (Counts::default(), [Vec::new()]);
        let selectors: &[_] = if self.selectors.is_empty() { &everything } else { &self.selectors };
        for matchers in selectors {
            let select = MetricSelect { matchers, start_ms: self.start_ms, end_ms: self.end_ms };
            for labels in state.metrics.series(&select, context)? {
                counts.add(labels, context)?;
            }
        }
        if let Some(focus) = &self.focus {
            let values = counts.pairs.iter().filter(|((name, _), _)| name == focus);
            counts.focus = values.map(|((_, value), series)| (value.clone(), *series)).collect();
        }
        Ok(counts)
    }
}

impl Counts {
    fn add(&mut self, labels: Labels, context: &QueryContext) -> Result<(), ReadError> {
        context.check()?;
        if self.seen.contains(&labels) {
            return Ok(());
        }
        context.reserve(labels.as_bytes().len() + ENTRY_BYTES)?;
        for (name, value) in labels.iter() {
            let pair = (name.to_owned(), value.to_owned());
            if !self.pairs.contains_key(&pair) {
                context.reserve(name.len() + value.len() + ENTRY_BYTES)?;
            }
            *self.pairs.entry(pair).or_default() += 1;
        }
        self.seen.insert(labels);
        Ok(())
    }

    fn shape(self, limit: usize) -> Value {
        let (mut names, mut by_metric, mut by_pair) = (HashMap::<&str, (u64, u64)>::new(), Vec::new(), Vec::new());
        for ((name, value), series) in &self.pairs {
            let of_name = names.entry(name).or_default();
            *of_name = (of_name.0 + series, of_name.1 + 1);
            if name == METRIC_NAME {
                by_metric.push((value.clone(), *series));
            }
            by_pair.push((format!("{name}={value}"), *series));
        }
        let by_label = names.iter().map(|(name, (series, _))| ((*name).to_owned(), *series)).collect();
        let values = names.iter().map(|(name, (_, values))| ((*name).to_owned(), *values)).collect();
        json!({
            "status": "success", "isPartial": false,
            "data": {
                "totalSeries": self.seen.len(), "totalLabelValuePairs": self.seen.iter().map(Labels::len).sum::<usize>(),
                "seriesCountByMetricName": rows(&top(by_metric, limit)),
                "seriesCountByLabelName": rows(&top(by_label, limit)),
                "seriesCountByFocusLabelValue": rows(&top(self.focus, limit)),
                "seriesCountByLabelValuePair": rows(&top(by_pair, limit)),
                "labelValueCountByLabelName": rows(&top(values, limit)),
            },
        })
    }
}

fn top(mut counts: Vec<(String, u64)>, limit: usize) -> Vec<(String, u64)> {
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts.truncate(limit);
    counts
}
