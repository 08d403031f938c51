//! A place among the entries of a chunk that a query asks for.

use crate::chunk::Chunk;
use crate::search::examine::Hits;
use bramble_storage::Direction;
use std::ops::Range;

/// A chunk whose entries are visited in order. Newest first, entries of one timestamp are visited oldest first.
pub(crate) struct Cursor {
    chunk: Chunk,
    hits: Hits,
    /// Hits not yet visited.
    from: usize,
    to: usize,
    /// Newest first: hits of one timestamp.
    run: Range<usize>,
    at: usize,
    visited: usize,
    bytes: usize,
}

impl Cursor {
    /// Before the first of `hits`.
    pub(crate) fn new(chunk: Chunk, hits: Hits) -> Cursor {
        let (to, bytes) = (hits.len(), chunk.memory_bytes() + hits.memory_bytes());
        Cursor { chunk, hits, from: 0, to, run: 0..0, at: 0, visited: 0, bytes }
    }

    /// Goes to the next entry and returns its timestamp; `None` at the end.
    pub(crate) fn advance(&mut self, direction: Direction) -> Option<i64> {
        let hit = self.step(direction)?;
        self.visited += 1;
        self.at = self.hits.get(hit);
        self.chunk.timestamps_ns().get(self.at).copied()
    }

    fn step(&mut self, direction: Direction) -> Option<usize> {
        if direction == Direction::Forward {
            self.from += 1;
            return (self.from <= self.to).then(|| self.from - 1);
        }
        if self.run.is_empty() {
            if self.from >= self.to {
                return None;
            }
            let times = self.chunk.timestamps_ns();
            let time = |hit: usize| times.get(self.hits.get(hit));
            let mut start = self.to - 1;
            while start > self.from && time(start - 1) == time(start) {
                start -= 1;
            }
            self.run = start..self.to;
            self.to = start;
        }
        self.run.next()
    }

    /// Appends line and encoded metadata of the current entry.
    #[inline]
    pub(crate) fn put(&self, line: &mut Vec<u8>, metadata: &mut Vec<u8>) {
        self.chunk.put_line(self.at, line);
        self.chunk.put_metadata(self.at, metadata);
    }

    /// Entries visited, the current one included.
    pub(crate) fn visited(&self) -> usize {
        self.visited
    }

    /// Whether something turned out to be damaged.
    pub(crate) fn is_damaged(&self) -> bool {
        self.chunk.is_damaged()
    }

    /// Memory that was accounted for it, in bytes.
    pub(crate) fn accounted_bytes(&self) -> usize {
        self.bytes
    }

    /// By how much it has grown since it was accounted; the caller accounts it now. Looked at now and then only.
    pub(crate) fn growth(&mut self) -> usize {
        // Columns are decoded at the first lines that have them.
        if !self.visited.is_power_of_two() {
            return 0;
        }
        let bytes = self.chunk.memory_bytes() + self.hits.memory_bytes();
        let grown = bytes.saturating_sub(self.bytes);
        self.bytes += grown;
        grown
    }
}
