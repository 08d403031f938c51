//! The log contracts.

use crate::Sequence;
use crate::query::{QueryContext, ReadError};
use crate::verdict::Rejections;
use bramble_runtime::{OverBudget, Reservation};
use bramble_signal::labels::encode_sorted;
use bramble_signal::{Labels, LabelsRef, LogBatch, LogEntry, Matcher, floating_label};
use regex::bytes::Regex;
use std::collections::BTreeMap;

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

/// Label of streams that Bramble writes for itself (its value says what they hold: `correlations`). They are of the cold
/// class, and are not shown to who does not ask for them by this label.
pub const OWN_STREAM_LABEL: &str = "__bramble__";

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

/// A label that a parser may find in lines and that entries may have already. An entry passes when its line contains the
/// text; or a backslash, under which an escaped form may hide; or when the text is exactly its value under the name, as
/// label of the stream, floating label or metadata.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mention<'a> {
    /// The label's name.
    pub name: &'a str,
    /// Its value; not empty.
    pub text: &'a str,
}

impl Mention<'_> {
    /// Whether an entry passes.
    pub fn accepts(&self, labels: LabelsRef<'_>, entry: &LogEntry<'_>) -> bool {
        memchr::memchr(b'\\', entry.line).is_some()
            || contains(entry.line, self.text.as_bytes())
            || labels.get(self.name) == Some(self.text)
            || self.is_in(entry.metadata)
    }

    /// Whether the metadata has it, as floating label or under the name itself.
    pub fn is_in(&self, metadata: LabelsRef<'_>) -> bool {
        metadata.iter().any(|(name, value)| value == self.text && floating_label(name).unwrap_or(name) == self.name)
    }
}

/// What a log query asks for. The default is everything, oldest first.
#[derive(Clone, Debug)]
pub struct LogSelect<'a> {
    /// All must match, exactly: on the stream's label of this name; where the stream has none, on the entry's floating
    /// label; else, for names that the store keeps out of streams, on the entry's metadata of this name; else on "".
    pub matchers: &'a [Matcher],
    /// First timestamp wanted, nanoseconds, inclusive.
    pub start_ns: i64,
    /// End of the range, nanoseconds, exclusive.
    pub end_ns: i64,
    /// Tests on the line; entries that fail any may be left out by the store and must be left out by the engine.
    pub lines: &'a [LinePredicate],
    /// Tests on what an entry has under a name: stream label, floating label or metadata, the first that is there, else
    /// "". Hints: entries that fail may be left out, and the asker tests again.
    pub fields: &'a [Matcher],
    /// What every passing entry mentions or has. Hints, as `fields`: what a parser's filter for an id says about entries.
    pub mentions: &'a [Mention<'a>],
    /// Order.
    pub direction: Direction,
    /// How many rows the asker expects to read, if it will stop early: how far to read ahead. Not a limit.
    pub rows_hint: Option<usize>,
}

impl Default for LogSelect<'_> {
    fn default() -> Self {
        LogSelect {
            matchers: &[],
            start_ns: i64::MIN,
            end_ns: i64::MAX,
            lines: &[],
            fields: &[],
            mentions: &[],
            direction: Direction::Forward,
            rows_hint: None,
        }
    }
}

/// Which metadata an asker needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MetadataWanted<'a> {
    /// None.
    None,
    /// Of these names; a floating label counts under its own name, and is handed over under it with its mark.
    Only(&'a [&'a str]),
    /// All.
    All,
}

/// Entries of one stream that share the metadata asked for, without their text.
#[derive(Clone, Copy, Debug)]
pub struct TallyRun<'a> {
    /// The stream.
    pub labels: LabelsRef<'a>,
    /// The metadata asked for.
    pub metadata: LabelsRef<'a>,
    /// When, nanoseconds; in no certain order.
    pub timestamps_ns: &'a [i64],
    /// Lengths of the lines, as many as timestamps; empty unless asked for.
    pub line_bytes: &'a [u32],
}

/// Hears runs; an error ends the reading.
pub type TallyVisitor<'v> = dyn FnMut(&TallyRun<'_>) -> Result<(), ReadError> + 'v;

/// What is stored of one stream in a range.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamTotals {
    /// The stream.
    pub labels: Labels,
    /// Page groups and chunks of the head with entries in range.
    pub chunks: u64,
    /// Entries in range: counted where a chunk lies inside, by the share of time where it lies across an edge.
    pub entries: u64,
    /// Bytes of their lines and metadata, likewise. What many entries of a chunk share of metadata may count once, and 8 bytes
    /// for each of them, as in Loki.
    pub bytes: u64,
}

/// What is stored of one stream, step by step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamSteps {
    /// The stream.
    pub labels: Labels,
    /// (start of a step, entries, bytes), ascending; steps without entries are left out.
    pub steps: Vec<(i64, u64, u64)>,
}

/// A template of log lines of one stream: lines that differ only in what varies.
#[derive(Clone, PartialEq, Debug)]
pub struct TemplateCounts {
    /// The stream.
    pub labels: Labels,
    /// The line with `<_>` for each varying part; valid in LogQL's `|>`, which accepts every line counted here.
    pub pattern: String,
    /// A line of it.
    pub example: Vec<u8>,
    /// The first time that the store still knows of, nanoseconds; it may lie before the range.
    pub first_ns: i64,
    /// The last time in the range, nanoseconds.
    pub last_ns: i64,
    /// Lines in the range.
    pub count: u64,
    /// (start of a step, lines in it), ascending; steps without lines are left out.
    pub samples: Vec<(i64, u64)>,
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

    /// Calls `each` with every entry that [`select`](Self::select) would give, in runs and in no certain order, without
    /// rebuilding lines that need not be looked at: for counts, rates and sizes. `fields` and `mentions`
    /// are hints that the asker tests again, which it cannot here: they must be empty.
    ///
    /// # Errors
    /// [`ReadError`], also that of `each`.
    fn tally(
        &self,
        select: &LogSelect<'_>,
        metadata: MetadataWanted<'_>,
        line_bytes: bool,
        context: &QueryContext,
        each: &mut TallyVisitor<'_>,
    ) -> Result<(), ReadError> {
        tally_by_rows(self.select(select, context)?.as_mut(), metadata, line_bytes, each)
    }

    /// What is stored of each matching stream, ascending by labels; from statistics where there are any.
    ///
    /// # Errors
    /// [`ReadError`].
    fn totals(
        &self,
        matchers: &[Matcher],
        start_ns: i64,
        end_ns: i64,
        context: &QueryContext,
    ) -> Result<Vec<StreamTotals>, ReadError> {
        let mut found: BTreeMap<Labels, StreamTotals> = BTreeMap::new();
        let select = LogSelect { matchers, start_ns, end_ns, ..LogSelect::default() };
        self.tally(&select, MetadataWanted::All, true, context, &mut |run| {
            let labels = run.labels.to_labels();
            let totals =
                found.entry(labels.clone()).or_insert(StreamTotals { labels, chunks: 1, entries: 0, bytes: 0 });
            totals.entries += run.timestamps_ns.len() as u64;
            let metadata: usize = run.metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
            totals.bytes += run.line_bytes.iter().map(|&n| u64::from(n) + metadata as u64).sum::<u64>();
            Ok(())
        })?;
        Ok(found.into_values().collect())
    }

    /// [`totals`](Self::totals) of each step from `start_ns`; the last one may be shorter. `step_ns` is positive.
    ///
    /// # Errors
    /// [`ReadError`].
    fn totals_by_step(
        &self,
        matchers: &[Matcher],
        start_ns: i64,
        end_ns: i64,
        step_ns: i64,
        context: &QueryContext,
    ) -> Result<Vec<StreamSteps>, ReadError> {
        let mut found: BTreeMap<Labels, Vec<(i64, u64, u64)>> = BTreeMap::new();
        let mut from = start_ns;
        while from < end_ns {
            let to = from.saturating_add(step_ns.max(1)).min(end_ns);
            for totals in self.totals(matchers, from, to, context)? {
                found.entry(totals.labels).or_default().push((from, totals.entries, totals.bytes));
            }
            from = to;
        }
        Ok(found.into_iter().map(|(labels, steps)| StreamSteps { labels, steps }).collect())
    }

    /// Templates of lines of matching streams in the range, in no certain order, with counts per step; at most `most`,
    /// those with the most lines. Only `matchers`, range and `lines` of `select` count. A source that keeps no templates
    /// has none.
    ///
    /// # Errors
    /// [`ReadError`].
    fn templates(
        &self,
        select: &LogSelect<'_>,
        step_ns: i64,
        most: usize,
        context: &QueryContext,
    ) -> Result<Vec<TemplateCounts>, ReadError> {
        let _ = (select, step_ns, most, context);
        Ok(Vec::new())
    }

    /// Names of labels that are kept out of streams, as far as any were seen; ascending.
    fn floating_names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// [`LogSource::tally`] by way of rows.
fn tally_by_rows(
    cursor: &mut dyn LogCursor,
    wanted: MetadataWanted<'_>,
    line_bytes: bool,
    each: &mut TallyVisitor<'_>,
) -> Result<(), ReadError> {
    let (mut rows, mut kept) = (LogRows::default(), Vec::new());
    while cursor.next(&mut rows)? {
        for stream in rows.batch.streams() {
            for entry in stream.entries() {
                let metadata = wanted.keep(entry.metadata, &mut kept);
                let bytes = [entry.line.len() as u32];
                each(&TallyRun {
                    labels: stream.labels(),
                    metadata,
                    timestamps_ns: &[entry.timestamp_ns],
                    line_bytes: if line_bytes { &bytes } else { &[] },
                })?;
            }
        }
    }
    Ok(())
}

impl MetadataWanted<'_> {
    /// Whether metadata of this name is wanted.
    pub fn wants(&self, name: &str) -> bool {
        match self {
            MetadataWanted::None => false,
            MetadataWanted::Only(names) => names.contains(&floating_label(name).unwrap_or(name)),
            MetadataWanted::All => true,
        }
    }

    /// What is wanted of `metadata`, in `scratch` where something is left out.
    pub fn keep<'a>(&self, metadata: LabelsRef<'a>, scratch: &'a mut Vec<u8>) -> LabelsRef<'a> {
        if metadata.iter().all(|(name, _)| self.wants(name)) {
            return metadata;
        }
        scratch.clear();
        encode_sorted(metadata.iter().filter(|(name, _)| self.wants(name)), scratch);
        LabelsRef::from_encoded(scratch)
    }
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
