//! `/api/correlations/{id}`: one as a timeline; `/api/stories`: everything about some ids, over traces, services and nodes.

use super::Here;
use super::answer::{self, warnings};
use super::asked::Asked;
use super::event;
use super::links;
use super::refusal::Refusal;
use super::written::Written;
use crate::params::{Params, rfc3339_of_ns};
use crate::run::run_holding;
use crate::state::ApiState;
use axum::extract::{Path, State};
use axum::response::Response;
use bramble_correlate::story::{Story, StoryQuery, story};
use bramble_correlate::view::{Sources, Timeline, ViewLimits, timeline};
use bramble_correlate::{Correlation, CorrelationId, CorrelationSource};
use bramble_line::ids::IdKind;
use bramble_storage::{QueryContext, ReadError};
use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};
use std::sync::Arc;

/// Events of a story when nothing is said, and at most.
const EVENTS_DEFAULT: usize = 1000;
const EVENTS_MAX: usize = 5000;

/// How far back a story goes unless told otherwise: as far as correlations are kept.
const LOOK_BACK_NS: i64 = 90 * 86_400_000_000_000;

fn sources<'a>(state: &'a ApiState, correlations: &'a dyn CorrelationSource) -> Sources<'a> {
    Sources { logs: &*state.logs, traces: &*state.traces, correlations, metrics: Some(&*state.metrics) }
}

type Told = Option<(Correlation, Timeline)>;

/// A correlation and its timeline.
fn read(
    state: &ApiState,
    source: &dyn CorrelationSource,
    id: CorrelationId,
    context: &QueryContext,
) -> Result<Told, ReadError> {
    let Some(found) = source.get(id, context)? else { return Ok(None) };
    let told = timeline(&found, &sources(state, source), &ViewLimits::default(), context)?;
    Ok(Some((found, told)))
}

/// `/api/correlations/{id}`
pub(super) async fn one(
    State(here): State<Here>,
    headers: HeaderMap,
    uri: Uri,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let id: CorrelationId = id.parse().map_err(|why: String| Refusal::bad("id", why))?;
    let source = here.source()?;
    let work = move |state: &Arc<ApiState>, context: &QueryContext| read(state, &*source, id, context);
    let (told, held) = run_holding(&here.state, None, work).await?;
    let none = || Refusal { status: StatusCode::NOT_FOUND, field: Some("id"), message: format!("no correlation {id}") };
    let (found, told) = told?.ok_or_else(none)?;
    let links = here.links(&headers, &uri);
    let mut head = answer::correlation(&found, &links);
    head.insert("skew".to_owned(), event::skew(&told.skew));
    head.insert("truncated".to_owned(), told.truncated.into());
    let tail = format!("]{}}}", warnings(&held));
    Ok(Written::new(links, opened(head.into(), "timeline")).events(told.events).text(tail).send(held))
}

/// `/api/stories`
pub(super) async fn stories(
    State(here): State<Here>,
    headers: HeaderMap,
    uri: Uri,
    params: Params,
) -> Result<Response, Refusal> {
    let now_ns = here.now_ns();
    let asked = Asked::read_with(&params, now_ns, EVENTS_DEFAULT, EVENTS_MAX)?;
    if asked.ids.is_empty() {
        let names: Vec<&str> = IdKind::BUSINESS.iter().map(|kind| kind.as_str()).collect();
        return Err(Refusal::bad("circuit_id", format!("a story is that of an id: give one of {}", names.join(", "))));
    }
    let source = here.source()?;
    let query = StoryQuery {
        ids: asked.ids,
        since_ns: asked.since_ns.unwrap_or(now_ns.saturating_sub(LOOK_BACK_NS)),
        until_ns: asked.until_ns.unwrap_or(i64::MAX),
        limit: asked.limit,
    };
    let work = move |state: &Arc<ApiState>, context: &QueryContext| story(&query, &sources(state, &*source), context);
    let (told, held) = run_holding(&here.state, None, work).await?;
    let links = here.links(&headers, &uri);
    let told = told?;
    let head = story_head(&told, &links);
    let tail = format!("]{}}}", warnings(&held));
    let written = Written::new(links, opened(head, "correlations")).correlations(told.correlations);
    Ok(written.text("],\"events\":[").events(told.events).text(tail).send(held))
}

fn story_head(told: &Story, links: &links::Links) -> Value {
    let is_empty = told.events.is_empty() && told.correlations.is_empty();
    let time = |ns: i64| if is_empty { Value::Null } else { rfc3339_of_ns(ns).into() };
    let ids: Vec<(IdKind, &str)> = told.ids.iter().map(|(kind, value)| (*kind, value.as_str())).collect();
    json!({
        "ids": answer::ids(&told.ids),
        "start": time(told.start_ns),
        "end": time(told.end_ns),
        "services": told.services,
        "nodes": told.nodes,
        "traces": told.traces.iter().map(|id| id.to_string()).collect::<Vec<_>>(),
        "truncated": told.truncated,
        "links": {"self": links::story(&ids), "page": links.story_page(&ids)},
    })
}

/// An object that goes on with a list under `name`.
fn opened(object: Value, name: &str) -> String {
    let mut text = object.to_string();
    text.pop();
    text.push_str(&format!(",\"{name}\":["));
    text
}
