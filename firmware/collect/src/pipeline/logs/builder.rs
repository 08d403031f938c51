//! Entries of many streams in the order they come, as a batch that has them by stream.

use bramble_signal::{LabelsRef, LogBatch};
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

type Range = (u32, u32);

#[derive(Clone, Copy, Debug)]
struct Staged {
    timestamp_ns: i64,
    stream: u32,
    line: Range,
    metadata: Range,
}

#[derive(Clone, Copy, Debug)]
struct Stream {
    labels: Range,
    hash: u64,
    entries: u32,
}

/// Gathers entries and groups them by stream. Its memory is kept from batch to batch.
#[derive(Default, Debug)]
pub struct LogBuilder {
    arena: Vec<u8>,
    entries: Vec<Staged>,
    streams: Vec<Stream>,
    table: HashTable<u32>,
    last: u32,
    /// Scratch of [`finish`](Self::finish): entries by stream.
    order: Vec<u32>,
    /// Entries that did not fit.
    refused: u64,
}

/// Bytes one batch may have: offsets are 32 bits wide, and whoever gathers hands over far sooner.
const ARENA_MAX_BYTES: usize = 1 << 30;

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

    fn of(&self, range: Range) -> &[u8] {
        self.arena.get(range.0 as usize..range.1 as usize).unwrap_or(&[])
    }

    fn put(&mut self, bytes: &[u8]) -> Range {
        let start = self.arena.len() as u32;
        self.arena.extend_from_slice(bytes);
        (start, self.arena.len() as u32)
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
        self.entries.push(Staged { timestamp_ns, stream, line, metadata });
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
        let mut batch = LogBatch::with_capacity(self.arena.len());
        self.sort();
        let mut order = self.order.iter();
        for stream in &self.streams {
            batch.start_stream_encoded(LabelsRef::from_encoded(self.of(stream.labels)));
            for at in order.by_ref().take(stream.entries as usize) {
                let Some(entry) = self.entries.get(*at as usize) else { continue };
                let metadata = LabelsRef::from_encoded(self.of(entry.metadata));
                batch.push_entry_encoded(entry.timestamp_ns, self.of(entry.line), metadata);
            }
        }
        self.clear();
        batch
    }

    /// Puts the entries' numbers into `order`, by stream.
    fn sort(&mut self) {
        self.order.clear();
        self.order.resize(self.entries.len(), 0);
        let mut next: Vec<u32> = Vec::with_capacity(self.streams.len());
        let mut start = 0;
        for stream in &self.streams {
            next.push(start);
            start += stream.entries;
        }
        for (number, entry) in self.entries.iter().enumerate() {
            let Some(at) = next.get_mut(entry.stream as usize) else { continue };
            if let Some(place) = self.order.get_mut(*at as usize) {
                *place = number as u32;
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
            + self.entries.capacity() * size_of::<Staged>()
            + self.streams.capacity() * size_of::<Stream>()
            + self.order.capacity() * 4
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
        }
    }
}
