//! Entries of many streams in the order they come, as a batch that has them by stream.

use bramble_signal::{EntryRange, LabelsRef, LogBatch, Span32};
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

#[derive(Clone, Copy, Debug)]
struct Staged {
    entry: EntryRange,
    stream: u32,
}

#[derive(Clone, Copy, Debug)]
struct Stream {
    labels: Span32,
    hash: u64,
    entries: u32,
}

/// Gathers entries and groups them by stream. Bytes stay where they were put: the arena becomes the batch's. Other memory is
/// kept from batch to batch; that of a batch that is done with may come back ([`LogBuilder::reuse`]).
#[derive(Default, Debug)]
pub struct LogBuilder {
    arena: Vec<u8>,
    entries: Vec<Staged>,
    streams: Vec<Stream>,
    table: HashTable<u32>,
    last: u32,
    /// Memory for [`finish`](Self::finish): entries by stream.
    ordered: Vec<EntryRange>,
    /// Memory of batches before, for the next ones.
    spare: Vec<u8>,
    /// Entries that did not fit.
    refused: u64,
}

/// Bytes one batch may have: offsets are 32 bits wide, and whoever gathers hands over far sooner.
const ARENA_MAX_BYTES: usize = 1 << 30;
/// Memory that comes back is kept if it is not more than so many times what was in it.
const ROOM_FACTOR: usize = 4;

impl LogBuilder {
    /// An empty builder.
    pub fn new() -> Self {
        Self::default()
    }

    /// Entries gathered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes gathered: lines, labels and metadata.
    pub fn bytes(&self) -> usize {
        self.arena.len() + self.entries.len() * size_of::<Staged>()
    }

    /// Entries that were left out because a batch may not have more than 1 GiB; 0 for whoever finishes in time.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Takes back the memory of a batch that is done with.
    pub fn reuse(&mut self, batch: LogBatch) {
        let used = batch.arena().len();
        let (arena, ordered) = batch.into_memory();
        // What one large batch took is not held for ever.
        let is_fit = arena.capacity() <= used.saturating_mul(ROOM_FACTOR);
        if is_fit && self.arena.capacity() == 0 {
            (self.arena, self.ordered) = (arena, ordered);
        } else if is_fit {
            (self.spare, self.ordered) = (arena, ordered);
        }
    }

    fn of(&self, range: Span32) -> &[u8] {
        self.arena.get(range.range()).unwrap_or(&[])
    }

    fn put(&mut self, bytes: &[u8]) -> Span32 {
        let start = self.arena.len();
        self.arena.extend_from_slice(bytes);
        Span32::new(start, self.arena.len())
    }

    /// Adds an entry.
    pub fn push(&mut self, labels: LabelsRef<'_>, timestamp_ns: i64, line: &[u8], metadata: LabelsRef<'_>) {
        let bytes = labels.as_bytes().len() + line.len() + metadata.as_bytes().len();
        if self.arena.len() + bytes > ARENA_MAX_BYTES {
            self.refused += 1;
            return;
        }
        let stream = self.stream(labels.as_bytes());
        let (line, metadata) = (self.put(line), self.put(metadata.as_bytes()));
        self.entries.push(Staged { entry: EntryRange { timestamp_ns, line, metadata }, stream });
        if let Some(stream) = self.streams.get_mut(stream as usize) {
            stream.entries += 1;
        }
    }

    fn stream(&mut self, labels: &[u8]) -> u32 {
        if self.streams.get(self.last as usize).is_some_and(|s| self.of(s.labels) == labels) {
            return self.last;
        }
        let hash = FixedState::default().hash_one(labels);
        let same =
            |at: &u32| self.streams.get(*at as usize).is_some_and(|s| s.hash == hash && self.of(s.labels) == labels);
        if let Some(at) = self.table.find(hash, same) {
            self.last = *at;
            return self.last;
        }
        let at = self.streams.len() as u32;
        let labels = self.put(labels);
        self.streams.push(Stream { labels, hash, entries: 0 });
        let streams = &self.streams;
        self.table.insert_unique(hash, at, |at| streams.get(*at as usize).map_or(0, |s| s.hash));
        self.last = at;
        at
    }

    /// The batch, streams in the order of their first entries, entries in the order they came. The builder is empty then.
    pub fn finish(&mut self) -> LogBatch {
        if self.is_empty() {
            return LogBatch::new();
        }
        let mut ordered = std::mem::take(&mut self.ordered);
        self.sort(&mut ordered);
        let spare = std::mem::take(&mut self.spare);
        let arena = std::mem::replace(&mut self.arena, spare);
        let streams = self.streams.iter().map(|stream| (stream.labels, stream.entries));
        // All places are in the arena: they were made with it.
        let batch = LogBatch::assemble(arena, streams, ordered).unwrap_or_default();
        self.clear();
        batch
    }

    /// Puts the entries into `ordered`, by stream.
    fn sort(&mut self, ordered: &mut Vec<EntryRange>) {
        let mut next: Vec<u32> = Vec::with_capacity(self.streams.len());
        let mut start = 0;
        for stream in &self.streams {
            next.push(start);
            start += stream.entries;
        }
        let none = EntryRange { timestamp_ns: 0, line: Span32::default(), metadata: Span32::default() };
        ordered.clear();
        ordered.resize(self.entries.len(), none);
        for staged in &self.entries {
            let Some(at) = next.get_mut(staged.stream as usize) else { continue };
            if let Some(place) = ordered.get_mut(*at as usize) {
                *place = staged.entry;
            }
            *at += 1;
        }
    }

    /// Forgets all entries.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.entries.clear();
        self.streams.clear();
        self.table.clear();
        self.last = 0;
    }

    /// Memory held, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.arena.capacity()
            + self.spare.capacity()
            + self.entries.capacity() * size_of::<Staged>()
            + self.streams.capacity() * size_of::<Stream>()
            + self.ordered.capacity() * size_of::<EntryRange>()
            + self.table.capacity() * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_signal::Labels;

    #[test]
    fn entries_are_grouped_by_stream() {
        let (a, b) = (Labels::from_pairs([("s", "a")]), Labels::from_pairs([("s", "b")]));
        let mut builder = LogBuilder::new();
        for round in 0..2 {
            for (labels, time, line) in [(&a, 1, "1"), (&b, 2, "2"), (&a, 3, "3"), (&b, 4, "4")] {
                builder.push(labels.as_ref(), time, line.as_bytes(), Labels::from_pairs([("k", line)]).as_ref());
            }
            assert_eq!(builder.len(), 4, "round {round}");
            let batch = builder.finish();
            let shown: Vec<String> = batch
                .streams()
                .map(|s| {
                    let lines: Vec<_> = s
                        .entries()
                        .map(|e| format!("{}:{}{}", e.timestamp_ns, String::from_utf8_lossy(e.line), e.metadata))
                        .collect();
                    format!("{} {}", s.labels(), lines.join(" "))
                })
                .collect();
            assert_eq!(shown, [r#"{s="a"} 1:1{k="1"} 3:3{k="3"}"#, r#"{s="b"} 2:2{k="2"} 4:4{k="4"}"#]);
            assert!(builder.is_empty());
            builder.reuse(batch);
        }
    }

    #[test]
    fn memory_comes_back_unless_it_is_far_too_much() {
        let mut builder = LogBuilder::new();
        let labels = Labels::from_pairs([("s", "a")]);
        let fill = |builder: &mut LogBuilder, bytes: usize| {
            builder.push(labels.as_ref(), 1, &vec![b'x'; bytes], LabelsRef::EMPTY);
            builder.finish()
        };
        let large = fill(&mut builder, 100_000);
        let place = large.arena().as_ptr();
        builder.reuse(large);
        let small = fill(&mut builder, 10);
        assert_eq!(small.arena().as_ptr(), place, "no memory was asked for");
        builder.reuse(small);
        assert!(builder.memory_bytes() < 10_000, "{}", builder.memory_bytes());
    }
}
