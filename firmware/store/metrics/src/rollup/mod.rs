//! The cold tier: five minutes of a series as one row, kept when the samples are gone.
//!
//! * [`build`] makes rows from samples, and joins rows of one bucket;
//! * [`columns`] writes the rows of a series as a few ordinary series of a block, and reads them back;
//! * [`telling`] says which samples can be told from rows;
//! * [`day`] rolls up a day.
//!
//! A rollup block is an ordinary metric block whose footer says that its values are columns; label index, pages,
//! checksums and their reading are the same. Histograms have no columns: the last of each bucket (and each before a
//! reset) goes as a sample into an ordinary block of the same class.
//!
//! Which answers: while a block of full resolution has samples that a day's rollups cover (its lowest rank is not above
//! theirs), the day is answered from full resolution alone. Else from the rollups; samples that came later still (their
//! rank is above) are folded into the rows as they are read, until the next rollup has them.
//!
//! Layout: docs/formats.md, "Rollup block". Bounds: docs/storage.md.

mod build;
mod columns;
mod day;
#[cfg(test)]
mod day_tests;
mod telling;
#[cfg(test)]
mod tests;

pub(crate) use build::{fold, roll};
pub(crate) use columns::Columns;
pub(crate) use day::{fold_days, rollups_of};
pub(crate) use telling::tell;

use crate::block::{Block, BlockKind};
use bramble_signal::{ROLLUP_WIDTH_MS, Rollup};
use bramble_storage::{BlockId, RetentionClass};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A rollup, with what [`Rollup::increase`] says beyond `last - first`, so that it is written as it was found.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Row {
    pub(crate) rollup: Rollup,
    /// Sum of the values before resets.
    pub(crate) lost: f64,
}

impl Row {
    fn first_ms(&self) -> i64 {
        self.rollup.first.timestamp_ms
    }

    /// Whether any of it may lie in the range, both ends included.
    pub(crate) fn overlaps(&self, range: (i64, i64)) -> bool {
        self.first_ms() <= range.1 && self.rollup.start_ms.saturating_add(ROLLUP_WIDTH_MS) >= range.0
    }
}

/// Exclusive beginning of the bucket that a time is in.
pub(crate) fn bucket_of(timestamp_ms: i64) -> i64 {
    timestamp_ms.saturating_sub(1).div_euclid(ROLLUP_WIDTH_MS).saturating_mul(ROLLUP_WIDTH_MS)
}

/// Days with rollups: the highest rank that these cover.
fn rolled_days(blocks: &[Arc<Block>]) -> BTreeMap<i32, u64> {
    let mut days = BTreeMap::new();
    for block in blocks.iter().filter(|b| b.kind == BlockKind::Rollups || b.meta.class == RetentionClass::Cold) {
        let rank = days.entry(block.meta.day).or_insert(block.rank);
        *rank = block.rank.max(*rank);
    }
    days
}

/// What of the blocks is answered from.
pub(crate) struct Tiers {
    rolled: BTreeMap<i32, u64>,
    /// The days that are answered from rollups, ascending.
    pub(crate) cold_days: Arc<[i32]>,
    /// What rollups were made of and removed with: there again only if the catalog was lost.
    replaced: Vec<BlockId>,
}

impl Tiers {
    pub(crate) fn of(blocks: &[Arc<Block>]) -> Self {
        let rolled = rolled_days(blocks);
        let mut cold = rolled.clone();
        let mut replaced = Vec::new();
        if !cold.is_empty() {
            let of_cold = blocks.iter().filter(|b| b.meta.class == RetentionClass::Cold);
            replaced.extend(of_cold.flat_map(|b| b.meta.replaces.iter().copied()));
            replaced.sort_unstable();
            for block in blocks.iter().filter(|b| b.meta.class != RetentionClass::Cold) {
                let covered = cold.get(&block.meta.day).is_some_and(|rank| block.rank_from <= *rank);
                if covered && replaced.binary_search(&block.id()).is_err() {
                    cold.remove(&block.meta.day);
                }
            }
        }
        Tiers { rolled, cold_days: cold.into_keys().collect(), replaced }
    }

    /// Whether this block is answered from. Of rollups that were replaced (a catalog that was lost knows no better) only
    /// the newest are.
    pub(crate) fn serves(&self, block: &Block) -> bool {
        let day = block.meta.day;
        if self.replaced.binary_search(&block.id()).is_ok() {
            return false;
        }
        block.meta.class != RetentionClass::Cold
            || self.cold_days.binary_search(&day).is_ok() && self.rolled.get(&day) == Some(&block.rank)
    }

    /// The highest rank of a day's rollups.
    pub(crate) fn rank(&self, day: i32) -> Option<u64> {
        self.rolled.get(&day).copied()
    }
}

/// Days that have samples which are in no rollup, ascending.
pub(crate) fn unrolled_days(blocks: &[Arc<Block>]) -> Vec<i32> {
    let rolled = rolled_days(blocks);
    let hot = blocks.iter().filter(|b| b.meta.class != RetentionClass::Cold);
    let open = hot.filter(|b| rolled.get(&b.meta.day).is_none_or(|rank| b.rank > *rank)).map(|b| b.meta.day);
    open.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}
