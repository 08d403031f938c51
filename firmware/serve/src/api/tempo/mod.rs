//! Tempo's API: what Grafana's Tempo source, its Traces Drilldown and scripts call, over HTTP ([`router`]) and, for
//! streaming, over gRPC ([`grpc_router`]).
//!
//! A question is read from parameters or from a message into one `Asked`, checked against [`TempoLimits`], answered by the
//! engine, and printed as JSON or protobuf. Message layouts stand at the functions that write them, and for requests in
//! `grpc/requests.rs`.

mod answer;
mod grpc;
mod limits;
mod metrics;
mod search;
mod status;
mod tags;
#[cfg(test)]
mod tests;
mod times;
mod trace;
mod value;

pub use grpc::router as grpc_router;
pub use limits::TempoLimits;

use crate::state::ApiState;
use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodRouter, any, get};
use std::sync::Arc;

/// What `/status/endpoints` lists.
const ENDPOINTS: [&str; 15] = [
    "/api/echo",
    "/api/metrics/query",
    "/api/metrics/query_range",
    "/api/search",
    "/api/search/tag/{tag}/values",
    "/api/search/tags",
    "/api/status/buildinfo",
    "/api/traces/{id}",
    "/api/v2/search/tag/{tag}/values",
    "/api/v2/search/tags",
    "/api/v2/traces/{id}",
    "/metrics",
    "/ready",
    "/status",
    "/tempopb.StreamingQuerier/{method}",
];

/// By GET, or by POST with the parameters in the query string or a form.
fn ask<H: Handler<T, Arc<ApiState>>, T: 'static>(handler: H) -> MethodRouter<Arc<ApiState>> {
    get(handler.clone()).post(handler)
}

/// Everything under a Tempo base URL.
pub fn router(state: Arc<ApiState>) -> Router {
    Router::new()
        .route("/api/echo", ask(status::echo))
        .route("/api/traces/{id}", ask(trace::v1))
        .route("/api/v2/traces/{id}", ask(trace::v2))
        .route("/api/search", ask(search::traces))
        .route("/api/search/tags", ask(tags::names_v1))
        .route("/api/search/tag/{tag}/values", ask(tags::values_v1))
        .route("/api/v2/search/tags", ask(tags::names_v2))
        .route("/api/v2/search/tag/{tag}/values", ask(tags::values_v2))
        .route("/api/metrics/query_range", ask(metrics::range))
        .route("/api/metrics/query", ask(metrics::instant))
        .route("/ready", get(status::ready))
        .route("/metrics", get(status::metrics))
        .route("/", get(status::home))
        .route("/status", get(status::all))
        .route("/status/version", get(status::version))
        .route("/status/services", get(status::services))
        .route("/status/endpoints", get(status::endpoints))
        .route("/status/config", get(crate::api::loki::settings))
        .route("/status/buildinfo", get(status::build))
        .route("/api/status/buildinfo", get(status::build))
        .route("/status/{*rest}", any(status::not_found))
        .route("/api/{*rest}", any(status::not_found))
        .with_state(state)
}
