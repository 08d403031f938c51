//! Entries without a trace id that seem to belong to a trace.
//!
//! | by | what must fit | confidence |
//! | --- | --- | --- |
//! | `request_id` | the same request id | 0.9 |
//! | `circuit_id`, `product_id`, `resource_id` | the same id, in a service that took part | 0.4 |
//! | `place` | written while a span ran (± 100 ms) and mentioning its peer's address as a whole word, in its pod, container or unit | 0.7 |
//! | `place` | likewise, of its service on its node | 0.6 |
//! | `place` | likewise, of its service, where a node is not known | 0.5 |
//!
//! All within the window of the correlation (some seconds more for requests). An entry that fits several ways counts by the
//! surest. Where several traces fit as well, the confidence is shared among them; with more than three there is nothing
//! to infer. An entry that names another trace, another span or another request is never inferred, and one that names this
//! trace is certain and not here.

mod place;
#[cfg(test)]
mod tests;

use crate::correlation::{Correlation, CorrelationQuery};
use crate::view::entry::{Entry, Named};
use crate::view::keep::bytes_of;
use crate::view::search::{Range, Sought};
use crate::view::spans::TraceSpans;
use crate::view::{By, Event, Join, Sources};
use bramble_line::ids::IdKind;
use bramble_signal::TraceId;
use bramble_storage::{QueryContext, ReadError};
use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet};

/// Confidence by request id, of one trace.
const REQUEST: f64 = 0.9;
/// Confidence by another id, of one trace.
const OTHER_ID: f64 = 0.4;
/// More traces than this, and nothing can be said.
const TRACES_MAX: usize = 3;
/// Entries that are looked at for one id: one that has more is shared by too many.
const ROWS_MAX: usize = 5_000;
/// Around the window, for requests.
const SLACK_NS: i64 = 5_000_000_000;
/// Correlations that are looked at for how many traces have an id.
const CORRELATIONS_MAX: usize = 64;

/// Which ways to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ways {
    /// All in the table.
    All,
    /// By request id only.
    Requests,
}

/// What was inferred.
pub(crate) struct Inferred {
    /// With the hash of each entry, by time; at most as many as asked for, the surest.
    pub(crate) events: Vec<(u64, Event)>,
    /// Whether that is all.
    pub(crate) complete: bool,
}

/// Entries that seem to belong to the window of a correlation.
pub(crate) fn entries(
    correlation: &Correlation,
    spans: &TraceSpans,
    sources: &Sources<'_>,
    ways: Ways,
    max: usize,
    context: &QueryContext,
) -> Result<Inferred, ReadError> {
    let mut guesses = Guesses { correlation, spans, found: BTreeMap::new(), max, complete: true, context };
    let own = Range::of(correlation);
    for (kind, value) in &correlation.ids {
        match kind {
            IdKind::Request => guesses.by_id(*kind, value, own.widened(SLACK_NS), sources)?,
            IdKind::Circuit | IdKind::Product | IdKind::Resource if ways == Ways::All => {
                guesses.by_id(*kind, value, own, sources)?;
            }
            // A type of resources is too many things; traces and spans are certain.
            _ => {}
        }
    }
    if ways == Ways::All {
        place::infer(&mut guesses, own, sources)?;
    }
    let events = guesses.found.into_iter().map(|((_, hash), (_, event))| (hash, event)).collect();
    Ok(Inferred { events, complete: guesses.complete })
}

/// Entries found so far, each by the surest way.
struct Guesses<'a> {
    correlation: &'a Correlation,
    spans: &'a TraceSpans,
    /// By what makes equal entries equal: rank of the way, and the event.
    found: BTreeMap<(i64, u64), (u32, Event)>,
    max: usize,
    complete: bool,
    context: &'a QueryContext,
}

/// A confidence as a number that can be compared.
fn rank(confidence: f64) -> u32 {
    (confidence * 1e6) as u32
}

impl Guesses<'_> {
    /// Takes an entry that fits; the surest way counts, of equal ones the first.
    fn offer(&mut self, key: (i64, u64), event: Event) -> Result<(), ReadError> {
        let sure = rank(event.join.confidence);
        match self.found.entry(key) {
            Slot::Occupied(mut known) => {
                if known.get().0 < sure {
                    known.insert((sure, event));
                }
                return Ok(());
            }
            Slot::Vacant(free) => {
                self.context.reserve(bytes_of(&event))?;
                free.insert((sure, event));
            }
        }
        if self.found.len() > self.max {
            self.complete = false;
            // The least sure goes; of those the latest.
            let least = self.found.iter().max_by_key(|(key, (sure, _))| (std::cmp::Reverse(*sure), **key));
            if let Some(key) = least.map(|(key, _)| *key)
                && let Some((_, event)) = self.found.remove(&key)
            {
                self.context.release(bytes_of(&event));
            }
        }
        Ok(())
    }

    /// Whether an entry could belong to the trace at all: it names no other trace, span or request.
    fn may_belong(&self, named: &Named) -> bool {
        let mut requests = named.ids.iter().filter(|(kind, _)| *kind == IdKind::Request);
        named.trace.is_none()
            && (named.span.is_zero() || self.spans.has(named.span))
            && requests.all(|request| self.correlation.ids.contains(request))
    }

    fn takes_part(&self, service: &str) -> bool {
        self.correlation.participants.iter().any(|participant| participant.service == service)
    }

    /// Entries that have an id of the correlation's.
    fn by_id(&mut self, kind: IdKind, value: &str, range: Range, sources: &Sources<'_>) -> Result<(), ReadError> {
        let mut traces = self.traces_with(kind, value, range, sources)?;
        if traces.len() > TRACES_MAX {
            return Ok(());
        }
        let (mut candidates, mut dropped, guesses) = (BTreeMap::new(), false, &*self);
        let sought = Sought::new(kind, value);
        let complete = sought.each_entry(sources.logs, range, ROWS_MAX, self.context, &mut |entry: &Entry<'_>| {
            let named = entry.named();
            if !named.names(kind, value) {
                return Ok(());
            }
            if let Some(trace) = named.trace {
                traces.insert(trace);
            } else if traces.len() <= TRACES_MAX
                && guesses.may_belong(&named)
                && (kind == IdKind::Request || guesses.takes_part(entry.origin().service))
            {
                let event = entry.event(&named, Join::inferred(By::Id(kind), 0.0), &guesses.spans.places);
                candidates.insert((entry.entry.timestamp_ns, entry.hash), event);
                if candidates.len() > guesses.max {
                    // Too many to show; the earliest stay.
                    dropped |= candidates.pop_last().is_some();
                }
            }
            Ok(())
        })?;
        // More entries than can be looked at: half the traffic has this id, and it says nothing.
        if !complete || traces.len() > TRACES_MAX {
            return Ok(());
        }
        self.complete &= !dropped;
        let alone = if kind == IdKind::Request { REQUEST } else { OTHER_ID };
        for (key, mut event) in candidates {
            event.join = Join::inferred(By::Id(kind), alone / traces.len() as f64);
            self.offer(key, event)?;
        }
        Ok(())
    }

    /// Traces whose correlations have this id about the time of the window; this one among them.
    fn traces_with(
        &self,
        kind: IdKind,
        value: &str,
        range: Range,
        sources: &Sources<'_>,
    ) -> Result<BTreeSet<TraceId>, ReadError> {
        let query = CorrelationQuery {
            // One that began a window earlier still goes on here.
            since_ns: Some(range.start_ns.saturating_sub_unsigned(self.correlation.window_ns)),
            until_ns: Some(range.end_ns),
            ids: vec![(kind, value.to_owned())],
            limit: CORRELATIONS_MAX,
            ..CorrelationQuery::default()
        };
        let found = sources.correlations.find(&query, self.context)?;
        let own = [self.correlation.id.trace_id];
        Ok(found.iter().map(|correlation| correlation.id.trace_id).chain(own).collect())
    }
}
