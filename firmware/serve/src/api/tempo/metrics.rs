//! Measures over time by TraceQL.

use super::answer::{ApiError, attribute, nanoseconds, statistics};
use crate::api::json;
use crate::params::{Params, parse_duration_ms, parse_time_ms};
use crate::run::run;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use bramble_query_traceql::{MetricSeries, MetricsOptions, Query, measure, parse};
use bramble_storage::{QueryContext, ReadError};
use http::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;

/// Range without parameters, milliseconds.
const SINCE_DEFAULT_MS: i64 = 3_600_000;

/// Steps that are aimed at when the client names none.
const STEPS_WANTED: u64 = 100;

/// Steps that a person reads easily, seconds.
const STEPS_S: [u64; 12] = [1, 5, 10, 15, 30, 60, 300, 600, 1800, 3600, 21_600, 86_400];

fn labels(series: &MetricSeries) -> Value {
    series.labels.iter().map(|(k, v)| attribute(k, v)).collect()
}

/// JSON has no numbers that are not finite; protobuf's JSON writes them as text.
fn number(value: f64) -> Value {
    match value {
        v if v.is_nan() => "NaN".into(),
        v if v.is_infinite() => (if v > 0.0 { "Infinity" } else { "-Infinity" }).into(),
        v => v.into(),
    }
}

fn time_ns(params: &Params, name: &str) -> Result<Option<u64>, ApiError> {
    let Some(text) = params.get(name) else { return Ok(None) };
    if let Ok(whole) = text.parse::<u64>() {
        return Ok(Some(nanoseconds(whole)));
    }
    let ms = parse_time_ms(text).map_err(|e| ApiError::bad(e.to_string()))?;
    Ok(Some(u64::try_from(ms).unwrap_or(0).saturating_mul(1_000_000)))
}

fn range_ns(params: &Params, now_ns: u64) -> Result<(u64, u64), ApiError> {
    let since_ms = params
        .get("since")
        .map(parse_duration_ms)
        .transpose()
        .map_err(|e| ApiError::bad(e.to_string()))?
        .unwrap_or(SINCE_DEFAULT_MS);
    let end_ns = time_ns(params, "end")?.unwrap_or(now_ns);
    let since_ns = u64::try_from(since_ms).unwrap_or(0).saturating_mul(1_000_000);
    let start_ns = time_ns(params, "start")?.unwrap_or(end_ns.saturating_sub(since_ns));
    if end_ns <= start_ns {
        return Err(ApiError::bad("end must be greater than start"));
    }
    Ok((start_ns, end_ns))
}

fn step_ns(params: &Params, range_ns: u64) -> Result<u64, ApiError> {
    let Some(text) = params.get("step") else {
        let wanted_s = range_ns / 1_000_000_000 / STEPS_WANTED;
        return Ok(STEPS_S.into_iter().find(|s| *s >= wanted_s).unwrap_or(86_400) * 1_000_000_000);
    };
    match parse_duration_ms(text) {
        Ok(ms) if ms > 0 => Ok(ms as u64 * 1_000_000),
        Ok(_) => Err(ApiError::bad("step must be greater than 0")),
        Err(e) => Err(ApiError::bad(e.to_string())),
    }
}

fn query_of(params: &Params) -> Result<Query, ApiError> {
    let query =
        parse(params.get("q").or(params.get("query")).unwrap_or("")).map_err(|e| ApiError::bad(e.to_string()))?;
    if query.metrics.is_none() {
        return Err(ApiError::bad("not a metrics query"));
    }
    Ok(query)
}

async fn measured(
    state: &Arc<ApiState>,
    query: Query,
    options: MetricsOptions,
) -> Result<(Vec<MetricSeries>, Value), ApiError> {
    let work = move |state: &Arc<ApiState>, context: &QueryContext| -> Result<_, ReadError> {
        Ok((measure(&query, state.traces.as_ref(), &options, context)?, statistics(context)))
    };
    Ok(run(state, None, work).await??)
}

/// `{"series": [{"labels": […], "samples": [{"timestampMs": "…", "value": …}]}]}`.
pub(super) async fn range(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    let (start_ns, end_ns) = range_ns(&params, state.clock.wall_ns() as u64)?;
    let options = MetricsOptions { start_ns, end_ns, step_ns: Some(step_ns(&params, end_ns - start_ns)?) };
    let (found, statistics) = measured(&state, query_of(&params)?, options).await?;
    let series = found.iter().map(|s| {
        let samples: Vec<Value> =
            s.samples.iter().map(|(ms, v)| json!({"timestampMs": ms.to_string(), "value": number(*v)})).collect();
        json!({"labels": labels(s), "samples": samples})
    });
    Ok(json(StatusCode::OK, &json!({"series": series.collect::<Vec<_>>(), "metrics": statistics})))
}

/// `{"series": [{"labels": […], "value": …}]}`. Grafana refuses any other field (apis.md §5).
pub(super) async fn instant(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    let (start_ns, end_ns) = range_ns(&params, state.clock.wall_ns() as u64)?;
    let (found, _) = measured(&state, query_of(&params)?, MetricsOptions { start_ns, end_ns, step_ns: None }).await?;
    let value = |s: &MetricSeries| s.samples.last().map(|(_, v)| json!({"labels": labels(s), "value": number(*v)}));
    let series: Vec<Value> = found.iter().filter_map(value).collect();
    Ok(json(StatusCode::OK, &json!({"series": series, "metrics": {}})))
}
