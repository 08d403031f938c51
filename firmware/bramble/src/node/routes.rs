//! Doors of a node: the ways in, and what it says of itself.

use super::status::NodeStatus;
use crate::config::Config;
use crate::doors::{Door, Served};
use crate::serving::door_addresses;
use crate::span_doors;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bramble_collect::receivers::{self, ReceiverState};
use std::sync::Arc;

/// What each door serves. Doors of APIs that ask are closed: a node has nothing to answer from.
pub(super) fn doors(config: &Config, receivers: &ReceiverState, status: &Arc<NodeStatus>) -> Vec<Door> {
    let prometheus = || receivers::remote_write(receivers.clone()).merge(receivers::import(receivers.clone()));
    let with_status = |router: Router| router.merge(about(status.clone()));
    let router = |name: &str| {
        Some(match name {
            "main" => with_status(
                Router::new()
                    .nest("/prometheus", prometheus())
                    .nest("/loki", receivers::loki_push(receivers.clone()))
                    .nest("/zipkin", receivers::zipkin(receivers.clone()))
                    .merge(receivers::correlation(receivers.clone()))
                    .merge(receivers::otlp_http(receivers.clone())),
            ),
            "prometheus" | "victoria_metrics" => with_status(prometheus()),
            "loki" => with_status(receivers::loki_push(receivers.clone())),
            "otlp_grpc" | "otlp_grpc_old" => receivers::otlp_grpc(receivers.clone()),
            "otlp_http" | "otlp_http_old" => receivers::otlp_http(receivers.clone()),
            "correlation" => {
                with_status(receivers::correlation(receivers.clone()).merge(receivers::otlp_http(receivers.clone())))
            }
            "health" | "jaeger_health" => health(status.clone()),
            _ => return None,
        })
    };
    let door = |(name, address)| {
        let served = span_doors::of_senders(name, config, receivers);
        let served = served.or_else(|| router(name).map(Served::Http));
        // What a node has no answer for stays closed.
        let address = served.is_some().then_some(address).flatten();
        let served = served.unwrap_or_else(|| Served::Http(Router::new()));
        Door { name, address, served, required: name == "main" }
    };
    door_addresses(config).into_iter().map(door).collect()
}

/// What a node says of itself. It lives and is ready when it answers: without its hubs it keeps what it takes.
fn about(status: Arc<NodeStatus>) -> Router {
    let metrics = |State(status): State<Arc<NodeStatus>>| async move {
        ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], status.metrics_text())
    };
    let shown = |State(status): State<Arc<NodeStatus>>| async move { Json(status.json()) };
    let problems = |State(status): State<Arc<NodeStatus>>| async move { Json(status.watched.problems()) };
    let mut router = Router::new()
        .route("/metrics", get(metrics))
        .route("/api/status", get(shown))
        .route("/api/problems", get(problems))
        .route("/-/reload", post(reload).put(reload));
    for path in ["/-/healthy", "/-/ready", "/ready", "/health", "/api/health"] {
        router = router.route(path, get(|| async { "ready\n" }));
    }
    router.route("/", get(shown)).with_state(status)
}

/// As on a hub: only where the settings allow it.
async fn reload(State(status): State<Arc<NodeStatus>>) -> Response {
    if !status.reload.config().prometheus.enable_lifecycle {
        return (StatusCode::FORBIDDEN, "Lifecycle API is not enabled.").into_response();
    }
    let wrong = match tokio::task::spawn_blocking(move || status.reload()).await {
        Ok(Ok(())) => return StatusCode::OK.into_response(),
        Ok(Err(wrong)) => wrong,
        Err(error) => error.to_string(),
    };
    (StatusCode::INTERNAL_SERVER_ERROR, format!("failed to reload config: {wrong}\n")).into_response()
}

/// As the health check of OpenTelemetry's Collector; the body tells whether a hub is there.
fn health(status: Arc<NodeStatus>) -> Router {
    let answer = |State(status): State<Arc<NodeStatus>>| async move {
        let hub = if status.has_hub() { "connected" } else { "away; what comes in is queued" };
        let body = serde_json::json!({"status": "Server available", "hub": hub}).to_string();
        (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    };
    Router::new().route("/", get(answer)).route("/status", get(answer)).with_state(status)
}
