//! A block's index: its streams in order of labels, and where their page groups are.
//!
//! ```text
//! index  := varint n, n page references, varint m, m streams, varint k, k names of labels that float in entries
//! stream := varint length, labels, dictionary place, varint g, g groups
//! group  := zigzag varint first time, varint last minus first, varint entries, varint raw bytes, varint volume, varint flags,
//!           place of the columns, place of the filter
//! flags  := 1 some entries have the same timestamp, 2 the names of metadata are known: the bits from 8 on ([`Names`])
//! place  := varint page, varint offset in it, varint length
//! ```

use crate::filter::name_hash;
use crate::varint::{put, put_bytes, take, take_bytes, take_count, unzigzag, zigzag};
use bramble_disk::segment::PageRef;
use bramble_signal::{Labels, LabelsRef};
use std::sync::Arc;

const EQUAL_TIMES: u64 = 1;
const NAMES_KNOWN: u64 = 2;

/// A run of bytes in a page.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Place {
    pub(crate) page: u32,
    pub(crate) offset: u32,
    pub(crate) bytes: u32,
}

impl Place {
    fn put(self, out: &mut Vec<u8>) {
        put(out, self.page.into());
        put(out, self.offset.into());
        put(out, self.bytes.into());
    }

    fn take(input: &mut &[u8]) -> Option<Place> {
        let mut next = || u32::try_from(take(input)?).ok();
        Some(Place { page: next()?, offset: next()?, bytes: next()? })
    }
}

/// Which names the metadata of a group has, floating labels with their mark: two bits for each, out of 56. So what is not
/// there mostly is known not to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Names(u64);

impl Names {
    /// Those of no entry.
    pub(crate) const NONE: Names = Names(NAMES_KNOWN);

    /// The bits of a name, part of the format.
    fn bits(name: &str) -> u64 {
        let hash = name_hash(name);
        1 << (8 + hash % 56) | 1 << (8 + (hash >> 32) % 56)
    }

    /// Adds a name.
    pub(crate) fn add(&mut self, name: &str) {
        self.0 |= Names::bits(name);
    }

    /// Whether some entry may have this name. Blocks of before do not say.
    pub(crate) fn may_have(self, name: &str) -> bool {
        let wanted = Names::bits(name);
        self.0 & NAMES_KNOWN == 0 || self.0 & wanted == wanted
    }

    /// Those that a group's flags tell of.
    fn of_flags(flags: u64) -> Names {
        Names(flags & !EQUAL_TIMES)
    }
}

/// One page group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupEntry {
    pub(crate) min_time_ns: i64,
    pub(crate) max_time_ns: i64,
    pub(crate) entries: u64,
    pub(crate) raw_bytes: u64,
    /// What volumes say of it: [`Rows::volume_bytes`](crate::rows::Rows::volume_bytes).
    pub(crate) volume_bytes: u64,
    /// Whether some of its entries have the same timestamp.
    pub(crate) equal_times: bool,
    /// Which names its metadata has.
    pub(crate) names: Names,
    pub(crate) columns: Place,
    pub(crate) filter: Place,
}

/// One stream.
#[derive(Clone, Debug)]
pub(crate) struct StreamEntry {
    pub(crate) labels: Labels,
    pub(crate) dictionary: Place,
    pub(crate) groups: Vec<GroupEntry>,
}

impl StreamEntry {
    /// Appends the stream.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.labels.as_bytes());
        self.dictionary.put(out);
        put(out, self.groups.len() as u64);
        for group in &self.groups {
            put(out, zigzag(group.min_time_ns));
            put(out, group.max_time_ns.wrapping_sub(group.min_time_ns) as u64);
            put(out, group.entries);
            put(out, group.raw_bytes);
            put(out, group.volume_bytes);
            put(out, group.names.0 | if group.equal_times { EQUAL_TIMES } else { 0 });
            group.columns.put(out);
            group.filter.put(out);
        }
    }
}

/// What a reader wants of an index.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) pages: Arc<Vec<PageRef>>,
    pub(crate) streams: Vec<StreamEntry>,
    /// Names of labels that float in entries, ascending.
    pub(crate) floating: Vec<String>,
}

impl Index {
    /// Reads an index and keeps the streams that `wanted` accepts, with their groups that meet
    /// `start_ns..=last_ns`; streams without such groups are left out. `None` when it is damaged.
    pub(crate) fn read(
        mut input: &[u8],
        (start_ns, last_ns): (i64, i64),
        mut wanted: impl FnMut(LabelsRef<'_>) -> bool,
    ) -> Option<Index> {
        let input = &mut input;
        let pages = take_count(input, input.len())?;
        let pages: Option<Vec<PageRef>> = (0..pages).map(|_| PageRef::take(input)).collect();
        let (pages, mut streams) = (Arc::new(pages?), Vec::new());
        for _ in 0..take_count(input, input.len())? {
            let labels = LabelsRef::parse(take_bytes(input)?)?;
            let dictionary = Place::take(input)?;
            let (count, keep) = (take_count(input, input.len())?, wanted(labels));
            let mut groups = Vec::new();
            for _ in 0..count {
                let group = take_group(input)?;
                if keep && group.min_time_ns <= last_ns && group.max_time_ns >= start_ns {
                    groups.push(group);
                }
            }
            if !groups.is_empty() {
                streams.push(StreamEntry { labels: labels.to_labels(), dictionary, groups });
            }
        }
        let mut floating = Vec::new();
        for _ in 0..take_count(input, input.len())? {
            floating.push(std::str::from_utf8(take_bytes(input)?).ok()?.to_owned());
        }
        Some(Index { pages, streams, floating })
    }

    /// The streams that `wanted` accepts, with their groups that meet `start_ns..=last_ns`, as [`read`](Self::read)
    /// would have them.
    pub(crate) fn part(&self, (start_ns, last_ns): (i64, i64), mut wanted: impl FnMut(LabelsRef<'_>) -> bool) -> Index {
        let mut streams = Vec::new();
        for stream in self.streams.iter().filter(|stream| wanted(stream.labels.as_ref())) {
            let meets = |group: &&GroupEntry| group.min_time_ns <= last_ns && group.max_time_ns >= start_ns;
            let groups: Vec<GroupEntry> = stream.groups.iter().filter(meets).copied().collect();
            if !groups.is_empty() {
                streams.push(StreamEntry { labels: stream.labels.clone(), dictionary: stream.dictionary, groups });
            }
        }
        Index { pages: self.pages.clone(), streams, floating: self.floating.clone() }
    }

    /// Memory held, about, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let of = |stream: &StreamEntry| {
            let groups = stream.groups.capacity() * size_of::<GroupEntry>();
            size_of::<StreamEntry>() + stream.labels.as_bytes().len() + 16 + groups
        };
        let floating: usize = self.floating.iter().map(|name| size_of::<String>() + name.len()).sum();
        self.pages.capacity() * size_of::<PageRef>() + self.streams.iter().map(of).sum::<usize>() + floating
    }
}

fn take_group(input: &mut &[u8]) -> Option<GroupEntry> {
    let min_time_ns = unzigzag(take(input)?);
    let max_time_ns = min_time_ns.wrapping_add(take(input)? as i64);
    let (entries, raw_bytes, volume_bytes, flags) = (take(input)?, take(input)?, take(input)?, take(input)?);
    Some(GroupEntry {
        min_time_ns,
        max_time_ns,
        entries,
        raw_bytes,
        volume_bytes,
        equal_times: flags & EQUAL_TIMES != 0,
        names: Names::of_flags(flags),
        columns: Place::take(input)?,
        filter: Place::take(input)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_again_and_those_of_older_blocks_are_not() {
        let mut names = Names::NONE;
        ["trace_id", "\u{1}user", "detected_level"].into_iter().for_each(|name| names.add(name));
        for known in [names, Names::of_flags(names.0 | EQUAL_TIMES)] {
            assert!(known.may_have("trace_id") && known.may_have("\u{1}user") && !known.may_have("user"));
            assert!(!Names::NONE.may_have("trace_id"));
        }
        let absent = (0..1000).filter(|n| !names.may_have(&format!("name_{n}"))).count();
        assert!(absent > 950, "{absent}");
        assert!(Names::of_flags(EQUAL_TIMES).may_have("trace_id"), "a block that does not say");
        assert_eq!((Names::NONE.0 | names.0) & EQUAL_TIMES, 0);
    }
}
