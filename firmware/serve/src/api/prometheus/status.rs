//! Health, build, status pages, and operations on the process.

use super::answer::success;
use crate::api::text;
use crate::params::rfc3339_of_ms;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::{StatusCode, Uri, header};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

type Shared = State<Arc<ApiState>>;

pub(super) async fn healthy() -> Response {
    text(StatusCode::OK, "Bramble is Healthy.\n")
}

pub(super) async fn ready(State(state): Shared) -> Response {
    if state.operations.is_ready() {
        text(StatusCode::OK, "Bramble is Ready.\n")
    } else {
        text(
            StatusCode::SERVICE_UNAVAILABLE,
            "The journal is being replayed; writes are accepted, answers are partial.\n",
        )
    }
}

/// Unknown paths; one with doubled slashes is pointed to its shorter form, as Go's router does.
pub(super) async fn not_found(uri: Uri) -> Response {
    let path = uri.path();
    if path.contains("//") {
        let short = path.split('/').filter(|part| !part.is_empty()).fold(String::new(), |all, part| all + "/" + part);
        let query = uri.query().map(|q| format!("?{q}")).unwrap_or_default();
        let target = format!("{short}{query}");
        let mut response = Redirect::permanent(&target).into_response();
        *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
        return response;
    }
    text(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// Refuses what is asked of the process's life, unless that is switched on.
fn lifecycle_off(state: &ApiState) -> Option<Response> {
    let off = !state.operations.lifecycle_enabled();
    off.then(|| text(StatusCode::FORBIDDEN, "Lifecycle API is not enabled."))
}

pub(super) async fn reload(State(state): Shared) -> Response {
    if let Some(refusal) = lifecycle_off(&state) {
        return refusal;
    }
    match tokio::task::spawn_blocking(move || state.operations.reload()).await {
        Ok(Ok(())) => StatusCode::OK.into_response(),
        Ok(Err(message)) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("failed to reload config: {message}\n")),
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "reloading failed unexpectedly; this is a bug\n"),
    }
}

pub(super) async fn quit(State(state): Shared) -> Response {
    if let Some(refusal) = lifecycle_off(&state) {
        return refusal;
    }
    state.operations.quit();
    text(StatusCode::OK, "Requesting termination... Goodbye!")
}

/// GET where something happens is refused, with the reason.
pub(super) async fn only_post() -> Response {
    text(StatusCode::METHOD_NOT_ALLOWED, "Only POST or PUT requests allowed")
}

pub(super) async fn metrics(State(state): Shared) -> Response {
    let kind = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";
    ([(header::CONTENT_TYPE, kind)], state.operations.metrics_text()).into_response()
}

fn build_info(state: &ApiState) -> serde_json::Value {
    // Clients compare the version with Prometheus' to choose features; this is the API level we follow.
    json!({
        "version": "3.5.3", "revision": state.build.revision, "branch": "bramble",
        "buildUser": format!("bramble {}", state.build.version), "buildDate": "", "goVersion": "none",
    })
}

pub(super) async fn build(State(state): Shared) -> Response {
    success(build_info(&state))
}

pub(super) async fn version(State(state): Shared) -> Response {
    crate::api::json(StatusCode::OK, &build_info(&state))
}

/// Threads of this process.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

pub(super) async fn runtime(State(state): Shared) -> Response {
    let status = state.operations.status();
    let config = state.operations.config_state();
    let retention = state.operations.flags().into_iter().find(|(name, _)| *name == "storage.tsdb.retention.time");
    let directory = std::env::current_dir().map(|d| d.display().to_string()).unwrap_or_default();
    success(json!({
        "startTime": rfc3339_of_ms(state.started_ms), "CWD": directory, "hostname": status.hostname,
        "serverTime": rfc3339_of_ms(state.clock.wall_ms()), "reloadConfigSuccess": config.ok,
        "lastConfigTime": rfc3339_of_ms(config.read_ms), "corruptionCount": 0, "goroutineCount": threads(),
        "GOMAXPROCS": std::thread::available_parallelism().map_or(1, usize::from), "GOMEMLIMIT": status.memory.cap_bytes,
        "GOGC": "", "GODEBUG": "", "storageRetention": retention.map(|(_, value)| value).unwrap_or_default(),
    }))
}

pub(super) async fn flags(State(state): Shared) -> Response {
    success(state.operations.flags().into_iter().collect::<BTreeMap<_, _>>())
}

/// The configuration in the form that clients expect: `prometheus.yml` where one is in force, else Bramble's own.
pub(super) async fn config(State(state): Shared) -> Response {
    let yaml = state.scraping.config_yaml().unwrap_or_else(|| yaml(&state.operations.config_text()));
    success(json!({"yaml": yaml}))
}

/// The printed settings (sections of keys with plain values) as YAML, which reads the same values in the same way.
pub(crate) fn yaml(toml: &str) -> String {
    let mut out = String::new();
    for line in toml.lines() {
        let line = line.trim();
        if let Some(section) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            out.push_str(section);
            out.push_str(":\n");
        } else if let Some((key, value)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            out.push_str(&format!("  {key}: {value}\n"));
        }
    }
    out
}

pub(super) async fn replay(State(state): Shared) -> Response {
    let [min, max, current] = state.operations.replay();
    success(json!({"min": min, "max": max, "current": current}))
}

pub(super) async fn force_flush(State(state): Shared) -> Response {
    operate(state, |o| o.force_flush()).await
}

pub(super) async fn force_merge(State(state): Shared) -> Response {
    operate(state, |o| o.force_merge()).await
}

async fn operate(state: Arc<ApiState>, work: fn(&dyn crate::state::Operations) -> Result<(), String>) -> Response {
    let outcome = tokio::task::spawn_blocking(move || work(&*state.operations)).await;
    match outcome {
        Ok(Ok(())) => text(StatusCode::OK, "done\n"),
        Ok(Err(message)) => text(StatusCode::INTERNAL_SERVER_ERROR, message),
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "the operation failed unexpectedly; this is a bug"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_read_as_yaml() {
        assert_eq!(yaml("# x\n\n[a]\n# b = c\nb = \"c\"\nd = 5\n"), "a:\n  b: \"c\"\n  d: 5\n");
    }

    #[tokio::test]
    async fn doubled_slashes_are_shortened() {
        let found = not_found("/api/v1/label//values?x=1".parse().unwrap()).await;
        assert_eq!(found.status(), 301);
        assert_eq!(found.headers()["location"], "/api/v1/label/values?x=1");
        assert_eq!(not_found("/api/v1/nope".parse().unwrap()).await.status(), 404);
    }
}
