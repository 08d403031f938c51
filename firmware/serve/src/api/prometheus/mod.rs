//! Prometheus' HTTP API, v1. Shapes, statuses and texts: Prometheus 3.5's documentation and recorded answers.

mod answer;
mod find;
mod query;
mod status;

use crate::state::ApiState;
use axum::Router;
use axum::routing::{any, get, post};
use std::sync::Arc;

/// Everything under a Prometheus base URL.
pub fn router(state: Arc<ApiState>) -> Router {
    Router::new()
        .route("/api/v1/query", get(query::instant).post(query::instant))
        .route("/api/v1/query_range", get(query::range).post(query::range))
        .route("/api/v1/query_exemplars", get(query::exemplars).post(query::exemplars))
        .route("/api/v1/format_query", get(query::format).post(query::format))
        .route("/api/v1/series", get(find::series).post(find::series))
        .route("/api/v1/labels", get(find::label_names).post(find::label_names))
        .route("/api/v1/label/{name}/values", get(find::label_values))
        .route("/api/v1/metadata", get(find::metadata))
        .route("/api/v1/targets", get(status::targets))
        .route("/api/v1/targets/metadata", get(status::empty_list))
        .route("/api/v1/scrape_pools", get(status::scrape_pools))
        .route("/api/v1/rules", get(status::rules))
        .route("/api/v1/alerts", get(status::alerts))
        .route("/api/v1/alertmanagers", get(status::alertmanagers))
        .route("/api/v1/status/buildinfo", get(status::build))
        .route("/api/v1/status/runtimeinfo", get(status::runtime))
        .route("/api/v1/status/flags", get(status::flags))
        .route("/api/v1/status/config", get(status::config))
        .route("/api/v1/status/walreplay", get(status::replay))
        .route("/api/v1/status/tsdb", get(status::tsdb))
        .route("/-/healthy", get(status::healthy))
        .route("/-/ready", get(status::ready))
        .route("/health", get(status::healthy))
        .route("/-/reload", post(status::lifecycle_off).put(status::lifecycle_off))
        .route("/-/quit", post(status::lifecycle_off).put(status::lifecycle_off))
        .route("/internal/force_flush", post(status::force_flush))
        .route("/internal/force_merge", post(status::force_merge))
        .route("/metrics", get(status::metrics))
        .route("/version", get(status::version))
        .route("/api/{*rest}", any(status::not_found))
        .with_state(state)
}
