//! Variable-length integers, and label sets as bytes.
//!
//! Inside this store a label set stays what it is in a batch: `varint length, name, varint length, value` per
//! label. Comparing and splitting such bytes needs no UTF-8 checks: byte order is code-point order.

use std::cmp::Ordering;

/// Appends `value` in LEB128, 1 to 10 bytes.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed number, small magnitudes short.
pub(crate) fn put_zigzag(out: &mut Vec<u8>, value: i64) {
    put_varint(out, zigzag(value));
}

/// Signed to unsigned, small magnitudes small.
pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The inverse of [`zigzag`].
pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Appends a length and the bytes.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads numbers and runs of bytes off a slice; every step is `None` when the slice is too short.
#[derive(Clone, Copy)]
pub(crate) struct Take<'a>(pub(crate) &'a [u8]);

impl<'a> Take<'a> {
    pub(crate) fn u8(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Option<u64> {
        if let Some((&first, rest)) = self.0.split_first()
            && first < 0x80
        {
            self.0 = rest;
            return Some(u64::from(first));
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for (i, &byte) in self.0.iter().enumerate().take(10) {
            if i == 9 && byte > 1 {
                return None;
            }
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte & 0x80 == 0 {
                self.0 = self.0.get(i + 1..)?;
                return Some(value);
            }
        }
        None
    }

    pub(crate) fn zigzag(&mut self) -> Option<i64> {
        self.varint().map(unzigzag)
    }

    /// A number that must be at most `max`: counts are checked before anything is allocated for them.
    pub(crate) fn count(&mut self, max: usize) -> Option<usize> {
        usize::try_from(self.varint()?).ok().filter(|&n| n <= max)
    }

    pub(crate) fn run(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.varint()?).ok()?;
        self.run(length)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One label of an encoded set: name, value, and both with their lengths as encoded.
#[derive(Clone, Copy)]
pub(crate) struct EncodedPair<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
    pub(crate) encoded: &'a [u8],
}

/// The labels of an encoded set, in its order; ends early at damage.
pub(crate) fn pairs(set: &[u8]) -> impl Iterator<Item = EncodedPair<'_>> + Clone {
    let mut rest = Take(set);
    std::iter::from_fn(move || {
        let before = rest.0;
        let name = rest.bytes()?;
        let value = rest.bytes()?;
        let encoded = before.get(..before.len() - rest.0.len())?;
        Some(EncodedPair { name, value, encoded })
    })
}

/// The order of label sets (as `LabelsRef`'s), on encoded bytes.
pub(crate) fn compare_sets(a: &[u8], b: &[u8]) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    let (mut a, mut b) = (pairs(a), pairs(b));
    loop {
        match (a.next(), b.next()) {
            (Some(x), Some(y)) if x.encoded == y.encoded => {}
            (Some(x), Some(y)) => return x.name.cmp(y.name).then_with(|| x.value.cmp(y.value)),
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
        }
    }
}

/// A 64-bit hash that is the same in every process: it decides nothing that is written to disk.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = foldhash::fast::FixedState::with_seed(0x6272_616d_626c_6501).build_hasher();
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_signal::Labels;

    #[test]
    fn numbers_round_trip() {
        for value in [0, -1, 1, 63, -64, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            put_zigzag(&mut out, value);
            assert_eq!(Take(&out).zigzag(), Some(value));
            assert_eq!(Take(&out[..out.len() - 1]).zigzag(), None);
        }
        assert_eq!(Take(&[0xff; 11]).varint(), None);
    }

    #[test]
    fn sets_order_as_labels_do() {
        let sets = [
            Labels::from_pairs([("Zone", "1"), ("__name__", "a")]),
            Labels::from_pairs([("__name__", "a"), ("b", "1")]),
            Labels::from_pairs([("__name__", "a")]),
            Labels::from_pairs([("__name__", "a"), ("b", "10")]),
            Labels::from_pairs([("__name__", "aa"), ("b", "\u{e9}")]),
            Labels::empty(),
        ];
        for a in &sets {
            for b in &sets {
                assert_eq!(compare_sets(a.as_bytes(), b.as_bytes()), a.cmp(b), "{a} {b}");
            }
        }
    }
}
