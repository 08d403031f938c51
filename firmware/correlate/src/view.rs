//! A correlation as a timeline: spans, log entries and exemplars of one window together, on one clock.
//!
//! ```text
//! Correlation ─▶ spans of the trace ─▶ clocks (skew) ─┐
//!             ─▶ entries that name the trace, however ├─▶ events by corrected time, bounded
//!             ─▶ exemplars that name it               │
//!             ─▶ entries that name none (infer) ──────┘
//! ```
//!
//! What is read decides, not what the correlator saw: so the timeline has what came after the last revision too. Every
//! candidate is judged again here, exactly; what stores are asked only leaves out what cannot fit. With too many events,
//! failures, first spans of every service and what took longest stay.

pub(crate) mod entry;
mod event;
mod exemplars;
pub(crate) mod keep;
pub(crate) mod places;
pub(crate) mod search;
pub(crate) mod spans;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use crate::correlation::{Correlation, CorrelationSource};
use crate::infer::{self, Ways};
use crate::view::entry::Entry;
use crate::view::keep::{Kept, bytes_of};
use crate::view::search::{Range, Sought};
use crate::view::spans::TraceSpans;
use bramble_line::ids::IdKind;
use bramble_storage::{LogSource, MetricSource, QueryContext, ReadError, TraceSource};

pub use event::{By, Event, EventWhat, Join};
pub use search::names_of;

/// Around a window, for what clocks and late writers move across its edges.
const SLACK_NS: i64 = 5_000_000_000;
/// Entries that are looked at for one timeline.
const ROWS_MAX: usize = 100_000;

/// Where to read.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// Log entries.
    pub logs: &'a dyn LogSource,
    /// Spans.
    pub traces: &'a dyn TraceSource,
    /// Correlations.
    pub correlations: &'a dyn CorrelationSource,
    /// Exemplars; `None`: there are none.
    pub metrics: Option<&'a dyn MetricSource>,
}

/// How much is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ViewLimits {
    /// Spans and entries that are certain.
    pub events: usize,
    /// Entries that are inferred, beside those.
    pub inferred: usize,
}

impl Default for ViewLimits {
    fn default() -> Self {
        ViewLimits { events: 2_000, inferred: 200 }
    }
}

/// Two participants that call each other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PairSkew {
    /// Service that calls.
    pub client: String,
    /// Its machine; empty where nothing tells.
    pub client_node: String,
    /// Service that is called.
    pub server: String,
    /// Its machine, likewise.
    pub server_node: String,
    /// By how much the clock of the called one is ahead, nanoseconds.
    pub offset_ns: i64,
    /// How many calls say so.
    pub calls: u32,
}

/// A correlation, event by event.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Timeline {
    /// By corrected time; parents before what they contain.
    pub events: Vec<Event>,
    /// Who calls whom, and how their clocks differ; ascending by names.
    pub skew: Vec<PairSkew>,
    /// Whether there is more than is shown.
    pub truncated: bool,
}

/// All that is stored of a correlation's window: spans of the trace, entries and exemplars that name it, and entries that
/// seem to belong to it, see [`infer`].
///
/// # Errors
/// [`ReadError`].
pub fn timeline(
    correlation: &Correlation,
    sources: &Sources<'_>,
    limits: &ViewLimits,
    context: &QueryContext,
) -> Result<Timeline, ReadError> {
    let trace_id = correlation.id.trace_id;
    let range = Range::of(correlation).widened(SLACK_NS);
    let spans = TraceSpans::read(trace_id, Some(range), sources.traces, context)?;
    let mut kept = Kept::new(limits.events, context);
    let sought = Sought::new(IdKind::Trace, &trace_id.to_string());
    let complete = sought.each_entry(sources.logs, range, ROWS_MAX, context, &mut |entry: &Entry<'_>| {
        let named = entry.named();
        if named.trace == Some(trace_id) {
            kept.offer_log(entry, &named, Join::certain(IdKind::Trace), &spans.places)?;
        }
        Ok(())
    })?;
    // Spans and entries may take each other's room, but half of it is safe.
    let (picked, all_spans) = spans.pick(limits.events.saturating_sub(kept.len()).max(limits.events / 2));
    let mut events: Vec<Event> = picked.into_iter().map(|span| spans.event(span)).collect();
    context.reserve(events.iter().map(bytes_of).sum())?;
    let all_logs = kept.shrink(limits.events.saturating_sub(events.len()));
    events.extend(kept.into_hashed().into_iter().map(|(_, event)| event));
    events.extend(exemplars::of_trace(correlation, range, sources.metrics, &spans.places, context)?);
    let inferred = infer::entries(correlation, &spans, sources, Ways::All, limits.inferred, context)?;
    let truncated = !(complete && all_spans && all_logs && inferred.complete);
    events.extend(inferred.events.into_iter().map(|(_, event)| event));
    events.sort_by(Event::in_order);
    Ok(Timeline { events, skew: spans.pairs(), truncated })
}
