//! How far each signal is in blocks, and stores that follow the catalog.

use crate::commit::{Positions, Shared};
use crate::deliveries::DELIVERIES;
use crate::observing::{AllWaiting, Observing};
use bramble_catalog::Change;
use bramble_signal::Signal;
use bramble_storage::{BlockId, BlockMeta, HeadStats, Sequence, StoreError};

pub(super) fn lowest(positions: &Positions) -> Sequence {
    positions.iter().copied().min().unwrap_or(0)
}

/// The last sequence that a head does not need, given the one that is recorded already.
fn needed_after(head: &HeadStats, applied: Sequence, recorded: Sequence) -> Sequence {
    let needed_after = match head {
        // What waits frozen is older than the active generation, and its first sequence is not known here.
        HeadStats { frozen: true, .. } => 0,
        HeadStats { items: 0, .. } => applied,
        _ => head.first_sequence.saturating_sub(1).min(applied),
    };
    needed_after.max(recorded)
}

/// A change of what a store serves that the catalog has and the store could not follow.
pub(crate) struct Unswapped {
    signal: Signal,
    added: Vec<BlockMeta>,
    removed: Vec<BlockId>,
    frozen_done: bool,
}

impl Shared {
    /// Makes a store serve what the catalog lists since just now. If it cannot (a block does not open), the change waits
    /// for [`settle`](Self::settle).
    pub(crate) fn swap(
        &self,
        signal: Signal,
        added: &[BlockMeta],
        removed: &[BlockId],
        frozen_done: bool,
    ) -> Result<(), StoreError> {
        let swapped = self.stores.keeper(signal).swap(added, removed, frozen_done);
        if swapped.is_err() {
            let (added, removed) = (added.to_vec(), removed.to_vec());
            self.unswapped.lock().push(Unswapped { signal, added, removed, frozen_done });
        }
        swapped
    }

    /// Lets the store catch up with the catalog. Until it has, nothing else may change: a merge of blocks that the
    /// catalog lists and the store does not serve would lose them.
    pub(crate) fn settle(&self, signal: Signal) -> Result<(), StoreError> {
        let mut waiting = self.unswapped.lock();
        while let Some(at) = waiting.iter().position(|change| change.signal == signal) {
            let Unswapped { added, removed, frozen_done, .. } = &waiting[at];
            self.stores.keeper(signal).swap(added, removed, *frozen_done)?;
            waiting.remove(at);
        }
        Ok(())
    }

    /// What may be recorded now, by signal: all of it is in blocks up to there, or there was nothing of it. The caller
    /// holds the lock that `applied` is behind.
    ///
    /// Positions of signals that are quiet move with the others: what the journal's tail has left behind is otherwise
    /// missing at the next start, and looks like damage.
    ///
    /// `waiting`: how far the journal keeps what only observers need.
    pub(super) fn positions(&self, applied: Sequence, waiting: &AllWaiting) -> Positions {
        let recorded = *self.recorded.lock();
        let of = |s: Signal| needed_after(&self.stores.keeper(s).head(), applied, recorded[s as usize]);
        let [metrics, logs, traces] = Signal::ALL.map(of);
        let [derived, correlator, forwarder] =
            Observing::ALL.map(|which| self.observer_position(which, applied, &recorded, waiting));
        let deliveries = self.deliveries.lock().position(applied).max(recorded[DELIVERIES]);
        [metrics, logs, traces, derived, correlator, forwarder, deliveries]
    }

    /// One catalog transaction: new blocks and how far each signal is in blocks.
    pub(super) fn commit_positions(
        &self,
        rows: &[bramble_catalog::BlockRow],
        positions: Positions,
    ) -> Result<(), StoreError> {
        let mut code = 0;
        let flushed = positions.map(|sequence| {
            code += 1;
            (code, sequence)
        });
        let change = Change { add: rows, remove: &[], flushed: &flushed };
        self.catalog.commit(&change).map_err(|e| StoreError::Disk(e.to_string()))?;
        let mut recorded = self.recorded.lock();
        for (old, new) in recorded.iter_mut().zip(positions) {
            *old = new.max(*old);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_keeps_what_waits_frozen() {
        let head = HeadStats { items: 3, first_sequence: 50, frozen: true, ..HeadStats::default() };
        assert_eq!(
            needed_after(&head, 60, 19),
            19,
            "the active generation's first sequence says nothing of older items"
        );
        assert_eq!(needed_after(&HeadStats { frozen: false, ..head }, 60, 19), 49);
        assert_eq!(needed_after(&HeadStats { items: 0, ..HeadStats::default() }, 60, 19), 60, "nothing to keep");
    }
}
