//! The newest entries, in memory.
//!
//! A generation keeps for each stream the entries that came last as they are, and earlier ones in chunks of some
//! tens of KiB, sorted by time and compressed by zstd-1: about six times as many lines fit the head's budget, so
//! flushes are fewer and blocks larger. Duplicates are not looked for here: they are dropped where entries are
//! sorted anyway, when a query or a flush merges chunks.

use crate::columns::decompress;
use crate::rows::Rows;
use bramble_runtime::Reservation;
use bramble_signal::{Labels, LabelsRef, LogBatch};
use bramble_storage::{RetentionClass, Sequence, class_of_stream, day_of_ns};
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::sync::Arc;
use zstd::bulk::Compressor;

/// A stream's entries are compressed at this many raw bytes; less when there are many streams.
const CHUNK_BYTES_MAX: usize = 64 << 10;
const CHUNK_BYTES_MIN: usize = 8 << 10;
/// What a stream costs beside its entries: table slot, `StreamHead`, labels' counters.
const STREAM_OVERHEAD_BYTES: usize = 256;
/// What an entry costs beside its bytes while it is not compressed.
pub(crate) const ENTRY_OVERHEAD_BYTES: usize = 16;

/// A compressed run of one stream's entries, sorted by time.
pub(crate) struct HeadChunk {
    pub(crate) min_time_ns: i64,
    pub(crate) max_time_ns: i64,
    pub(crate) raw_bytes: u32,
    pub(crate) entries: u32,
    /// What volumes say of it: [`Rows::volume_bytes`].
    pub(crate) volume_bytes: u64,
    stored: Box<[u8]>,
}

impl HeadChunk {
    /// Compresses `rows`, which are not empty.
    pub(crate) fn new(rows: &Rows, compressor: Option<&mut Compressor<'static>>) -> HeadChunk {
        let sorted = if rows.is_sorted() { Cow::Borrowed(rows) } else { Cow::Owned(rows.sorted()) };
        let mut raw = Vec::with_capacity(rows.raw_bytes() + rows.len() * 8 + 8);
        sorted.put(&mut raw);
        let raw_bytes = raw.len() as u32;
        let squeezed = compressor.and_then(|c| c.compress(&raw).ok()).filter(|s| s.len() < raw.len());
        // The raw form is told by its length, so no flag is needed.
        let stored = squeezed.unwrap_or(raw).into_boxed_slice();
        let times = sorted.timestamps_ns();
        HeadChunk {
            min_time_ns: times.first().copied().unwrap_or(0),
            max_time_ns: times.last().copied().unwrap_or(0),
            raw_bytes,
            entries: sorted.len() as u32,
            volume_bytes: sorted.volume_bytes(),
            stored,
        }
    }

    /// The entries, sorted by time.
    pub(crate) fn rows(&self) -> Option<Rows> {
        let raw_bytes = self.raw_bytes as usize;
        if self.stored.len() == raw_bytes {
            return Rows::take(&self.stored);
        }
        Rows::take(&decompress(&self.stored, raw_bytes)?)
    }

    fn memory_bytes(&self) -> usize {
        self.stored.len() + size_of::<HeadChunk>() + 2 * size_of::<usize>()
    }
}

/// One stream of a generation.
pub(crate) struct StreamHead {
    pub(crate) labels: Labels,
    pub(crate) class: RetentionClass,
    pub(crate) chunks: Vec<Arc<HeadChunk>>,
    /// Newest entries in order of arrival.
    pub(crate) open: Rows,
}

/// Everything that arrived between two cuts.
pub(crate) struct Generation {
    pub(crate) streams: Vec<StreamHead>,
    table: HashTable<u32>,
    /// UTC days and classes that entries are of: a block for each.
    pub(crate) partitions: BTreeSet<(i32, RetentionClass)>,
    /// The last one entered.
    last_partition: Option<(i32, RetentionClass)>,
    pub(crate) items: u64,
    pub(crate) first_sequence: Sequence,
    pub(crate) through: Sequence,
    bytes: usize,
    chunk_bytes: usize,
    space_limit_bytes: usize,
    compressor: Option<Compressor<'static>>,
    pub(crate) space: Reservation,
}

impl Generation {
    /// An empty generation that holds `space`, of a head of `limit_bytes`.
    pub(crate) fn new(space: Reservation, limit_bytes: usize) -> Generation {
        Generation {
            streams: Vec::new(),
            table: HashTable::new(),
            partitions: BTreeSet::new(),
            last_partition: None,
            items: 0,
            first_sequence: 0,
            through: 0,
            bytes: 0,
            chunk_bytes: CHUNK_BYTES_MAX,
            space_limit_bytes: limit_bytes,
            compressor: Compressor::new(1).ok(),
            space,
        }
    }

    /// Bytes that really are held for entries and streams.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives back what only appending needs.
    pub(crate) fn stop_growing(&mut self) {
        self.compressor = None;
    }

    /// Whether a stream of these labels is there.
    pub(crate) fn knows(&self, labels: LabelsRef<'_>) -> bool {
        self.find(labels).is_some()
    }

    /// The newest timestamp of a stream.
    pub(crate) fn newest_ns(&self, labels: LabelsRef<'_>) -> Option<i64> {
        let stream = &self.streams[self.find(labels)?];
        let sealed = stream.chunks.iter().map(|chunk| chunk.max_time_ns).max();
        sealed.max(stream.open.timestamps_ns().iter().copied().max())
    }

    fn find(&self, labels: LabelsRef<'_>) -> Option<usize> {
        let same = |&at: &u32| self.streams[at as usize].labels.as_bytes() == labels.as_bytes();
        self.table.find(hash(labels.as_bytes()), same).map(|&at| at as usize)
    }

    fn stream(&mut self, labels: LabelsRef<'_>) -> usize {
        if let Some(at) = self.find(labels) {
            return at;
        }
        let at = self.streams.len();
        let class = class_of_stream(labels);
        self.streams.push(StreamHead { labels: labels.to_labels(), class, chunks: Vec::new(), open: Rows::default() });
        let streams = &self.streams;
        let rehash = |&at: &u32| hash(streams[at as usize].labels.as_bytes());
        self.table.insert_unique(hash(labels.as_bytes()), at as u32, rehash);
        self.bytes += labels.as_bytes().len() + STREAM_OVERHEAD_BYTES;
        // All open rows together take at most about a quarter of the head.
        let fair = self.space_limit_bytes / 4 / self.streams.len();
        self.chunk_bytes = fair.clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX);
        at
    }

    /// Enters a batch.
    pub(crate) fn append(&mut self, batch: &LogBatch, sequence: Sequence) {
        if self.items == 0 {
            self.first_sequence = sequence;
        }
        self.through = self.through.max(sequence);
        for stream in batch.streams().filter(|s| !s.is_empty()) {
            let at = self.stream(stream.labels());
            let (mut before, class) = (self.streams[at].open.memory_bytes(), self.streams[at].class);
            for entry in stream.entries() {
                let open = &mut self.streams[at].open;
                open.make_room(entry.line.len() + entry.metadata.as_bytes().len(), self.chunk_bytes);
                open.push(entry.timestamp_ns, entry.line, entry.metadata.as_bytes());
                self.items += 1;
                let partition = (day_of_ns(entry.timestamp_ns), class);
                if self.last_partition != Some(partition) {
                    self.last_partition = Some(partition);
                    self.partitions.insert(partition);
                }
                if open.raw_bytes() + open.len() * ENTRY_OVERHEAD_BYTES >= self.chunk_bytes {
                    self.bytes = self.bytes.saturating_sub(before);
                    self.seal(at);
                    before = 0;
                }
            }
            self.bytes = (self.bytes + self.streams[at].open.memory_bytes()).saturating_sub(before);
        }
    }

    /// Compresses the open rows of a stream and gives their memory back.
    fn seal(&mut self, at: usize) {
        let rows = std::mem::take(&mut self.streams[at].open);
        let chunk = HeadChunk::new(&rows, self.compressor.as_mut());
        self.bytes += chunk.memory_bytes();
        self.streams[at].chunks.push(Arc::new(chunk));
    }
}

fn hash(bytes: &[u8]) -> u64 {
    FixedState::with_seed(7).hash_one(bytes)
}
