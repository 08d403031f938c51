//! A series' recent samples, compressed as they arrive.
//!
//! A [`Chain`] is 32 bytes: the state of the encoder and where its bytes are. The bytes lie in [`Slabs`]: blocks of
//! 32 bytes, 28 of them payload and 4 the number of the next, taken from 64 KiB chunks. Samples are kept in arrival
//! order; whoever reads sorts when [`Chain::is_unsorted`].
//!
//! Encoding, by the low two bits of a token's first byte:
//! * 0: `n << 2`: the last sample again `n` times (1 to 63), at the same interval;
//! * 1: a sample at the same interval, value = last integer + zigzag delta: five bits here, bit 7 = more follow (LEB128);
//! * 2: a sample at the same interval, value = last bits XOR: 3 bits leading zero bytes, 3 bits count - 1, the bytes;
//! * 3: what precedes a sample: 0 = change of the interval as varint, 1 = another decimal exponent, n ≥ 2 = change of
//!   the interval whose zigzag form is n - 1.

use crate::bytes::{Take, unzigzag, zigzag};
use crate::decimal::{exponent_of, from_integer, to_integer};
use bramble_signal::{Sample, is_histogram_marker};

const SLAB_BYTES: usize = 32;
const PAYLOAD: usize = SLAB_BYTES - 4;
const SLABS_PER_CHUNK: usize = 2048;
const NONE: u32 = u32::MAX;
const RUN_MAX: u8 = 63;
const UNSORTED: u8 = 0x80;
/// No sample takes more: a run, an interval (11), an exponent (2), a value (11).
const TOKENS_MAX: usize = 32;

type Slab = [u8; SLAB_BYTES];

/// Memory of many chains.
#[derive(Default)]
pub(crate) struct Slabs {
    chunks: Vec<Box<[Slab]>>,
    used: u32,
}

impl Slabs {
    /// Bytes allocated.
    pub(crate) fn bytes(&self) -> usize {
        self.chunks.len() * SLABS_PER_CHUNK * SLAB_BYTES + self.chunks.capacity() * size_of::<Box<[Slab]>>()
    }

    fn take(&mut self) -> u32 {
        let number = self.used;
        if number as usize == self.chunks.len() * SLABS_PER_CHUNK {
            self.chunks.push(vec![[0; SLAB_BYTES]; SLABS_PER_CHUNK].into_boxed_slice());
        }
        self.used += 1;
        number
    }

    // Numbers come from `take` of the same arena; the slab table never shrinks.
    fn slab(&self, number: u32) -> &Slab {
        &self.chunks[number as usize / SLABS_PER_CHUNK][number as usize % SLABS_PER_CHUNK]
    }

    fn slab_mut(&mut self, number: u32) -> &mut Slab {
        &mut self.chunks[number as usize / SLABS_PER_CHUNK][number as usize % SLABS_PER_CHUNK]
    }
}

/// The samples of one series in one generation.
#[derive(Clone, Copy)]
pub(crate) struct Chain {
    last_ms: i64,
    last_bits: u64,
    interval_ms: i32,
    first: u32,
    tail: u32,
    /// Payload bytes used in the tail slab; the top bit says that timestamps went back somewhere.
    tail_used: u8,
    run: u8,
    exponent: u8,
}

const _: () = assert!(size_of::<Chain>() == 32);

impl Chain {
    /// No samples; timestamps are encoded relative to `base_ms`, which reading needs again.
    pub(crate) fn new(base_ms: i64) -> Self {
        Chain {
            last_ms: base_ms,
            last_bits: 0,
            interval_ms: 0,
            first: NONE,
            tail: NONE,
            tail_used: 0,
            run: 0,
            exponent: 0,
        }
    }

    /// Whether there are no samples.
    pub(crate) fn is_empty(&self) -> bool {
        self.first == NONE && self.run == 0
    }

    /// Whether timestamps are not strictly ascending.
    pub(crate) fn is_unsorted(&self) -> bool {
        self.tail_used & UNSORTED != 0
    }

    /// Timestamp of the sample that arrived last.
    pub(crate) fn last_ms(&self) -> i64 {
        self.last_ms
    }

    /// Whether `sample` is the last one.
    pub(crate) fn ends_with(&self, sample: Sample) -> bool {
        !self.is_empty() && (self.last_ms, self.last_bits) == (sample.timestamp_ms, sample.value.to_bits())
    }

    /// Adds a sample; `false` when it equals the last one and was dropped.
    pub(crate) fn push(&mut self, slabs: &mut Slabs, timestamp_ms: i64, value: f64) -> bool {
        let bits = value.to_bits();
        if timestamp_ms <= self.last_ms && !self.is_empty() {
            // Two markers are two histograms: whoever pushes them compares those.
            if timestamp_ms == self.last_ms && bits == self.last_bits && !is_histogram_marker(value) {
                return false;
            }
            self.tail_used |= UNSORTED;
        }
        let interval = timestamp_ms.wrapping_sub(self.last_ms);
        let change = interval.wrapping_sub(i64::from(self.interval_ms));
        if change == 0 && bits == self.last_bits {
            self.last_ms = timestamp_ms;
            self.run += 1;
            if self.run == RUN_MAX {
                self.append(slabs, &[RUN_MAX << 2]);
                self.run = 0;
            }
            return true;
        }
        let mut out = Tokens { bytes: [0; TOKENS_MAX], length: 0 };
        if self.run > 0 {
            out.byte(self.run << 2);
            self.run = 0;
        }
        if change != 0 {
            match zigzag(change) {
                small @ 1..=62 => out.byte(((small as u8 + 1) << 2) | 3),
                large => {
                    out.byte(3);
                    out.varint(large);
                }
            }
        }
        self.push_value(value, &mut out);
        (self.last_ms, self.last_bits) = (timestamp_ms, bits);
        self.interval_ms = i32::try_from(interval).unwrap_or(0);
        self.append(slabs, &out.bytes[..out.length]);
        true
    }

    fn push_value(&mut self, value: f64, out: &mut Tokens) {
        let mut integer = to_integer(value, self.exponent);
        if integer.is_none()
            && let Some(exponent) = exponent_of(value, self.exponent)
        {
            self.exponent = exponent;
            out.byte(1 << 2 | 3);
            out.byte(exponent);
            integer = to_integer(value, exponent);
        }
        match integer {
            Some(integer) => {
                let base = to_integer(f64::from_bits(self.last_bits), self.exponent).unwrap_or(0);
                let delta = zigzag(integer.wrapping_sub(base));
                let more = delta >= 32;
                out.byte(1 | ((delta & 31) as u8) << 2 | u8::from(more) << 7);
                if more {
                    out.varint(delta >> 5);
                }
            }
            None => {
                let changed = value.to_bits() ^ self.last_bits;
                let leading = (changed.leading_zeros() / 8).min(7);
                let trailing = if changed == 0 { 0 } else { changed.trailing_zeros() / 8 };
                let count = 8 - leading - trailing;
                out.byte(2 | (leading as u8) << 2 | ((count - 1) as u8) << 5);
                for &byte in &(changed >> (8 * trailing)).to_le_bytes()[..count as usize] {
                    out.byte(byte);
                }
            }
        }
    }

    fn append(&mut self, slabs: &mut Slabs, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let used = usize::from(self.tail_used & !UNSORTED);
            if self.tail == NONE || used == PAYLOAD {
                let next = slabs.take();
                if self.tail == NONE {
                    self.first = next;
                } else {
                    slabs.slab_mut(self.tail)[PAYLOAD..].copy_from_slice(&next.to_le_bytes());
                }
                (self.tail, self.tail_used) = (next, self.tail_used & UNSORTED);
                continue;
            }
            let (now, rest) = bytes.split_at(bytes.len().min(PAYLOAD - used));
            slabs.slab_mut(self.tail)[used..used + now.len()].copy_from_slice(now);
            self.tail_used += now.len() as u8;
            bytes = rest;
        }
    }

    fn collect(&self, slabs: &Slabs, out: &mut Vec<u8>) {
        out.clear();
        let mut number = self.first;
        while number != NONE {
            let slab = slabs.slab(number);
            if number == self.tail {
                out.extend_from_slice(&slab[..usize::from(self.tail_used & !UNSORTED)]);
                break;
            }
            out.extend_from_slice(&slab[..PAYLOAD]);
            let mut next = [0; 4];
            next.copy_from_slice(&slab[PAYLOAD..]);
            number = u32::from_le_bytes(next);
        }
        if self.run > 0 {
            out.push(self.run << 2);
        }
    }

    /// Calls `each` for every sample in arrival order. `scratch` is reused memory.
    pub(crate) fn read(&self, slabs: &Slabs, base_ms: i64, scratch: &mut Vec<u8>, mut each: impl FnMut(i64, f64)) {
        self.collect(slabs, scratch);
        // Our own memory, written by `push`: it cannot be cut off, and if it were, reading would end here.
        let _ = decode(Take(scratch), base_ms, &mut each);
    }
}

fn decode(mut bytes: Take<'_>, base_ms: i64, each: &mut impl FnMut(i64, f64)) -> Option<()> {
    let (mut time, mut interval, mut bits, mut exponent) = (base_ms, 0i64, 0u64, 0u8);
    let mut integer: Option<i64> = None;
    let mut change = 0i64;
    while !bytes.is_empty() {
        let token = bytes.u8()?;
        match token & 3 {
            0 => {
                for _ in 0..token >> 2 {
                    time = time.wrapping_add(interval);
                    each(time, f64::from_bits(bits));
                }
                continue;
            }
            1 => {
                let mut delta = u64::from((token >> 2) & 31);
                if token & 0x80 != 0 {
                    delta |= bytes.varint()? << 5;
                }
                let base = match integer {
                    Some(known) => known,
                    None => to_integer(f64::from_bits(bits), exponent).unwrap_or(0),
                };
                let now = base.wrapping_add(unzigzag(delta));
                integer = Some(now);
                bits = from_integer(now, exponent).to_bits();
            }
            2 => {
                let (leading, count) = (u32::from((token >> 2) & 7), usize::from(token >> 5) + 1);
                let mut changed = [0; 8];
                changed.get_mut(..count)?.copy_from_slice(bytes.run(count)?);
                let trailing = 8u32.checked_sub(leading + count as u32)?;
                bits ^= u64::from_le_bytes(changed) << (8 * trailing);
                integer = None;
            }
            _ => {
                match token >> 2 {
                    0 => change = unzigzag(bytes.varint()?),
                    1 => {
                        exponent = bytes.u8()?;
                        integer = None;
                    }
                    n => change = unzigzag(u64::from(n) - 1),
                }
                continue;
            }
        }
        let step = interval.wrapping_add(change);
        change = 0;
        time = time.wrapping_add(step);
        interval = i64::from(i32::try_from(step).unwrap_or(0));
        each(time, f64::from_bits(bits));
    }
    Some(())
}

struct Tokens {
    bytes: [u8; TOKENS_MAX],
    length: usize,
}

impl Tokens {
    #[inline]
    fn byte(&mut self, byte: u8) {
        self.bytes[self.length] = byte;
        self.length += 1;
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.byte(value as u8 | 0x80);
            value >>= 7;
        }
        self.byte(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<u64>().prop_map(f64::from_bits),
            (-1000i64..1000).prop_map(|n| n as f64),
            (-100_000i64..100_000).prop_map(|n| n as f64 / 100.0),
            Just(0.1 + 0.2),
            Just(-0.0),
            Just(bramble_signal::stale_marker()),
            Just(bramble_signal::histogram_marker(0)),
            Just(1.0),
        ]
    }

    proptest! {
        #[test]
        fn gives_back_every_sample(
            base in any::<i64>(),
            samples in proptest::collection::vec((prop_oneof![Just(15_000i64), 14_990..15_010i64, any::<i64>(), Just(0)], value(), 1usize..100), 0..40),
        ) {
            let (mut slabs, mut chain, mut kept) = (Slabs::default(), Chain::new(base), Vec::<(i64, u64)>::new());
            let mut time = base;
            for (step, value, times) in samples {
                for _ in 0..times {
                    time = time.wrapping_add(step);
                    let again = kept.last() == Some(&(time, value.to_bits())) && !is_histogram_marker(value);
                    prop_assert_eq!(chain.push(&mut slabs, time, value), !again);
                    if !again {
                        kept.push((time, value.to_bits()));
                    }
                }
            }
            let mut read = Vec::new();
            chain.read(&slabs, base, &mut Vec::new(), |t, v| read.push((t, v.to_bits())));
            prop_assert_eq!(chain.is_unsorted(), !kept.is_sorted_by(|a, b| a.0 < b.0));
            prop_assert_eq!(read, kept);
        }
    }

    #[test]
    fn a_constant_costs_one_byte_per_63_samples() {
        let (mut slabs, mut chain) = (Slabs::default(), Chain::new(0));
        for i in 0..1000 {
            chain.push(&mut slabs, i * 15_000, 42.0);
        }
        assert_eq!(slabs.used, 1);
    }
}
