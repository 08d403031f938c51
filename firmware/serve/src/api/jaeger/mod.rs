//! Jaeger's query API: v1, what Grafana's Jaeger source, older Jaeger UIs and scripts call, and v3, what newer UIs do.

mod answer;
mod dependencies;
mod model;
mod monitor;
mod search;
mod tags;
#[cfg(test)]
mod tests;
mod transform;
mod v3;

use crate::api::text;
use crate::params::Params;
use crate::run::{run, run_holding};
use crate::state::ApiState;
use answer::{ApiError, envelope};
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use bramble_signal::{SpanKind, TraceId};
use bramble_storage::QueryContext;
use http::StatusCode;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

type Shared = State<Arc<ApiState>>;

/// Everything under a Jaeger base URL.
pub fn router(state: Arc<ApiState>) -> Router {
    Router::new()
        .route("/api/services", get(services))
        .route("/api/services/{service}/operations", get(operations_of_service))
        .route("/api/operations", get(operations))
        .route("/api/traces", get(search::traces))
        .route("/api/traces/{id}", get(trace))
        .route("/api/archive/{id}", post(archive))
        .route("/api/dependencies", get(dependencies::dependencies))
        .route("/api/transform", post(transform::transform))
        .route("/api/metrics/minstep", get(monitor::min_step))
        .route("/api/metrics/{what}", get(monitor::monitor))
        .nest("/api/v3", v3::router())
        .route("/", get(|| async { text(StatusCode::OK, "Bramble: Jaeger query API\n") }))
        .route("/api/{*rest}", any(not_found))
        .with_state(state)
}

async fn not_found() -> Response {
    ApiError::new(StatusCode::NOT_FOUND, "unknown path").into_response()
}

/// Jaeger's words where no archive is configured: traces worth keeping are kept by tier here.
async fn archive(Path(id): Path<String>) -> ApiError {
    ApiError::new(
        StatusCode::NOT_IMPLEMENTED,
        format!("archive span storage was not configured; trace {id} stays as it is"),
    )
}

/// All services that are stored.
async fn find_services(state: &Arc<ApiState>) -> Result<(Vec<String>, Vec<String>), crate::run::RunError> {
    let work = |state: &Arc<ApiState>, context: &QueryContext| {
        state.traces.services(0, u64::MAX, context).map(|s| (s, context.warnings()))
    };
    run(state, None, work).await?.map_err(crate::run::RunError::Read)
}

async fn services(State(state): Shared) -> Result<Response, ApiError> {
    let (services, warnings) = find_services(&state).await?;
    let total = services.len();
    Ok(envelope(services, total, &warnings))
}

type Operations = Vec<(String, SpanKind)>;

/// Operations of a service with their kinds.
async fn find_operations(
    state: &Arc<ApiState>,
    service: String,
) -> Result<(Operations, Vec<String>), crate::run::RunError> {
    let work = move |state: &Arc<ApiState>, context: &QueryContext| {
        state.traces.operations(&service, 0, u64::MAX, context).map(|o| (o, context.warnings()))
    };
    run(state, None, work).await?.map_err(crate::run::RunError::Read)
}

async fn operations_of_service(State(state): Shared, Path(service): Path<String>) -> Result<Response, ApiError> {
    let (operations, warnings) = find_operations(&state, service).await?;
    let names: BTreeSet<String> = operations.into_iter().map(|(name, _)| name).collect();
    let total = names.len();
    Ok(envelope(names, total, &warnings))
}

/// The word Jaeger has for a kind; empty when it was not said.
fn kind_word(kind: SpanKind) -> &'static str {
    if kind == SpanKind::Unspecified { "" } else { kind.as_str() }
}

/// `[{"name", "spanKind"}]` of those of a kind, or all.
fn operations_json(operations: &Operations, kind: Option<&str>) -> Vec<Value> {
    let wanted = kind.map(str::to_lowercase);
    operations
        .iter()
        .filter(|(_, kind)| wanted.as_deref().is_none_or(|w| w == kind_word(*kind)))
        .map(|(name, kind)| json!({"name": name, "spanKind": kind_word(*kind)}))
        .collect()
}

async fn operations(State(state): Shared, params: Params) -> Result<Response, ApiError> {
    let service = params.get("service").ok_or_else(|| ApiError::bad("parameter 'service' is required"))?.to_owned();
    let (operations, warnings) = find_operations(&state, service).await?;
    let list = operations_json(&operations, params.get("spanKind"));
    let total = list.len();
    Ok(envelope(list, total, &warnings))
}

async fn trace(State(state): Shared, Path(id): Path<String>, params: Params) -> Result<Response, ApiError> {
    let id = TraceId::parse(&id).ok_or_else(|| ApiError::bad(format!("trace id {id:?} is not 1 to 32 hex digits")))?;
    search::check_times(&params)?;
    let work = move |state: &Arc<ApiState>, context: &QueryContext| state.traces.trace(id, context);
    let (trace, held) = run_holding(&state, None, work).await?;
    let trace = trace?;
    if trace.is_empty() {
        return Err(ApiError::new(StatusCode::NOT_FOUND, "trace not found"));
    }
    Ok(answer::traces(trace, held))
}

/// A whole number among the parameters.
fn number(params: &Params, name: &str, default: u64) -> Result<u64, ApiError> {
    match params.get(name) {
        None => Ok(default),
        Some(text) => {
            text.parse().map_err(|_| ApiError::bad(format!("unable to parse param '{name}': {text:?} is not a number")))
        }
    }
}
