//! Correlations: lists, one as a timeline, stories, a stream of new ones, and the newest log records.
//!
//! The same paths on the main door and on that of the engine that people ran before ([`door`]). Only what was published is
//! answered: a window that is still open is seen when it closes, and revisions replace what was published before.

mod answer;
mod asked;
mod event;
mod feed;
mod links;
mod live;
#[cfg(test)]
mod log_tests;
mod logs;
mod record;
mod refusal;
mod stories;
#[cfg(test)]
mod story_tests;
#[cfg(test)]
mod tests;
mod written;

pub use feed::CorrelationFeed;

use crate::api::json;
use crate::params::Params;
use crate::run::run_holding;
use crate::state::ApiState;
use asked::Asked;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bramble_correlate::CorrelationSource;
use bramble_storage::QueryContext;
use http::{HeaderMap, StatusCode, Uri, header};
use links::Links;
use refusal::Refusal;
use serde_json::json;
use std::sync::Arc;
use written::Written;

/// What handlers have.
#[derive(Clone)]
struct Here {
    state: Arc<ApiState>,
    /// Whether the main door's other paths are at this door too.
    is_main: bool,
}

impl Here {
    fn now_ns(&self) -> i64 {
        self.state.clock.wall_ms().saturating_mul(1_000_000)
    }

    fn links(&self, headers: &HeaderMap, uri: &Uri) -> Links {
        if self.is_main {
            return Links::default();
        }
        let doors = self.state.operations.status().doors;
        let main = doors.into_iter().find(|door| door.name == "main").map(|door| door.address);
        Links::from_another_door(headers, uri, &main.unwrap_or_default())
    }

    fn source(&self) -> Result<Arc<dyn CorrelationSource>, Refusal> {
        let off = || Refusal::new(StatusCode::NOT_IMPLEMENTED, "the correlator is off (correlation.enabled)");
        self.state.correlations.clone().ok_or_else(off)
    }
}

fn routes(here: Here) -> Router {
    Router::new()
        .route("/api/correlations", get(list))
        .route("/api/correlations/stream", get(stream))
        .route("/api/correlations/{id}", get(stories::one))
        .route("/api/stories", get(stories::stories))
        .route("/api/logs", get(logs::logs))
        .with_state(here)
}

/// What the main door has of it.
pub fn router(state: Arc<ApiState>) -> Router {
    routes(Here { state, is_main: true })
}

/// What the door of correlations has: the same, `/health` and `/metrics`.
pub fn door(state: Arc<ApiState>) -> Router {
    let here = Here { state, is_main: false };
    let own = Router::new().route("/health", get(health)).route("/metrics", get(metrics)).with_state(here.clone());
    routes(here).merge(own)
}

async fn list(State(here): State<Here>, headers: HeaderMap, uri: Uri, params: Params) -> Result<Response, Refusal> {
    let query = Asked::read(&params, here.now_ns())?.into_query();
    let source = here.source()?;
    let work = move |_: &Arc<ApiState>, context: &QueryContext| source.find(&query, context);
    let (found, held) = run_holding(&here.state, None, work).await?;
    let found = found?;
    let tail = format!("],\"count\":{}{}}}", found.len(), answer::warnings(&held));
    let written = Written::new(here.links(&headers, &uri), "{\"correlations\":[");
    Ok(written.correlations(found).text(tail).send(held))
}

async fn stream(State(here): State<Here>, headers: HeaderMap, uri: Uri, params: Params) -> Result<Response, Refusal> {
    let query = Asked::read(&params, here.now_ns())?.into_query();
    here.source()?;
    let (feed, started_ms) = (&here.state.correlation_feed, here.state.started_ms);
    let listener = feed.listen(live::continued(&headers, started_ms)).ok_or_else(|| {
        let most = feed.listeners_max();
        Refusal::new(StatusCode::TOO_MANY_REQUESTS, format!("{most} clients listen already, more may not at once"))
    })?;
    Ok(live::follow(listener, query, here.links(&headers, &uri), started_ms))
}

async fn health(State(here): State<Here>) -> Response {
    if here.state.operations.is_ready() {
        json(StatusCode::OK, &json!({"status": "healthy"}))
    } else {
        json(StatusCode::SERVICE_UNAVAILABLE, &json!({"status": "starting"}))
    }
}

async fn metrics(State(here): State<Here>) -> Response {
    let text = here.state.operations.metrics_text();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}
