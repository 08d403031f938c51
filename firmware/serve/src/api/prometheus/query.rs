//! `/query`, `/query_range`, `/query_exemplars`, `/format_query`.

use super::answer::{ApiError, ValueJson, success, success_with};
use crate::params::{Params, parse_duration_ms, parse_time_ms};
use crate::run::run;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use bramble_query_promql::{Answer, Value, format_query, parse};
use std::sync::Arc;
use std::time::Duration;

/// Points per series that a range query may give, as Prometheus.
const POINTS_MAX: i64 = 11_000;

fn time_of(params: &Params, name: &str) -> Result<Option<i64>, ApiError> {
    params.get(name).map(parse_time_ms).transpose().map_err(|e| ApiError::parameter(name, e))
}

fn required_time(params: &Params, name: &str) -> Result<i64, ApiError> {
    parse_time_ms(params.raw(name).unwrap_or("")).map_err(|e| ApiError::parameter(name, e))
}

fn timeout_of(params: &Params) -> Result<Option<Duration>, ApiError> {
    let parsed =
        params.get("timeout").map(parse_duration_ms).transpose().map_err(|e| ApiError::parameter("timeout", e))?;
    Ok(parsed.map(|ms| Duration::from_millis(ms.max(0) as u64)))
}

fn lookback_of(params: &Params) -> Result<Option<i64>, ApiError> {
    params
        .get("lookback_delta")
        .map(parse_duration_ms)
        .transpose()
        .map_err(|e| ApiError::bad_data(format!("error parsing lookback delta duration: {e}")))
}

fn limit_of(params: &Params) -> Result<usize, ApiError> {
    match params.get("limit") {
        None => Ok(0),
        Some(text) => match text.parse::<i64>() {
            Ok(n) if n >= 0 => Ok(n as usize),
            Ok(_) => Err(ApiError::parameter("limit", "limit must be non-negative")),
            Err(_) => Err(ApiError::parameter("limit", format!("cannot parse \"{text}\" to a valid limit"))),
        },
    }
}

/// Cuts a vector or matrix at `limit` (0: none), with Prometheus' warning.
fn truncate(answer: &mut Answer, limit: usize) {
    let cut = match &mut answer.value {
        Value::Vector(v) if limit > 0 && v.len() > limit => {
            v.truncate(limit);
            true
        }
        Value::Matrix(m) if limit > 0 && m.len() > limit => {
            m.truncate(limit);
            true
        }
        _ => false,
    };
    if cut {
        answer.warnings.push("results truncated due to limit".to_owned());
    }
}

fn respond(mut answer: Answer, limit: usize, noted: Vec<String>) -> Response {
    truncate(&mut answer, limit);
    answer.warnings.extend(noted);
    success_with(ValueJson(&answer.value), answer.warnings, answer.infos)
}

pub(super) async fn instant(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    let limit = limit_of(&params)?;
    let time_ms = time_of(&params, "time")?.unwrap_or_else(|| state.clock.wall_ms());
    let (timeout, lookback) = (timeout_of(&params)?, lookback_of(&params)?);
    let query = params.raw("query").unwrap_or("").to_owned();
    let work = move |state: &Arc<ApiState>, context: &_| {
        let answer = state.promql.instant(&query, time_ms, lookback, context);
        answer.map(|a| (a, bramble_storage::QueryContext::warnings(context)))
    };
    let (answer, noted) = run(&state, timeout, work).await??;
    Ok(respond(answer, limit, noted))
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
    let (timeout, lookback) = (timeout_of(&params)?, lookback_of(&params)?);
    let query = params.raw("query").unwrap_or("").to_owned();
    let work = move |state: &Arc<ApiState>, context: &_| {
        let answer = state.promql.range(&query, start_ms, end_ms, step_ms, lookback, context);
        answer.map(|a| (a, bramble_storage::QueryContext::warnings(context)))
    };
    let (answer, noted) = run(&state, timeout, work).await??;
    Ok(respond(answer, limit, noted))
}

/// Exemplars are not kept yet: any valid request has none.
pub(super) async fn exemplars(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    let end_ms = time_of(&params, "end")?.unwrap_or_else(|| state.clock.wall_ms());
    let start_ms = time_of(&params, "start")?.unwrap_or(i64::MIN);
    if end_ms < start_ms {
        return Err(ApiError::bad_data("end timestamp must not be before start timestamp"));
    }
    parse(params.raw("query").unwrap_or("")).map_err(|e| ApiError::bad_data(e.to_string()))?;
    let none: [(); 0] = [];
    Ok(success(none))
}

pub(super) async fn format(params: Params) -> Result<Response, ApiError> {
    let formatted = format_query(params.raw("query").unwrap_or("")).map_err(|e| ApiError::parameter("query", e))?;
    Ok(success(formatted))
}
