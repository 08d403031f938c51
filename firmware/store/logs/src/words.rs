//! Words: byte strings of which many are equal, and the values that all page groups of a stream share.
//!
//! ```text
//! words := 0 strings                                                         hardly any are equal
//!        | 1 varint n, n strings, which of them as integers                  of this column only
//!        | 2 varint n, n numbers of shared values, ascending, as differences
//!            (integers), which of them as integers                           of the stream's shared values
//! ```
//! Who looks for a word asks the shared values first: what no value contains is in no column of form 2.

use crate::columns::{ColumnWriter, Integers, Strings, take_integers, take_strings};
use crate::filter::local_hash;
use crate::varint::{put, take_byte, take_count};
use hashbrown::HashTable;

/// Most values that a stream's groups share, in one block.
pub(crate) const VALUES_MAX: usize = 4096;
/// Most bytes of them.
const VALUE_BYTES_MAX: usize = 64 << 10;

const PLAIN: u8 = 0;
const OWN: u8 = 1;
const SHARED: u8 = 2;

/// Collects the values that a stream's groups share.
#[derive(Default)]
pub(crate) struct ValueWriter {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    ids: HashTable<u32>,
}

impl ValueWriter {
    fn get(&self, id: u32) -> &[u8] {
        let start = if id == 0 { 0 } else { self.ends[id as usize - 1] as usize };
        &self.bytes[start..self.ends[id as usize] as usize]
    }

    fn find(&self, hash: u64, value: &[u8]) -> Option<u32> {
        self.ids.find(hash, |&id| self.get(id) == value).copied()
    }

    fn add(&mut self, hash: u64, value: &[u8]) -> u32 {
        let id = self.ends.len() as u32;
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len() as u32);
        let (bytes, ends) = (&self.bytes, &self.ends);
        let text = |id: u32| {
            let start = if id == 0 { 0 } else { ends[id as usize - 1] as usize };
            &bytes[start..ends[id as usize] as usize]
        };
        self.ids.insert_unique(hash, id, |&id| local_hash(text(id), HASH_SEED));
        id
    }

    /// Whether `value` is one of them.
    pub(crate) fn has(&self, value: &[u8]) -> bool {
        self.find(local_hash(value, HASH_SEED), value).is_some()
    }

    /// The values so far.
    pub(crate) fn snapshot(&self) -> Strings {
        Strings::of(self.bytes.clone(), self.ends.clone())
    }

    /// Appends the values.
    pub(crate) fn write(&self, columns: &mut ColumnWriter, out: &mut Vec<u8>) {
        put(out, self.ends.len() as u64);
        columns.strings((0..self.ends.len() as u32).map(|id| self.get(id)), out);
    }

    /// Memory held, about, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * 4 + self.ids.capacity() * 5
    }
}

const HASH_SEED: u64 = 1;

/// Working memory of [`ColumnWriter::words`].
#[derive(Default)]
pub(crate) struct WordScratch {
    table: HashTable<u32>,
    /// Hash and first item of each distinct word.
    distinct: Vec<(u64, u32)>,
    /// Shared value and position in `distinct`.
    shared: Vec<(u32, u32)>,
    ids: Vec<u64>,
}

impl WordScratch {
    /// Finds equal items; `false` as soon as more than half of them differ.
    fn distinguish(&mut self, items: &[&[u8]]) -> bool {
        self.table.clear();
        self.distinct.clear();
        self.ids.clear();
        let Self { table, distinct, ids, .. } = self;
        let mut last: Option<(&[u8], u64)> = None;
        for (at, item) in items.iter().enumerate() {
            if let Some((text, id)) = last
                && text == *item
            {
                ids.push(id);
                continue;
            }
            let hash = local_hash(item, HASH_SEED);
            let known = table.find(hash, |&id| items[distinct[id as usize].1 as usize] == *item).copied();
            let id = known.unwrap_or_else(|| {
                let id = distinct.len() as u32;
                distinct.push((hash, at as u32));
                table.insert_unique(hash, id, |&id| distinct[id as usize].0);
                id
            });
            if distinct.len() * 2 > items.len() && items.len() > 1 {
                return false;
            }
            ids.push(id.into());
            last = Some((item, id.into()));
        }
        true
    }

    /// Finds all distinct words among the shared values, entering those that are new; `false` when not all fit.
    fn share(&mut self, items: &[&[u8]], values: &mut ValueWriter) -> bool {
        self.shared.clear();
        let (mut count, mut bytes) = (values.ends.len(), values.bytes.len());
        for &(hash, at) in &self.distinct {
            let item = items[at as usize];
            let id = values.find(hash, item).unwrap_or(u32::MAX);
            if id == u32::MAX {
                (count, bytes) = (count + 1, bytes + item.len());
            }
            self.shared.push((id, self.shared.len() as u32));
        }
        if count > VALUES_MAX || bytes > VALUE_BYTES_MAX {
            return false;
        }
        for (id, at) in self.shared.iter_mut().filter(|(id, _)| *id == u32::MAX) {
            let (hash, item) = self.distinct[*at as usize];
            *id = values.add(hash, items[item as usize]);
        }
        self.shared.sort_unstable();
        true
    }
}

impl ColumnWriter {
    /// Appends byte strings of which many are equal. Returns whether all are among the shared values now.
    pub(crate) fn words(&mut self, items: &[&[u8]], values: Option<&mut ValueWriter>, out: &mut Vec<u8>) -> bool {
        let mut scratch = std::mem::take(&mut self.words);
        let shared = self.words_with(&mut scratch, items, values, out);
        self.words = scratch;
        shared
    }

    fn words_with(
        &mut self,
        scratch: &mut WordScratch,
        items: &[&[u8]],
        values: Option<&mut ValueWriter>,
        out: &mut Vec<u8>,
    ) -> bool {
        if !scratch.distinguish(items) {
            out.push(PLAIN);
            self.strings(items.iter().copied(), out);
            return false;
        }
        if let Some(values) = values
            && scratch.share(items, values)
        {
            out.push(SHARED);
            put(out, scratch.shared.len() as u64);
            let mut last = 0;
            let steps: Vec<u64> =
                scratch.shared.iter().map(|&(id, _)| u64::from(id - std::mem::replace(&mut last, id))).collect();
            self.integers(&steps, out);
            let mut rank = vec![0u64; scratch.shared.len()];
            for (nth, &(_, at)) in scratch.shared.iter().enumerate() {
                rank[at as usize] = nth as u64;
            }
            scratch.ids.iter_mut().for_each(|id| *id = rank[*id as usize]);
            self.integers(&scratch.ids, out);
            return true;
        }
        out.push(OWN);
        put(out, scratch.distinct.len() as u64);
        self.strings(scratch.distinct.iter().map(|&(_, at)| items[at as usize]), out);
        self.integers(&scratch.ids, out);
        false
    }
}

/// Byte strings of which many are equal, as read.
#[derive(Debug)]
pub(crate) enum Words {
    /// Each its own.
    Plain(Strings),
    /// Distinct ones, and which of them each value is.
    Own(Strings, Integers),
    /// Numbers of shared values that occur, ascending, and which of them each value is.
    Shared(Vec<u32>, Integers),
}

impl Words {
    /// Value `at`, given the stream's shared values; empty past the end.
    #[inline]
    pub(crate) fn get<'a>(&'a self, at: usize, values: &'a Strings) -> &'a [u8] {
        match self {
            Words::Plain(strings) => strings.get(at),
            Words::Own(strings, ids) => strings.get(ids.get(at) as usize),
            Words::Shared(list, ids) => list.get(ids.get(at) as usize).map_or(&[], |&value| values.get(value as usize)),
        }
    }

    /// Memory held, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            Words::Plain(strings) => strings.memory_bytes(),
            Words::Own(strings, ids) => strings.memory_bytes() + ids.memory_bytes(),
            Words::Shared(list, ids) => list.capacity() * 4 + ids.memory_bytes(),
        }
    }
}

/// Reads `count` words of a stream with so many shared values.
pub(crate) fn take_words(input: &mut &[u8], count: usize, values: usize) -> Option<Words> {
    match take_byte(input)? {
        PLAIN => Some(Words::Plain(take_strings(input, count)?)),
        OWN => {
            let distinct = take_count(input, count.max(1))?;
            let strings = take_strings(input, distinct)?;
            let ids = take_integers(input, count)?;
            (count == 0 || ids.max() < distinct as u64).then_some(Words::Own(strings, ids))
        }
        SHARED => {
            let distinct = take_count(input, count.max(1).min(values))?;
            let steps = take_integers(input, distinct)?;
            let (mut list, mut last) = (Vec::with_capacity(distinct), 0u64);
            for at in 0..distinct {
                last = last.checked_add(steps.get(at)).filter(|&value| value < values as u64)?;
                list.push(last as u32);
            }
            let ids = take_integers(input, count)?;
            (count == 0 || ids.max() < distinct as u64).then_some(Words::Shared(list, ids))
        }
        _ => None,
    }
}

/// Reads the values that a stream's groups share.
pub(crate) fn take_values(input: &mut &[u8]) -> Option<Strings> {
    let count = take_count(input, VALUES_MAX)?;
    take_strings(input, count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn words_come_back(
            columns in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3), 0..60), 1..4),
            repeat in 1usize..4, share: bool, long in prop::option::of(30_000usize..40_000)
        ) {
            let (mut writer, mut values, mut written) = (ColumnWriter::new(3), ValueWriter::default(), Vec::new());
            let columns: Vec<Vec<Vec<u8>>> = columns.into_iter().enumerate().map(|(nth, mut items)| {
                items.extend(long.map(|bytes| vec![nth as u8; bytes]));
                let items: Vec<Vec<u8>> = items.iter().cycle().take(items.len() * repeat).cloned().collect();
                items
            }).collect();
            for items in &columns {
                let items: Vec<&[u8]> = items.iter().map(Vec::as_slice).collect();
                let mut out = Vec::new();
                let inside = writer.words(&items, share.then_some(&mut values), &mut out);
                prop_assert!(share || !inside);
                prop_assert_eq!(inside, out[0] == SHARED);
                written.push(out);
            }
            let mut stored = Vec::new();
            values.write(&mut writer, &mut stored);
            let values = take_values(&mut stored.as_slice()).unwrap();
            for (items, out) in columns.iter().zip(&written) {
                let mut input = out.as_slice();
                let read = take_words(&mut input, items.len(), values.len()).unwrap();
                prop_assert!(input.is_empty());
                prop_assert!(items.iter().enumerate().all(|(i, v)| read.get(i, &values) == *v));
            }
        }

        #[test]
        fn damage_is_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), count in 0usize..200, values in 0usize..9) {
            if let Some(words) = take_words(&mut bytes.as_slice(), count, values) {
                (0..count).for_each(|at| _ = words.get(at, &Strings::default()));
            }
            let _ = take_values(&mut bytes.as_slice());
        }
    }
}
