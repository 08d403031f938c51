//! Reading a page group: every column at its first use.

use crate::columns::take_integers;
use crate::dictionary::Dictionary;
use crate::lines::{Lines, LinesFrom};
use crate::metadata::{Metadata, OnlyEntriesTell, ValuesOf};
use crate::stored::{Lazy, Stored};
use crate::varint::{take, take_count, unzigzag};
use std::sync::Arc;

/// Most entries that a group on disk may claim: one push may end a little above the limit.
const ENTRIES_MAX: usize = 1 << 20;

/// A group whose columns are decoded when they are first used. Damage shows then: see
/// [`is_damaged`](Self::is_damaged).
#[derive(Debug)]
pub(crate) struct Group {
    stored: Stored,
    count: usize,
    timestamps_ns: Lazy<Vec<i64>>,
    lines: Lines,
    metadata: Lazy<Metadata>,
    dictionary: Arc<Dictionary>,
}

impl Group {
    /// Reads a group; `None` when it is damaged.
    pub(crate) fn read(stored: impl Into<Stored>, dictionary: &Arc<Dictionary>) -> Option<Group> {
        let stored = stored.into();
        let mut input = &*stored;
        let count = take_count(&mut input, ENTRIES_MAX).filter(|&count| count > 0)?;
        let timestamps_bytes = take_count(&mut input, usize::MAX)?;
        let lines_bytes = take_count(&mut input, usize::MAX)?;
        let (timestamps, rest) = input.split_at_checked(timestamps_bytes)?;
        let (lines, metadata) = rest.split_at_checked(lines_bytes)?;
        let end = stored.len();
        let metadata_at = end - metadata.len();
        let lines_at = metadata_at - lines.len();
        let timestamps_at = lines_at - timestamps.len();
        let lines = Lines::read(&stored, lines_at..metadata_at, count, dictionary)?;
        let (timestamps_ns, metadata) = (Lazy::new(timestamps_at..lines_at), Lazy::new(metadata_at..end));
        Some(Group { stored, count, timestamps_ns, lines, metadata, dictionary: dictionary.clone() })
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Ascending timestamps; none when they are damaged.
    #[inline]
    pub(crate) fn timestamps_ns(&self) -> &[i64] {
        self.timestamps_ns.get(&self.stored, |input| take_timestamps(input, self.count)).map_or(&[], Vec::as_slice)
    }

    fn from(&self) -> LinesFrom<'_> {
        LinesFrom { stored: &self.stored, dictionary: &self.dictionary }
    }

    fn metadata(&self) -> Option<&Metadata> {
        self.metadata.get(&self.stored, |input| Metadata::read(input, self.count))
    }

    /// Appends line `at`.
    #[inline]
    pub(crate) fn put_line(&self, at: usize, out: &mut Vec<u8>) {
        if let Some(timestamp_ns) = self.time_for(at, None) {
            self.lines.put(at, timestamp_ns, self.from(), out);
        }
    }

    /// The timestamp of entry `at`, or 0 when its line, or its token `slot`, can be printed without: timestamps take
    /// long to decode for a line that is only looked at.
    fn time_for(&self, at: usize, slot: Option<usize>) -> Option<i64> {
        match self.timestamps_ns.known() {
            None if at < self.count && !self.lines.needs_time(at, slot, self.from()) => Some(0),
            _ => self.timestamps_ns().get(at).copied(),
        }
    }

    /// Length of line `at` in bytes, without rebuilding it.
    pub(crate) fn line_len(&self, at: usize) -> usize {
        self.lines.len_of(at, self.from())
    }

    /// Appends the varying token `slot` of line `at`.
    pub(crate) fn put_token(&self, at: usize, slot: usize, out: &mut Vec<u8>) {
        if let Some(timestamp_ns) = self.time_for(at, Some(slot)) {
            self.lines.put_token(at, slot, timestamp_ns, self.from(), out);
        }
    }

    /// Appends the encoded metadata of entry `at`.
    pub(crate) fn put_metadata(&self, at: usize, out: &mut Vec<u8>) {
        self.put_metadata_of(at, &|_| true, out);
    }

    /// Appends the encoded metadata of entry `at` under names that `wanted` accepts.
    pub(crate) fn put_metadata_of(&self, at: usize, wanted: &dyn Fn(&str) -> bool, out: &mut Vec<u8>) {
        if let (Some(&timestamp_ns), Some(metadata)) = (self.timestamps_ns().get(at), self.metadata()) {
            metadata.put((at, timestamp_ns), &self.lines, self.from(), wanted, out);
        }
    }

    /// The values of metadata under `name`, for who looks at one name of many entries.
    pub(crate) fn values_of(&self, name: &str) -> Result<Option<ValuesOf<'_>>, OnlyEntriesTell> {
        let metadata = self.metadata().ok_or(OnlyEntriesTell)?;
        metadata.values_of(name, &self.lines, self.from(), || self.timestamps_ns())
    }

    /// Whether any entry has metadata under a name that `wanted` accepts; `true` when only the entries can tell.
    pub(crate) fn has_metadata_of(&self, wanted: &dyn Fn(&str) -> bool) -> bool {
        self.metadata().is_some_and(|metadata| metadata.has_any(wanted))
    }

    /// The dictionary id of line `at`'s template; `None` for text.
    pub(crate) fn template_id(&self, at: usize) -> Option<usize> {
        self.lines.template_id(at)
    }

    /// The line column.
    pub(crate) fn lines(&self) -> (&Lines, LinesFrom<'_>) {
        (&self.lines, self.from())
    }

    /// Whether a column turned out to be damaged when it was first used.
    pub(crate) fn is_damaged(&self) -> bool {
        self.stored.is_damaged()
    }

    /// Memory held so far, about, in bytes; without the dictionary.
    pub(crate) fn memory_bytes(&self) -> usize {
        let timestamps = self.timestamps_ns.known().map_or(0, |times| times.capacity() * 8);
        let metadata = self.metadata.known().map_or(0, Metadata::memory_bytes);
        self.stored.len() + timestamps + self.lines.memory_bytes() + metadata
    }
}

fn take_timestamps(input: &mut &[u8], count: usize) -> Option<Vec<i64>> {
    let first = unzigzag(take(input)?);
    let steps = take_integers(input, count.checked_sub(1)?)?;
    let mut timestamps_ns = Vec::with_capacity(count);
    timestamps_ns.push(first);
    let mut last = first;
    for at in 0..count - 1 {
        last = last.wrapping_add(steps.get(at) as i64);
        timestamps_ns.push(last);
    }
    timestamps_ns.is_sorted().then_some(timestamps_ns)
}
