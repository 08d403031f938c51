//! Entries that wait for more lines, one per stream.

use super::super::entry::Entry;
use foldhash::fast::FixedState;
use std::hash::BuildHasher;

/// Streams that may wait at a time in one instance.
const STREAMS_MAX: usize = 64;

/// A stream's key: of the labels its lines came with.
pub(super) fn key(entry: &Entry) -> u64 {
    FixedState::default().hash_one(entry.labels.initial().as_bytes())
}

/// An entry that waits.
pub(super) struct Held {
    pub(super) stream: u64,
    pub(super) entry: Entry,
    /// Lines in it.
    pub(super) lines: usize,
    /// When the last of them came, nanoseconds since the epoch.
    pub(super) last_ns: i64,
}

/// Entries that wait, oldest first, and buffers for more.
#[derive(Default)]
pub(super) struct Waiting {
    held: Vec<Held>,
    spare: Vec<Entry>,
}

impl Waiting {
    pub(super) fn get(&mut self, stream: u64) -> Option<&mut Held> {
        self.held.iter_mut().find(|h| h.stream == stream)
    }

    /// Puts an entry to wait. Its place is taken by the oldest that waits, if there are too many: `true` then.
    pub(super) fn put(&mut self, stream: u64, entry: &mut Entry, now_ns: i64) -> bool {
        let mut held = self.spare.pop().unwrap_or_else(|| entry.clone());
        std::mem::swap(&mut held, entry);
        // What is left in `entry` is an old buffer: it must know the names of values, as all do.
        self.held.push(Held { stream, entry: held, lines: 1, last_ns: now_ns });
        self.held.len() > STREAMS_MAX && self.take_at(0, entry)
    }

    /// Swaps the stream's entry with another one, which waits now.
    pub(super) fn swap(&mut self, stream: u64, entry: &mut Entry, now_ns: i64) {
        if let Some(held) = self.get(stream) {
            std::mem::swap(&mut held.entry, entry);
            (held.lines, held.last_ns) = (1, now_ns);
        }
    }

    /// Takes the stream's entry out.
    pub(super) fn take(&mut self, stream: u64, entry: &mut Entry) -> bool {
        self.held.iter().position(|h| h.stream == stream).is_some_and(|at| self.take_at(at, entry))
    }

    /// Takes out one whose last line came no later than `until_ns`.
    pub(super) fn take_due(&mut self, until_ns: i64, entry: &mut Entry) -> bool {
        self.held.iter().position(|h| h.last_ns <= until_ns).is_some_and(|at| self.take_at(at, entry))
    }

    fn take_at(&mut self, at: usize, entry: &mut Entry) -> bool {
        if at >= self.held.len() {
            return false;
        }
        let mut held = self.held.remove(at).entry;
        std::mem::swap(&mut held, entry);
        if self.spare.len() < 2 {
            self.spare.push(held);
        }
        true
    }

    pub(super) fn oldest(&self) -> Option<u64> {
        self.held.iter().map(|h| h.entry.mark).min()
    }
}
