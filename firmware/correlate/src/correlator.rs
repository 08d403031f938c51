//! The one who joins.

#[cfg(test)]
mod tests;

use crate::counters::Counters;
use crate::extract::Extractor;
use crate::options::CorrelatorOptions;
use crate::publish::{Publication, Published};
use crate::row::{Marker, newest_marker, published_in};
use crate::windows::{Windows, content_hash};
use bramble_runtime::{Budget, Clock};
use bramble_signal::{LogBatch, Signal};
use bramble_storage::{Durable, LogSource, Observer, QueryContext, Sequence};
use parking_lot::Mutex;
use prometheus::Registry;
use std::sync::Arc;

/// Correlations that may wait for a write that works.
const AGAIN_MAX: usize = 4096;
/// Correlations that are written again at once.
const AGAIN_AT_ONCE: usize = 512;

/// A marker that goes with no rows, for which alone there is a write, rests so many times as long.
const ALONE: u64 = 3;

/// Correlations that were handed over and of which nobody has said whether they are stored.
struct Handed {
    round: u64,
    correlations: Vec<Published>,
    marker: Option<Marker>,
    at_ns: u64,
}

/// Everything behind one lock.
struct State {
    windows: Windows,
    extractor: Extractor,
    /// The journal is being shown again.
    replaying: bool,
    round: u64,
    handed: Option<Handed>,
    /// What could not be written.
    again: Vec<Published>,
    /// What is needed of the journal is above this.
    durable: Sequence,
    marked: Marker,
    marked_at_ns: u64,
    /// Items since then.
    seen_items: u64,
}

/// Joins logs, spans and exemplars as they become durable, and tells what it knows of each window. Shared by reference: the
/// commit thread observes, another asks for publications. Each waits for the other for as long as one batch or one
/// publication takes, some milliseconds at most.
///
/// Nothing it holds needs saving: items of windows that are not over stay on the journal and are shown again after a
/// restart, with the rows that tell what was published already.
pub struct Correlator {
    options: CorrelatorOptions,
    clock: Arc<dyn Clock>,
    counters: Counters,
    source: Arc<dyn LogSource>,
    state: Mutex<State>,
}

impl Correlator {
    /// `budget` is the one named `correlate`; `source` is where rows and markers end up. Registers
    /// `correlation_events_total` and `bramble_correlation_*`.
    ///
    /// # Errors
    /// [`prometheus::Error::AlreadyReg`] when called twice with one registry; a message when `budget` is overdrawn.
    pub fn new(
        options: CorrelatorOptions,
        clock: Arc<dyn Clock>,
        budget: &Budget,
        registry: &Registry,
        source: Arc<dyn LogSource>,
    ) -> Result<Self, prometheus::Error> {
        let options = options.sane();
        let windows = Windows::new(options.clone(), budget);
        let windows = windows.map_err(|error| prometheus::Error::Msg(error.to_string()))?;
        let state = State {
            windows,
            extractor: Extractor::new(),
            replaying: true,
            round: 0,
            handed: None,
            again: Vec::new(),
            durable: 0,
            marked: Marker { low: 0, written_ns: 0 },
            marked_at_ns: clock.monotonic_ns(),
            seen_items: 0,
        };
        Ok(Correlator { options, clock, counters: Counters::new(registry)?, source, state: Mutex::new(state) })
    }

    /// What is to be written now: to be called about five times a second, the first time when the journal has been shown
    /// again. [`settle`](Self::settle) hears what became of it.
    pub fn publish(&self) -> Publication {
        self.publish_now(false)
    }

    /// The last publication: what is due, and how far that is. What is open is neither told nor lost: the journal has it.
    pub fn finish(&self) -> Publication {
        self.publish_now(true)
    }

    fn publish_now(&self, is_last: bool) -> Publication {
        let (wall_ns, now_ns) = (self.clock.wall_ns(), self.clock.monotonic_ns());
        let mut state = self.state.lock();
        let state = &mut *state;
        state.replaying = false;
        if let Some(handed) = state.handed.take() {
            self.keep(state, handed);
        }
        state.windows.set_now(wall_ns, now_ns);
        let (correlations, more) = if state.again.is_empty() {
            state.windows.publish()
        } else {
            // Until these are written, no others are made.
            let count = state.again.len().min(AGAIN_AT_ONCE);
            (state.again.drain(..count).collect(), false)
        };
        // Once these are written they are not waited for; what is to be written after them is.
        let left = state.again.iter().map(|published| published.first_sequence).min().unwrap_or(Sequence::MAX);
        let low = state.windows.low().min(left.min(state.windows.first_ready()).saturating_sub(1));
        state.seen_items += state.windows.tally.items;
        let rests_ns = if correlations.is_empty() { ALONE * self.options.marker_ns } else { self.options.marker_ns };
        let is_time = is_last || now_ns.saturating_sub(state.marked_at_ns) >= rests_ns;
        let is_time = is_time && (state.seen_items > 0 || !correlations.is_empty());
        let marker = (is_time && low > state.marked.low).then_some(Marker { low, written_ns: wall_ns });
        state.round += 1;
        let round = state.round;
        if correlations.is_empty() {
            state.durable = state.durable.max(state.windows.needed(state.marked.low));
        }
        if marker.is_some() {
            (state.marked_at_ns, state.seen_items) = (now_ns, 0);
        }
        if !correlations.is_empty() || marker.is_some() {
            state.handed = Some(Handed { round, correlations: correlations.clone(), marker, at_ns: now_ns });
        }
        let (open, grace) = state.windows.lens();
        self.counters.windows(open, grace);
        self.counters.count(std::mem::take(&mut state.windows.tally));
        Publication { round, correlations, marker, more }
    }

    /// Hears what became of the rows and the marker of a publication: `ok` when they are stored. Else they come again with
    /// the next publication.
    pub fn settle(&self, round: u64, ok: bool) {
        let now_ns = self.clock.monotonic_ns();
        let mut state = self.state.lock();
        let Some(handed) = state.handed.take_if(|handed| handed.round == round) else { return };
        if !ok {
            self.keep(&mut state, handed);
            return;
        }
        let after_ns = now_ns.saturating_sub(handed.at_ns);
        handed.correlations.iter().for_each(|published| self.counters.stored(published, after_ns));
        if let Some(marker) = handed.marker {
            state.marked = marker;
        }
        if state.again.is_empty() && state.windows.first_ready() == Sequence::MAX {
            state.durable = state.durable.max(state.windows.needed(state.marked.low));
        }
    }

    /// Keeps what could not be written for the next time.
    fn keep(&self, state: &mut State, handed: Handed) {
        self.counters.failed.inc();
        state.again.splice(0..0, handed.correlations);
        let over = state.again.len().saturating_sub(AGAIN_MAX);
        state.again.truncate(AGAIN_MAX);
        state.windows.tally.dropped += over as u64;
    }

    /// What was told before a restart: its rows are in the journal behind the items.
    fn restore(&self, state: &mut State, batch: &LogBatch) {
        let windows = &mut state.windows;
        published_in(batch, &mut |correlation| windows.restore(&correlation, content_hash(&correlation)));
    }
}

impl Observer for Correlator {
    fn wants(&self, _: Signal) -> bool {
        true
    }

    fn observe(&self, batch: Durable<'_>, sequence: Sequence) {
        let (wall_ns, now_ns) = (self.clock.wall_ns(), self.clock.monotonic_ns());
        let mut state = self.state.lock();
        let state = &mut *state;
        state.windows.set_observed(sequence);
        state.windows.set_now(wall_ns, now_ns);
        let extracted = state.extractor.extract(batch, &mut state.windows);
        state.windows.end_batch(wall_ns, now_ns);
        state.windows.tally.unmatched_logs += extracted.logs_without_ids;
        if state.replaying
            && let Durable::Logs(batch) = batch
        {
            self.restore(state, batch);
        }
    }

    /// Looks for the newest marker, which tells of what is in the journal what was let go. All of it is wanted in any case,
    /// since traces are whole only together with what came before.
    fn counted_through(&self) -> Sequence {
        let found = newest_marker(&*self.source, &QueryContext::unlimited());
        let marker = found.ok().flatten().unwrap_or(Marker { low: 0, written_ns: 0 });
        let mut state = self.state.lock();
        state.marked = marker;
        state.windows.set_gone_through(marker.low);
        0
    }

    fn durable_through(&self) -> Sequence {
        self.state.lock().durable
    }
}
