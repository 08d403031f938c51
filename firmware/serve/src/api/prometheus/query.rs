//! `/query` and `/query_range`.

use super::answer::{ApiError, TRUNCATED};
use super::asked::{limit_of, lookback_of, required_time, time_of, timeout_of};
use super::stats::Timer;
use super::value::AnswerParts;
use crate::api::stream::streamed;
use crate::params::{Params, parse_duration_ms};
use crate::run::run_holding;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use bramble_query_promql::{Answer, QueryError, Value};
use bramble_storage::QueryContext;
use std::sync::Arc;

/// Steps that a range query may have, as Prometheus.
const POINTS_MAX: i64 = 11_000;

/// Cuts a vector or matrix at `limit` (0: none), with Prometheus' warning.
fn truncate(answer: &mut Answer, limit: usize) {
    let series = match &mut answer.value {
        Value::Vector(series) | Value::Matrix(series) => series,
        _ => return,
    };
    if limit > 0 && series.len() > limit {
        series.truncate(limit);
        answer.warnings.push(TRUNCATED.to_owned());
    }
}

/// What is asked beside the query itself.
struct Ask {
    limit: usize,
    timeout: Option<std::time::Duration>,
    stats: bool,
}

impl Ask {
    fn of(params: &Params, limit: usize) -> Result<Self, ApiError> {
        Ok(Ask { limit, timeout: timeout_of(params)?, stats: params.get("stats").is_some() })
    }

    async fn answer<F>(self, state: &Arc<ApiState>, evaluate: F) -> Result<Response, ApiError>
    where
        F: FnOnce(&Arc<ApiState>, &QueryContext) -> Result<Answer, QueryError> + Send + 'static,
    {
        let timer = Timer::start();
        let work = move |state: &Arc<ApiState>, context: &QueryContext| {
            let mut timings = timer.turn();
            let answer = evaluate(state, context);
            timings.evaluated();
            answer.map(|a| (a, timings))
        };
        let (outcome, held) = run_holding(state, self.timeout, work).await?;
        let (mut answer, timings) = outcome?;
        truncate(&mut answer, self.limit);
        answer.warnings.extend(held.warnings());
        let stats = self.stats.then(|| timings.json(&answer.stats));
        Ok(streamed(AnswerParts::new(answer, stats), held))
    }
}

pub(super) async fn instant(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    let limit = limit_of(&params)?;
    let time_ms = time_of(&params, "time", state.clock.wall_ms())?;
    let (ask, lookback) = (Ask::of(&params, limit)?, lookback_of(&params)?);
    let query = params.raw("query").unwrap_or("").to_owned();
    ask.answer(&state, move |state, context| state.promql.instant(&query, time_ms, lookback, context)).await
}

pub(super) async fn range(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    let limit = limit_of(&params)?;
    let start_ms = required_time(&params, "start")?;
    let end_ms = required_time(&params, "end")?;
    if end_ms < start_ms {
        return Err(ApiError::parameter("end", "end timestamp must not be before start time"));
    }
    let step_ms = parse_duration_ms(params.raw("step").unwrap_or("")).map_err(|e| ApiError::parameter("step", e))?;
    if step_ms <= 0 {
        return Err(ApiError::parameter(
            "step",
            "zero or negative query resolution step widths are not accepted. Try a positive integer",
        ));
    }
    if (end_ms - start_ms) / step_ms > POINTS_MAX {
        return Err(ApiError::bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ));
    }
    let (ask, lookback) = (Ask::of(&params, limit)?, lookback_of(&params)?);
    let query = params.raw("query").unwrap_or("").to_owned();
    ask.answer(&state, move |state, context| state.promql.range(&query, start_ms, end_ms, step_ms, lookback, context))
        .await
}
