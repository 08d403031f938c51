//! Prometheus' HTTP API, v1. Shapes, statuses and texts: Prometheus 3.5's documentation and recorded answers.

mod admin;
mod answer;
mod asked;
mod bulk;
#[cfg(test)]
mod bulk_tests;
mod exemplars;
mod federate;
mod find;
mod metadata;
mod query;
mod remote_read;
mod rules;
mod stats;
mod status;
mod targets;
mod tree;
mod tsdb;
mod value;
mod victoria;

pub(crate) use status::yaml;

use crate::state::ApiState;
use axum::routing::{any, get, post};
use axum::{Extension, Router};
use std::sync::Arc;

/// Everything under a Prometheus base URL.
pub fn router(state: Arc<ApiState>) -> Router {
    Router::new()
        .route("/api/v1/query", get(query::instant).post(query::instant))
        .route("/api/v1/query_range", get(query::range).post(query::range))
        .route("/api/v1/query_exemplars", get(exemplars::exemplars).post(exemplars::exemplars))
        .route("/api/v1/format_query", get(tree::format).post(tree::format))
        .route("/api/v1/parse_query", get(tree::parsed).post(tree::parsed))
        .route("/api/v1/series", get(find::series).post(find::series))
        .route("/api/v1/labels", get(find::label_names).post(find::label_names))
        .route("/api/v1/label/{name}/values", get(find::label_values))
        .route("/api/v1/metadata", get(metadata::metadata))
        .route("/api/v1/targets", get(targets::targets))
        .route("/api/v1/targets/metadata", get(targets::metadata))
        .route("/api/v1/targets/relabel_steps", get(targets::relabel_steps))
        .route("/api/v1/scrape_pools", get(targets::scrape_pools))
        .route("/api/v1/rules", get(rules::rules))
        .route("/api/v1/alerts", get(rules::alerts))
        .route("/api/v1/alertmanagers", get(rules::alertmanagers))
        .route("/api/v1/notifications", get(rules::notifications))
        .route("/api/v1/notifications/live", get(rules::live_notifications))
        .route("/api/v1/status/buildinfo", get(status::build))
        .route("/api/v1/status/runtimeinfo", get(status::runtime))
        .route("/api/v1/status/flags", get(status::flags))
        .route("/api/v1/status/config", get(status::config))
        .route("/api/v1/status/walreplay", get(status::replay))
        .route("/api/v1/status/tsdb", get(tsdb::tsdb))
        .route("/api/v1/admin/tsdb/delete_series", post(admin::delete_series).put(admin::delete_series))
        .route("/api/v1/admin/tsdb/clean_tombstones", post(admin::clean_tombstones).put(admin::clean_tombstones))
        .route("/api/v1/admin/tsdb/snapshot", post(admin::snapshot).put(admin::snapshot))
        .route("/api/v1/export", get(victoria::export).post(victoria::export))
        .route("/api/v1/read", post(remote_read::read))
        .route("/federate", get(federate::federate))
        .route("/-/healthy", get(status::healthy))
        .route("/-/ready", get(status::ready))
        .route("/health", get(status::healthy))
        .route("/-/reload", post(status::reload).put(status::reload).get(status::only_post))
        .route("/-/quit", post(status::quit).put(status::quit).get(status::only_post))
        .route("/internal/force_flush", post(status::force_flush))
        .route("/internal/force_merge", post(status::force_merge))
        .route("/metrics", get(status::metrics))
        .route("/version", get(status::version))
        .route("/api/{*rest}", any(status::not_found))
        .with_state(state)
}

/// Answers as VictoriaMetrics does where it and Prometheus differ.
pub fn as_victoria(router: Router) -> Router {
    router.layer(Extension(tsdb::Victoria))
}
