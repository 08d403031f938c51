//! Health, build, and calls whose feature is configured elsewhere.

use crate::api::prometheus::yaml;
use crate::api::{json, text};
use crate::params::Params;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::json;
use std::sync::Arc;

type Shared = State<Arc<ApiState>>;

/// Loki's API level that we follow; clients choose features by it.
pub(super) const LEVEL: &str = "3.7.6";

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

/// All settings as YAML; `mode=defaults`: their defaults; `mode=diff`: those that are not at their default.
pub(crate) async fn config(State(state): Shared, params: Params) -> Response {
    let operations = &state.operations;
    let shown = match params.get("mode") {
        None => operations.config_text(),
        Some("defaults") => operations.default_config_text(),
        Some("diff") => differing(&operations.config_text(), &operations.default_config_text()),
        Some(other) => return text(StatusCode::BAD_REQUEST, format!("unknown mode: {other}\n")),
    };
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], yaml(&shown)).into_response()
}

/// The lines of `now` that are not among `defaults`, below their sections.
fn differing(now: &str, defaults: &str) -> String {
    let (mut out, mut section, mut pending) = (String::new(), "", "");
    let mut known = std::collections::HashSet::new();
    for line in defaults.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        }
        known.insert((section, line));
    }
    section = "";
    for line in now.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if line.starts_with('[') {
            (section, pending) = (line, line);
        } else if !known.contains(&(section, line)) {
            for line in [std::mem::take(&mut pending), line].into_iter().filter(|line| !line.is_empty()) {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    out
}

fn said(status: &str, message: String) -> Response {
    let code = if status == "success" { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    json(code, &json!({"status": status, "message": message}))
}

pub(super) async fn log_level(State(state): Shared) -> Response {
    said("success", format!("Current log level is {}", state.operations.log_level()))
}

pub(super) async fn set_log_level(State(state): Shared, params: Params) -> Response {
    let level = params.get("log_level").unwrap_or("");
    match state.operations.set_log_level(level) {
        Ok(()) => said("success", format!("Log level set to {level}")),
        Err(error) => said("failed", error),
    }
}

/// Writes what is in memory as blocks; answers when it is done.
pub(super) async fn flush(State(state): Shared) -> Response {
    match tokio::task::spawn_blocking(move || state.operations.force_flush()).await {
        Ok(Ok(())) => StatusCode::NO_CONTENT.into_response(),
        Ok(Err(error)) => text(StatusCode::INTERNAL_SERVER_ERROR, error),
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "flushing failed unexpectedly; this is a bug"),
    }
}

/// Ends the process, which flushes, where that is allowed.
pub(super) async fn shutdown(State(state): Shared) -> Response {
    if !state.operations.lifecycle_enabled() {
        return text(StatusCode::FORBIDDEN, "stopping over HTTP is off; see prometheus.enable_lifecycle\n");
    }
    state.operations.quit();
    StatusCode::NO_CONTENT.into_response()
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

#[cfg(test)]
mod tests {
    use super::differing;

    #[test]
    fn only_what_differs() {
        let (defaults, now) = ("[a]\nx = 1\ny = 2\n[b]\nx = 1\n", "[a]\nx = 1\ny = 3\n[b]\nx = 1\n[c]\nx = 1\n");
        assert_eq!(differing(now, defaults), "[a]\ny = 3\n[c]\nx = 1\n");
        assert_eq!(differing(defaults, defaults), "");
    }
}
