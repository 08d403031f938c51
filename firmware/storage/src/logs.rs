//! The log contracts.

use crate::Sequence;
use crate::query::{QueryContext, ReadError};
use crate::verdict::Rejections;
use bramble_runtime::{OverBudget, Reservation};
use bramble_signal::{Labels, LogBatch, LogEntry, Matcher};
use regex::bytes::Regex;

/// A batch that was judged: what remains to be made durable and applied. `batch` holds only accepted entries.
pub struct PreparedLogs {
    /// The accepted entries.
    pub batch: LogBatch,
    /// Items stored or there already.
    pub accepted: u64,
    /// What was refused for good.
    pub rejections: Rejections,
    /// Head space for the batch; [`LogSink::apply`] takes it over.
    pub space: Reservation,
}

/// The writing side of a log store.
pub trait LogSink: Send + Sync + 'static {
    /// Judges every entry against `now_ns` and reserves head space. An entry equal in stream, timestamp, line
    /// and metadata to one already there is accepted and kept once.
    ///
    /// # Errors
    /// [`OverBudget`]: nothing was taken; try later.
    fn prepare(&self, batch: LogBatch, now_ns: i64) -> Result<PreparedLogs, OverBudget>;

    /// Enters a prepared batch, durable at `sequence`, into the head. Cannot fail.
    fn apply(&self, prepared: PreparedLogs, sequence: Sequence);

    /// Enters a batch during replay, without judging again.
    fn replay(&self, batch: &LogBatch, sequence: Sequence);
}

/// Order of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// Oldest first.
    Forward,
    /// Newest first.
    Backward,
}

/// A test on the line that a store may use to skip what cannot match.
#[derive(Clone, Debug)]
pub enum LinePredicate {
    /// The line contains these bytes.
    Contains(Vec<u8>),
    /// The line does not contain these bytes.
    NotContains(Vec<u8>),
    /// The expression matches somewhere in the line.
    Matches(Regex),
    /// The expression matches nowhere in the line.
    NotMatches(Regex),
}

impl LinePredicate {
    /// Whether `line` passes.
    pub fn accepts(&self, line: &[u8]) -> bool {
        match self {
            LinePredicate::Contains(needle) => contains(line, needle),
            LinePredicate::NotContains(needle) => !contains(line, needle),
            LinePredicate::Matches(regex) => regex.is_match(line),
            LinePredicate::NotMatches(regex) => !regex.is_match(line),
        }
    }
}

fn contains(line: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(line, needle).is_some()
}

/// What a log query asks for.
#[derive(Clone, Debug)]
pub struct LogSelect<'a> {
    /// Matchers on stream labels; all must match.
    pub matchers: &'a [Matcher],
    /// First timestamp wanted, nanoseconds, inclusive.
    pub start_ns: i64,
    /// End of the range, nanoseconds, exclusive.
    pub end_ns: i64,
    /// Tests on the line; entries that fail any may be left out by the store and must be left out by the engine.
    pub lines: &'a [LinePredicate],
    /// Order.
    pub direction: Direction,
}

/// Rows of one stream of an answer's batch.
#[derive(Clone, Default, Debug)]
pub struct LogRows {
    /// Streams referred to by `order`, and their entries; within a stream in answer order.
    pub batch: LogBatch,
    /// Answer order over all streams: (stream index, entry index within the stream), sorted by timestamp in the
    /// asked direction; entries of equal timestamps in ascending order of stream labels, then arrival.
    pub order: Vec<(u32, u32)>,
}

impl LogRows {
    /// Empties and keeps memory.
    pub fn clear(&mut self) {
        self.batch.clear();
        self.order.clear();
    }
}

/// Rows in answer order, a few thousand at a time.
pub trait LogCursor {
    /// Fills `out` (cleared first) with the next rows: each batch lies wholly before the next one in answer
    /// order. `false` at the end.
    ///
    /// # Errors
    /// [`ReadError`]; the cursor is finished then.
    fn next(&mut self, out: &mut LogRows) -> Result<bool, ReadError>;
}

/// The reading side of a log store. One call sees one snapshot of heads and blocks.
pub trait LogSource: Send + Sync + 'static {
    /// Entries that match, in order. All line predicates are applied exactly by the store, so what comes out
    /// passes them.
    ///
    /// # Errors
    /// [`ReadError`].
    fn select<'a>(
        &'a self,
        select: &LogSelect<'_>,
        context: &'a QueryContext,
    ) -> Result<Box<dyn LogCursor + 'a>, ReadError>;

    /// Label sets of matching streams with entries in range (to the precision of a block), ascending.
    ///
    /// # Errors
    /// [`ReadError`].
    fn streams(
        &self,
        matchers: &[Matcher],
        start_ns: i64,
        end_ns: i64,
        context: &QueryContext,
    ) -> Result<Vec<Labels>, ReadError>;
}

/// Sorts entries into answer order; shared by implementations that gather before they answer.
pub(crate) fn answer_order(
    a: (&Labels, &LogEntry<'_>),
    b: (&Labels, &LogEntry<'_>),
    direction: Direction,
) -> std::cmp::Ordering {
    let by_time = a.1.timestamp_ns.cmp(&b.1.timestamp_ns);
    let by_time = if direction == Direction::Backward { by_time.reverse() } else { by_time };
    by_time.then_with(|| a.0.cmp(b.0))
}
