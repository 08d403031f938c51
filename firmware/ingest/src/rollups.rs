//! When days are rolled up: with their merge, and once more before full resolution goes, if samples came since.
//!
//! The order is that of every change: publish the rollups' segments, one catalog transaction (new in, old out), let the
//! store swap, remove the old files. Full resolution is removed by retention alone, and only after this.

use crate::catalog_rows::row_of;
use crate::commit::Shared;
use crate::maintenance::{Maintenance, Progress};
use bramble_catalog::Change;
use bramble_signal::Signal;
use bramble_storage::{BlockId, BlockMeta, RetentionClass, StoreError};
use std::collections::HashMap;

/// Pause before a rollup that failed is tried again.
const RETRY_NS: u64 = 3_600_000_000_000;

/// Days whose rollup failed or came to nothing, with the monotonic time before which they are left alone.
#[derive(Default)]
pub(crate) struct RollupState(HashMap<i32, u64>);

impl RollupState {
    fn waits(&self, day: i32, now_ns: u64) -> bool {
        self.0.get(&day).is_some_and(|until_ns| now_ns < *until_ns)
    }
}

fn is_hot_metrics(block: &BlockMeta) -> bool {
    block.signal == Signal::Metrics && block.class != RetentionClass::Cold
}

fn is_cold_metrics(block: &BlockMeta) -> bool {
    block.signal == Signal::Metrics && block.class == RetentionClass::Cold
}

/// The first day of `unrolled` that is over, quiet and has no rollups at all: later samples wait for its expiry.
fn due(
    unrolled: &[i32],
    blocks: &[BlockMeta],
    today: i32,
    is_quiet: impl Fn(&BlockMeta) -> bool,
    may: impl Fn(i32) -> bool,
) -> Option<i32> {
    let wants = |day: &&i32| {
        let mut of_day = blocks.iter().filter(|b| b.day == **day);
        **day < today && may(**day) && of_day.all(|b| !is_cold_metrics(b) && (!is_hot_metrics(b) || is_quiet(b)))
    };
    unrolled.iter().find(wants).copied()
}

/// The days whose full resolution would go with `victims`, wholly.
fn leaving(victims: &[BlockMeta], blocks: &[BlockMeta]) -> Vec<i32> {
    let count = |of: &[BlockMeta], day: i32| of.iter().filter(|b| is_hot_metrics(b) && b.day == day).count();
    let mut days: Vec<i32> = victims.iter().filter(|b| is_hot_metrics(b)).map(|b| b.day).collect();
    days.sort_unstable();
    days.dedup();
    days.retain(|day| count(victims, *day) == count(blocks, *day));
    days
}

impl Maintenance {
    /// Rolls up the first day that is due.
    pub(crate) fn roll_up_one(
        &self,
        state: &mut RollupState,
        blocks: &[BlockMeta],
        today: i32,
        is_quiet: impl Fn(&BlockMeta) -> bool,
    ) -> Progress {
        let shared = &self.path.shared;
        let unrolled = shared.stores.keeper(Signal::Metrics).unrolled_days();
        let now_ns = shared.clock.monotonic_ns();
        let may = |day| !state.waits(day, now_ns) && keeps_rollups(shared, Some(today), day);
        match due(&unrolled, blocks, today, is_quiet, may) {
            Some(day) => match self.roll_up(state, day, blocks) {
                Ok(()) => Progress::Worked,
                Err(_) => Progress::Idle,
            },
            None => Progress::Idle,
        }
    }

    /// Before `victims` are removed: rolls up what would be lost with them. [`Progress::Idle`] when they may go. If it
    /// failed, age waits and is tried again; where space is `needed`, they go all the same.
    pub(crate) fn roll_up_before(
        &self,
        state: &mut RollupState,
        victims: &[BlockMeta],
        blocks: &[BlockMeta],
        today: Option<i32>,
        needed: bool,
    ) -> Result<Progress, StoreError> {
        #[cfg(feature = "sabotage")]
        if crate::sabotage::expires_unrolled() {
            return Ok(Progress::Idle);
        }
        let shared = &self.path.shared;
        let unrolled = shared.stores.keeper(Signal::Metrics).unrolled_days();
        let now_ns = shared.clock.monotonic_ns();
        let open = leaving(victims, blocks).into_iter().find(|day| unrolled.contains(day));
        let Some(day) = open.filter(|day| keeps_rollups(shared, today, *day)) else { return Ok(Progress::Idle) };
        if state.waits(day, now_ns) {
            return if needed { Ok(Progress::Idle) } else { Err(StoreError::Stopped) };
        }
        match self.roll_up(state, day, blocks) {
            // It came to nothing: nothing of it can be read.
            Ok(()) if state.waits(day, now_ns) => Ok(Progress::Idle),
            Ok(()) => Ok(Progress::Worked),
            Err(StoreError::Full(what)) => {
                tracing::error!(day, %what, "no space for rollups; the day goes without");
                Ok(Progress::Idle)
            }
            Err(error) => Err(error),
        }
    }

    fn roll_up(&self, state: &mut RollupState, day: i32, blocks: &[BlockMeta]) -> Result<(), StoreError> {
        let shared = &self.path.shared;
        let began_ns = shared.clock.monotonic_ns();
        let outcome = self.publish_rollups(day, blocks);
        shared.metrics.rollup_seconds.observe((shared.clock.monotonic_ns() - began_ns) as f64 / 1e9);
        match &outcome {
            Ok(written) if written.is_empty() => {
                state.0.insert(day, u64::MAX);
                tracing::error!(day, "nothing of the day can be rolled up");
            }
            Ok(written) => {
                state.0.remove(&day);
                shared.metrics.rollups.inc();
                let bytes = written.iter().map(|b| b.file_bytes).sum::<u64>();
                tracing::info!(day, blocks = written.len(), bytes, "day rolled up");
            }
            Err(error) => {
                state.0.insert(day, shared.clock.monotonic_ns() + RETRY_NS);
                shared.metrics.rollup_failures.inc();
                tracing::warn!(day, %error, "rollup did not finish; full resolution stays");
            }
        }
        outcome.map(drop)
    }

    pub(crate) fn publish_rollups(&self, day: i32, blocks: &[BlockMeta]) -> Result<Vec<BlockMeta>, StoreError> {
        let shared = &self.path.shared;
        shared.settle(Signal::Metrics)?;
        let keeper = shared.stores.keeper(Signal::Metrics);
        let keep_going = || !self.path.is_stopping();
        let mut next_id = || BlockId(shared.catalog.next_block_id());
        let written = keeper.roll_up(day, shared.options.merge_target_bytes, &mut next_id, &keep_going)?;
        if written.is_empty() {
            return Ok(written);
        }
        let mut replaced: Vec<BlockId> = written.iter().flat_map(|b| b.replaces.iter().copied()).collect();
        replaced.sort_unstable();
        replaced.dedup();
        let rows: Vec<_> = written.iter().map(row_of).collect();
        let removed: Vec<u64> = replaced.iter().map(|id| id.0).collect();
        let change = Change { add: &rows, remove: &removed, flushed: &[] };
        shared.catalog.commit(&change).map_err(|e| StoreError::Disk(e.to_string()))?;
        shared.swap(Signal::Metrics, &written, &replaced, false)?;
        for block in blocks.iter().filter(|b| replaced.contains(&b.id)) {
            if let Err(error) = shared.disk.remove(&block.file_name()) {
                tracing::warn!(block = %block.file_name(), %error, "replaced rollup's file stays until the next start");
            }
        }
        Ok(written)
    }
}

/// Whether a day's rollups would be kept longer than its samples.
fn keeps_rollups(shared: &Shared, today: Option<i32>, day: i32) -> bool {
    let [hot, _, cold] = shared.options.retention.days;
    let age = today.map_or(0, |today| i64::from(today) - i64::from(day));
    cold > hot && age <= i64::from(cold)
}

#[cfg(test)]
mod tests {
    use super::*;
    use RetentionClass::{Cold, Hot};

    fn block(id: u64, class: RetentionClass, day: i32) -> BlockMeta {
        BlockMeta {
            id: BlockId(id),
            signal: Signal::Metrics,
            class,
            day,
            min_time_ns: 0,
            max_time_ns: 0,
            items: 1,
            file_bytes: 1,
            journal_from: 1,
            journal_to: 1,
            replaces: Vec::new(),
        }
    }

    #[test]
    fn a_day_is_rolled_up_once_it_is_over_and_quiet() {
        let blocks = [block(1, Hot, 7), block(2, Hot, 8), block(3, Cold, 6), block(4, Hot, 6), block(5, Hot, 9)];
        let due = |quiet: &[u64], may: i32| {
            super::due(&[6, 7, 8, 9], &blocks, 9, |b| quiet.contains(&b.id.0), |day| day >= may)
        };
        assert_eq!(due(&[1, 2, 4, 5], 0), Some(7), "day 6 has rollups: what came later waits for its expiry");
        assert_eq!(due(&[2], 0), Some(8), "day 7 is not quiet");
        assert_eq!((due(&[1, 2, 5], 8), due(&[1, 2, 5], 9)), (Some(8), None), "day 9 runs");
    }

    #[test]
    fn only_whole_days_are_rolled_up_before_they_go() {
        let blocks = [block(1, Hot, 7), block(2, Hot, 7), block(3, Hot, 8), block(4, Cold, 8)];
        assert_eq!(leaving(&blocks[..2], &blocks), [7]);
        assert!(leaving(&blocks[..1], &blocks).is_empty(), "its oldest block alone");
        assert_eq!(leaving(&blocks[2..], &blocks), [8]);
    }
}
