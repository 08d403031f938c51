//! Health, build, and calls whose feature is configured elsewhere.

use crate::api::{json, text};
use crate::state::ApiState;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::json;
use std::sync::Arc;

type Shared = State<Arc<ApiState>>;

/// Loki's API level that we follow; clients choose features by it.
const LEVEL: &str = "3.7.6";

pub(super) async fn ready(State(state): Shared) -> Response {
    if state.operations.is_ready() {
        text(StatusCode::OK, "ready\n")
    } else {
        text(
            StatusCode::SERVICE_UNAVAILABLE,
            "the journal is being replayed; writes are accepted, answers are partial\n",
        )
    }
}

pub(super) async fn home() -> Response {
    text(StatusCode::OK, "Bramble: Loki query API\n")
}

pub(super) async fn not_found() -> Response {
    text(StatusCode::NOT_FOUND, "404 page not found\n")
}

pub(super) async fn metrics(State(state): Shared) -> Response {
    let kind = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";
    ([(header::CONTENT_TYPE, kind)], state.operations.metrics_text()).into_response()
}

pub(super) async fn config(State(state): Shared) -> Response {
    text(StatusCode::OK, state.operations.config_text())
}

pub(super) async fn services(State(state): Shared) -> Response {
    let word = if state.operations.is_ready() { "Running" } else { "Starting" };
    text(StatusCode::OK, format!("bramble => {word}\n"))
}

pub(super) async fn build(State(state): Shared) -> Response {
    json(
        StatusCode::OK,
        &json!({
            "version": LEVEL, "revision": state.build.revision, "branch": "bramble",
            "buildUser": format!("bramble {}", state.build.version), "buildDate": "", "goVersion": "none",
        }),
    )
}

/// No rules are evaluated: an empty YAML map.
pub(super) async fn rules() -> Response {
    ([(header::CONTENT_TYPE, "application/yaml")], "{}\n").into_response()
}

pub(super) async fn prometheus_rules() -> Response {
    json(StatusCode::OK, &json!({"status": "success", "data": {"groups": []}, "errorType": "", "error": ""}))
}

pub(super) async fn prometheus_alerts() -> Response {
    json(StatusCode::OK, &json!({"status": "success", "data": {"alerts": []}, "errorType": "", "error": ""}))
}
