//! Correlations: lists, one as a timeline, stories, a stream of new ones, and the newest log records.
//!
//! The same paths on the main door and on that of the engine that people ran before ([`door`]). Only what was published is
//! answered: a window that is still open is seen when it closes, and revisions replace what was published before.

mod answer;
mod asked;
mod feed;
mod links;
mod live;
mod refusal;
#[cfg(test)]
mod tests;

pub use feed::CorrelationFeed;

use crate::api::json;
use crate::params::Params;
use crate::run::run_holding;
use crate::state::ApiState;
use asked::Asked;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bramble_correlate::{CorrelationId, CorrelationSource};
use bramble_storage::QueryContext;
use http::{HeaderMap, StatusCode, Uri, header};
use links::Links;
use refusal::Refusal;
use serde_json::json;
use std::sync::Arc;

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
        .route("/api/correlations/{id}", get(one))
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
    Ok(answer::list(found?, here.links(&headers, &uri), held))
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

async fn one(
    State(here): State<Here>,
    headers: HeaderMap,
    uri: Uri,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let id: CorrelationId = id.parse().map_err(|why: String| Refusal::bad("id", why))?;
    let source = here.source()?;
    let work = move |_: &Arc<ApiState>, context: &QueryContext| source.get(id, context);
    let (found, _held) = run_holding(&here.state, None, work).await?;
    let none = || Refusal { status: StatusCode::NOT_FOUND, field: Some("id"), message: format!("no correlation {id}") };
    let found = found?.ok_or_else(none)?;
    Ok(json(StatusCode::OK, &answer::correlation(&found, &here.links(&headers, &uri))))
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
