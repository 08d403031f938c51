//! Entries of many chunks in one order, each equal entry once.
//!
//! Sources wait in a heap under the earliest time they can contribute; a block is opened, and a chunk decoded, only
//! when that time is reached. Whoever stops early has read little. The same machinery serves queries (both
//! directions, with tests on lines), flushes and merges.

use crate::block::Block;
use crate::block::index::{GroupEntry, Place};
use crate::dictionary::Dictionary;
use crate::filter::local_hash;
use crate::group::Group;
use crate::head::HeadChunk;
use crate::limits::Metrics;
use crate::predicate::Selection;
use crate::rows::Rows;
use bramble_disk::DiskError;
use bramble_disk::segment::PageRef;
use bramble_runtime::OverBudget;
use bramble_signal::{Labels, LabelsRef, LogEntry, Matcher};
use bramble_storage::{Direction, QueryContext, QueryStats, ReadError};
use hashbrown::HashTable;
use parking_lot::Mutex;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::Arc;

/// Which of equal timestamps of a stream arrived first: (journal position, block, chunk).
pub(crate) type Age = (u64, u64, u64);

/// A stream of a block that is being read: its dictionary is decoded once for all its groups.
pub(crate) struct Origin {
    block: Arc<Block>,
    pages: Arc<Vec<PageRef>>,
    place: Place,
    dictionary: Mutex<Option<Arc<Dictionary>>>,
}

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
    /// Decoded.
    Open(Box<Cursor>),
}

struct Waiting {
    /// Time, or its complement for newest first: smaller comes first.
    key: i64,
    labels: Labels,
    age: Age,
    source: Source,
}

impl Waiting {
    fn rank(&self) -> (i64, bool) {
        (self.key, !matches!(self.source, Source::Block(_)))
    }
}

impl Ord for Waiting {
    // Reversed: the heap gives its greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        let order = self.rank().cmp(&other.rank());
        order.then_with(|| self.labels.cmp(&other.labels)).then_with(|| self.age.cmp(&other.age)).reverse()
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Waiting {}

enum Chunk {
    Rows(Rows),
    Group(Box<Group>, GroupEntry, Arc<Origin>),
}

/// A decoded chunk and a place in it.
pub(crate) struct Cursor {
    chunk: Chunk,
    /// Entries not yet visited.
    from: usize,
    to: usize,
    /// Newest first: entries of one timestamp that are visited oldest first.
    run: std::ops::Range<usize>,
    at: usize,
    line: Vec<u8>,
    ruled_out: Vec<bool>,
    bytes: usize,
    unchecked: usize,
    visited: usize,
}

/// Why gathering stopped.
pub(crate) enum Stop {
    /// For whoever asked.
    Read(ReadError),
    /// A block's bytes are damaged or cannot be read.
    Disk(DiskError),
}

impl From<ReadError> for Stop {
    fn from(error: ReadError) -> Self {
        Stop::Read(error)
    }
}

impl From<OverBudget> for Stop {
    fn from(error: OverBudget) -> Self {
        Stop::Read(error.into())
    }
}

impl From<DiskError> for Stop {
    fn from(error: DiskError) -> Self {
        Stop::Disk(error)
    }
}

/// Gathers entries in order.
pub(crate) struct Gather<'a> {
    selection: Selection,
    matchers: Vec<Matcher>,
    /// The query's; a flush or merge has none, and stops at damage.
    context: Option<&'a QueryContext>,
    metrics: &'a Metrics,
    heap: BinaryHeap<Waiting>,
    seen: Seen,
    /// What of it is accounted.
    seen_bytes: usize,
    held_bytes: usize,
    labels: Labels,
    timestamp_ns: i64,
    line: Vec<u8>,
    metadata: Vec<u8>,
}

impl<'a> Gather<'a> {
    /// Nothing yet. `matchers` decide which streams of a block take part.
    pub(crate) fn new(
        selection: Selection,
        matchers: &[Matcher],
        context: Option<&'a QueryContext>,
        metrics: &'a Metrics,
    ) -> Self {
        Gather {
            selection,
            matchers: matchers.to_vec(),
            context,
            metrics,
            heap: BinaryHeap::new(),
            seen: Seen::default(),
            seen_bytes: 0,
            held_bytes: 0,
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
            let key = match self.selection.direction {
                Direction::Forward => start_ns,
                Direction::Backward => !last_ns,
            };
            self.heap.push(Waiting { key, labels: labels.clone(), age, source });
        }
    }

    /// Whether entries in `times` (inclusive) can be wanted.
    pub(crate) fn meets(&self, times: (i64, i64)) -> bool {
        times.0 <= self.selection.last_ns && times.1 >= self.selection.start_ns
    }

    /// Adds a block.
    pub(crate) fn add_block(&mut self, block: &Arc<Block>) {
        let (from, id) = block.age();
        let times = (block.meta.min_time_ns, block.meta.max_time_ns);
        self.add(&Labels::empty(), times, (from, id, 0), Source::Block(block.clone()));
    }

    /// Adds the groups of one stream of a block.
    pub(crate) fn add_stream(
        &mut self,
        block: &Arc<Block>,
        pages: &Arc<Vec<PageRef>>,
        stream: &crate::block::index::StreamEntry,
    ) {
        let (place, pages) = (stream.dictionary, pages.clone());
        let origin = Arc::new(Origin { block: block.clone(), pages, place, dictionary: Mutex::new(None) });
        let (from, id) = block.age();
        for (at, group) in stream.groups.iter().enumerate() {
            let times = (group.min_time_ns, group.max_time_ns);
            self.add(&stream.labels, times, (from, id, at as u64), Source::Group(*group, origin.clone(), 0));
        }
    }

    /// Goes to the next entry; `false` at the end.
    pub(crate) fn advance(&mut self) -> Result<bool, Stop> {
        let seen_bytes = self.seen.rows.memory_bytes();
        if seen_bytes > self.seen_bytes + SEEN_STEP_BYTES {
            self.hold(seen_bytes - self.seen_bytes, None)?;
            self.seen_bytes = seen_bytes;
        }
        loop {
            let Some(mut top) = self.heap.peek_mut() else { return Ok(false) };
            if !matches!(top.source, Source::Open(_)) {
                let waiting = PeekMut::pop(top);
                self.open(waiting)?;
                continue;
            }
            let (labels, key) = (top.labels.clone(), top.key);
            let Source::Open(cursor) = &mut top.source else { continue };
            self.timestamp_ns = if self.selection.direction == Direction::Forward { key } else { !key };
            self.metadata.clear();
            cursor.take(&mut self.line, &mut self.metadata);
            match cursor.advance(&self.selection, self.context)? {
                Some(timestamp_ns) => {
                    top.key = if self.selection.direction == Direction::Forward { timestamp_ns } else { !timestamp_ns };
                }
                None => {
                    let done = PeekMut::pop(top);
                    self.close(done.source);
                }
            }
            self.labels = labels;
            if self.seen.is_new(self.timestamp_ns, &self.labels, &self.line, &self.metadata) {
                return Ok(true);
            }
        }
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

    fn open(&mut self, waiting: Waiting) -> Result<(), Stop> {
        if let Some(context) = self.context {
            context.check()?;
        }
        let block = match &waiting.source {
            Source::Block(block) => Some(block.clone()),
            Source::Group(_, origin, _) => Some(origin.block.clone()),
            _ => None,
        };
        match (self.try_open(waiting), self.context, block) {
            // Other failures than damage are reported to the asker too: the rest is worth more than nothing.
            (Err(Stop::Disk(error)), Some(context), Some(block)) if !matches!(error, DiskError::PowerLost) => {
                self.metrics.damaged_pages.inc();
                tracing::warn!(block = block.meta.id.0, %error, "a page of a log block cannot be read");
                context.warn(format!(
                    "log block {:016x}: a part could not be read and is missing: {error}",
                    block.meta.id.0
                ));
                Ok(())
            }
            (result, ..) => result,
        }
    }

    fn try_open(&mut self, waiting: Waiting) -> Result<(), Stop> {
        let Waiting { labels, age, source, .. } = waiting;
        let (chunk, raw_bytes, visited) = match source {
            Source::Block(block) => return self.open_block(&block),
            Source::Head(chunk) => match chunk.rows() {
                Some(rows) => (Chunk::Rows(rows), chunk.raw_bytes as usize, 0),
                None => return Ok(()),
            },
            Source::Rows(rows) => {
                let bytes = rows.raw_bytes();
                (Chunk::Rows(rows), bytes, 0)
            }
            Source::Group(group, origin, visited) => match self.read_group(&group, &origin)? {
                Some(read) => (Chunk::Group(Box::new(read), group, origin), group.raw_bytes as usize, visited),
                None => return Ok(()),
            },
            Source::Open(_) => return Ok(()),
        };
        let mut cursor = Box::new(Cursor::new(chunk, &self.selection));
        let origin = if let Chunk::Group(_, _, origin) = &cursor.chunk { Some(origin.clone()) } else { None };
        self.hold(cursor.bytes, origin.as_ref())?;
        drop(origin);
        (0..visited).for_each(|_| _ = cursor.step(self.selection.direction));
        if let Some(context) = self.context {
            QueryStats::add(&context.stats.bytes, raw_bytes as u64);
            QueryStats::add(&context.stats.items, (cursor.to - cursor.from) as u64);
        }
        match cursor.advance(&self.selection, self.context)? {
            Some(timestamp_ns) => {
                self.add(&labels, (timestamp_ns, timestamp_ns), age, Source::Open(cursor));
            }
            None => self.close(Source::Open(cursor)),
        }
        Ok(())
    }

    fn open_block(&mut self, block: &Arc<Block>) -> Result<(), Stop> {
        let matchers = &self.matchers;
        let wanted = |labels: LabelsRef<'_>| accepts(labels, matchers);
        let index = block.index((self.selection.start_ns, self.selection.last_ns), wanted)?;
        if let Some(context) = self.context {
            QueryStats::add(&context.stats.blocks, 1);
            QueryStats::add(&context.stats.series, index.streams.len() as u64);
        }
        let pages = Arc::new(index.pages);
        for stream in &index.streams {
            self.add_stream(block, &pages, stream);
        }
        Ok(())
    }

    /// Decodes a group; `None` when its filter says that nothing in it passes.
    fn read_group(&mut self, group: &GroupEntry, origin: &Arc<Origin>) -> Result<Option<Group>, Stop> {
        let block = &origin.block;
        if self.selection.has_needles() {
            let filter = block.read(&origin.pages, group.filter)?;
            if !self.selection.may_be_in(filter.bytes()) {
                self.metrics.filtered_groups.inc();
                return Ok(None);
            }
        }
        let dictionary = self.dictionary(origin)?;
        let columns = block.read(&origin.pages, group.columns)?;
        if let Some(context) = self.context {
            QueryStats::add(&context.stats.pages, 1);
        }
        let read = Group::read(columns, &dictionary);
        Ok(Some(read.ok_or_else(|| block.corrupt("a page group does not decode"))?))
    }

    fn dictionary(&mut self, origin: &Arc<Origin>) -> Result<Arc<Dictionary>, Stop> {
        if let Some(known) = &*origin.dictionary.lock() {
            return Ok(known.clone());
        }
        let dictionary = if origin.place.bytes == 0 {
            Dictionary::default()
        } else {
            let stored = origin.block.read(&origin.pages, origin.place)?;
            Dictionary::read(stored.bytes())
                .ok_or_else(|| origin.block.corrupt("a template dictionary does not decode"))?
        };
        self.hold(dictionary.memory_bytes(), Some(origin))?;
        let dictionary = Arc::new(dictionary);
        *origin.dictionary.lock() = Some(dictionary.clone());
        Ok(dictionary)
    }

    /// Accounts `bytes`. When they do not fit, open groups of others than `opening` are put back, to be decoded
    /// again when their time comes: slow, and better than no answer.
    fn hold(&mut self, bytes: usize, opening: Option<&Arc<Origin>>) -> Result<(), OverBudget> {
        if let Some(context) = self.context
            && context.try_reserve(bytes).is_err()
        {
            self.put_back(opening);
            context.reserve(bytes)?;
        }
        self.held_bytes += bytes;
        Ok(())
    }

    fn put_back(&mut self, opening: Option<&Arc<Origin>>) {
        let mut waiting = std::mem::take(&mut self.heap).into_vec();
        let mut released = 0;
        for item in &mut waiting {
            let Source::Open(cursor) = &item.source else { continue };
            let Chunk::Group(_, group, origin) = &cursor.chunk else { continue };
            released += cursor.bytes;
            if opening.is_none_or(|opening| !Arc::ptr_eq(opening, origin)) {
                released += origin.dictionary.lock().take().map_or(0, |d| d.memory_bytes());
            }
            // The entry it stands at was not given out.
            item.source = Source::Group(*group, origin.clone(), cursor.visited - 1);
        }
        self.heap = waiting.into();
        self.release(released);
    }

    fn close(&mut self, source: Source) {
        let Source::Open(cursor) = source else { return };
        let mut bytes = cursor.bytes;
        if let Chunk::Group(_, _, origin) = &cursor.chunk
            && Arc::strong_count(origin) == 1
        {
            // The last group of its stream takes the dictionary along.
            bytes += origin.dictionary.lock().take().map_or(0, |d| d.memory_bytes());
        }
        self.release(bytes);
    }

    fn release(&mut self, bytes: usize) {
        let bytes = bytes.min(self.held_bytes);
        self.held_bytes -= bytes;
        if let Some(context) = self.context {
            context.release(bytes);
        }
    }
}

impl Drop for Gather<'_> {
    fn drop(&mut self) {
        self.release(self.held_bytes);
    }
}

/// Whether all matchers accept the labels.
pub(crate) fn accepts(labels: LabelsRef<'_>, matchers: &[Matcher]) -> bool {
    matchers.iter().all(|m| m.matches(labels.get(&m.name).unwrap_or("")))
}

/// How many entries are looked at between two looks at the clock.
const CHECK_EVERY: usize = 2048;

impl Cursor {
    fn new(chunk: Chunk, selection: &Selection) -> Cursor {
        let (times, bytes, ruled_out) = match &chunk {
            Chunk::Rows(rows) => (rows.timestamps_ns(), rows.memory_bytes(), Vec::new()),
            Chunk::Group(group, ..) => {
                (group.timestamps_ns(), group.memory_bytes(), selection.ruled_out(group.dictionary()))
            }
        };
        let from = times.partition_point(|&t| t < selection.start_ns);
        let to = times.partition_point(|&t| t <= selection.last_ns).max(from);
        Cursor { chunk, from, to, run: 0..0, at: 0, line: Vec::new(), ruled_out, bytes, unchecked: 0, visited: 0 }
    }

    /// The next entry's position, whether it passes or not.
    fn step(&mut self, direction: Direction) -> Option<usize> {
        self.visited += 1;
        if direction == Direction::Forward {
            self.from += 1;
            return (self.from <= self.to).then(|| self.from - 1);
        }
        if self.run.is_empty() {
            if self.from >= self.to {
                return None;
            }
            let times = match &self.chunk {
                Chunk::Rows(rows) => rows.timestamps_ns(),
                Chunk::Group(group, ..) => group.timestamps_ns(),
            };
            let mut start = self.to - 1;
            while start > self.from && times[start - 1] == times[start] {
                start -= 1;
            }
            self.run = start..self.to;
            self.to = start;
        }
        self.run.next()
    }

    /// Goes to the next entry that passes and rebuilds its line; its timestamp, or `None` at the end.
    fn advance(&mut self, selection: &Selection, context: Option<&QueryContext>) -> Result<Option<i64>, ReadError> {
        while let Some(at) = self.step(selection.direction) {
            self.unchecked += 1;
            if self.unchecked == CHECK_EVERY {
                self.unchecked = 0;
                context.map_or(Ok(()), QueryContext::check)?;
            }
            self.line.clear();
            let timestamp_ns = match &self.chunk {
                Chunk::Rows(rows) => {
                    self.line.extend_from_slice(rows.line(at));
                    rows.timestamps_ns()[at]
                }
                Chunk::Group(group, ..) => {
                    let out = |id: usize| self.ruled_out.get(id).copied().unwrap_or(false);
                    if !self.ruled_out.is_empty() && group.template_id(at).is_some_and(out) {
                        continue;
                    }
                    group.put_line(at, &mut self.line);
                    group.timestamps_ns()[at]
                }
            };
            if selection.accepts(&self.line) {
                self.at = at;
                return Ok(Some(timestamp_ns));
            }
        }
        Ok(None)
    }

    /// Hands over the current entry.
    fn take(&mut self, line: &mut Vec<u8>, metadata: &mut Vec<u8>) {
        std::mem::swap(line, &mut self.line);
        match &self.chunk {
            Chunk::Rows(rows) => metadata.extend_from_slice(rows.metadata(self.at)),
            Chunk::Group(group, ..) => group.put_metadata(self.at, metadata),
        }
    }
}

/// Entries of one stream and timestamp are accounted in steps of this.
const SEEN_STEP_BYTES: usize = 64 << 10;

/// The entries of the stream and timestamp that were given out last.
#[derive(Default)]
struct Seen {
    timestamp_ns: i64,
    labels: Option<Labels>,
    rows: Rows,
    table: HashTable<u32>,
}

impl Seen {
    fn is_new(&mut self, timestamp_ns: i64, labels: &Labels, line: &[u8], metadata: &[u8]) -> bool {
        if self.timestamp_ns != timestamp_ns || self.labels.as_ref() != Some(labels) {
            self.timestamp_ns = timestamp_ns;
            self.labels = Some(labels.clone());
            self.rows.clear();
            self.table.clear();
        }
        let rows = &self.rows;
        let hash = |line: &[u8], metadata: &[u8]| local_hash(line, 3) ^ local_hash(metadata, 5).rotate_left(1);
        let same = |&at: &u32| rows.line(at as usize) == line && rows.metadata(at as usize) == metadata;
        if self.table.find(hash(line, metadata), same).is_some() {
            return false;
        }
        let at = rows.len() as u32;
        self.rows.push(timestamp_ns, line, metadata);
        let rows = &self.rows;
        self.table
            .insert_unique(hash(line, metadata), at, |&at| hash(rows.line(at as usize), rows.metadata(at as usize)));
        true
    }
}
