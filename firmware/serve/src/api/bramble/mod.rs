//! Bramble's own API, on the main port.

pub mod nodes;
pub mod owner;
pub mod peers;
mod session;
pub mod system;
mod templates;
mod tokens;

use crate::api::{json, text};
use crate::state::ApiState;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use std::sync::Arc;

/// Everything of the main port but the UI and the prefixed APIs.
pub fn router(state: Arc<ApiState>) -> Router {
    Router::new()
        .route("/api/v1/status", get(status))
        .route("/api/v1/logs/templates", get(templates::templates).post(templates::templates))
        .route("/api/problems", get(problems))
        .route("/api/health", get(health))
        .route("/-/healthy", get(|| async { text(StatusCode::OK, "healthy\n") }))
        .route("/-/ready", get(ready))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(state)
}

async fn status(State(state): State<Arc<ApiState>>) -> Response {
    json(StatusCode::OK, &state.operations.status())
}

async fn problems(State(state): State<Arc<ApiState>>) -> Response {
    json(StatusCode::OK, &state.operations.problems())
}

/// As Grafana answers, which people's probes expect.
async fn health(State(state): State<Arc<ApiState>>) -> Response {
    let body = serde_json::json!({"database": "ok", "version": state.build.version, "commit": state.build.revision});
    json(StatusCode::OK, &body)
}

async fn ready(State(state): State<Arc<ApiState>>) -> Response {
    if state.operations.is_ready() {
        text(StatusCode::OK, "ready\n")
    } else {
        text(StatusCode::SERVICE_UNAVAILABLE, "replaying the journal\n")
    }
}

async fn metrics(State(state): State<Arc<ApiState>>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], state.operations.metrics_text())
        .into_response()
}
