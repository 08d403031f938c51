//! `/query`, `/query_range`, `/format_query`.

use super::answer::{ApiError, success};
use super::now_ns;
use super::stats::{Timer, Timings};
use super::times::{duration_of, limit, range as range_of, step, time};
use super::value::answered;
use crate::api::json;
use crate::params::Params;
use crate::run::run_holding;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use bramble_query_logql::syntax::Sample;
use bramble_query_logql::{Answer, Expr, LogParams, QueryError, RangeParams, eval, parse};
use bramble_storage::{Direction, QueryContext};
use http::{HeaderMap, StatusCode};
use serde_json::json;
use std::sync::Arc;

/// Lines when no limit is given.
const LINES: usize = 100;

/// Points per series that a range query may give, as Loki.
const POINTS_MAX: i64 = 11_000;

pub(super) fn direction(params: &Params) -> Result<Direction, ApiError> {
    match params.get("direction") {
        None => Ok(Direction::Backward),
        Some(text) if text.eq_ignore_ascii_case("backward") => Ok(Direction::Backward),
        Some(text) if text.eq_ignore_ascii_case("forward") => Ok(Direction::Forward),
        Some(text) => Err(ApiError::bad(format!("invalid direction '{text}'"))),
    }
}

pub(super) fn categorize(headers: &HeaderMap) -> bool {
    let mut flags = headers.get_all("X-Loki-Response-Encoding-Flags").iter().filter_map(|v| v.to_str().ok());
    flags.any(|v| v.split(',').any(|flag| flag.trim() == "categorize-labels"))
}

fn query_of(state: &ApiState, params: &Params) -> Result<Expr, ApiError> {
    let mut expr = parse(params.raw("query").unwrap_or(""))?;
    if state.loki_limits.approx_topk
        && let Expr::Sample(sample) = &mut expr
    {
        sample.make_exact();
    }
    Ok(expr)
}

/// Loki's own front end asks for shards of a query; nobody else does. All of it is one shard.
pub(super) fn check_shards(params: &Params) -> Result<(), ApiError> {
    for text in params.all(&["shards"]).filter(|text| !text.is_empty()) {
        let parts = text.split_once("_of_").map(|(n, of)| (n.parse::<u32>(), of.parse::<u32>()));
        match parts {
            Some((Ok(0), Ok(1))) => {}
            Some((Ok(_), Ok(_))) => return Err(ApiError::bad(format!("queries are not sharded here: {text}"))),
            _ => return Err(ApiError::bad(format!("invalid shard value: {text}"))),
        }
    }
    Ok(())
}

/// Evaluates when it is the query's turn, checks the outcome and answers.
async fn answer<F>(state: &Arc<ApiState>, categorize: bool, evaluate: F) -> Result<Response, ApiError>
where
    F: FnOnce(&Arc<ApiState>, &QueryContext) -> Result<Answer, QueryError> + Send + 'static,
{
    let timer = Timer::start();
    let work = move |state: &Arc<ApiState>, context: &QueryContext| {
        let timings = timer.turn();
        evaluate(state, context).map(|answer| (answer, timings.evaluated()))
    };
    let (outcome, held) = run_holding(state, None, work).await?;
    let (answer, timings): (Answer, Timings) = outcome?;
    state.loki_limits.check_series(&answer)?;
    let stats = timings.json(&answer, &held);
    Ok(answered(answer, categorize, &stats, held))
}

pub(super) async fn instant(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    let time_ns = time(&params, "time", now_ns(&state))?;
    limit(&params, "limit", LINES, usize::MAX)?;
    direction(&params)?;
    let Expr::Sample(sample) = query_of(&state, &params)? else {
        return Err(ApiError::bad(
            "log queries are not supported as an instant query type, please change your query to a range query type",
        ));
    };
    answer(&state, false, move |state, context| eval::instant(&*state.logs, &sample, time_ns, context)).await
}

/// Whether the query reads lines; what is only numbers stays on the times asked for.
fn reads_lines(sample: &Sample) -> bool {
    match sample {
        Sample::Literal(_) | Sample::Vector(_) => false,
        Sample::Range(_) => true,
        Sample::Aggregate { inner, .. } | Sample::LabelReplace { inner, .. } => reads_lines(inner),
        Sample::Binary { left, right, .. } => reads_lines(left) || reads_lines(right),
    }
}

/// The grid of a metric query: multiples of the step, from the one before the start to the one after the end, as
/// Loki's front end aligns them so that its cache can serve the next refresh.
fn grid(sample: &Sample, start_ns: i64, end_ns: i64, step_ns: i64) -> RangeParams {
    if !reads_lines(sample) {
        return RangeParams { start_ns, end_ns, step_ns };
    }
    let down = |t: i64| t.saturating_sub(t.rem_euclid(step_ns));
    let up = if end_ns.rem_euclid(step_ns) == 0 { end_ns } else { down(end_ns).saturating_add(step_ns) };
    RangeParams { start_ns: down(start_ns), end_ns: up, step_ns }
}

pub(super) async fn range(
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    let now_ns = now_ns(&state);
    let (start_ns, end_ns) = range_of(&params, now_ns)?;
    let limits = state.loki_limits;
    let expr = query_of(&state, &params);
    // A metric query has no lines to limit, whatever is asked for.
    let of_numbers = matches!(expr, Ok(Expr::Sample(_)));
    let limit =
        limit(&params, "limit", LINES, if of_numbers { usize::MAX } else { limits.max_entries_limit_per_query })?;
    let direction = direction(&params)?;
    let step_ns = step(&params, start_ns, end_ns)?;
    let interval_ns = duration_of(&params, "interval")?.unwrap_or(0);
    if interval_ns < 0 {
        return Err(ApiError::bad("interval must be >= 0"));
    }
    check_shards(&params)?;
    if end_ns.saturating_sub(start_ns) / step_ns > POINTS_MAX {
        return Err(ApiError::bad(
            "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter",
        ));
    }
    let categorize = categorize(&headers);
    let expr = expr?;
    let range = limits.allowed((start_ns, end_ns), now_ns)?;
    answer(&state, categorize, move |state, context| match (&expr, range) {
        (Expr::Log(_), None) => Ok(Answer::Streams(Vec::new())),
        (Expr::Sample(_), None) => Ok(Answer::Matrix(Vec::new())),
        (Expr::Log(log), Some((start_ns, end_ns))) => {
            let params = LogParams { start_ns, end_ns, limit, direction, interval_ns, categorize };
            eval::log(&*state.logs, log, &params, context)
        }
        (Expr::Sample(sample), Some((start_ns, end_ns))) => {
            eval::range(&*state.logs, sample, &grid(sample, start_ns, end_ns, step_ns), context)
        }
    })
    .await
}

pub(super) async fn format(params: Params) -> Response {
    match parse(params.raw("query").unwrap_or("")) {
        Ok(expr) => success(expr.to_string()),
        Err(e) => json(StatusCode::BAD_REQUEST, &json!({"status": "invalid-query", "error": e.to_string()})),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use bramble_query_logql::syntax::VectorOp;

    #[test]
    fn an_approximate_topk_is_exact_where_it_is_allowed() {
        let params = Params::parse("query=approx_topk(2, rate({a=\"b\"}[1m]))");
        for (allowed, expected) in [(false, VectorOp::ApproxTopk), (true, VectorOp::Topk)] {
            let mut state = testing::state(Arc::default(), Arc::default(), 1 << 20);
            state.loki_limits.approx_topk = allowed;
            match query_of(&state, &params) {
                Ok(Expr::Sample(Sample::Aggregate { op, .. })) => assert_eq!(op, expected),
                other => panic!("{other:?}"),
            }
        }
    }
}
