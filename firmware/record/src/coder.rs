//! One way to write a model for both directions: what is coded goes in, and comes out, of the same function.

use super::range_coder::{Probability, RangeDecoder, RangeEncoder};

/// A range coder of either direction. An encoder gives back what it was given; a decoder takes no notice of it and
/// gives back what it reads.
pub(super) trait Coder {
    fn bit(&mut self, probability: &mut Probability, bit: bool) -> bool;
    fn plain(&mut self, value: u64, count: u32) -> u64;
    fn symbol<const N: usize>(&mut self, tree: &mut [Probability; N], value: usize) -> usize;
}

impl Coder for RangeEncoder {
    #[inline]
    fn bit(&mut self, probability: &mut Probability, bit: bool) -> bool {
        RangeEncoder::bit(self, probability, bit);
        bit
    }

    #[inline]
    fn plain(&mut self, value: u64, count: u32) -> u64 {
        RangeEncoder::plain(self, value, count);
        value
    }

    #[inline]
    fn symbol<const N: usize>(&mut self, tree: &mut [Probability; N], value: usize) -> usize {
        RangeEncoder::symbol(self, tree, value);
        value
    }
}

impl Coder for RangeDecoder<'_> {
    #[inline]
    fn bit(&mut self, probability: &mut Probability, _: bool) -> bool {
        RangeDecoder::bit(self, probability)
    }

    #[inline]
    fn plain(&mut self, _: u64, count: u32) -> u64 {
        RangeDecoder::plain(self, count)
    }

    #[inline]
    fn symbol<const N: usize>(&mut self, tree: &mut [Probability; N], _: usize) -> usize {
        RangeDecoder::symbol(self, tree)
    }
}

/// Bit lengths that have a place of their own; the last one stands for all that are longer.
pub(super) const LENGTHS: usize = 32;
const LONG: u32 = LENGTHS as u32 - 1;
/// Trees of lengths, by what lengths are usual: half bits.
pub(super) const USUAL: usize = 130;

/// A mean of bit lengths, in 1/16; moves by an eighth, and to the first length at once.
#[derive(Clone, Copy, Default)]
pub(super) struct MeanLength(pub(super) u16);

impl MeanLength {
    /// Takes a length into account.
    pub(super) fn learn(&mut self, length: u32, is_first: bool) {
        let seen = (length.min(64) << 4) as i32;
        let old = i32::from(self.0);
        self.0 = if is_first { seen } else { old + ((seen - old) >> 3) } as u16;
    }

    pub(super) fn usual(self) -> usize {
        usize::from(self.0 >> 3).min(USUAL - 1)
    }
}

pub(super) fn bit_length(value: u64) -> u32 {
    64 - value.leading_zeros()
}

/// A number as its bit length, by what is usual, and the bits below the highest as they are.
#[inline]
pub(super) fn code_number<C: Coder>(
    coder: &mut C,
    trees: &mut [[Probability; LENGTHS]; USUAL],
    usual: MeanLength,
    value: u64,
) -> u64 {
    let mut length = bit_length(value);
    let place = coder.symbol(&mut trees[usual.usual()], length.min(LONG) as usize) as u32;
    length = if place < LONG {
        place
    } else {
        LONG + (coder.plain(u64::from(length.wrapping_sub(LONG)), 6) as u32).min(64 - LONG)
    };
    if length <= 1 {
        return u64::from(length);
    }
    let below = length - 1;
    let mask = (1u64 << below) - 1;
    coder.plain(value & mask, below) & mask | 1 << below
}
