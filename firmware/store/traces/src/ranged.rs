//! Numbers of known range, bit by bit: what is left of a random number when its range is known has no further shape,
//! and takes its logarithm in bits and not more.

/// Appends bits, first bit lowest.
#[derive(Default)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    open: u64,
    used: u32,
}

impl BitWriter {
    /// Appends the low `width` bits of `value`; `width` at most 56.
    fn put(&mut self, value: u64, width: u32) {
        let value = value & ((1 << width) - 1);
        self.open |= value << self.used;
        self.used += width;
        if self.used >= 64 {
            self.bytes.extend_from_slice(&self.open.to_le_bytes());
            self.used -= 64;
            self.open = value >> (width - self.used);
        }
    }

    /// Appends a number below `count` (at least 1, at most 2^55) in as many bits as its range needs: numbers of the
    /// front part of the range take one bit less when the range is no power of two.
    pub(crate) fn put_below(&mut self, value: u64, count: u64) {
        let (width, short) = widths(count);
        if value < short {
            self.put(value, width);
        } else {
            // The long codes continue where the short ones end: their first `width` bits are at least `short`.
            let code = value + short;
            self.put(code >> 1, width);
            self.put(code & 1, 1);
        }
    }

    /// Fills up the last byte.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let rest = self.open.to_le_bytes();
        self.bytes.extend(rest.iter().take(self.used.div_ceil(8) as usize));
        self.bytes
    }
}

/// Bits of a short code, and how many numbers have one; all others have one bit more.
fn widths(count: u64) -> (u32, u64) {
    let width = 63 - count.max(1).leading_zeros();
    (width, (1u64 << (width + 1)) - count)
}

/// Reads what [`BitWriter`] wrote.
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    open: u64,
    left: u32,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        BitReader { bytes, open: 0, left: 0 }
    }

    /// The next `width` bits, at most 56; `None` at the end.
    fn take(&mut self, width: u32) -> Option<u64> {
        if self.left < width {
            if let Some((word, _)) = self.bytes.split_first_chunk::<8>() {
                // As many whole bytes as there is room for, in one go.
                let taken = (63 - self.left) / 8;
                self.open |= u64::from_le_bytes(*word) << self.left;
                self.left += taken * 8;
                self.open &= (1 << self.left) - 1;
                self.bytes = self.bytes.get(taken as usize..)?;
            }
            while self.left < width {
                let (&byte, rest) = self.bytes.split_first()?;
                self.bytes = rest;
                self.open |= u64::from(byte) << self.left;
                self.left += 8;
            }
        }
        let value = self.open & ((1 << width) - 1);
        self.open >>= width;
        self.left -= width;
        Some(value)
    }

    /// The next number below `count`, which is at most 2^55.
    pub(crate) fn take_below(&mut self, count: u64) -> Option<u64> {
        let (width, short) = widths(count);
        let front = self.take(width)?;
        if front < short {
            return Some(front);
        }
        Some((front << 1 | self.take(1)?) - short)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_ranges_are_exact() {
        for count in 1..70u64 {
            let mut writer = BitWriter::default();
            (0..count).for_each(|v| writer.put_below(v, count));
            let bytes = writer.finish();
            let mut reader = BitReader::new(&bytes);
            for v in 0..count {
                assert_eq!(reader.take_below(count), Some(v), "{count}");
            }
        }
        assert_eq!(BitReader::new(&[]).take_below(1), Some(0), "what is certain takes nothing");
        assert_eq!(BitReader::new(&[]).take_below(2), None);
    }

    proptest! {
        #[test]
        fn numbers_come_back(values in prop::collection::vec((1u64..1 << 55, any::<u64>()), 0..100)) {
            let mut writer = BitWriter::default();
            values.iter().for_each(|&(count, v)| writer.put_below(v % count, count));
            let bytes = writer.finish();
            let mut reader = BitReader::new(&bytes);
            for (count, v) in values {
                prop_assert_eq!(reader.take_below(count), Some(v % count));
            }
        }
    }
}
