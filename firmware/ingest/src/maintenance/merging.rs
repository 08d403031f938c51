//! Which days are merged, and how a merge becomes what is served.

use super::{Maintenance, Partition, Progress, State};
use crate::catalog_rows::row_of;
use bramble_catalog::Change;
use bramble_signal::Signal;
use bramble_storage::{BlockId, BlockMeta, RetentionClass, StoreError};

/// Blocks that arrive for a day after it was merged stay small until there are this many.
const LATE_BLOCKS_MERGE: usize = 12;

/// A day of metrics in so few blocks that are so large on average is as good as merged: each has hundreds of samples of a series, so
/// that one block would be some 3 % smaller and save a query a few reads, for writing all of it once more.
const MERGED_BLOCKS_MAX: usize = 8;
const MERGED_BLOCK_BYTES_MIN: u64 = 4 << 20;

/// A block of logs of this size is as good as merged, and is left alone while the day's smaller ones are merged: blocks of
/// 7 MB together are 1.5 % larger than one of all, of 10 MB 0.8 % (templates are written once in each), and the day's blocks
/// follow each other in time, so that a query reads no more of many than of one.
const MERGED_LOG_BYTES_MIN: u64 = 4 << 20;

/// Pause before a merge that failed is tried again.
const MERGE_RETRY_NS: u64 = 3_600_000_000_000;

impl Maintenance {
    /// Merges the first partition that is over, quiet and in pieces.
    pub(super) fn merge_one(&self, state: &mut State, blocks: &[BlockMeta], today: Option<i32>) -> Progress {
        let shared = &self.path.shared;
        let now_ns = shared.clock.monotonic_ns();
        for (partition, blocks) in partitions(blocks) {
            if is_rollups(partition) {
                continue;
            }
            let over = today.is_some_and(|today| partition.1 < today);
            let added_ns = state.block_added_ns.get(&partition).map_or(0, |newest| newest.0);
            let waits = state.merge_after_ns.get(&partition).is_some_and(|after_ns| now_ns < *after_ns);
            if !over || waits || now_ns < added_ns.saturating_add(shared.options.merge_quiet_ns) {
                continue;
            }
            let (fresh, merged): (Vec<_>, Vec<_>) = blocks.into_iter().partition(|b| b.journal_to > 0);
            let fresh = mergeable(fresh);
            let due = if merged.is_empty() { pays(&fresh) } else { fresh.len() >= LATE_BLOCKS_MERGE };
            let ids: Vec<BlockId> = fresh.iter().map(|block| block.id).collect();
            let due = due && !shared.stores.keeper(partition.0).is_held(&ids);
            if due && self.merge(partition, &fresh).is_ok() {
                return Progress::Worked;
            }
            if due {
                // A damaged block stays damaged: other days must not wait for it, and neither should the log fill.
                state.merge_after_ns.insert(partition, now_ns + MERGE_RETRY_NS);
            }
        }
        let State { rollups, block_added_ns, .. } = state;
        let is_quiet = |block: &BlockMeta| {
            let newest = block_added_ns.get(&(block.signal, block.day, block.class));
            now_ns >= newest.map_or(0, |newest| newest.0).saturating_add(shared.options.merge_quiet_ns)
        };
        today.map_or(Progress::Idle, |today| self.roll_up_one(rollups, blocks, today, is_quiet))
    }

    pub(super) fn merge(&self, (signal, day, class): Partition, inputs: &[BlockMeta]) -> Result<(), StoreError> {
        let shared = &self.path.shared;
        shared.settle(signal)?;
        let keeper = shared.stores.keeper(signal);
        let began_ns = shared.clock.monotonic_ns();
        let ids: Vec<BlockId> = inputs.iter().map(|b| b.id).collect();
        let keep_going = || !self.path.is_stopping();
        let mut next_id = || BlockId(shared.catalog.next_block_id());
        let outcome =
            keeper.merge(&ids, shared.options.merge_target_bytes, &mut next_id, &keep_going).and_then(|outputs| {
                let rows: Vec<_> = outputs.iter().map(row_of).collect();
                let removed: Vec<u64> = ids.iter().map(|id| id.0).collect();
                let change = Change { add: &rows, remove: &removed, flushed: &[] };
                shared.catalog.commit(&change).map_err(|e| StoreError::Disk(e.to_string()))?;
                shared.swap(signal, &outputs, &ids, false)?;
                Ok(outputs)
            });
        match outcome {
            Ok(outputs) => {
                for block in inputs {
                    if let Err(error) = shared.disk.remove(&block.file_name()) {
                        tracing::warn!(block = %block.file_name(), %error, "merged block's file stays until the next start");
                    }
                }
                shared.metrics.merges.with_label_values(&[signal.as_str()]).inc();
                shared.metrics.merge_seconds.observe((shared.clock.monotonic_ns() - began_ns) as f64 / 1e9);
                let bytes = |blocks: &[BlockMeta]| blocks.iter().map(|b| b.file_bytes).sum::<u64>();
                let (from, to) = (bytes(inputs), bytes(&outputs));
                tracing::info!(%signal, day, class = class.as_str(), inputs = inputs.len(), outputs = outputs.len(), from, to, "day merged");
                Ok(())
            }
            Err(error) => {
                shared.metrics.merge_failures.with_label_values(&[signal.as_str()]).inc();
                tracing::warn!(%signal, day, class = class.as_str(), %error, "merge did not finish; its inputs stay");
                Err(error)
            }
        }
    }
}

/// Those of a day's blocks that a merge may take.
pub(super) fn mergeable(mut blocks: Vec<BlockMeta>) -> Vec<BlockMeta> {
    blocks.retain(|block| block.signal != Signal::Logs || block.file_bytes < MERGED_LOG_BYTES_MIN);
    blocks
}

/// Whether merging a day's blocks is worth writing them again.
pub(super) fn pays(blocks: &[BlockMeta]) -> bool {
    let bytes = blocks.iter().map(|block| block.file_bytes).sum::<u64>();
    let large = bytes / (blocks.len() as u64).max(1) >= MERGED_BLOCK_BYTES_MIN;
    let is_metrics = blocks.iter().all(|block| block.signal == Signal::Metrics);
    blocks.len() > 1 && !(is_metrics && large && blocks.len() <= MERGED_BLOCKS_MAX)
}

/// Rollups are written anew, never merged: what is one row in two blocks would count twice.
pub(super) fn is_rollups((signal, _, class): Partition) -> bool {
    signal == Signal::Metrics && class == RetentionClass::Cold
}

/// Blocks by partition, oldest day first.
pub(super) fn partitions(blocks: &[BlockMeta]) -> Vec<(Partition, Vec<BlockMeta>)> {
    let mut by: std::collections::BTreeMap<(i32, Signal, RetentionClass), Vec<BlockMeta>> = Default::default();
    for block in blocks {
        by.entry((block.day, block.signal, block.class)).or_default().push(block.clone());
    }
    by.into_iter().map(|((day, signal, class), blocks)| ((signal, day, class), blocks)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_must_pay() {
        let blocks_of = |signal: Signal, sizes: &[u64]| -> Vec<BlockMeta> {
            let block = |(id, mib): (usize, &u64)| BlockMeta {
                id: BlockId(id as u64),
                signal,
                class: RetentionClass::Hot,
                day: 1,
                min_time_ns: 0,
                max_time_ns: 0,
                items: 1,
                file_bytes: mib << 20,
                journal_from: 1,
                journal_to: 1,
                replaces: Vec::new(),
            };
            sizes.iter().enumerate().map(block).collect()
        };
        let blocks = |sizes: &[u64]| blocks_of(Signal::Metrics, sizes);
        let logs = |sizes: &[u64]| mergeable(blocks_of(Signal::Logs, sizes));
        assert!(!pays(&logs(&[9; 40])) && !pays(&logs(&[9, 9, 1])), "large blocks of logs stay as they are");
        assert!(pays(&logs(&[9, 1, 9, 3])) && logs(&[9, 1, 9, 3]).len() == 2, "small ones are merged with each other");
        assert_eq!(mergeable(blocks(&[9, 1])).len(), 2);
        assert!(!pays(&[]) && !pays(&blocks(&[1])) && pays(&blocks(&[1, 1])));
        assert!(!pays(&blocks(&[9, 9, 9, 9, 1])), "a few large ones with what was left at the end");
        assert!(pays(&blocks(&[9, 1, 1])) && pays(&blocks(&[9; 9])), "small ones, or many");
    }
}
