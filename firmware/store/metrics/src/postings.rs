//! Ascending lists of series numbers as runs.
//!
//! Series numbers follow arrival (head) or label order (block), so the series of one label pair come in runs: all
//! of one target in a row, or one of every target. A run costs two or three bytes: `gap * 2 + (length > 1)`,
//! then the length if it is more than one. Measured against roaring bitmaps on node-like data this is a third of
//! the memory while it grows, and it is written to disk as it is. Sets are computed with roaring.

use crate::bytes::{Take, put_varint};
use roaring::RoaringBitmap;

/// A list that grows at its end.
#[derive(Clone, Default, Debug)]
pub(crate) struct Postings {
    closed: Vec<u8>,
    closed_end: u32,
    start: u32,
    length: u32,
    count: u32,
}

impl Postings {
    /// Adds `number`, which must be above all before; others are ignored.
    pub(crate) fn push(&mut self, number: u32) {
        let end = self.start + self.length;
        if self.length > 0 && number < end {
            return;
        }
        self.count += 1;
        if self.length > 0 && number == end {
            self.length += 1;
            return;
        }
        if self.length > 0 {
            put_run(&mut self.closed, self.start - self.closed_end, self.length);
            self.closed_end = end;
        }
        (self.start, self.length) = (number, 1);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.count as usize
    }

    /// The list as written to disk.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.closed);
        if self.length > 0 {
            put_run(out, self.start - self.closed_end, self.length);
        }
    }

    /// Adds all of them to `set`.
    pub(crate) fn add_to(&self, set: &mut RoaringBitmap) {
        add_encoded(&self.closed, set);
        if self.length > 0 {
            set.insert_range(self.start..=self.start + (self.length - 1));
        }
    }

    /// Keeps those in `live`.
    pub(crate) fn keep(&mut self, live: &RoaringBitmap) {
        let mut own = RoaringBitmap::new();
        self.add_to(&mut own);
        *self = Postings::default();
        for number in own & live {
            self.push(number);
        }
        self.closed.shrink_to_fit();
    }

    /// Heap memory in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.closed.capacity()
    }
}

fn put_run(out: &mut Vec<u8>, gap: u32, length: u32) {
    // Exact growth by quarters: lists are many and small, and doubling would cost more than the runs.
    if out.capacity() - out.len() < 10 {
        out.reserve_exact(16.max(out.len() / 4));
    }
    put_varint(out, u64::from(gap) << 1 | u64::from(length > 1));
    if length > 1 {
        put_varint(out, u64::from(length));
    }
}

/// Adds an encoded list to `set`; ends early at damage. `false` when there was some.
pub(crate) fn add_encoded(bytes: &[u8], set: &mut RoaringBitmap) -> bool {
    let (mut bytes, mut end) = (Take(bytes), 0u64);
    while !bytes.is_empty() {
        let Some(first) = bytes.varint() else { return false };
        let length = if first & 1 == 1 { bytes.varint() } else { Some(1) };
        let (Some(start), Some(length)) = (end.checked_add(first >> 1), length) else { return false };
        let Some(next) = start.checked_add(length).filter(|&n| n <= 1 << 32 && length > 0) else { return false };
        set.insert_range(start as u32..=(next - 1) as u32);
        end = next;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn behaves_like_a_set(numbers in proptest::collection::btree_set(0u32..500, 0..200), keep in proptest::collection::btree_set(0u32..500, 0..200)) {
            let mut postings = Postings::default();
            for &n in &numbers {
                postings.push(n);
            }
            prop_assert_eq!(postings.len(), numbers.len());
            let mut bytes = Vec::new();
            postings.encode(&mut bytes);
            let mut set = RoaringBitmap::new();
            prop_assert!(add_encoded(&bytes, &mut set));
            prop_assert!(set.iter().eq(numbers.iter().copied()));
            let live: RoaringBitmap = keep.iter().copied().collect();
            postings.keep(&live);
            let mut kept = RoaringBitmap::new();
            postings.add_to(&mut kept);
            prop_assert!(kept.iter().eq(numbers.intersection(&keep).copied()));
        }

        #[test]
        fn damage_is_noticed_not_followed(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
            add_encoded(&bytes, &mut RoaringBitmap::new());
        }
    }
}
