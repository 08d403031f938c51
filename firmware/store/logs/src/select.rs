//! The reading side: one snapshot of heads and blocks, answered some thousand rows at a time.

use crate::gather::{Age, Gather, Source, Stop};
use crate::head::{Generation, StreamHead};
use crate::rows::Rows;
use crate::search::selection::Selection;
use crate::store::LogStore;
use crate::{statistics, streams, tally};
use bramble_signal::{Labels, Matcher};
use bramble_storage::{
    LogCursor, LogRows, LogSelect, LogSource, MetadataWanted, QueryContext, ReadError, StreamSteps, StreamTotals,
    TallyVisitor, TemplateCounts,
};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// A batch is closed at this many rows or bytes. The first one is small, for askers who want little; each is twice
/// the one before.
const FIRST_BATCH_ROWS: usize = 256;
const BATCH_ROWS: usize = 4096;
const BATCH_BYTES: usize = 1 << 20;

/// Ages of heads: after all blocks.
pub(crate) const FROZEN_AGE: u64 = u64::MAX - 1;
pub(crate) const ACTIVE_AGE: u64 = u64::MAX;

pub(crate) fn read_error(stop: Stop) -> ReadError {
    match stop {
        Stop::Read(error) => error,
        Stop::Disk(error) => ReadError::Storage(error.to_string()),
    }
}

/// Adds a generation's streams that are asked for.
fn add_generation(gather: &mut Gather<'_>, generation: &Generation, age: u64) {
    for stream in &generation.streams {
        if gather.selection().of_stream(stream.labels.as_ref()).is_some() {
            add_head_stream(gather, stream, age);
        }
    }
}

/// Adds one stream of a generation.
pub(crate) fn add_head_stream(gather: &mut Gather<'_>, stream: &StreamHead, age: u64) {
    let parts: Vec<_> = head_parts(stream, age, gather.selection()).collect();
    for (times, age, source) in parts {
        gather.add(&stream.labels, times, age, source);
    }
}

/// Where a stream's entries are in a generation: times (inclusive), age, source.
pub(crate) fn head_parts(
    stream: &StreamHead,
    age: u64,
    selection: &Selection,
) -> impl Iterator<Item = ((i64, i64), Age, Source)> {
    let meets = |times: &(i64, i64)| times.0 <= selection.last_ns && times.1 >= selection.start_ns;
    let chunks = stream.chunks.iter().enumerate().map(move |(at, chunk)| {
        ((chunk.min_time_ns, chunk.max_time_ns), (age, 0, at as u64), Source::Head(chunk.clone()))
    });
    let open = time_range(&stream.open).filter(meets);
    let open = open.map(|times| (times, (age, 1, 0), Source::Rows(stream.open.sorted())));
    chunks.filter(move |(times, ..)| meets(times)).chain(open)
}

pub(crate) fn time_range(rows: &Rows) -> Option<(i64, i64)> {
    let times = rows.timestamps_ns();
    Some((*times.iter().min()?, *times.iter().max()?))
}

struct Answer<'a> {
    gather: Gather<'a>,
    rows: Rows,
    /// Stream of each row.
    streams: Vec<u32>,
    batch_rows: usize,
    finished: bool,
}

impl LogCursor for Answer<'_> {
    fn next(&mut self, out: &mut LogRows) -> Result<bool, ReadError> {
        out.clear();
        self.rows.clear();
        self.streams.clear();
        let mut known: HashMap<Labels, u32, FixedState> = HashMap::default();
        let mut labels: Vec<Labels> = Vec::new();
        while !self.finished && self.rows.len() < self.batch_rows && self.rows.raw_bytes() < BATCH_BYTES {
            match self.gather.advance() {
                Ok(true) => {
                    let of = self.gather.labels();
                    let stream = *known.entry_ref(of).or_insert_with(|| {
                        labels.push(of.clone());
                        labels.len() as u32 - 1
                    });
                    let entry = self.gather.entry();
                    self.rows.push(entry.timestamp_ns, entry.line, entry.metadata.as_bytes());
                    self.streams.push(stream);
                }
                Ok(false) => self.finished = true,
                Err(stop) => {
                    self.finished = true;
                    return Err(read_error(stop));
                }
            }
        }
        self.batch_rows = (self.batch_rows * 2).min(BATCH_ROWS);
        self.hand_over(&labels, out);
        Ok(!self.rows.is_empty())
    }
}

impl Answer<'_> {
    /// A batch keeps a stream's entries together, so rows are dealt out stream by stream.
    fn hand_over(&self, labels: &[Labels], out: &mut LogRows) {
        let mut of_stream: Vec<Vec<u32>> = vec![Vec::new(); labels.len()];
        for (row, &stream) in self.streams.iter().enumerate() {
            let rows = &mut of_stream[stream as usize];
            out.order.push((stream, rows.len() as u32));
            rows.push(row as u32);
        }
        for (labels, rows) in labels.iter().zip(&of_stream) {
            out.batch.start_stream_encoded(labels.as_ref());
            for &row in rows {
                let entry = self.rows.entry(row as usize);
                out.batch.push_entry_encoded(entry.timestamp_ns, entry.line, entry.metadata);
            }
        }
    }
}

impl LogStore {
    /// What `select` asks for, ready to be read; nothing is added yet.
    pub(crate) fn gather<'a>(&'a self, select: &LogSelect<'_>, context: &'a QueryContext) -> Gather<'a> {
        let selection = Selection::new(select, &self.floating_among(select.matchers));
        Gather::new(selection, Some(context), &self.metrics)
    }

    /// Names among those of `matchers` that are kept out of streams.
    pub(crate) fn floating_among(&self, matchers: &[Matcher]) -> Vec<String> {
        matchers.iter().filter(|m| self.floating.floats(&m.name)).map(|m| m.name.clone()).collect()
    }
}

impl LogSource for LogStore {
    fn select<'a>(
        &'a self,
        select: &LogSelect<'_>,
        context: &'a QueryContext,
    ) -> Result<Box<dyn LogCursor + 'a>, ReadError> {
        context.check()?;
        let mut gather = self.gather(select, context);
        // One read lock: heads and blocks are of one moment.
        let state = self.state.read();
        add_generation(&mut gather, &state.active, ACTIVE_AGE);
        let (frozen, blocks) = (state.frozen.clone(), state.blocks.clone());
        drop(state);
        if let Some(frozen) = frozen {
            add_generation(&mut gather, &frozen, FROZEN_AGE);
        }
        blocks.iter().for_each(|block| gather.add_block(block));
        Ok(Box::new(Answer {
            gather,
            rows: Rows::default(),
            streams: Vec::new(),
            batch_rows: FIRST_BATCH_ROWS,
            finished: false,
        }))
    }

    fn floating_names(&self) -> Vec<String> {
        self.floating.names()
    }

    fn streams(
        &self,
        matchers: &[Matcher],
        start_ns: i64,
        end_ns: i64,
        context: &QueryContext,
    ) -> Result<Vec<Labels>, ReadError> {
        streams::streams(self, matchers, (start_ns, end_ns), context)
    }

    fn tally(
        &self,
        select: &LogSelect<'_>,
        metadata: MetadataWanted<'_>,
        line_bytes: bool,
        context: &QueryContext,
        each: &mut TallyVisitor<'_>,
    ) -> Result<(), ReadError> {
        tally::tally(self, select, metadata, line_bytes, context, each)
    }

    fn totals(
        &self,
        matchers: &[Matcher],
        start_ns: i64,
        end_ns: i64,
        context: &QueryContext,
    ) -> Result<Vec<StreamTotals>, ReadError> {
        statistics::totals(self, matchers, (start_ns, end_ns), context)
    }

    fn totals_by_step(
        &self,
        matchers: &[Matcher],
        start_ns: i64,
        end_ns: i64,
        step_ns: i64,
        context: &QueryContext,
    ) -> Result<Vec<StreamSteps>, ReadError> {
        statistics::totals_by_step(self, matchers, (start_ns, end_ns), step_ns, context)
    }

    fn templates(
        &self,
        select: &LogSelect<'_>,
        step_ns: i64,
        most: usize,
        context: &QueryContext,
    ) -> Result<Vec<TemplateCounts>, ReadError> {
        statistics::templates(self, select, step_ns, most, context)
    }
}
