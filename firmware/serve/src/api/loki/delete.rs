//! `/delete`: requests for deletion of log entries, as Loki's compactor takes them. Texts and statuses: Loki 3.
//!
//! A request hides its entries at once, also from queries that run later over what was already merged, and can be taken
//! back for a while; then they are removed ([`bramble_storage::LogAdmin`]). As nobody waits for a compactor, one
//! request is never split: `max_interval` is checked and has no other effect.

use super::answer::ApiError;
use crate::api::json;
use crate::params::{Params, rfc3339_ns};
use crate::state::ApiState;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bramble_query_logql::syntax::{LogExpr, Stage, duration_text, parse_duration};
use bramble_query_logql::{Expr, eval, parse};
use bramble_storage::{CancelError, DeletionRequest, DeletionState, LogAdmin, StoreError};
use http::StatusCode;
use serde_json::json;
use std::sync::Arc;

type Shared = State<Arc<ApiState>>;

fn admin_of(state: &ApiState) -> Result<Arc<dyn LogAdmin>, ApiError> {
    let refused = || ApiError(StatusCode::FORBIDDEN, "deletion is not available for this tenant".to_owned());
    state.log_admin.clone().ok_or_else(refused)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    let panicked = |_| internal("the operation failed unexpectedly; this is a bug");
    tokio::task::spawn_blocking(work).await.map_err(panicked)
}

fn internal(what: impl ToString) -> ApiError {
    ApiError(StatusCode::INTERNAL_SERVER_ERROR, what.to_string())
}

fn of_store(error: StoreError) -> ApiError {
    match error {
        StoreError::Full(_) => ApiError(StatusCode::INSUFFICIENT_STORAGE, error.to_string()),
        other => internal(other),
    }
}

fn query_of(params: &Params) -> Result<(String, LogExpr), ApiError> {
    let text = params.get("query").ok_or_else(|| ApiError::bad("query not set"))?;
    let Ok(expr) = parse(text) else { return Err(ApiError::bad("invalid query expression")) };
    eval::check(&expr).map_err(|_| ApiError::bad("invalid query expression"))?;
    match expr {
        Expr::Log(log) => Ok((text.to_owned(), log)),
        Expr::Sample(_) => Err(ApiError::bad("unsupported query expression")),
    }
}

/// Milliseconds of seconds with ten digits, or of RFC 3339.
fn time_ms(text: &str) -> Option<i64> {
    if let Some(ns) = rfc3339_ns(text) {
        return i64::try_from(ns.div_euclid(1_000_000)).ok();
    }
    (text.len() == 10).then(|| text.parse::<i64>().ok()?.checked_mul(1000))?
}

fn times_of(params: &Params, now_ms: i64) -> Result<(i64, i64), ApiError> {
    let read = |name: &str, text: &str| {
        let complaint = || ApiError::bad(format!("invalid {name} time: require unix seconds or RFC3339 format"));
        time_ms(text).ok_or_else(complaint)
    };
    let start = params.get("start").ok_or_else(|| ApiError::bad("start time not set"))?;
    let start_ms = read("start", start)?;
    let end_ms = params.get("end").map_or(Ok(now_ms), |text| read("end", text))?;
    if end_ms > now_ms {
        return Err(ApiError::bad("deletes in the future are not allowed"));
    }
    if start_ms >= end_ms {
        return Err(ApiError::bad("start time can't be greater than or equal to end time"));
    }
    Ok((start_ms, end_ms))
}

fn check_interval(params: &Params, log: &LogExpr, span_ms: i64) -> Result<(), ApiError> {
    let tests = |stage: &Stage| matches!(stage, Stage::Line(_) | Stage::Label(_));
    let Some(text) = params.get("max_interval").filter(|_| log.stages.iter().any(tests)) else { return Ok(()) };
    let interval_ns = parse_duration(text, false).ok().filter(|&ns| ns >= 1_000_000_000);
    let span_ns = span_ms.saturating_mul(1_000_000);
    match interval_ns {
        None => Err(ApiError::bad("invalid max_interval: valid time units are 's', 'm', 'h'")),
        Some(ns) if ns > span_ns => Err(ApiError::bad(format!(
            "max_interval can't be greater than the interval to be deleted ({})",
            duration_text(span_ns)
        ))),
        Some(_) => Ok(()),
    }
}

pub(super) async fn add(State(state): Shared, params: Params) -> Result<Response, ApiError> {
    let admin = admin_of(&state)?;
    let (query, log) = query_of(&params)?;
    let (start_ms, end_ms) = times_of(&params, state.clock.wall_ms())?;
    check_interval(&params, &log, end_ms - start_ms)?;
    let (start_ns, last_ns) = (start_ms.saturating_mul(1_000_000), end_ms.saturating_mul(1_000_000));
    blocking(move || admin.delete(&query, start_ns, last_ns)).await?.map_err(of_store)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn shown(request: &DeletionRequest) -> serde_json::Value {
    // As Go prints milliseconds: seconds, with a fraction only where there is one.
    let seconds = |ms: i64| if ms % 1000 == 0 { json!(ms / 1000) } else { json!(ms as f64 / 1000.0) };
    let status = match request.state {
        DeletionState::Received | DeletionState::Processing => "received",
        DeletionState::Processed => "processed",
    };
    json!({
        "request_id": request.id,
        "start_time": seconds(request.start_ns / 1_000_000),
        "end_time": seconds(request.last_ns / 1_000_000),
        "query": request.query,
        "status": status,
        "created_at": seconds(request.created_ms),
        "deleted_lines": request.deleted_lines,
    })
}

pub(super) async fn list(State(state): Shared) -> Result<Response, ApiError> {
    let admin = admin_of(&state)?;
    let requests = blocking(move || admin.requests()).await?;
    Ok(json(StatusCode::OK, &requests.iter().map(shown).collect::<Vec<_>>()))
}

pub(super) async fn cancel(State(state): Shared, params: Params) -> Result<Response, ApiError> {
    let admin = admin_of(&state)?;
    let id = params.get("request_id").unwrap_or("").to_owned();
    let force = params.get("force") == Some("true");
    let period = duration_text(admin.cancel_period_ms().saturating_mul(1_000_000));
    match blocking(move || admin.cancel(&id, force)).await? {
        Ok(()) => Ok(StatusCode::NO_CONTENT.into_response()),
        Err(CancelError::Unknown) => {
            Err(ApiError(StatusCode::NOT_FOUND, "could not find delete request with given id".to_owned()))
        }
        Err(CancelError::Processed) => {
            Err(ApiError::bad("the delete request is being carried out or done, so it cannot be cancelled"))
        }
        Err(CancelError::TooLate) => Err(ApiError::bad(format!(
            "the delete request is older than {period}, so it cannot be cancelled; force=true cancels what is not done yet"
        ))),
        Err(CancelError::Store(error)) => Err(of_store(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, NOW_MS};
    use parking_lot::Mutex;

    #[derive(Default)]
    struct Noted(Mutex<Vec<DeletionRequest>>);

    impl LogAdmin for Noted {
        fn delete(&self, query: &str, start_ns: i64, last_ns: i64) -> Result<String, StoreError> {
            let (id, query) = (format!("{:08x}", self.0.lock().len()), query.to_owned());
            let (created_ms, state) = (NOW_MS + 500, DeletionState::Received);
            let request =
                DeletionRequest { id: id.clone(), query, start_ns, last_ns, created_ms, state, deleted_lines: 0 };
            self.0.lock().push(request);
            Ok(id)
        }
        fn requests(&self) -> Vec<DeletionRequest> {
            self.0.lock().clone()
        }
        fn cancel(&self, id: &str, force: bool) -> Result<(), CancelError> {
            match (id, force) {
                ("00000000", _) => Ok(()),
                ("late", false) => Err(CancelError::TooLate),
                ("late", true) => Ok(()),
                ("done", _) => Err(CancelError::Processed),
                _ => Err(CancelError::Unknown),
            }
        }
        fn cancel_period_ms(&self) -> i64 {
            86_400_000
        }
    }

    fn state() -> Arc<ApiState> {
        let mut state = testing::state(Arc::default(), Arc::default(), 1 << 20);
        state.log_admin = Some(Arc::new(Noted::default()));
        Arc::new(state)
    }

    async fn body(answer: Result<Response, ApiError>) -> (u16, String) {
        let response = answer.unwrap_or_else(IntoResponse::into_response);
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn requests_are_judged_as_loki_does() {
        let state = state();
        for (given, complaint) in [
            ("start=1794990000&end=1794990001", "query not set"),
            ("query=not a query&start=1794990000", "invalid query expression"),
            ("query=rate({a=\"b\"}[1m])&start=1794990000", "unsupported query expression"),
            ("query={a=\"b\"}&end=1794990000", "start time not set"),
            (
                "query={a=\"b\"}&start=1794990000000&end=1794990000",
                "invalid start time: require unix seconds or RFC3339 format",
            ),
            ("query={a=\"b\"}&start=1794990000&end=x", "invalid end time: require unix seconds or RFC3339 format"),
            ("query={a=\"b\"}&start=1794990000&end=1995000000", "deletes in the future are not allowed"),
            (
                "query={a=\"b\"}&start=1794990001&end=1794990001",
                "start time can't be greater than or equal to end time",
            ),
            (
                "query={a=\"b\"} |= \"x\"&start=1794990000&end=1794990001&max_interval=1ms",
                "invalid max_interval: valid time units are 's', 'm', 'h'",
            ),
            (
                "query={a=\"b\"} |= \"x\"&start=1794990000&end=1794990001&max_interval=30s",
                "max_interval can't be greater than the interval to be deleted (1s)",
            ),
        ] {
            let answer = body(add(State(state.clone()), Params::parse(given)).await).await;
            assert_eq!(answer, (400, complaint.to_owned()), "{given}");
        }
    }

    #[tokio::test]
    async fn requests_are_made_listed_and_taken_back() {
        let state = state();
        let given = "query={a=\"b\"} |= \"x\"&start=1794990000&end=2026-11-18T09:00:00.25Z";
        assert_eq!(body(add(State(state.clone()), Params::parse(given)).await).await, (204, String::new()));
        let (status, text) = body(list(State(state.clone())).await).await;
        let listed: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(status, 200);
        assert_eq!(
            listed,
            json!([{
                "request_id": "00000000", "start_time": 1_794_990_000, "end_time": 1_794_992_400.25, "query": "{a=\"b\"} |= \"x\"",
                "status": "received", "created_at": 1_795_000_000.5, "deleted_lines": 0,
            }])
        );
        let ask = async |given: &str| body(cancel(State(state.clone()), Params::parse(given)).await).await;
        assert_eq!(ask("request_id=00000000").await, (204, String::new()));
        assert_eq!(ask("request_id=x").await.0, 404);
        assert_eq!(ask("request_id=done").await.0, 400);
        assert!(ask("request_id=late").await.1.contains("is older than 24h0m0s"));
        assert_eq!(ask("request_id=late&force=true").await.0, 204);
    }
}
