//! Showing durable spans to whoever derives something from them ([`SpanObserver`]): each once, over power cuts too.
//!
//! A batch is shown whole, with the sequence of its last record, after its last commit was synced. What a start finds in
//! the journal is shown record by record, each with its own sequence. A batch's records follow one another, so a position
//! that the observer made durable lies never within a batch that it saw whole, and what is above it was not counted.
//!
//! The observer's position is one of those that the catalog records: the journal keeps the spans above it. An observer that
//! falls behind by most of the ring is no longer waited for, because commits are refused when the ring is full.

use crate::commit::{Shared, WritePath};
use crate::record::Decoder;
use bramble_disk::journal::{Journal, JournalError};
use bramble_signal::SpanBatch;
use bramble_storage::{Sequence, SpanObserver};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Position of the observer among the [`Positions`](crate::commit::Positions).
pub(crate) const DERIVED: usize = 3;

/// Part of the ring that may be in use while the journal keeps what only the observer needs.
const WAITS_FILL: f64 = 0.75;

/// The observer, if there is one, and what it was shown.
#[derive(Default)]
pub(crate) struct Observing {
    observer: OnceLock<Arc<dyn SpanObserver>>,
    /// Sequence of the last record with spans that it was shown.
    shown: AtomicU64,
}

impl Observing {
    pub(crate) fn is_set(&self) -> bool {
        self.observer.get().is_some()
    }

    pub(crate) fn observe(&self, batch: &SpanBatch, sequence: Sequence) {
        if let Some(observer) = self.observer.get() {
            observer.observe(batch, sequence);
            self.shown.store(sequence, Ordering::Release);
        }
    }

    /// What need not be kept for the observer, given what is applied and recorded. The caller holds the lock that
    /// `applied` is behind.
    fn position(&self, applied: Sequence, recorded: Sequence, waits: bool) -> Sequence {
        let Some(observer) = self.observer.get() else { return applied };
        let durable = observer.durable_through().max(recorded);
        if durable >= self.shown.load(Ordering::Acquire) {
            return applied;
        }
        if !waits {
            tracing::warn!(durable, applied, "what is derived from spans is too far behind; some will not be counted");
            return applied;
        }
        durable.min(applied)
    }
}

impl WritePath {
    /// Sets who hears of durable spans; the first call counts. To be called before [`recover`](Self::recover).
    pub fn set_span_observer(&self, observer: Arc<dyn SpanObserver>) {
        _ = self.shared.observing.observer.set(observer);
    }

    /// Shows the observer what of the journal it has not counted. `last`: the last record that has spans.
    pub(crate) fn observe_again(&self, journal: &Journal, last: Sequence) -> Result<(), JournalError> {
        let observing = &self.shared.observing;
        let Some(observer) = observing.observer.get() else { return Ok(()) };
        // What the catalog says was counted is no longer wholly in the journal.
        let counted = observer.counted_through().max(self.shared.recorded.lock()[DERIVED]);
        if counted >= last {
            return Ok(());
        }
        let mut decoder = Decoder::default();
        journal.read_again(counted, &mut |record| {
            // What does not decode was reported when it was replayed.
            let spans = decoder.spans(record.epoch, record.record).ok().flatten();
            if let Some(batch) = spans.filter(|_| record.sequence > counted) {
                observing.observe(&batch, record.sequence);
            }
        })
    }
}

impl Shared {
    /// Whether the journal has room to keep what only the observer needs. Takes the journal's lock.
    pub(crate) fn waits_for_observer(&self) -> bool {
        self.journal.lock().as_ref().is_none_or(|side| side.journal.used_fraction() < WAITS_FILL)
    }

    /// How far the observer is, as a position to be recorded.
    pub(crate) fn observer_position(&self, applied: Sequence, recorded: Sequence, waits: bool) -> Sequence {
        // Until it was shown what is in the journal, nobody knows how far it is.
        if self.observing.is_set() && self.is_recovering() {
            return recorded;
        }
        self.observing.position(applied, recorded, waits)
    }
}
