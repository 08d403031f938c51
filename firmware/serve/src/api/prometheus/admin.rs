//! `/admin/tsdb`: deleting series and copying the store. Off unless enabled.

use super::answer::{ApiError, success};
use super::asked::{EVER_MS, selectors_of, time_of};
use crate::params::Params;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bramble_storage::{MetricAdmin, StoreError};
use http::StatusCode;
use serde_json::json;
use std::sync::Arc;

type Shared = State<Arc<ApiState>>;

/// The administrator's side of the store, if it may be asked.
fn admin_of(state: &ApiState) -> Result<Arc<dyn MetricAdmin>, ApiError> {
    state.metric_admin.clone().ok_or_else(|| ApiError::disabled("admin APIs disabled"))
}

async fn blocking<T, F>(work: F) -> Result<T, ApiError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, StoreError> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome.map_err(ApiError::internal),
        Err(_) => Err(ApiError::internal("the operation failed unexpectedly; this is a bug")),
    }
}

pub(super) async fn delete_series(State(state): Shared, params: Params) -> Result<Response, ApiError> {
    let admin = admin_of(&state)?;
    if params.all(&["match[]"]).next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let (start_ms, end_ms) = (time_of(&params, "start", EVER_MS.0)?, time_of(&params, "end", EVER_MS.1)?);
    let selectors = selectors_of(&params).map_err(|e| ApiError::parameter("match[]", e))?;
    blocking(move || admin.delete_series(&selectors, start_ms, end_ms)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn clean_tombstones(State(state): Shared) -> Result<Response, ApiError> {
    let admin = admin_of(&state)?;
    blocking(move || admin.clean_tombstones()).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn snapshot(State(state): Shared, params: Params) -> Result<Response, ApiError> {
    let admin = admin_of(&state)?;
    let skip_head = match params.get("skip_head") {
        None => false,
        Some(text) => super::rules::truth(text).ok_or_else(|| {
            let why = format!(
                "unable to parse boolean \"skip_head\" argument: strconv.ParseBool: parsing \"{text}\": invalid syntax"
            );
            ApiError::bad_data(why)
        })?,
    };
    let name = blocking(move || admin.snapshot(skip_head)).await?;
    Ok(success(json!({"name": name})))
}
