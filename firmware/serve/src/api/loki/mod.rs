//! Loki's HTTP API, its reading half. Shapes, statuses and texts: apis.md §3–4 and answers recorded from Loki 3.7.
//!
//! Errors are plain text. Times are nanoseconds, seconds (at most ten digits, or with a point) or RFC 3339.

mod answer;
mod detected;
mod find;
mod index;
mod query;
mod status;
pub mod tail;
mod times;

use crate::state::ApiState;
use axum::Router;
use axum::routing::{any, get};
use std::sync::Arc;

/// Everything under a Loki base URL but pushing and tailing.
pub fn router(state: Arc<ApiState>) -> Router {
    let v1 = Router::new()
        .route("/query", get(query::instant).post(query::instant))
        .route("/query_range", get(query::range).post(query::range))
        .route("/format_query", get(query::format).post(query::format))
        .route("/labels", get(find::label_names).post(find::label_names))
        .route("/label", get(find::label_names).post(find::label_names))
        .route("/label/{name}/values", get(find::label_values).post(find::label_values))
        .route("/series", get(find::series).post(find::series))
        .route("/index/stats", get(index::stats).post(index::stats))
        .route("/index/volume", get(index::volume).post(index::volume))
        .route("/index/volume_range", get(index::volume_range).post(index::volume_range))
        .route("/detected_labels", get(detected::labels).post(detected::labels))
        .route("/detected_fields", get(detected::fields).post(detected::fields))
        .route("/detected_field/{name}/values", get(detected::field_values).post(detected::field_values))
        .route("/patterns", get(detected::patterns).post(detected::patterns))
        .route("/tail", get(tail::tail))
        .route("/rules", get(status::rules))
        .route("/status/buildinfo", get(status::build));
    Router::new()
        .nest("/loki/api/v1", v1)
        .route("/prometheus/api/v1/rules", get(status::prometheus_rules))
        .route("/prometheus/api/v1/alerts", get(status::prometheus_alerts))
        .route("/api/prom/tail", get(tail::old))
        .route("/ready", get(status::ready))
        .route("/metrics", get(status::metrics))
        .route("/config", get(status::config))
        .route("/services", get(status::services))
        .route("/", get(status::home))
        .route("/loki/{*rest}", any(status::not_found))
        .with_state(state)
}
