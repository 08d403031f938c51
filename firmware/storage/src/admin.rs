//! What an administrator may do to stored metrics.

use crate::block::{BlockId, BlockStore, StoreError};
use bramble_signal::Matcher;

/// Deleting and copying, behind Prometheus' admin API. All calls block until what they promise is true.
pub trait MetricAdmin: Send + Sync + 'static {
    /// Deletes the samples of series that match any of `selectors` in `start_ms..=end_ms`. When this returns, no query
    /// sees them any more, also not after a crash; samples that arrive later are not touched. Their space is freed at
    /// merges, or by [`clean_tombstones`](Self::clean_tombstones).
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was deleted.
    fn delete_series(&self, selectors: &[Vec<Matcher>], start_ms: i64, end_ms: i64) -> Result<(), StoreError>;

    /// Rewrites every block that holds deleted samples without them.
    ///
    /// # Errors
    /// [`StoreError`]; what was rewritten stays so.
    fn clean_tombstones(&self) -> Result<(), StoreError>;

    /// Makes a copy of everything stored that can be opened as a data directory of its own, and gives its name below
    /// the data directory's `snapshots`. Without `skip_head`, what is only in memory and journal is written out first.
    ///
    /// # Errors
    /// [`StoreError`]; a copy begun is removed.
    fn snapshot(&self, skip_head: bool) -> Result<String, StoreError>;
}

/// Samples that were deleted and may still be in blocks.
#[derive(Clone, Debug)]
pub struct Deletion {
    /// Series that match any of these.
    pub selectors: Vec<Vec<Matcher>>,
    /// First timestamp deleted, milliseconds.
    pub start_ms: i64,
    /// Last timestamp deleted, milliseconds, inclusive.
    pub end_ms: i64,
    /// The newest block that may hold any of them: samples of later blocks came after the deletion, or were copied
    /// without those deleted.
    pub through: BlockId,
}

/// A metric store that leaves out what was deleted.
pub trait DeletingStore: BlockStore {
    /// From now on no reading, merge or rollup sees samples of these deletions; they take the place of those set before.
    fn set_deletions(&self, deletions: Vec<Deletion>);

    /// Blocks that hold samples of these deletions, ascending.
    ///
    /// # Errors
    /// [`StoreError`] when a block cannot be read.
    fn blocks_with_deleted(&self, deletions: &[Deletion]) -> Result<Vec<BlockId>, StoreError>;
}
