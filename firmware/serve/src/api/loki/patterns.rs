//! `/patterns`: lines by template, over all streams that match.

use super::answer::{ApiError, success};
use super::times::{bounds, step};
use crate::params::Params;
use crate::run::run;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use bramble_query_logql::eval::line_tests;
use bramble_query_logql::{Expr, parse};
use bramble_signal::{Labels, Matcher};
use bramble_storage::{LinePredicate, LogSelect, QueryContext, ReadError, TemplateCounts};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Templates of streams that are added up, and patterns of an answer.
const TEMPLATES_MAX: usize = 5000;
const PATTERNS_MAX: usize = 1000;
/// Steps are told in whole seconds.
const STEP_MIN_NS: i64 = 1_000_000_000;
const STEPS_MAX: i64 = 11_000;
/// Labels of a stream that say how severe its lines are.
const LEVELS: [&str; 4] = ["detected_level", "level", "severity", "lvl"];

/// Which lines to sum up by template.
pub(crate) struct Asked {
    pub(crate) matchers: Vec<Matcher>,
    pub(crate) lines: Vec<LinePredicate>,
    pub(crate) start_ns: i64,
    /// Inclusive.
    pub(crate) end_ns: i64,
    pub(crate) step_ns: i64,
}

impl Asked {
    /// `query` and `step` in a range, whose end is inclusive.
    pub(crate) fn of(params: &Params, (start_ns, end_ns): (i64, i64)) -> Result<Self, ApiError> {
        let step_ns = step(params, start_ns, end_ns)?.max(STEP_MIN_NS);
        if end_ns.saturating_sub(start_ns) / step_ns > STEPS_MAX {
            return Err(ApiError::bad(
                "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter",
            ));
        }
        let Expr::Log(log) = parse(params.raw("query").unwrap_or(""))? else {
            return Err(ApiError::bad("only log selector is supported"));
        };
        let Some(lines) = line_tests(&log)? else {
            return Err(ApiError::bad("only label matchers and line filters are supported"));
        };
        Ok(Asked { matchers: log.matchers, lines, start_ns, end_ns, step_ns })
    }

    /// At most `most` templates, those with the most lines.
    pub(crate) fn templates(
        &self,
        state: &ApiState,
        most: usize,
        context: &QueryContext,
    ) -> Result<Vec<TemplateCounts>, ReadError> {
        let select = LogSelect {
            matchers: &self.matchers,
            lines: &self.lines,
            start_ns: self.start_ns,
            end_ns: self.end_ns.saturating_add(1),
            ..LogSelect::default()
        };
        state.logs.templates(&select, self.step_ns, most, context)
    }
}

#[derive(Serialize)]
struct Pattern {
    pattern: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<String>,
    samples: Vec<(i64, u64)>,
}

fn level_of(labels: &Labels) -> Option<String> {
    LEVELS.iter().find_map(|name| labels.get(name)).map(str::to_owned)
}

/// Counts of equal patterns of equal level added up, those with the most lines first.
fn added_up(found: Vec<TemplateCounts>) -> Vec<Pattern> {
    let mut sums: BTreeMap<(String, Option<String>), BTreeMap<i64, u64>> = BTreeMap::new();
    for template in found {
        let level = level_of(&template.labels);
        let samples = sums.entry((template.pattern, level)).or_default();
        for (time_ns, count) in template.samples {
            *samples.entry(time_ns.div_euclid(1_000_000_000)).or_default() += count;
        }
    }
    let pattern = |((pattern, level), samples): (_, BTreeMap<i64, u64>)| {
        let lines: u64 = samples.values().sum();
        (lines, Pattern { pattern, level, samples: samples.into_iter().collect() })
    };
    let mut all: Vec<(u64, Pattern)> = sums.into_iter().map(pattern).collect();
    all.sort_by_key(|(lines, _)| Reverse(*lines));
    all.truncate(PATTERNS_MAX);
    all.into_iter().map(|(_, pattern)| pattern).collect()
}

pub(super) async fn patterns(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    let asked = Asked::of(&params, bounds(&params, super::now_ns(&state))?)?;
    let work = move |state: &Arc<ApiState>, context: &QueryContext| {
        asked.templates(state, TEMPLATES_MAX, context).map(added_up)
    };
    Ok(success(run(&state, None, work).await??))
}
