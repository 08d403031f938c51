//! Loki's HTTP API, its reading half. Shapes, statuses and texts: apis.md §3–4 and answers recorded from Loki 3.7.
//!
//! Errors are plain text. Times are nanoseconds, seconds (at most ten digits, or with a point) or RFC 3339.

mod answer;
mod delete;
mod detected;
mod find;
mod index;
mod limits;
mod old;
mod patterns;
mod query;
mod rules;
mod stats;
mod status;
pub mod tail;
mod times;
mod value;

pub(crate) use answer::ApiError;
pub use limits::LokiLimits;
pub(crate) use patterns::Asked;
pub(crate) use status::config as settings;
pub(crate) use times::{number, time};

use crate::state::ApiState;
use axum::Router;
use axum::routing::{any, get};
use std::sync::Arc;

/// Everything under a Loki base URL but pushing.
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
        .route("/patterns", get(patterns::patterns).post(patterns::patterns))
        .route("/tail", get(tail::tail))
        .route("/delete", get(delete::list).post(delete::add).put(delete::add).delete(delete::cancel))
        .route("/drilldown-limits", get(limits::drilldown))
        .route("/rules", rules::all())
        .route("/rules/{namespace}", rules::namespace())
        .route("/rules/{namespace}/{group}", rules::group())
        .route("/status/buildinfo", get(status::build))
        .route("/status/config", get(status::config));
    let old = Router::new()
        .route("/query", get(old::query).post(old::query))
        .route("/label", get(old::label_names).post(old::label_names))
        .route("/label/{name}/values", get(old::label_values).post(old::label_values))
        .route("/series", get(find::series).post(find::series))
        .route("/tail", get(tail::old))
        .route("/rules", rules::all())
        .route("/rules/{namespace}", rules::namespace())
        .route("/rules/{namespace}/{group}", rules::group());
    Router::new()
        .nest("/loki/api/v1", v1)
        .nest("/api/prom", old)
        .route("/prometheus/api/v1/rules", get(rules::prometheus_rules))
        .route("/prometheus/api/v1/alerts", get(rules::prometheus_alerts))
        .route("/ready", get(status::ready))
        .route("/metrics", get(status::metrics))
        .route("/config", get(status::config))
        .route("/services", get(status::services))
        .route("/log_level", get(status::log_level).post(status::set_log_level))
        .route("/flush", get(status::flush).post(status::flush))
        .route("/ingester/flush", get(status::flush).post(status::flush))
        .route("/ingester/shutdown", get(status::shutdown).post(status::shutdown))
        .route("/ingester/flush_shutdown", get(status::shutdown).post(status::shutdown))
        .route("/", get(status::home))
        .route("/loki/{*rest}", any(status::not_found))
        .with_state(state)
}

fn now_ns(state: &ApiState) -> i64 {
    state.clock.wall_ms().saturating_mul(1_000_000)
}
