//! Tempo's HTTP API: what Grafana's Tempo source and its scripts call.

mod answer;
mod metrics;
mod search;
mod tags;
mod trace;

use crate::api::text;
use crate::state::ApiState;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{any, get};
use http::StatusCode;
use std::sync::Arc;

/// Everything under a Tempo base URL.
pub fn router(state: Arc<ApiState>) -> Router {
    Router::new()
        .route("/api/echo", get(|| async { text(StatusCode::OK, "echo") }))
        .route("/api/traces/{id}", get(trace::v1))
        .route("/api/v2/traces/{id}", get(trace::v2))
        .route("/api/search", get(search::traces))
        .route("/api/search/tags", get(tags::names_v1))
        .route("/api/search/tag/{tag}/values", get(tags::values_v1))
        .route("/api/v2/search/tags", get(tags::names_v2))
        .route("/api/v2/search/tag/{tag}/values", get(tags::values_v2))
        .route("/api/metrics/query_range", get(metrics::range))
        .route("/api/metrics/query", get(metrics::instant))
        .route("/ready", get(ready))
        .route("/", get(|| async { text(StatusCode::OK, "Bramble: Tempo API\n") }))
        .route("/api/status/buildinfo", get(build))
        .route("/api/{*rest}", any(|| async { text(StatusCode::NOT_FOUND, "404 page not found\n") }))
        .with_state(state)
}

async fn ready(State(state): State<Arc<ApiState>>) -> Response {
    if state.operations.is_ready() {
        text(StatusCode::OK, "ready\n")
    } else {
        text(StatusCode::SERVICE_UNAVAILABLE, "replaying the journal\n")
    }
}

async fn build(State(state): State<Arc<ApiState>>) -> Response {
    let body = serde_json::json!({
        "version": "v3.0.3", "revision": state.build.revision, "branch": "bramble",
        "buildUser": format!("bramble {}", state.build.version), "buildDate": "", "goVersion": "none",
    });
    crate::api::json(StatusCode::OK, &body)
}
