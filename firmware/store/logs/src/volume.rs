//! What answers about volumes say of entries, as Loki counts: bytes of lines, for each piece of metadata 8 bytes, and the
//! text of its name and value once per chunk, since chunks hold texts once and refer to them.

use bramble_signal::LabelsRef;
use foldhash::fast::FixedState;
use std::hash::BuildHasher;

/// A pair of references.
const PIECE_BYTES: u64 = 8;
/// Texts are told apart by their hashes in a bitmap: with some ten thousand of them a few percent are taken for known.
const BITS: usize = 1 << 18;

/// Counts the entries of one chunk.
#[derive(Default)]
pub(crate) struct VolumeCounter {
    /// Which hashes were seen; empty until there is metadata.
    seen: Vec<u64>,
    /// Metadata of the entry before, encoded: most of it recurs.
    last: Vec<u8>,
}

impl VolumeCounter {
    /// The bytes that an entry adds.
    pub(crate) fn add(&mut self, line_bytes: usize, metadata: LabelsRef<'_>) -> u64 {
        let mut bytes = line_bytes as u64;
        if metadata.as_bytes().is_empty() {
            return bytes;
        }
        let last = std::mem::take(&mut self.last);
        let mut before = LabelsRef::from_encoded(&last).iter_bytes();
        for (name, value) in metadata.iter_bytes() {
            let (last_name, last_value) = before.next().unwrap_or_default();
            bytes += PIECE_BYTES;
            bytes += if name == last_name { 0 } else { self.fresh(name) };
            bytes += if name == last_name && value == last_value { 0 } else { self.fresh(value) };
        }
        self.last = last;
        self.last.clear();
        self.last.extend_from_slice(metadata.as_bytes());
        bytes
    }

    /// The length of a text that was not seen before; else 0.
    fn fresh(&mut self, text: &[u8]) -> u64 {
        if self.seen.is_empty() {
            self.seen.resize(BITS / 64, 0);
        }
        let hash = FixedState::with_seed(13).hash_one(text) as usize % BITS;
        let Some(word) = self.seen.get_mut(hash / 64) else { return 0 };
        let (known, bit) = (*word, 1u64 << (hash % 64));
        *word |= bit;
        if known & bit == 0 { text.len() as u64 } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::VolumeCounter;
    use bramble_signal::Labels;

    #[test]
    fn texts_count_once() {
        let mut counter = VolumeCounter::default();
        let metadata = |level: &str| Labels::from_pairs([("level", level), ("pod", "p")]);
        let mut add = |line: usize, metadata: &Labels| counter.add(line, metadata.as_ref());
        assert_eq!(add(10, &Labels::empty()), 10);
        assert_eq!(add(10, &metadata("info")), 10 + 16 + 5 + 4 + 3 + 1);
        assert_eq!(add(10, &metadata("info")), 26);
        assert_eq!(add(0, &metadata("error")), 16 + 5);
        assert_eq!(add(0, &metadata("info")), 16);
    }
}
