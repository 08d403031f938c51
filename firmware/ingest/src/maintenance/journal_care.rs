//! The journal's size and tail: grown ahead of need, released as blocks take over.

use super::Maintenance;
use super::positions::lowest;
use crate::observing::{of_observers, of_signals};
use bramble_disk::journal::Journal;
use bramble_signal::Signal;
use bramble_storage::HeadStats;

impl Maintenance {
    /// Whether a head has next to nothing, and the journal much that may be kept for it alone.
    pub(super) fn is_straggler(&self, head: &HeadStats) -> bool {
        let shared = &self.path.shared;
        let needed = || shared.journal.lock().as_ref().map_or(0, |side| side.journal.needed_bytes());
        head.flushable_bytes <= head.limit_bytes / 16 && needed() >= shared.options.straggler_bytes
    }

    /// Whether only observers keep the journal, and no head does: then flushing frees nothing of it.
    pub(super) fn is_kept_for_observers(&self) -> bool {
        let recorded = self.path.shared.recorded.lock();
        of_observers(&recorded) < of_signals(&recorded)
    }

    /// Whether an extent more is kept for observers than should be.
    fn observers_keep_much(&self) -> bool {
        let options = &self.path.shared.options;
        let most = options.correlator_bytes + u64::from(options.journal.extent_bytes);
        self.path.shared.journal.lock().as_ref().is_some_and(|side| side.journal.needed_bytes() > most)
    }

    pub(super) fn journal_is_pressed(&self) -> bool {
        let guard = self.path.shared.journal.lock();
        guard.as_ref().is_some_and(|side| side.journal.used_fraction() >= self.path.shared.options.journal_fill)
    }

    /// Whether this head's first record is the oldest of all heads'.
    pub(super) fn holds_oldest(&self, signal: Signal, head: &HeadStats) -> bool {
        let first = |s: Signal| {
            Some(self.path.shared.stores.keeper(s).head()).filter(|h| h.items > 0).map(|h| h.first_sequence)
        };
        Signal::ALL.into_iter().filter(|s| *s != signal).filter_map(first).all(|other| head.first_sequence <= other)
    }

    /// Makes the ring larger ahead of need. The zeros are written without holding up commits.
    pub(super) fn grow_journal(&self) {
        let least_bytes = self.path.shared.options.journal.extent_bytes;
        if let Some(side) = self.path.shared.journal.lock().as_mut()
            && let Err(error) = side.size_extents(least_bytes)
        {
            tracing::warn!(%error, "an extent's file stays until the next start");
        }
        let growth = self.path.shared.journal.lock().as_mut().and_then(|side| side.journal.growth());
        let Some(growth) = growth else { return };
        match growth.run() {
            Ok(extent) => {
                if let Some(side) = self.path.shared.journal.lock().as_mut() {
                    side.journal.adopt(extent);
                }
            }
            Err(error) => tracing::warn!(%error, "the journal cannot grow"),
        }
    }

    /// Gives back extents that a burst needed.
    pub(super) fn shrink_journal(&self) {
        self.shrink_journal_to(|_| self.path.shared.options.journal.extents_min);
    }

    /// Gives back one extent of a ring of which little is needed: what a load needs again after a pause would be
    /// zeroed again.
    pub(super) fn ease_journal(&self) {
        let least = self.path.shared.options.journal.extents_min;
        let is_idle = |journal: &Journal| journal.used_fraction() < 0.1;
        self.shrink_journal_to(|journal| {
            if is_idle(journal) { journal.extents().saturating_sub(1) } else { u32::MAX }.max(least)
        });
    }

    fn shrink_journal_to(&self, keep: impl FnOnce(&Journal) -> u32) {
        if let Some(side) = self.path.shared.journal.lock().as_mut() {
            let keep = keep(&side.journal);
            if let Err(error) = side.journal.shrink(keep) {
                tracing::warn!(%error, "an extent's file stays until the next start");
            }
        }
    }

    /// Moves the journal's tail to the oldest record that the catalog does not know to be in blocks.
    pub(super) fn release_journal(&self) {
        let shared = &self.path.shared;
        let recorded = *shared.recorded.lock();
        // Observers are a little behind when heads are flushed.
        let kept_for_observers = of_observers(&recorded) < of_signals(&recorded);
        if self.journal_is_pressed() || kept_for_observers {
            // Flushes record positions too; this is for a journal full of what leaves nothing to flush.
            let waiting = shared.waits_for_observers();
            let positions = {
                let applied = shared.applied.lock();
                shared.positions(*applied, &waiting)
            };
            // An observer that is far behind is not waited for to the end. Each time costs a catalog commit.
            let moves = if kept_for_observers && !self.observers_keep_much() {
                of_signals(&recorded)
            } else {
                lowest(&recorded) + 1
            };
            if lowest(&positions) >= moves
                && let Err(error) = shared.commit_positions(&[], positions)
            {
                tracing::warn!(%error, "positions could not be recorded; the journal keeps its records");
            }
        }
        let through = lowest(&shared.recorded.lock());
        if let Some(side) = shared.journal.lock().as_mut() {
            side.journal.release(through);
            shared.metrics.journal_used_ratio.set(side.journal.used_fraction());
            shared.metrics.journal_extents.set(side.journal.extents() as i64);
        }
    }
}
