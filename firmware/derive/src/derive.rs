//! The one who counts.

use crate::counters::Counters;
use crate::emit::Emitter;
use crate::markers::Marks;
use crate::options::DeriveOptions;
use crate::state::State;
use bramble_runtime::{Budget, Clock};
use bramble_signal::{MetricBatch, Signal, SpanBatch};
use bramble_storage::{Durable, MetricSource, Observer, Sequence};
use parking_lot::Mutex;
use prometheus::Registry;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// All series of derived metrics at one moment.
pub struct Emission {
    /// Which one; for [`Derive::settle`].
    pub round: u64,
    /// What is to be written, in this order; each can be stored without the others.
    pub writes: Vec<MetricBatch>,
}

/// Counts spans as they become durable, and gives the counts as series. Shared by reference: the commit thread observes,
/// another asks for emissions. Each waits for the other for as long as one batch or one emission takes, some
/// milliseconds at most.
pub struct Derive {
    options: DeriveOptions,
    emitter: Emitter,
    counters: Counters,
    source: Arc<dyn MetricSource>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    unwritten_spans: AtomicU64,
}

impl Derive {
    /// `budget` is the one named `derived`; `source` is where its own series end up, and where it finds out after a
    /// restart what they have counted. Registers `bramble_derived_*`.
    ///
    /// # Errors
    /// [`prometheus::Error::AlreadyReg`] when called twice with one registry; a message when `budget` is overdrawn.
    pub fn new(
        options: DeriveOptions,
        source: Arc<dyn MetricSource>,
        clock: Arc<dyn Clock>,
        budget: &Budget,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let state = State::new(&options, budget, clock.wall_ms());
        let state = state.map_err(|error| prometheus::Error::Msg(error.to_string()))?;
        Ok(Derive {
            emitter: Emitter::new(&options),
            counters: Counters::new(registry)?,
            options,
            source,
            clock,
            state: Mutex::new(state),
            unwritten_spans: AtomicU64::new(0),
        })
    }

    /// Counts spans that will not be stored, since sampling drops them. They are in no journal: those since the last
    /// emission are lost with a crash.
    pub fn observe_dropped(&self, batch: &SpanBatch) {
        let now_ns = self.clock.monotonic_ns();
        self.state.lock().observe(batch, None, now_ns, &self.options, &self.counters);
    }

    /// How many durable spans were counted since the last emission: the journal keeps them until one is stored.
    pub fn unwritten_spans(&self) -> u64 {
        self.unwritten_spans.load(Ordering::Relaxed)
    }

    /// All series as they are now. To be written soon, and [`settle`](Self::settle) called with the outcome; if it was
    /// not, nothing is lost, since the next emission has the same counts and more.
    pub fn emit(&self) -> Emission {
        let (now_ns, now_ms) = (self.clock.monotonic_ns(), self.clock.wall_ms());
        let with = (&self.options, &self.emitter, &self.counters);
        self.unwritten_spans.store(0, Ordering::Relaxed);
        let (round, writes) = self.state.lock().emit(now_ns, now_ms, with);
        Emission { round, writes }
    }

    /// Hears what became of the writes of an emission: `rejected` samples were refused for good, or `None` when one of
    /// the writes failed.
    pub fn settle(&self, round: u64, rejected: Option<u64>) {
        match rejected {
            Some(rejected) => {
                self.counters.rejected.inc_by(rejected);
                self.state.lock().stored(round);
            }
            None => self.counters.failed_emissions.inc(),
        }
    }
}

impl Observer for Derive {
    fn wants(&self, signal: Signal) -> bool {
        signal == Signal::Traces
    }

    fn observe(&self, batch: Durable<'_>, sequence: Sequence) {
        let Durable::Spans(batch) = batch else { return };
        let now_ns = self.clock.monotonic_ns();
        self.state.lock().observe(batch, Some(sequence), now_ns, &self.options, &self.counters);
        self.unwritten_spans.fetch_add(batch.spans.len() as u64, Ordering::Relaxed);
    }

    /// Looks into the metric store. Should that fail, everything in the journal counts as counted: some spans missing
    /// are better than all of them twice.
    fn counted_through(&self) -> Sequence {
        match Marks::read(&*self.source, self.clock.wall_ms()) {
            Ok(marks) => {
                self.state.lock().set_before(marks);
                marks.lowest()
            }
            Err(_) => {
                self.counters.failed_emissions.inc();
                Sequence::MAX
            }
        }
    }

    fn durable_through(&self) -> Sequence {
        self.state.lock().durable()
    }
}
