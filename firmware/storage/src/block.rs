//! Blocks and the part of a store that the write path drives.

use crate::Sequence;
use bramble_signal::Signal;

/// A block's number: unique in a data directory, ascending, never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct BlockId(pub u64);

/// How long a block is kept. Part of a partition, so that every expiry is an unlink.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum RetentionClass {
    /// 15 days by default: metrics at full resolution, traces in full.
    Hot,
    /// 30 days by default: logs, traces worth keeping.
    Warm,
    /// 90 days by default: rollups and history.
    Cold,
}

impl RetentionClass {
    /// All classes, shortest first.
    pub const ALL: [RetentionClass; 3] = [RetentionClass::Hot, RetentionClass::Warm, RetentionClass::Cold];

    /// The name used in paths, metrics and configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            RetentionClass::Hot => "hot",
            RetentionClass::Warm => "warm",
            RetentionClass::Cold => "cold",
        }
    }

    /// The number written to disk: 1, 2, 3.
    pub fn code(self) -> u8 {
        self as u8 + 1
    }

    /// The class of a number written to disk.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).wrapping_sub(1)).copied()
    }
}

/// The UTC day (days since the Unix epoch) of a time in milliseconds.
pub fn day_of_ms(timestamp_ms: i64) -> i32 {
    timestamp_ms.div_euclid(86_400_000).clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

/// The UTC day (days since the Unix epoch) of a time in nanoseconds.
pub fn day_of_ns(timestamp_ns: i64) -> i32 {
    timestamp_ns.div_euclid(86_400_000_000_000) as i32
}

/// What is known of a block without opening it; the same in the catalog and in the segment itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlockMeta {
    /// Its number.
    pub id: BlockId,
    /// What it holds.
    pub signal: Signal,
    /// How long it is kept.
    pub class: RetentionClass,
    /// The one UTC day that all its items are of.
    pub day: i32,
    /// First timestamp, nanoseconds (metrics too).
    pub min_time_ns: i64,
    /// Last timestamp, nanoseconds, inclusive.
    pub max_time_ns: i64,
    /// Samples, entries or spans.
    pub items: u64,
    /// Size of its file.
    pub file_bytes: u64,
    /// First journal sequence whose items are in it; 0 for a merge's output.
    pub journal_from: Sequence,
    /// Last journal sequence whose items are in it; 0 for a merge's output.
    pub journal_to: Sequence,
    /// Blocks whose items are all in this one (or in others of the same merge): hidden once this one is valid.
    pub replaces: Vec<BlockId>,
}

impl BlockMeta {
    /// Name of its segment, relative to the data directory: `blocks/<signal>/<class>/<day>/<id>.seg`, day as
    /// days since the epoch, id as 16 hex digits.
    pub fn file_name(&self) -> String {
        Self::name_of(self.signal, self.class, self.day, self.id)
    }

    /// [`file_name`](Self::file_name) of a block that does not exist yet.
    pub fn name_of(signal: Signal, class: RetentionClass, day: i32, id: BlockId) -> String {
        format!("blocks/{}/{}/{}/{:016x}.seg", signal.as_str(), class.as_str(), day, id.0)
    }
}

/// How much a head holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HeadStats {
    /// Bytes that a flush would free, counted against the head's budget.
    pub flushable_bytes: usize,
    /// All bytes counted against the head's budget.
    pub total_bytes: usize,
    /// Its budget.
    pub limit_bytes: usize,
    /// Items not yet in a block, in the active generation.
    pub items: u64,
    /// Series or streams known.
    pub series: u64,
    /// Sequence of the first record in the active generation, 0 when it is empty.
    pub first_sequence: Sequence,
    /// Whether a frozen generation waits to be written.
    pub frozen: bool,
}

/// A store could not write or read its blocks.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk failed; what was being written does not exist.
    #[error("disk: {0}")]
    Disk(String),
    /// The disk is full.
    #[error("disk full: {0}")]
    Full(String),
    /// A block's bytes are damaged.
    #[error("block {block:?} is damaged: {what}")]
    Damaged {
        /// Which.
        block: BlockId,
        /// What was found.
        what: String,
    },
    /// The simulated power went away, or a merge was told to stop.
    #[error("stopped")]
    Stopped,
}

/// The part of a store that keeps heads and blocks. Synchronous; called by one maintenance thread (or the
/// simulation's scheduler) at a time, beside any number of readers and appliers.
///
/// A flush goes: [`freeze`](Self::freeze) → [`write_frozen`](Self::write_frozen) → the catalog commits blocks and
/// the flushed sequence in one transaction → [`swap`](Self::swap). A merge: [`merge`](Self::merge) → catalog →
/// `swap` → the inputs' files are removed. A reader holds one snapshot, so it sees every item exactly once at any
/// moment of either.
pub trait BlockStore: Send + Sync + 'static {
    /// Which signal it keeps.
    fn signal(&self) -> Signal;

    /// Opens the blocks that the catalog lists, at start. Blocks that cannot be opened are returned with the
    /// reason and are not served.
    fn open_blocks(&self, blocks: &[BlockMeta]) -> Vec<(BlockId, StoreError)>;

    /// What the head holds now.
    fn head(&self) -> HeadStats;

    /// Cuts the head: everything applied so far (through journal sequence `through`) becomes the frozen
    /// generation; later items enter a new one. Does nothing and returns `false` when the active generation is
    /// empty or another frozen one still waits.
    fn freeze(&self, through: Sequence) -> bool;

    /// Writes the frozen generation as blocks, published under their final names: one per UTC day and retention
    /// class (more when one would be too large). The generation stays readable in the head. `next_id` gives fresh
    /// block numbers.
    ///
    /// # Errors
    /// [`StoreError`]; blocks published before the error are returned to nobody and are removed or adopted at the
    /// next start. May be called again.
    fn write_frozen(&self, next_id: &mut dyn FnMut() -> BlockId) -> Result<Vec<BlockMeta>, StoreError>;

    /// Atomically (for readers) adds and removes blocks, and drops the frozen generation if `frozen_done`.
    ///
    /// # Errors
    /// [`StoreError`] when an added block cannot be opened; nothing has changed then.
    fn swap(&self, added: &[BlockMeta], removed: &[BlockId], frozen_done: bool) -> Result<(), StoreError>;

    /// Merges blocks of one (day, class) into new ones of at most about `target_bytes` each, published under
    /// their final names and naming what they replace. Reads and writes in a stream within the `merge` budget;
    /// equal items become one. `keep_going` is asked between pages.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is replaced then.
    fn merge(
        &self,
        inputs: &[BlockId],
        target_bytes: u64,
        next_id: &mut dyn FnMut() -> BlockId,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<Vec<BlockMeta>, StoreError>;

    /// Whether these blocks must not be merged for now: something that they hold may be taken back.
    fn is_held(&self, blocks: &[BlockId]) -> bool {
        let _ = blocks;
        false
    }

    /// Days with samples that are in no rollup yet, ascending. A store without rollups has none.
    fn unrolled_days(&self) -> Vec<i32> {
        Vec::new()
    }

    /// Writes rollups of all samples of `day`, published under their final names and naming the rollups that they
    /// replace. Damaged pages are passed over: there is nothing better to wait for. Nothing of the day's
    /// other blocks is replaced. `next_id`, `target_bytes` and `keep_going` as with [`merge`](Self::merge).
    ///
    /// # Errors
    /// [`StoreError`]; nothing is replaced then.
    fn roll_up(
        &self,
        day: i32,
        target_bytes: u64,
        next_id: &mut dyn FnMut() -> BlockId,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<Vec<BlockMeta>, StoreError> {
        let _ = (day, target_bytes, next_id, keep_going);
        Ok(Vec::new())
    }

    /// Forgets what only the head's index still remembers (series that stopped, ids for deduplication older than
    /// `before_ms`), so that churn does not grow memory. Called every few minutes.
    fn trim(&self, before_ms: i64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_utc_and_floor() {
        assert_eq!((day_of_ms(0), day_of_ms(-1), day_of_ms(86_400_000)), (0, -1, 1));
        assert_eq!(day_of_ns(-1), -1);
    }

    #[test]
    fn names_are_stable() {
        let name = BlockMeta::name_of(Signal::Logs, RetentionClass::Warm, 20_000, BlockId(255));
        assert_eq!(name, "blocks/logs/warm/20000/00000000000000ff.seg");
        assert_eq!(RetentionClass::from_code(RetentionClass::Cold.code()), Some(RetentionClass::Cold));
        assert_eq!(RetentionClass::from_code(0), None);
    }
}
