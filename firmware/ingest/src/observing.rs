//! Showing durable items to whoever derives something from them ([`Observer`]): each once, over power cuts too.
//!
//! A batch is shown whole, with the sequence of its last record, after its last commit was synced. What a start finds in
//! the journal is shown record by record, each with its own sequence. A batch's records follow one another, so a position
//! that an observer made durable lies never within a batch that it saw whole, and what is above it was not counted.
//!
//! Each observer's position is one of those that the catalog records: the journal keeps the items above it. An observer that
//! falls behind by most of the ring is no longer waited for, because commits are refused when the ring is full (whoever sends
//! on has a queue of its own on disk, and is behind by moments). The
//! correlator, which needs minutes of items, is waited for no longer than for so many bytes beyond what heads need: what
//! a start shows it then is not all of the windows that were open, and a card is spared what hardly ever matters.

use crate::commit::{Positions, Shared, WritePath};
use crate::record::{Decoder, Shown, kind_of};
use bramble_disk::journal::{Journal, JournalError};
use bramble_signal::Signal;
use bramble_storage::{Durable, Observer, Sequence};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Who may observe. Each has a position of its own among those of the catalog; its number there is part of the format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Observing {
    /// Series derived from spans.
    Derived,
    /// The correlator.
    Correlator,
    /// What is sent on to others.
    Forwarder,
}

impl Observing {
    /// All, in the order of their positions.
    pub const ALL: [Observing; 3] = [Observing::Derived, Observing::Correlator, Observing::Forwarder];

    /// Its place among the [`Positions`], behind the signals'.
    pub(crate) fn index(self) -> usize {
        Signal::ALL.len() + self as usize
    }
}

/// Lowest position of those of the signals.
pub(crate) fn of_signals(positions: &Positions) -> Sequence {
    positions.iter().take(Signal::ALL.len()).copied().min().unwrap_or(0)
}

/// Lowest position of those of the observers.
pub(crate) fn of_observers(positions: &Positions) -> Sequence {
    positions.iter().skip(Signal::ALL.len()).take(Observing::ALL.len()).copied().min().unwrap_or(0)
}

/// Part of the ring that may be in use while the journal keeps what only observers need.
const WAITS_FILL: f64 = 0.75;

/// An observer, if there is one, and what it was shown.
#[derive(Default)]
struct Seat {
    observer: OnceLock<Arc<dyn Observer>>,
    wants: [OnceLock<bool>; Signal::ALL.len()],
    /// Sequence of the last record that it was shown.
    shown: AtomicU64,
}

impl Seat {
    /// The observer, if it wants to hear of the signal.
    fn of(&self, signal: Signal) -> Option<&Arc<dyn Observer>> {
        let observer = self.observer.get()?;
        self.wants[signal as usize].get_or_init(|| observer.wants(signal)).then_some(observer)
    }

    fn observe(&self, batch: Durable<'_>, sequence: Sequence) {
        if let Some(observer) = self.of(batch.signal()) {
            observer.observe(batch, sequence);
            self.shown.store(sequence, Ordering::Release);
        }
    }

    /// What need not be kept for the observer, given what is applied and recorded. The caller holds the lock that
    /// `applied` is behind.
    fn position(&self, applied: Sequence, recorded: Sequence, waiting: Waiting) -> Sequence {
        let Some(observer) = self.observer.get() else { return applied };
        let durable = observer.durable_through().max(recorded).max(waiting.from.saturating_sub(1));
        if durable >= self.shown.load(Ordering::Acquire) {
            return applied;
        }
        if !waiting.has_room {
            tracing::warn!(durable, applied, "what is derived on arrival is too far behind; some will not be counted");
            return applied;
        }
        durable.min(applied)
    }
}

/// How far the journal waits for an observer.
#[derive(Clone, Copy)]
pub(crate) struct Waiting {
    /// Whether there is room to keep what only observers need.
    has_room: bool,
    /// The first sequence that is kept for this one.
    from: Sequence,
}

/// How far the journal waits for observers, by [`Observing`].
pub(crate) type AllWaiting = [Waiting; Observing::ALL.len()];

/// Who observes.
#[derive(Default)]
pub(crate) struct Observers([Seat; Observing::ALL.len()]);

impl Observers {
    pub(crate) fn is_set(&self, which: Observing) -> bool {
        self.0[which as usize].observer.get().is_some()
    }

    pub(crate) fn observe(&self, batch: Durable<'_>, sequence: Sequence) {
        self.0.iter().for_each(|seat| seat.observe(batch, sequence));
    }
}

impl WritePath {
    /// Sets who hears of durable items; the first call for each counts. To be called before
    /// [`recover`](Self::recover).
    pub fn set_observer(&self, which: Observing, observer: Arc<dyn Observer>) {
        _ = self.shared.observers.0[which as usize].observer.set(observer);
    }

    /// Shows observers what of the journal they have not counted. `last`: of each signal, the last record that has items
    /// of it.
    pub(crate) fn observe_again(
        &self,
        journal: &Journal,
        last: [Sequence; Signal::ALL.len()],
    ) -> Result<(), JournalError> {
        let recorded = *self.shared.recorded.lock();
        // What the catalog says was counted is no longer wholly in the journal.
        let counted = Observing::ALL.map(|which| {
            let seat = &self.shared.observers.0[which as usize];
            seat.observer.get().map_or(Sequence::MAX, |o| o.counted_through().max(recorded[which.index()]))
        });
        let seats = &self.shared.observers.0;
        let is_new = |signal: Signal| {
            let mut of_seats = seats.iter().zip(counted);
            of_seats.any(|(seat, counted)| last[signal as usize] > counted && seat.of(signal).is_some())
        };
        if !Signal::ALL.into_iter().any(is_new) {
            return Ok(());
        }
        // Dictionaries are built from all records of an epoch, but of signals that nobody wants none are needed.
        let is_wanted = |signal: &Signal| seats.iter().any(|s| s.of(*signal).is_some());
        let first = counted.into_iter().min().unwrap_or(0);
        let mut decoder = Decoder::default();
        journal.read_again(first, &mut |record| {
            if kind_of(record.record).filter(is_wanted).is_none() {
                return;
            }
            // What does not decode was reported when it was replayed.
            let Ok(Some(shown)) = decoder.shown(record.epoch, record.record) else { return };
            let batch = match &shown {
                Shown::Metrics(batch) => Durable::Metrics(batch),
                Shown::Logs(batch) => Durable::Logs(batch),
                Shown::Spans(batch) => Durable::Spans(batch),
            };
            for (seat, counted) in seats.iter().zip(counted) {
                if record.sequence > counted {
                    seat.observe(batch, record.sequence);
                }
            }
        })
    }
}

impl Shared {
    /// How far the journal waits for observers. Takes the journal's lock.
    pub(crate) fn waits_for_observers(&self) -> AllWaiting {
        let guard = self.journal.lock();
        let Some(side) = guard.as_ref() else { return [Waiting { has_room: true, from: 0 }; Observing::ALL.len()] };
        let has_room = side.journal.used_fraction() < WAITS_FILL;
        let from = side.journal.sequence_within(self.options.correlator_bytes);
        // What heads need is there anyway.
        let from = from.min(of_signals(&self.recorded.lock()) + 1);
        Observing::ALL.map(|which| Waiting { has_room, from: if which == Observing::Correlator { from } else { 0 } })
    }

    /// How far an observer is, as a position to be recorded.
    pub(crate) fn observer_position(
        &self,
        which: Observing,
        applied: Sequence,
        recorded: &Positions,
        waiting: &AllWaiting,
    ) -> Sequence {
        let recorded = recorded[which.index()];
        // Until it was shown what is in the journal, nobody knows how far it is.
        if self.observers.is_set(which) && self.is_recovering() {
            return recorded;
        }
        self.observers.0[which as usize].position(applied, recorded, waiting[which as usize])
    }
}
