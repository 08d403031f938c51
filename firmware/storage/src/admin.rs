//! What an administrator may do to stored metrics and logs.

use crate::block::{BlockId, BlockStore, StoreError};
use bramble_signal::{LabelsRef, LogEntry, Matcher};
use std::sync::Arc;

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

/// A test of stored log entries. Made by whoever knows the query language; stores only ask it.
pub trait EntryFilter: Send + Sync + 'static {
    /// Whether the entry, of a stream of these labels, passes. May be asked by several threads at once.
    fn accepts(&self, labels: LabelsRef<'_>, entry: &LogEntry<'_>) -> bool;
}

/// A query for entries, made ready.
#[derive(Clone)]
pub struct EntryQuery {
    /// All must match, as in [`LogSelect::matchers`](crate::LogSelect::matchers).
    pub matchers: Vec<Matcher>,
    /// What is asked of matching entries; `None`: nothing.
    pub filter: Option<Arc<dyn EntryFilter>>,
}

/// Reads a query's text; the error is the language's complaint.
pub type ReadQuery = Arc<dyn Fn(&str) -> Result<EntryQuery, String> + Send + Sync>;

/// Log entries that were deleted and may still be in blocks.
#[derive(Clone)]
pub struct LogDeletion {
    /// Which entries.
    pub query: EntryQuery,
    /// First timestamp deleted, nanoseconds.
    pub start_ns: i64,
    /// Last timestamp deleted, nanoseconds, inclusive.
    pub last_ns: i64,
    /// The newest block that may hold any of them.
    pub through: BlockId,
    /// Whether it can no longer be taken back. Until then its entries are hidden, and their blocks are kept as they are.
    pub is_final: bool,
}

/// A log store that hides what was deleted.
pub trait DeletingLogStore: BlockStore {
    /// From now on no reading, flush or merge gives entries of these deletions; they take the place of those set before.
    fn set_deletions(&self, deletions: Vec<LogDeletion>);

    /// Blocks that hold entries of this deletion, ascending, and how many. Reads the lines of matching streams.
    ///
    /// # Errors
    /// [`StoreError`] when a block cannot be read.
    fn blocks_with_deleted(&self, deletion: &LogDeletion) -> Result<Vec<(BlockId, u64)>, StoreError>;
}

/// How far a request for deletion is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeletionState {
    /// Its entries are hidden.
    Received,
    /// Its entries are being removed from blocks, or some were.
    Processing,
    /// Its entries are gone.
    Processed,
}

/// A request for deletion, as it is listed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeletionRequest {
    /// Its name.
    pub id: String,
    /// Which entries, in the words of whoever asked.
    pub query: String,
    /// First timestamp deleted, nanoseconds.
    pub start_ns: i64,
    /// Last timestamp deleted, nanoseconds, inclusive.
    pub last_ns: i64,
    /// When it was made, milliseconds since the epoch.
    pub created_ms: i64,
    /// How far it is.
    pub state: DeletionState,
    /// Entries removed so far.
    pub deleted_lines: u64,
}

/// Why a request for deletion cannot be taken back.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CancelError {
    /// There is none of this name.
    #[error("there is no such request")]
    Unknown,
    /// Its entries are gone.
    #[error("it was processed already")]
    Processed,
    /// The time for taking it back is over; what is still there can be kept if one insists.
    #[error("the time for it is over")]
    TooLate,
    /// The disk.
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// Deleting log entries, behind Loki's delete API. All calls block until what they promise is true.
pub trait LogAdmin: Send + Sync + 'static {
    /// Deletes what is stored now and `query` finds in `start_ns..=last_ns`; returns the request's name. When this
    /// returns, no query sees the entries any more, also not after a crash; entries that arrive later are not
    /// touched. They are removed from blocks once the [cancel period](Self::cancel_period_ms) is over.
    ///
    /// # Errors
    /// [`StoreError`], also for a query that cannot be read; then nothing was deleted.
    fn delete(&self, query: &str, start_ns: i64, last_ns: i64) -> Result<String, StoreError>;

    /// All requests that are remembered, oldest first.
    fn requests(&self) -> Vec<DeletionRequest>;

    /// Takes a request back: its entries are seen again. With `force` also when some are gone.
    ///
    /// # Errors
    /// [`CancelError`]; then everything is as it was.
    fn cancel(&self, id: &str, force: bool) -> Result<(), CancelError>;

    /// For how long a request can be taken back, milliseconds.
    fn cancel_period_ms(&self) -> i64;
}
