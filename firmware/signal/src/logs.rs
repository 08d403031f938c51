//! Log entries, streams and batches of them.
//!
//! **Floating labels** are labels that a sender put on a stream and that are kept out of the stream's identity, because
//! they have a value per request (`trace_id`, `request_id`): a stream per trace would be a file per trace. They travel
//! in the entry's metadata under their name preceded by [`FLOATING_MARK`], a byte that no label name from outside
//! contains, and are shown and matched as the stream labels they were sent as.

use crate::bytes::Span32;
use crate::labels::{LabelError, LabelsRef, encode};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// First byte of the metadata name of a floating label.
pub const FLOATING_MARK: char = '\u{1}';

/// The label's name, if a metadata name is that of a floating label.
pub fn floating_label(metadata_name: &str) -> Option<&str> {
    metadata_name.strip_prefix(FLOATING_MARK)
}

/// A stream of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct StreamRange {
    labels: Span32,
    entries: Span32,
}

/// An entry of a batch: where its bytes are in the arena.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EntryRange {
    /// Nanoseconds since the Unix epoch.
    pub timestamp_ns: i64,
    /// The line.
    pub line: Span32,
    /// Structured metadata, encoded.
    pub metadata: Span32,
}

/// One log record, borrowed from a batch or from a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogEntry<'a> {
    /// Nanoseconds since the Unix epoch.
    pub timestamp_ns: i64,
    /// The line, any bytes, without its line break.
    pub line: &'a [u8],
    /// Structured metadata: key–values of this entry, outside the stream's identity.
    pub metadata: LabelsRef<'a>,
}

/// A stream of a batch with its entries.
#[derive(Clone, Copy)]
pub struct LogStream<'a> {
    batch: &'a LogBatch,
    range: StreamRange,
}

impl<'a> LogStream<'a> {
    /// The stream's labels.
    pub fn labels(&self) -> LabelsRef<'a> {
        LabelsRef::from_encoded(&self.batch.parts.arena[self.range.labels.range()])
    }

    /// Entries in arrival order.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = LogEntry<'a>> + use<'a> {
        let batch = self.batch;
        batch.parts.entries[self.range.entries.range()].iter().map(move |range| batch.of_range(range))
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.range.entries.len()
    }

    /// Whether the stream has no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Entries of many streams, as a receiver hands them over, or as a store answers.
///
/// One arena holds labels, lines and metadata. Streams are in arrival order and may repeat.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct LogBatch {
    parts: Held,
}

#[derive(Clone, Default, PartialEq, Eq, Debug)]
struct Parts {
    arena: Vec<u8>,
    streams: Vec<StreamRange>,
    entries: Vec<EntryRange>,
}

/// The parts of a batch: its own, or those that it has in common with clones of it.
#[derive(Clone)]
enum Held {
    Own(Parts),
    Shared(Arc<Parts>),
}

impl Held {
    /// The parts, to change them; common ones are copied first.
    #[inline]
    fn own(&mut self) -> &mut Parts {
        if let Held::Shared(parts) = self {
            *self = Held::Own(Arc::unwrap_or_clone(std::mem::take(parts)));
        }
        match self {
            Held::Own(parts) => parts,
            Held::Shared(parts) => Arc::make_mut(parts),
        }
    }
}

impl Deref for Held {
    type Target = Parts;

    #[inline]
    fn deref(&self) -> &Parts {
        match self {
            Held::Own(parts) => parts,
            Held::Shared(parts) => parts,
        }
    }
}

impl Default for Held {
    fn default() -> Self {
        Held::Own(Parts::default())
    }
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Held {}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl LogBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    fn of(parts: Parts) -> Self {
        LogBatch { parts: Held::Own(parts) }
    }

    /// An empty batch with room for so many bytes of labels, lines and metadata.
    pub fn with_capacity(arena_bytes: usize) -> Self {
        Self::of(Parts { arena: Vec::with_capacity(arena_bytes), ..Parts::default() })
    }

    /// A batch of what was gathered already, without a copy: `streams` are where each one's labels are in `arena`, encoded, and
    /// how many of `entries` are its, which follow each other. `None` when a place is not in the arena, or the counts are not
    /// those of the entries.
    pub fn assemble(
        arena: Vec<u8>,
        streams: impl ExactSizeIterator<Item = (Span32, u32)>,
        entries: Vec<EntryRange>,
    ) -> Option<LogBatch> {
        let is_inside = |place: Span32| place.start <= place.end && place.end as usize <= arena.len();
        if !entries.iter().all(|entry| is_inside(entry.line) && is_inside(entry.metadata)) {
            return None;
        }
        let (mut ranges, mut first) = (Vec::with_capacity(streams.len()), 0);
        for (labels, count) in streams {
            if !is_inside(labels) {
                return None;
            }
            let end = first + count as usize;
            ranges.push(StreamRange { labels, entries: Span32::new(first, end) });
            first = end;
        }
        (first == entries.len()).then_some(Self::of(Parts { arena, streams: ranges, entries }))
    }

    /// The batch's memory, to gather the next one in: arena and entries, empty. Without room if clones have it in common.
    pub fn into_memory(self) -> (Vec<u8>, Vec<EntryRange>) {
        let Parts { mut arena, mut entries, .. } = match self.parts {
            Held::Own(parts) => parts,
            Held::Shared(parts) => Arc::try_unwrap(parts).unwrap_or_default(),
        };
        arena.clear();
        entries.clear();
        (arena, entries)
    }

    /// Lets clones from now on have the batch's memory in common with it, until one of them is changed, which copies it.
    pub fn share(&mut self) {
        if let Held::Own(parts) = &mut self.parts {
            self.parts = Held::Shared(Arc::new(std::mem::take(parts)));
        }
    }

    /// Bytes of what is in the batch, which is what a copy of it takes; [`memory_bytes`](Self::memory_bytes) has room for
    /// more in it.
    pub fn used_bytes(&self) -> usize {
        self.parts.arena.len() + size_of_val(self.parts.streams.as_slice()) + size_of_val(self.parts.entries.as_slice())
    }

    /// Makes room for so many more bytes of labels and metadata, and no more than that.
    pub fn reserve_exact(&mut self, arena_bytes: usize) {
        self.parts.own().arena.reserve_exact(arena_bytes);
    }

    /// Gives stream `index` (below [`stream_count`](Self::stream_count)) other labels. The bytes of those before stay in
    /// the arena.
    pub fn set_labels(&mut self, index: usize, labels: LabelsRef<'_>) {
        let Parts { arena, streams, .. } = self.parts.own();
        let start = arena.len();
        arena.extend_from_slice(labels.as_bytes());
        streams[index].labels = Span32::new(start, arena.len());
    }

    /// Gives entry `index`, counted over all streams (below [`entry_count`](Self::entry_count)), other metadata. The bytes
    /// of what was there stay in the arena.
    pub fn set_metadata(&mut self, index: usize, metadata: LabelsRef<'_>) {
        let Parts { arena, entries, .. } = self.parts.own();
        let start = arena.len();
        arena.extend_from_slice(metadata.as_bytes());
        entries[index].metadata = Span32::new(start, arena.len());
    }

    /// Gives entry `index`, counted over all streams (below [`entry_count`](Self::entry_count)), another line. The bytes of
    /// the one before stay in the arena.
    pub fn set_line(&mut self, index: usize, line: &[u8]) {
        let Parts { arena, entries, .. } = self.parts.own();
        let start = arena.len();
        arena.extend_from_slice(line);
        entries[index].line = Span32::new(start, arena.len());
    }

    /// Takes out the entries that `keep` says no to, which is asked once for each with its index, ascending. Streams stay,
    /// even without entries; bytes stay in the arena.
    pub fn retain_entries(&mut self, mut keep: impl FnMut(usize) -> bool) {
        let Parts { streams, entries, .. } = self.parts.own();
        let mut kept = 0;
        for stream in streams {
            let first = kept;
            for at in stream.entries.range() {
                if keep(at) {
                    entries.swap(kept, at);
                    kept += 1;
                }
            }
            stream.entries = Span32::new(first, kept);
        }
        entries.truncate(kept);
    }

    /// All labels, lines and metadata as one run of bytes, in no order to rely on: for who looks for something that is in
    /// none of them nearly always.
    pub fn arena(&self) -> &[u8] {
        &self.parts.arena
    }

    /// Starts a stream from pairs in any order (they are sorted in place).
    ///
    /// # Errors
    /// [`LabelError`] for an empty or repeated name; the batch is unchanged then.
    pub fn start_stream(&mut self, pairs: &mut [(&str, &str)]) -> Result<(), LabelError> {
        let parts = self.parts.own();
        let start = parts.arena.len();
        encode(pairs, &mut parts.arena)?;
        parts.open(start);
        Ok(())
    }

    /// Starts a stream with labels that are encoded already.
    pub fn start_stream_encoded(&mut self, labels: LabelsRef<'_>) {
        let parts = self.parts.own();
        let start = parts.arena.len();
        parts.arena.extend_from_slice(labels.as_bytes());
        parts.open(start);
    }

    /// Adds an entry to the stream started last; ignored when there is none.
    ///
    /// # Errors
    /// [`LabelError`] for empty or repeated metadata names; nothing is added then.
    pub fn push_entry(
        &mut self,
        timestamp_ns: i64,
        line: &[u8],
        metadata: &mut [(&str, &str)],
    ) -> Result<(), LabelError> {
        let parts = self.parts.own();
        if parts.streams.is_empty() {
            return Ok(());
        }
        let start = parts.arena.len();
        encode(metadata, &mut parts.arena)?;
        let metadata = Span32::new(start, parts.arena.len());
        parts.push_with(timestamp_ns, line, metadata);
        Ok(())
    }

    /// Adds an entry whose metadata is encoded already.
    pub fn push_entry_encoded(&mut self, timestamp_ns: i64, line: &[u8], metadata: LabelsRef<'_>) {
        let parts = self.parts.own();
        let start = parts.arena.len();
        parts.arena.extend_from_slice(metadata.as_bytes());
        parts.push_with(timestamp_ns, line, Span32::new(start, parts.arena.len()));
    }

    /// Number of stream entries.
    pub fn stream_count(&self) -> usize {
        self.parts.streams.len()
    }

    /// Number of log entries.
    pub fn entry_count(&self) -> usize {
        self.parts.entries.len()
    }

    /// Whether there are no log entries.
    pub fn is_empty(&self) -> bool {
        self.parts.entries.is_empty()
    }

    /// Stream `index` (below [`stream_count`](Self::stream_count)).
    pub fn stream(&self, index: usize) -> LogStream<'_> {
        LogStream { batch: self, range: self.parts.streams[index] }
    }

    /// Entry `index`, counted over all streams (below [`entry_count`](Self::entry_count)).
    pub fn entry(&self, index: usize) -> LogEntry<'_> {
        self.of_range(&self.parts.entries[index])
    }

    fn of_range(&self, range: &EntryRange) -> LogEntry<'_> {
        LogEntry {
            timestamp_ns: range.timestamp_ns,
            line: &self.parts.arena[range.line.range()],
            metadata: LabelsRef::from_encoded(&self.parts.arena[range.metadata.range()]),
        }
    }

    /// All streams in arrival order.
    pub fn streams(&self) -> impl ExactSizeIterator<Item = LogStream<'_>> {
        self.parts.streams.iter().map(|&range| LogStream { batch: self, range })
    }

    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        let Parts { arena, streams, entries } = self.parts.own();
        arena.clear();
        streams.clear();
        entries.clear();
    }

    /// Memory held, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.parts.arena.capacity()
            + self.parts.streams.capacity() * size_of::<StreamRange>()
            + self.parts.entries.capacity() * size_of::<EntryRange>()
    }
}

impl Parts {
    fn open(&mut self, start: usize) {
        let here = self.entries.len();
        self.streams
            .push(StreamRange { labels: Span32::new(start, self.arena.len()), entries: Span32::new(here, here) });
    }

    fn push_with(&mut self, timestamp_ns: i64, line: &[u8], metadata: Span32) {
        let start = self.arena.len();
        self.arena.extend_from_slice(line);
        let Some(stream) = self.streams.last_mut() else { return };
        self.entries.push(EntryRange { timestamp_ns, line: Span32::new(start, self.arena.len()), metadata });
        stream.entries.end += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_gives_back_what_was_pushed() {
        let mut batch = LogBatch::new();
        batch.start_stream(&mut [("service", "beorn"), ("env", "dev")]).unwrap();
        batch.push_entry(5, b"a \xff line", &mut [("trace_id", "ab")]).unwrap();
        batch.push_entry(4, b"", &mut []).unwrap();
        assert!(batch.push_entry(4, b"", &mut [("x", "1"), ("x", "2")]).is_err());
        batch.start_stream(&mut [("service", "arda")]).unwrap();
        let stream = batch.stream(0);
        assert_eq!(stream.labels().to_string(), r#"{env="dev", service="beorn"}"#);
        let entries: Vec<_> = stream.entries().collect();
        assert_eq!(entries.len(), 2);
        assert_eq!(
            (entries[0].timestamp_ns, entries[0].line, entries[0].metadata.get("trace_id")),
            (5, &b"a \xff line"[..], Some("ab"))
        );
        assert!(batch.stream(1).is_empty());
        assert_eq!((batch.stream_count(), batch.entry_count()), (2, 2));
        batch.set_labels(0, LabelsRef::from_encoded(b"\x01a\x01b"));
        batch.set_metadata(1, LabelsRef::from_encoded(b"\x01k\x01v"));
        assert_eq!(batch.stream(0).labels().get("a"), Some("b"));
        let entries: Vec<_> = batch.stream(0).entries().collect();
        assert_eq!((entries[0].metadata.get("trace_id"), entries[1].metadata.get("k")), (Some("ab"), Some("v")));
        assert_eq!((entries[0].line, entries[1]), (&b"a \xff line"[..], batch.entry(1)));
    }

    #[test]
    fn what_was_gathered_becomes_a_batch_if_it_is_one() {
        let span = Span32::new;
        let of = |timestamp_ns, line, metadata| EntryRange { timestamp_ns, line, metadata };
        let arena = || b"\x01a\x01bone\x01k\x01vtwo".to_vec();
        let entries = || vec![of(7, span(11, 14), span(7, 11)), of(5, span(4, 7), span(0, 0))];
        let batch = LogBatch::assemble(arena(), [(span(0, 4), 1), (span(0, 0), 1)].into_iter(), entries()).unwrap();
        assert_eq!(batch.stream(0).labels().to_string(), r#"{a="b"}"#);
        let entry = batch.entry(0);
        assert_eq!((entry.timestamp_ns, entry.line, entry.metadata.get("k")), (7, &b"two"[..], Some("v")));
        assert_eq!(batch.stream(1).entries().next().map(|entry| entry.line), Some(&b"one"[..]));
        assert_eq!(batch.used_bytes(), batch.clone().memory_bytes());
        let (arena_room, entry_room) = batch.into_memory();
        assert!(arena_room.capacity() >= 14 && entry_room.capacity() >= 2 && arena_room.is_empty());
        for streams in [[(span(0, 4), 1), (span(0, 0), 2)], [(span(0, 4), 1), (span(0, 15), 1)]] {
            assert_eq!(LogBatch::assemble(arena(), streams.into_iter(), entries()), None);
        }
        let beyond = vec![of(7, span(11, 15), span(7, 11))];
        assert_eq!(LogBatch::assemble(arena(), [(span(0, 4), 1)].into_iter(), beyond), None);
    }

    #[test]
    fn clones_have_memory_in_common_until_one_is_changed() {
        let mut batch = LogBatch::new();
        batch.start_stream(&mut [("s", "a")]).unwrap();
        batch.push_entry(1, b"one", &mut []).unwrap();
        let apart = batch.clone();
        batch.share();
        let mut changed = batch.clone();
        assert_eq!(changed.arena().as_ptr(), batch.arena().as_ptr());
        assert_ne!(apart.arena().as_ptr(), batch.arena().as_ptr());
        changed.set_line(0, b"two");
        assert_eq!((batch.entry(0).line, changed.entry(0).line), (&b"one"[..], &b"two"[..]));
        assert_eq!(batch, apart);
        let kept = batch.clone();
        assert_eq!(batch.into_memory().0.capacity(), 0, "another has it still");
        assert!(kept.into_memory().0.capacity() > 0);
    }

    #[test]
    fn entries_are_taken_out_and_get_other_lines() {
        let mut batch = LogBatch::new();
        for stream in 0..3 {
            batch.start_stream(&mut [("s", ["a", "b", "c"][stream])]).unwrap();
            for line in 0..3 {
                batch.push_entry(line, &[b'0' + stream as u8, b'0' + line as u8], &mut []).unwrap();
            }
        }
        batch.set_line(8, b"other");
        let mut asked = Vec::new();
        batch.retain_entries(|at| {
            asked.push(at);
            at % 2 == 0 && !(3..6).contains(&at)
        });
        assert_eq!(asked, (0..9).collect::<Vec<_>>());
        let lines = |s: LogStream<'_>| s.entries().map(|e| e.line.to_vec()).collect::<Vec<_>>();
        let lines: Vec<_> = batch.streams().map(lines).collect();
        assert_eq!(lines, [vec![b"00".to_vec(), b"02".to_vec()], vec![], vec![b"20".to_vec(), b"other".to_vec()]]);
        assert_eq!(batch.entry_count(), 4);
    }
}
