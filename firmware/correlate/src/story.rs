//! Everything about one circuit, request, product or resource, across traces, as one narrative.
//!
//! ```text
//! ids ─▶ correlations that have them ─┐
//!     ─▶ spans that have them         ├─▶ traces ─▶ all their spans and entries ─┐
//!     ─▶ entries that name them ──────┘                                          ├─▶ events by corrected time,
//!             └──────────────────────────────────────────────────────────────────┘   each once, bounded
//! ```
//!
//! Values are compared whole: `circ-1` is not `circ-10`. With several ids, an item must have all of them, or be of a trace
//! that has. With more than fits the newest traces are told, and of each trace what matters most.

mod gather;
#[cfg(test)]
mod tests;

use crate::correlation::{Correlation, CorrelationQuery};
use crate::story::gather::Gathered;
use crate::view::{Event, Sources};
use bramble_line::ids::IdKind;
use bramble_signal::TraceId;
use bramble_storage::{QueryContext, ReadError};
use std::collections::BTreeSet;
use std::hash::Hash;

/// Correlations that are told.
const CORRELATIONS_MAX: usize = 200;

/// What a story is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoryQuery {
    /// All of these.
    pub ids: Vec<(IdKind, String)>,
    /// From here, nanoseconds, inclusive.
    pub since_ns: i64,
    /// To here, exclusive.
    pub until_ns: i64,
    /// At most so many events.
    pub limit: usize,
}

/// What happened to it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Story {
    /// What it is about.
    pub ids: Vec<(IdKind, String)>,
    /// First instant of any event, corrected, nanoseconds; 0 when there is none.
    pub start_ns: i64,
    /// Last instant of any event, likewise: ends of spans.
    pub end_ns: i64,
    /// Who took part, in order of appearance.
    pub services: Vec<String>,
    /// On which machines, likewise.
    pub nodes: Vec<String>,
    /// In which traces, likewise.
    pub traces: Vec<TraceId>,
    /// Correlations that have the ids, oldest first.
    pub correlations: Vec<Correlation>,
    /// By corrected time; each once.
    pub events: Vec<Event>,
    /// Whether there is more than is told.
    pub truncated: bool,
}

/// Tells a story. Nothing is found for no ids.
///
/// # Errors
/// [`ReadError`].
pub fn story(query: &StoryQuery, sources: &Sources<'_>, context: &QueryContext) -> Result<Story, ReadError> {
    if query.ids.is_empty() || query.since_ns >= query.until_ns {
        return Ok(Story { ids: query.ids.clone(), ..Story::default() });
    }
    let asked = CorrelationQuery {
        since_ns: Some(query.since_ns),
        until_ns: Some(query.until_ns),
        ids: query.ids.clone(),
        limit: CORRELATIONS_MAX,
        ..CorrelationQuery::default()
    };
    let mut correlations = sources.correlations.find(&asked, context)?;
    let all_correlations = correlations.len() < CORRELATIONS_MAX;
    correlations.sort_by_key(|correlation| (correlation.start_ns, correlation.id));
    let gathered = Gathered::read(query, &correlations, sources, context)?;
    let truncated = gathered.truncated || !all_correlations;
    let mut events = gathered.events;
    events.sort_by(Event::in_order);
    Ok(Story {
        ids: query.ids.clone(),
        start_ns: events.first().map_or(0, |event| event.corrected_ns),
        end_ns: events.iter().map(Event::corrected_end_ns).max().unwrap_or(0),
        services: appearing(events.iter().map(|event| event.service.clone()), |service| !service.is_empty()),
        nodes: appearing(events.iter().map(|event| event.node.clone()), |node| !node.is_empty()),
        traces: appearing(events.iter().map(|event| event.trace_id), |trace| !trace.is_zero()),
        correlations,
        events,
        truncated,
    })
}

/// Each once, in the order in which they come.
fn appearing<T: Clone + Eq + Hash + Ord>(all: impl Iterator<Item = T>, wanted: impl Fn(&T) -> bool) -> Vec<T> {
    let mut seen = BTreeSet::new();
    all.filter(wanted).filter(|one| seen.insert(one.clone())).collect()
}
