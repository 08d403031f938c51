//! Entries of many chunks in one order, each equal entry once.
//!
//! Sources wait in a heap under the earliest time they can contribute; a block is opened, and a chunk examined, only
//! when that time is reached, so that whoever stops early has read little. Where tests leave few entries, more chunks
//! are examined at once, by several threads ([`crate::search::ahead`]). The same machinery serves queries (both
//! directions, with tests), flushes and merges.

mod opening;

use crate::block::Block;
use crate::block::index::{GroupEntry, StreamEntry};
use crate::head::HeadChunk;
use crate::limits::Metrics;
use crate::rows::Rows;
use crate::search::ahead::Ahead;
use crate::search::cursor::Cursor;
use crate::search::origin::Origin;
use crate::search::seen::Seen;
use crate::search::selection::Selection;
use bramble_disk::segment::PageRef;
use bramble_signal::{Labels, LabelsRef, LogEntry};
use bramble_storage::{Direction, QueryContext};
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::Arc;

pub(crate) use crate::search::origin::Stop;

/// Which of equal timestamps of a stream arrived first: (journal position, block, chunk).
pub(crate) type Age = (u64, u64, u64);

/// Where entries come from.
pub(crate) enum Source {
    /// A block whose index is not read yet.
    Block(Arc<Block>),
    /// A chunk of a head.
    Head(Arc<HeadChunk>),
    /// Entries sorted by time.
    Rows(Rows),
    /// A page group, of which so many entries were visited before it was put back.
    Group(GroupEntry, Arc<Origin>, usize),
}

impl Source {
    /// Raw bytes that its chunk has, about.
    pub(crate) fn raw_bytes(&self) -> usize {
        match self {
            Source::Block(_) => 0,
            Source::Head(chunk) => chunk.raw_bytes as usize,
            Source::Rows(rows) => rows.raw_bytes(),
            Source::Group(group, ..) => group.raw_bytes as usize,
        }
    }

    /// How many entries its chunk has, about.
    pub(crate) fn entries(&self) -> usize {
        match self {
            Source::Block(_) => 0,
            Source::Head(chunk) => chunk.entries as usize,
            Source::Rows(rows) => rows.len(),
            Source::Group(group, ..) => group.entries as usize,
        }
    }

    /// The block it is of.
    pub(crate) fn block(&self) -> Option<&Arc<Block>> {
        match self {
            Source::Block(block) => Some(block),
            Source::Group(_, origin, _) => Some(&origin.block),
            Source::Head(_) | Source::Rows(_) => None,
        }
    }
}

/// Where something stands in the order of the answer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// Time, or its complement for newest first: smaller comes first.
    key: i64,
    /// Blocks come before what they may contain.
    is_entries: bool,
    labels: Labels,
    age: Age,
}

/// A source, not opened.
pub(crate) struct Waiting {
    rank: Rank,
    pub(crate) source: Source,
}

impl Waiting {
    /// The stream; empty for a block.
    pub(crate) fn labels(&self) -> LabelsRef<'_> {
        self.rank.labels.as_ref()
    }
}

/// An open chunk at an entry.
struct Open {
    rank: Rank,
    cursor: Box<Cursor>,
    /// Where it can be read again.
    group: Option<(GroupEntry, Arc<Origin>)>,
}

/// Reversed: a heap gives its greatest.
macro_rules! by_rank {
    ($type:ty) => {
        impl Ord for $type {
            fn cmp(&self, other: &Self) -> Ordering {
                self.rank.cmp(&other.rank).reverse()
            }
        }
        impl PartialOrd for $type {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }
        impl PartialEq for $type {
            fn eq(&self, other: &Self) -> bool {
                self.rank == other.rank
            }
        }
        impl Eq for $type {}
    };
}
by_rank!(Waiting);
by_rank!(Open);

/// Gathers entries in order.
pub(crate) struct Gather<'a> {
    selection: Selection,
    /// The query's; a flush or merge has none, and stops at damage.
    context: Option<&'a QueryContext>,
    metrics: &'a Metrics,
    waiting: BinaryHeap<Waiting>,
    open: BinaryHeap<Open>,
    ahead: Ahead,
    seen: Seen,
    /// What of it is accounted.
    seen_bytes: usize,
    held_bytes: usize,
    started: bool,
    labels: Labels,
    timestamp_ns: i64,
    line: Vec<u8>,
    metadata: Vec<u8>,
}

enum Visit {
    Entry,
    /// An entry could not be read; the rest of its chunk is left out.
    Damaged,
    End,
}

/// Entries of one stream and timestamp are accounted in steps of this.
const SEEN_STEP_BYTES: usize = 64 << 10;

impl<'a> Gather<'a> {
    /// Nothing yet.
    pub(crate) fn new(selection: Selection, context: Option<&'a QueryContext>, metrics: &'a Metrics) -> Self {
        let ahead = Ahead::new(&selection, context.is_some());
        Gather {
            selection,
            context,
            metrics,
            waiting: BinaryHeap::new(),
            open: BinaryHeap::new(),
            ahead,
            seen: Seen::default(),
            seen_bytes: 0,
            held_bytes: 0,
            started: false,
            labels: Labels::empty(),
            timestamp_ns: 0,
            line: Vec::new(),
            metadata: Vec::new(),
        }
    }

    /// Adds a source whose entries lie in `times` (inclusive). Sources outside the range are dropped.
    pub(crate) fn add(&mut self, labels: &Labels, times: (i64, i64), age: Age, source: Source) {
        let (start_ns, last_ns) = (times.0.max(self.selection.start_ns), times.1.min(self.selection.last_ns));
        if start_ns <= last_ns {
            let key = self.key(if self.selection.direction == Direction::Forward { start_ns } else { last_ns });
            let is_entries = !matches!(source, Source::Block(_));
            self.waiting.push(Waiting { rank: Rank { key, is_entries, labels: labels.clone(), age }, source });
        }
    }

    fn key(&self, timestamp_ns: i64) -> i64 {
        if self.selection.direction == Direction::Forward { timestamp_ns } else { !timestamp_ns }
    }

    /// What is asked for.
    pub(crate) fn selection(&self) -> &Selection {
        &self.selection
    }

    /// Adds a block, unless nothing of it can be asked for.
    pub(crate) fn add_block(&mut self, block: &Arc<Block>) {
        if !self.selection.may_be_in(&block.meta) {
            return;
        }
        let (from, id) = block.age();
        let times = (block.meta.min_time_ns, block.meta.max_time_ns);
        self.add(&Labels::empty(), times, (from, id, 0), Source::Block(block.clone()));
    }

    /// Adds the groups of one stream of a block.
    pub(crate) fn add_stream(&mut self, block: &Arc<Block>, pages: &Arc<Vec<PageRef>>, stream: &StreamEntry) {
        let sought = self.selection.sought(stream.labels.as_ref());
        let origin = Arc::new(Origin::new(
            block.clone(),
            pages.clone(),
            stream.dictionary,
            sought,
            block.deletions.of_stream(&stream.labels),
        ));
        let (from, id) = block.age();
        for (at, group) in stream.groups.iter().enumerate() {
            let times = (group.min_time_ns, group.max_time_ns);
            self.add(&stream.labels, times, (from, id, at as u64), Source::Group(*group, origin.clone(), 0));
        }
    }

    /// Goes to the next entry; `false` at the end.
    pub(crate) fn advance(&mut self) -> Result<bool, Stop> {
        let seen_bytes = self.seen.memory_bytes();
        if seen_bytes > self.seen_bytes + SEEN_STEP_BYTES {
            self.hold(seen_bytes - self.seen_bytes, None)?;
            self.seen_bytes = seen_bytes;
        }
        loop {
            let (waiting, open) = (self.waiting.peek().map(|w| &w.rank), self.open.peek().map(|o| &o.rank));
            if waiting.is_some_and(|waiting| open.is_none_or(|open| waiting < open)) {
                self.open_some()?;
                continue;
            }
            match self.visit()? {
                Visit::End => return Ok(false),
                Visit::Damaged => {}
                Visit::Entry => {
                    let again = !self.seen.is_empty() && !self.seen.add(&self.line, &self.metadata);
                    if !again {
                        return Ok(true);
                    }
                }
            }
        }
    }

    /// Takes the first open entry.
    fn visit(&mut self) -> Result<Visit, Stop> {
        let Some(mut top) = self.open.peek_mut() else { return Ok(Visit::End) };
        let direction = self.selection.direction;
        let timestamp_ns = if direction == Direction::Forward { top.rank.key } else { !top.rank.key };
        if self.started && timestamp_ns == self.timestamp_ns && top.rank.labels == self.labels {
            // The one before is remembered only now that there is something to compare it with.
            if self.seen.is_empty() {
                self.seen.add(&self.line, &self.metadata);
            }
        } else {
            self.seen.clear();
            self.timestamp_ns = timestamp_ns;
            if top.rank.labels != self.labels {
                self.labels = top.rank.labels.clone();
            }
            self.started = true;
        }
        self.line.clear();
        self.metadata.clear();
        top.cursor.put(&mut self.line, &mut self.metadata);
        if top.cursor.is_damaged() {
            let done = PeekMut::pop(top);
            self.started = false;
            if let Some((_, origin)) = &done.group {
                self.report(origin.damaged(), &origin.block)?;
            }
            self.close(done);
            return Ok(Visit::Damaged);
        }
        match top.cursor.advance(direction) {
            Some(timestamp_ns) => {
                top.rank.key = if direction == Direction::Forward { timestamp_ns } else { !timestamp_ns };
                let grown = top.cursor.growth();
                drop(top);
                if grown > 0 {
                    self.hold(grown, None)?;
                }
            }
            None => {
                let done = PeekMut::pop(top);
                self.close(done);
            }
        }
        Ok(Visit::Entry)
    }

    /// The stream of the current entry.
    pub(crate) fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The current entry.
    pub(crate) fn entry(&self) -> LogEntry<'_> {
        LogEntry {
            timestamp_ns: self.timestamp_ns,
            line: &self.line,
            metadata: LabelsRef::from_encoded(&self.metadata),
        }
    }

    /// Memory of decoded chunks and dictionaries, about, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.held_bytes
    }
}

/// Whether all matchers accept the labels.
pub(crate) fn accepts(labels: LabelsRef<'_>, matchers: &[bramble_signal::Matcher]) -> bool {
    matchers.iter().all(|m| m.matches(labels.get(&m.name).unwrap_or("")))
}
