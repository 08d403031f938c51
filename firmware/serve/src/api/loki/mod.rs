//! Loki's HTTP API.

use crate::api::text;
use crate::state::ApiState;
use axum::Router;
use axum::routing::get;
use http::StatusCode;
use std::sync::Arc;

/// Everything under a Loki base URL.
pub fn router(state: Arc<ApiState>) -> Router {
    Router::new().route("/ready", get(|| async { text(StatusCode::OK, "ready\n") })).with_state(state)
}
