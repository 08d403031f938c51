//! Health, build and settings, where Tempo has them.

use crate::api::{json, text};
use crate::state::ApiState;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::{Value, json};
use std::sync::Arc;

type Shared = State<Arc<ApiState>>;

/// Tempo's API level that we follow; clients choose features by it.
const LEVEL: &str = "v3.0.3";

pub(super) async fn echo() -> Response {
    text(StatusCode::OK, "echo")
}

pub(super) async fn home() -> Response {
    text(StatusCode::OK, "Bramble: Tempo API\n")
}

pub(super) async fn not_found() -> Response {
    text(StatusCode::NOT_FOUND, "404 page not found\n")
}

pub(super) async fn ready(State(state): Shared) -> Response {
    if state.operations.is_ready() {
        text(StatusCode::OK, "ready\n")
    } else {
        text(StatusCode::SERVICE_UNAVAILABLE, "replaying the journal\n")
    }
}

fn build_info(state: &ApiState) -> Value {
    json!({
        "version": LEVEL, "revision": state.build.revision, "branch": "bramble",
        "buildUser": format!("bramble {}", state.build.version), "buildDate": "", "goVersion": "none",
    })
}

pub(super) async fn build(State(state): Shared) -> Response {
    json(StatusCode::OK, &build_info(&state))
}

pub(super) async fn metrics(State(state): Shared) -> Response {
    let kind = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";
    ([(header::CONTENT_TYPE, kind)], state.operations.metrics_text()).into_response()
}

fn version_text(state: &ApiState) -> String {
    format!("tempo, version {LEVEL}\nbramble, version {} (revision {})\n", state.build.version, state.build.revision)
}

pub(super) async fn version(State(state): Shared) -> Response {
    text(StatusCode::OK, version_text(&state))
}

fn services_text(state: &ApiState) -> String {
    let recovery = if state.operations.is_ready() { "Running" } else { "Starting" };
    let doors = state.operations.status().doors.into_iter().filter(|door| door.name == "tempo");
    let door: String = doors.map(|d| format!("door tempo {}: {}\n", d.address, d.state)).collect();
    format!("journal: {recovery}\nquery: Running\n{door}")
}

pub(super) async fn services(State(state): Shared) -> Response {
    text(StatusCode::OK, services_text(&state))
}

fn endpoints_text() -> String {
    super::ENDPOINTS.iter().map(|path| format!("{path}\n")).collect()
}

pub(super) async fn endpoints() -> Response {
    text(StatusCode::OK, endpoints_text())
}

/// All of it; the settings are at `/status/config`.
pub(super) async fn all(State(state): Shared) -> Response {
    let parts = [version_text(&state), services_text(&state), endpoints_text()];
    text(StatusCode::OK, parts.join("\n"))
}
