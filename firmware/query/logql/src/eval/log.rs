//! Log queries.

use super::fields::{Base, Fields, Origin};
use super::pipeline::{Pipeline, Row, Scratch};
use super::rows::walk;
use super::{Answer, Entry, LabelSet, QueryError, Stream};
use crate::syntax::LogExpr;
use bramble_signal::LogEntry;
use bramble_storage::{Direction, LogSelect, LogSource, QueryContext};
use foldhash::fast::RandomState;
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

/// What a log query asks for.
#[derive(Clone, Copy, Debug)]
pub struct LogParams {
    /// First timestamp wanted, inclusive.
    pub start_ns: i64,
    /// End of the range, exclusive.
    pub end_ns: i64,
    /// At most so many lines.
    pub limit: usize,
    /// Which end to begin at.
    pub direction: Direction,
    /// Least distance between two lines; 0 for none.
    pub interval_ns: i64,
    /// Whether to keep labels apart by origin.
    pub categorize: bool,
}

/// Memory of an entry besides its line.
const ENTRY_BYTES: usize = size_of::<Entry>();

/// Rows read per row that is wanted, where stages reject some: a guess.
const READ_AHEAD: usize = 8;

struct Gather<'a> {
    params: &'a LogParams,
    context: &'a QueryContext,
    index: HashMap<Box<[u8]>, usize, RandomState>,
    streams: Vec<Stream>,
    key: Vec<u8>,
}

impl Gather<'_> {
    fn add(&mut self, row: Row<'_>, fields: &mut Fields) -> Result<(), QueryError> {
        let only = self.params.categorize.then_some(Origin::Stream);
        // The key of all labels would split what belongs to one stream.
        fields.full_key(only, &mut self.key);
        let stream = match self.index.get(self.key.as_slice()) {
            Some(at) => *at,
            None => {
                let labels = fields.to_set(only);
                self.context.reserve(labels.memory_bytes() + 2 * self.key.len() + size_of::<Stream>())?;
                self.index.insert(self.key.as_slice().into(), self.streams.len());
                self.streams.push(Stream { labels, entries: Vec::new() });
                self.streams.len() - 1
            }
        };
        let of = |origin| if self.params.categorize { fields.to_set(Some(origin)) } else { LabelSet::default() };
        let (metadata, parsed) = (of(Origin::Metadata), of(Origin::Parsed));
        let line = row.line.into_owned();
        self.context.reserve(line.len() + metadata.memory_bytes() + parsed.memory_bytes() + ENTRY_BYTES)?;
        if let Some(stream) = self.streams.get_mut(stream) {
            stream.entries.push(Entry { timestamp_ns: row.timestamp_ns, line, metadata, parsed });
        }
        Ok(())
    }
}

/// Lines that pass the pipeline, up to the limit; reading stops there.
///
/// # Errors
/// [`QueryError`].
pub fn log(
    source: &dyn LogSource,
    expr: &LogExpr,
    params: &LogParams,
    context: &QueryContext,
) -> Result<Answer, QueryError> {
    let pipeline = Pipeline::new(expr)?;
    let hints = pipeline.hints();
    let mentions = hints.mentions();
    let ahead = if pipeline.rejects() { params.limit.saturating_mul(READ_AHEAD) } else { params.limit };
    let select = LogSelect {
        matchers: &expr.matchers,
        start_ns: params.start_ns,
        end_ns: params.end_ns,
        lines: &pipeline.predicates,
        fields: &hints.fields,
        mentions: &mentions,
        direction: params.direction,
        rows_hint: Some(ahead),
    };
    let mut gather = Gather { params, context, index: HashMap::default(), streams: Vec::new(), key: Vec::new() };
    if params.limit == 0 {
        return Ok(Answer::Streams(Vec::new()));
    }
    let mut sieve = Sieve::new(&pipeline);
    let mut scratch = pipeline.scratch(Fields::default());
    let (mut last, mut passed): (Option<i64>, usize) = (None, 0);
    let mut cursor = source.select(&select, context)?;
    walk(&mut *cursor, context, |_, _, base, entry| {
        if sieve.as_mut().is_some_and(|sieve| !sieve.passes(base, entry)) {
            return Ok(ControlFlow::Continue(()));
        }
        scratch.fields.start(base, entry.metadata);
        let mut row = Row { timestamp_ns: entry.timestamp_ns, line: Cow::Borrowed(entry.line) };
        if pipeline.run(&mut row, &mut scratch) {
            // The limit counts the lines that the interval leaves out too, as in Loki.
            passed += 1;
            if last.is_none_or(|l| row.timestamp_ns.abs_diff(l) >= params.interval_ns.unsigned_abs()) {
                last = Some(row.timestamp_ns);
                gather.add(row, &mut scratch.fields)?;
            }
        }
        Ok(if passed >= params.limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    let mut streams = gather.streams;
    streams.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(Answer::Streams(streams))
}

/// Tells rows that will be rejected, making only the labels that decide it. The rows that pass are few, as they are
/// limited, and are made whole afterwards.
struct Sieve<'p> {
    pipeline: &'p Pipeline,
    scratch: Scratch,
}

impl<'p> Sieve<'p> {
    /// `None` when it would not save anything.
    fn new(pipeline: &'p Pipeline) -> Option<Self> {
        let wanted = pipeline.wanted([]).filter(|_| pipeline.rejects() && pipeline.parses())?;
        Some(Sieve { pipeline, scratch: pipeline.scratch(Fields::only(Some(Arc::new(wanted)))) })
    }

    fn passes(&mut self, base: &Base, entry: LogEntry<'_>) -> bool {
        self.scratch.fields.start(base, entry.metadata);
        let mut row = Row { timestamp_ns: entry.timestamp_ns, line: Cow::Borrowed(entry.line) };
        self.pipeline.run(&mut row, &mut self.scratch)
    }
}
