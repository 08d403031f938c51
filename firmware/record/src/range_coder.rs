//! An adaptive binary range coder: bits cost what their probability says, and probabilities follow what was seen.
//!
//! Carry-propagating 32-bit coder with 11-bit probabilities, as in LZMA (Igor Pavlov's specification, 2015). Both
//! sides adapt alike; probabilities outlive the pieces that are encoded, which each end at a byte.

/// The probability that a bit is 0, in 1/2048.
#[derive(Clone, Copy)]
pub(super) struct Probability(u16);

const PROBABILITY_BITS: u32 = 11;
/// Moves by 1/32 of what is left: what fits slowly changing statistics.
const ADAPT_SHIFT: u32 = 5;
const RANGE_MIN: u32 = 1 << 24;
/// Bits coded at once without a probability.
const PLAIN_BITS: u32 = 16;

impl Default for Probability {
    fn default() -> Self {
        Probability(1 << (PROBABILITY_BITS - 1))
    }
}

impl Probability {
    fn adapt(&mut self, bit: bool) {
        if bit {
            self.0 -= self.0 >> ADAPT_SHIFT;
        } else {
            self.0 += ((1 << PROBABILITY_BITS) - self.0) >> ADAPT_SHIFT;
        }
    }
}

/// Codes bits to bytes.
pub(super) struct RangeEncoder {
    low: u64,
    range: u32,
    /// The last byte that a carry may still change, and how many 0xff follow it; `None` before the first.
    cache: Option<u8>,
    pending: usize,
    bytes: Vec<u8>,
}

impl Default for RangeEncoder {
    fn default() -> Self {
        RangeEncoder { low: 0, range: u32::MAX, cache: None, pending: 0, bytes: Vec::new() }
    }
}

impl RangeEncoder {
    /// Starts a piece.
    pub(super) fn clear(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        *self = RangeEncoder { bytes, ..RangeEncoder::default() };
    }

    /// Bytes so far, but for the last few.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() + self.pending
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    #[inline]
    pub(super) fn bit(&mut self, probability: &mut Probability, bit: bool) {
        let bound = (self.range >> PROBABILITY_BITS) * u32::from(probability.0);
        if bit {
            self.low += u64::from(bound);
            self.range -= bound;
        } else {
            self.range = bound;
        }
        probability.adapt(bit);
        self.normalize();
    }

    /// The lowest `count` bits of `value`, up to 64, each as likely 0 as 1.
    #[inline]
    pub(super) fn plain(&mut self, value: u64, mut count: u32) {
        while count > 0 {
            let now = count.min(PLAIN_BITS);
            count -= now;
            self.range >>= now;
            self.low += u64::from(self.range) * (value >> count & ((1 << now) - 1));
            self.normalize();
        }
    }

    /// A number below the number of `tree`'s nodes, highest bit first.
    #[inline]
    pub(super) fn symbol<const N: usize>(&mut self, tree: &mut [Probability; N], value: usize) {
        let mut node = 1;
        for shift in (0..N.trailing_zeros()).rev() {
            let bit = value >> shift & 1;
            self.bit(&mut tree[node & (N - 1)], bit == 1);
            node = node << 1 | bit;
        }
    }

    #[inline]
    fn normalize(&mut self) {
        while self.range < RANGE_MIN {
            self.range <<= 8;
            self.shift_low();
        }
    }

    fn shift_low(&mut self) {
        if self.low < 0xff00_0000 || self.low > u64::from(u32::MAX) {
            let carry = (self.low >> 32) as u8;
            // Before the first byte there is nothing to carry into, and nothing is carried: low + range is at most 2^32.
            if let Some(cache) = self.cache {
                self.bytes.push(cache.wrapping_add(carry));
            }
            self.bytes.extend(std::iter::repeat_n(0xffu8.wrapping_add(carry), self.pending));
            self.pending = 0;
            self.cache = Some((self.low >> 24) as u8);
        } else {
            self.pending += 1;
        }
        self.low = (self.low & 0x00ff_ffff) << 8;
    }

    /// Ends the piece and returns its bytes.
    pub(super) fn finish(&mut self) -> &[u8] {
        for _ in 0..5 {
            self.shift_low();
        }
        // Past the end a reader sees zeros.
        while self.bytes.last() == Some(&0) {
            self.bytes.pop();
        }
        &self.bytes
    }
}

/// Decodes what a [`RangeEncoder`] wrote; anything at all from other bytes, and zeros past their end.
pub(super) struct RangeDecoder<'a> {
    bytes: &'a [u8],
    code: u32,
    range: u32,
}

impl<'a> RangeDecoder<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let mut decoder = RangeDecoder { bytes, code: 0, range: u32::MAX };
        for _ in 0..4 {
            decoder.code = decoder.code << 8 | decoder.next_byte();
        }
        decoder
    }

    fn next_byte(&mut self) -> u32 {
        let Some((&first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        u32::from(first)
    }

    #[inline]
    pub(super) fn bit(&mut self, probability: &mut Probability) -> bool {
        let bound = (self.range >> PROBABILITY_BITS) * u32::from(probability.0);
        let bit = self.code >= bound;
        if bit {
            self.code -= bound;
            self.range -= bound;
        } else {
            self.range = bound;
        }
        probability.adapt(bit);
        self.normalize();
        bit
    }

    #[inline]
    pub(super) fn plain(&mut self, mut count: u32) -> u64 {
        let mut value = 0;
        while count > 0 {
            let now = count.min(PLAIN_BITS);
            count -= now;
            self.range >>= now;
            // Foreign bytes may point past the range.
            let part = (self.code / self.range).min((1 << now) - 1);
            self.code -= part * self.range;
            value = value << now | u64::from(part);
            self.normalize();
        }
        value
    }

    #[inline]
    pub(super) fn symbol<const N: usize>(&mut self, tree: &mut [Probability; N]) -> usize {
        let mut node = 1;
        for _ in 0..N.trailing_zeros() {
            node = node << 1 | usize::from(self.bit(&mut tree[node & (N - 1)]));
        }
        node & (N - 1)
    }

    #[inline]
    fn normalize(&mut self) {
        while self.range < RANGE_MIN {
            self.range <<= 8;
            self.code = self.code << 8 | self.next_byte();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Bit(u8, bool),
        Plain(u64, u32),
        Symbol(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0u8..3, prop::bool::weighted(0.03)).prop_map(|(p, bit)| Step::Bit(p, bit)),
            (any::<u64>(), 0u32..=64).prop_map(|(v, n)| Step::Plain(if n == 64 { v } else { v & ((1 << n) - 1) }, n)),
            (0u32..=64).prop_map(|n| Step::Plain(if n == 64 { u64::MAX } else { (1 << n) - 1 }, n)),
            (0usize..64).prop_map(Step::Symbol),
        ]
    }

    proptest! {
        #[test]
        fn gives_back_what_went_in(pieces in prop::collection::vec(prop::collection::vec(step(), 0..300), 1..4)) {
            let mut encoder = RangeEncoder::default();
            let (mut ones, mut tree) = ([Probability::default(); 3], [Probability::default(); 64]);
            let (mut read_ones, mut read_tree) = (ones, tree);
            for steps in pieces {
                encoder.clear();
                for step in &steps {
                    match *step {
                        Step::Bit(p, bit) => encoder.bit(&mut ones[p as usize], bit),
                        Step::Plain(value, count) => encoder.plain(value, count),
                        Step::Symbol(value) => encoder.symbol(&mut tree, value),
                    }
                }
                let bytes = encoder.finish().to_vec();
                let mut decoder = RangeDecoder::new(&bytes);
                for step in &steps {
                    match *step {
                        Step::Bit(p, bit) => prop_assert_eq!(decoder.bit(&mut read_ones[p as usize]), bit),
                        Step::Plain(value, count) => prop_assert_eq!(decoder.plain(count), value),
                        Step::Symbol(value) => prop_assert_eq!(decoder.symbol(&mut read_tree), value),
                    }
                }
            }
        }

        #[test]
        fn other_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..50), counts in prop::collection::vec(0u32..=64, 0..50)) {
            let (mut decoder, mut tree) = (RangeDecoder::new(&bytes), [Probability::default(); 64]);
            for count in counts {
                let value = decoder.plain(count);
                prop_assert!(count == 64 || value < 1 << count);
                prop_assert!(decoder.symbol(&mut tree) < 64);
            }
        }
    }

    #[test]
    fn what_is_likely_costs_little() {
        let (mut encoder, mut p) = (RangeEncoder::default(), Probability::default());
        (0..100_000).for_each(|_| encoder.bit(&mut p, false));
        let bytes = encoder.finish().len();
        assert!(bytes < 350, "{bytes}");
    }
}
