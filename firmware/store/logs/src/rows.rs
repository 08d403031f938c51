//! Entries of one stream, one after the other: what heads gather, codecs take and the merge hands on.

use crate::volume::VolumeCounter;
use bramble_signal::{LabelsRef, LogEntry};

/// Entries of one stream in one arena. Each costs its bytes and 16 more.
#[derive(Clone, Default, Debug)]
pub(crate) struct Rows {
    timestamps_ns: Vec<i64>,
    /// End of line and end of metadata of each entry in the arena; the line comes first.
    ends: Vec<(u32, u32)>,
    arena: Vec<u8>,
}

impl Rows {
    /// Adds an entry. The arena must stay below 4 GiB; callers cut at far less.
    pub(crate) fn push(&mut self, timestamp_ns: i64, line: &[u8], metadata: &[u8]) {
        self.timestamps_ns.push(timestamp_ns);
        self.arena.extend_from_slice(line);
        let line_end = self.arena.len() as u32;
        self.arena.extend_from_slice(metadata);
        self.ends.push((line_end, self.arena.len() as u32));
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.timestamps_ns.len()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.timestamps_ns.is_empty()
    }

    /// Bytes of lines and metadata.
    pub(crate) fn raw_bytes(&self) -> usize {
        self.arena.len()
    }

    /// What answers about volumes say of them as one chunk: see [`VolumeCounter`].
    pub(crate) fn volume_bytes(&self) -> u64 {
        let mut counter = VolumeCounter::default();
        (0..self.len()).map(|at| self.count_volume(at, &mut counter)).sum()
    }

    /// What entry `at` (below [`len`](Self::len)) adds to a chunk.
    pub(crate) fn count_volume(&self, at: usize, counter: &mut VolumeCounter) -> u64 {
        counter.add(self.line(at).len(), LabelsRef::from_encoded(self.metadata(at)))
    }

    /// Timestamps in order of arrival.
    pub(crate) fn timestamps_ns(&self) -> &[i64] {
        &self.timestamps_ns
    }

    fn start(&self, at: usize) -> usize {
        if at == 0 { 0 } else { self.ends[at - 1].1 as usize }
    }

    /// Line `at` (below [`len`](Self::len)).
    pub(crate) fn line(&self, at: usize) -> &[u8] {
        &self.arena[self.start(at)..self.ends[at].0 as usize]
    }

    /// Encoded metadata of entry `at` (below [`len`](Self::len)).
    pub(crate) fn metadata(&self, at: usize) -> &[u8] {
        let (from, to) = self.ends[at];
        &self.arena[from as usize..to as usize]
    }

    /// Entry `at` (below [`len`](Self::len)).
    pub(crate) fn entry(&self, at: usize) -> LogEntry<'_> {
        LogEntry {
            timestamp_ns: self.timestamps_ns[at],
            line: self.line(at),
            metadata: LabelsRef::from_encoded(self.metadata(at)),
        }
    }

    /// Adds all entries of `other`.
    pub(crate) fn append(&mut self, other: &Rows) {
        let start = self.arena.len() as u32;
        self.timestamps_ns.extend_from_slice(&other.timestamps_ns);
        self.ends.extend(other.ends.iter().map(|&(line, metadata)| (start + line, start + metadata)));
        self.arena.extend_from_slice(&other.arena);
    }

    /// Makes room for an entry, twice as much as there is, but not for more than `raw_bytes` in all unless it needs them:
    /// who stops at so many bytes holds no room that stays empty.
    pub(crate) fn make_room(&mut self, bytes: usize, raw_bytes: usize) {
        let (used, room) = (self.arena.len(), self.arena.capacity());
        if used + bytes > room {
            let wanted = (room * 2).min(raw_bytes).max(used + bytes);
            self.arena.reserve_exact(wanted - used);
        }
    }

    /// Whether they are sorted by time.
    pub(crate) fn is_sorted(&self) -> bool {
        self.timestamps_ns.is_sorted()
    }

    /// The entries sorted by time; equal timestamps stay in their order.
    pub(crate) fn sorted(&self) -> Rows {
        if self.is_sorted() {
            return self.clone();
        }
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by_key(|&at| self.timestamps_ns[at]);
        let mut out = Rows::default();
        out.arena.reserve_exact(self.arena.len());
        for at in order {
            out.push(self.timestamps_ns[at], self.line(at), self.metadata(at));
        }
        out
    }

    /// Empties it and keeps its memory.
    pub(crate) fn clear(&mut self) {
        self.timestamps_ns.clear();
        self.ends.clear();
        self.arena.clear();
    }

    /// Memory held, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.timestamps_ns.capacity() * 8 + self.ends.capacity() * 8 + self.arena.capacity()
    }
}

/// The form in which heads keep rows that are full: timestamps, lengths, arena.
impl Rows {
    /// Appends all entries as one run of bytes.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        crate::varint::put(out, self.len() as u64);
        let mut last = 0i64;
        for at in 0..self.len() {
            let timestamp_ns = self.timestamps_ns[at];
            crate::varint::put(out, crate::varint::zigzag(timestamp_ns.wrapping_sub(last)));
            last = timestamp_ns;
            crate::varint::put(out, self.line(at).len() as u64);
            crate::varint::put(out, self.metadata(at).len() as u64);
        }
        out.extend_from_slice(&self.arena);
    }

    /// Reads what [`put`](Self::put) wrote; `None` when it is something else.
    pub(crate) fn take(mut input: &[u8]) -> Option<Rows> {
        use crate::varint::{take, take_count, unzigzag};
        let input = &mut input;
        let count = take_count(input, input.len())?;
        let (mut rows, mut last, mut end) = (Rows::default(), 0i64, 0usize);
        rows.timestamps_ns.reserve_exact(count);
        rows.ends.reserve_exact(count);
        for _ in 0..count {
            last = last.wrapping_add(unzigzag(take(input)?));
            rows.timestamps_ns.push(last);
            let line_end = end.checked_add(take_count(input, u32::MAX as usize)?)?;
            end = line_end.checked_add(take_count(input, u32::MAX as usize)?)?;
            rows.ends.push((u32::try_from(line_end).ok()?, u32::try_from(end).ok()?));
        }
        rows.arena.extend_from_slice(input);
        (rows.arena.len() == end).then_some(rows)
    }
}
