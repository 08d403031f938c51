//! Columns: integers and byte strings, each in the smallest of a few forms. Equal strings: [`crate::words`].
//!
//! ```text
//! integers   := 0 varint value                          all the same
//!             | 1 varint least, bits, packed bytes      frame of reference
//!             | 2 varint length, pco bytes
//!             | 3 varint value, a bit for each value (bytes, least first): it is another, the others as integers
//! bytes      := 0 varint length, bytes | 1 varint length, varint stored, zstd bytes
//! strings    := lengths as integers, bytes
//! ```
//! How many values a column has is known to whoever reads it. Nothing here trusts a length: a column that
//! cannot be is `None`.

use crate::varint::{put, take, take_byte, take_bytes, take_count, zigzag};
use crate::words::WordScratch;
use pco::{ChunkConfig, DeltaSpec};
use std::cell::RefCell;
use zstd::bulk::{Compressor, Decompressor};

/// Largest decoded column in bytes; a longer claim is damage.
const COLUMN_BYTES_MAX: usize = 64 << 20;
/// Below this many integers pco's head costs more than it saves.
const PCO_FROM: usize = 96;
/// Up to this many integers their commonest value is looked for.
const MOSTLY_UP_TO: usize = 4096;
/// pco's effort: 8 is 0.4 bytes per line better than 6 here, for 5 % of a flush's time.
const PCO_LEVEL: usize = 8;
/// Below this many bytes zstd is not tried.
const ZSTD_FROM: usize = 48;

const CONSTANT: u8 = 0;
const PACKED: u8 = 1;
const PCO: u8 = 2;
const MOSTLY: u8 = 3;
const RAW: u8 = 0;
const ZSTD: u8 = 1;

/// Writes columns. Keeps one compression context (1.3 MB at level 3).
pub(crate) struct ColumnWriter {
    compressor: Option<Compressor<'static>>,
    scratch: Vec<u8>,
    /// Whether columns are compressed one by one; off for tiny groups, whose page is compressed as a whole.
    pub(crate) squeeze: bool,
    /// Without differences, with them, and whatever pco finds best.
    configs: [ChunkConfig; 3],
    sorted: Vec<u64>,
    pub(crate) words: WordScratch,
}

impl ColumnWriter {
    /// A writer with zstd at `level`; without a context (no memory) columns are stored raw.
    pub(crate) fn new(level: i32) -> Self {
        ColumnWriter {
            compressor: Compressor::new(level).ok(),
            scratch: Vec::new(),
            squeeze: true,
            configs: [DeltaSpec::NoOp, DeltaSpec::TryConsecutive(1), DeltaSpec::Auto]
                .map(|delta| ChunkConfig::default().with_compression_level(PCO_LEVEL).with_delta_spec(delta)),
            sorted: Vec::new(),
            words: WordScratch::default(),
        }
    }

    /// Appends integers.
    pub(crate) fn integers(&mut self, values: &[u64], out: &mut Vec<u8>) {
        self.integers_with(values, |values| usize::from(is_smooth(values)), out);
    }

    /// Appends integers that are worth a long look: entries of a page group have one timestamp each, but many numbers.
    pub(crate) fn timestamps(&mut self, steps: &[u64], out: &mut Vec<u8>) {
        self.integers_with(steps, |_| 2, out);
    }

    fn integers_with(&mut self, values: &[u64], config: impl FnOnce(&[u64]) -> usize, out: &mut Vec<u8>) {
        let (Some(&least), Some(&most)) = (values.iter().min(), values.iter().max()) else { return };
        if least == most {
            out.push(CONSTANT);
            put(out, least);
            return;
        }
        let bits = 64 - (most - least).leading_zeros();
        let packed_bytes = (values.len() * bits as usize).div_ceil(8) + 4;
        let common = self.commonest(values, bits);
        let best_bytes = common.map_or(packed_bytes, |(_, bytes)| bytes.min(packed_bytes));
        if self.squeeze
            && values.len() >= PCO_FROM
            && let Ok(stored) = pco::standalone::simple_compress(values, &self.configs[config(values)])
            && stored.len() < best_bytes
        {
            out.push(PCO);
            put(out, stored.len() as u64);
            out.extend_from_slice(&stored);
            return;
        }
        match common {
            Some((value, bytes)) if bytes < packed_bytes => put_mostly(values, value, out),
            _ => put_packed(values, least, bits, out),
        }
    }

    /// The commonest of few values, and what form 3 would take with it, about, in bytes.
    fn commonest(&mut self, values: &[u64], bits: u32) -> Option<(u64, usize)> {
        if values.len() > MOSTLY_UP_TO {
            return None;
        }
        self.sorted.clear();
        self.sorted.extend_from_slice(values);
        self.sorted.sort_unstable();
        let run = self.sorted.chunk_by(|a, b| a == b).max_by_key(|run| run.len())?;
        let others = values.len() - run.len();
        Some((run[0], values.len().div_ceil(8) + (others * bits as usize).div_ceil(8) + 7))
    }

    /// Appends bytes.
    pub(crate) fn bytes(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.squeeze
            && bytes.len() >= ZSTD_FROM
            && let Some(compressor) = &mut self.compressor
        {
            self.scratch.clear();
            self.scratch.reserve(zstd::zstd_safe::compress_bound(bytes.len()));
            let stored = compressor.compress_to_buffer(bytes, &mut self.scratch);
            if stored.is_ok_and(|n| n + 4 < bytes.len()) {
                out.push(ZSTD);
                put(out, bytes.len() as u64);
                put(out, self.scratch.len() as u64);
                out.extend_from_slice(&self.scratch);
                return;
            }
        }
        out.push(RAW);
        put(out, bytes.len() as u64);
        out.extend_from_slice(bytes);
    }

    /// Appends byte strings.
    pub(crate) fn strings<'a>(&mut self, items: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
        let (mut lengths, mut all) = (Vec::new(), Vec::new());
        for item in items {
            lengths.push(item.len() as u64);
            all.extend_from_slice(item);
        }
        self.integers(&lengths, out);
        self.bytes(&all, out);
    }
}

/// Whether neighbours are so near each other that their differences are worth more than they are.
fn is_smooth(values: &[u64]) -> bool {
    let bits = |value: u64| u64::from(64 - value.leading_zeros());
    let least = values.iter().min().copied().unwrap_or(0);
    let plain: u64 = values.iter().map(|v| bits(v - least)).sum();
    let steps: u64 = values.windows(2).map(|pair| bits(zigzag(pair[1].wrapping_sub(pair[0]) as i64))).sum();
    steps + values.len() as u64 / 2 < plain
}

fn put_packed(values: &[u64], least: u64, bits: u32, out: &mut Vec<u8>) {
    out.push(PACKED);
    put(out, least);
    out.push(bits as u8);
    pack(values, least, bits, out);
}

fn put_mostly(values: &[u64], common: u64, out: &mut Vec<u8>) {
    out.push(MOSTLY);
    put(out, common);
    out.extend(
        values.chunks(8).map(|eight| {
            eight.iter().enumerate().fold(0u8, |bits, (at, &value)| bits | u8::from(value != common) << at)
        }),
    );
    let others: Vec<u64> = values.iter().copied().filter(|&value| value != common).collect();
    let (Some(&least), Some(&most)) = (others.iter().min(), others.iter().max()) else { return };
    if least == most {
        out.push(CONSTANT);
        put(out, least);
    } else {
        put_packed(&others, least, 64 - (most - least).leading_zeros(), out);
    }
}

fn pack(values: &[u64], least: u64, bits: u32, out: &mut Vec<u8>) {
    let (mut pending, mut held) = (0u128, 0u32);
    for value in values {
        pending |= u128::from(value - least) << held;
        held += bits;
        while held >= 8 {
            out.push(pending as u8);
            pending >>= 8;
            held -= 8;
        }
    }
    if held > 0 {
        out.push(pending as u8);
    }
}

fn unpack(bytes: &[u8], count: usize, least: u64, bits: u32) -> Vec<u64> {
    let mask = if bits == 64 { u64::MAX } else { (1u64 << bits) - 1 };
    let (mut pending, mut held, mut bytes) = (0u128, 0u32, bytes.iter());
    let mut out = Vec::with_capacity(count);
    while out.len() < count {
        while held < bits {
            pending |= u128::from(*bytes.next().unwrap_or(&0)) << held;
            held += 8;
        }
        out.push(least.wrapping_add(pending as u64 & mask));
        pending >>= bits;
        held -= bits;
    }
    out
}

/// Integers as read: a constant stays one.
#[derive(Debug)]
pub(crate) enum Integers {
    /// All the same.
    Constant(u64),
    /// One by one.
    Each(Vec<u64>),
}

impl Integers {
    /// Value `at`; zero past the end.
    #[inline]
    pub(crate) fn get(&self, at: usize) -> u64 {
        match self {
            Integers::Constant(value) => *value,
            Integers::Each(values) => values.get(at).copied().unwrap_or(0),
        }
    }

    /// Memory held, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            Integers::Constant(_) => 0,
            Integers::Each(values) => values.capacity() * 8,
        }
    }

    /// The largest of `count` values.
    pub(crate) fn max(&self) -> u64 {
        match self {
            Integers::Constant(value) => *value,
            Integers::Each(values) => values.iter().copied().max().unwrap_or(0),
        }
    }
}

/// Reads `count` integers.
pub(crate) fn take_integers(input: &mut &[u8], count: usize) -> Option<Integers> {
    if count == 0 {
        return Some(Integers::Constant(0));
    }
    if count > COLUMN_BYTES_MAX / 8 {
        return None;
    }
    match take_byte(input)? {
        CONSTANT => Some(Integers::Constant(take(input)?)),
        PACKED => {
            let least = take(input)?;
            let bits = u32::from(take_byte(input)?);
            if !(1..=64).contains(&bits) {
                return None;
            }
            let (packed, rest) = input.split_at_checked((count * bits as usize).div_ceil(8))?;
            *input = rest;
            Some(Integers::Each(unpack(packed, count, least, bits)))
        }
        MOSTLY => {
            let common = take(input)?;
            let (bits, rest) = input.split_at_checked(count.div_ceil(8))?;
            *input = rest;
            let is_other = |at: usize| bits[at / 8] >> (at % 8) & 1 == 1;
            let other_count = (0..count).filter(|&at| is_other(at)).count();
            if !matches!(input.first(), Some(&(CONSTANT | PACKED))) {
                return None;
            }
            let others = take_integers(input, other_count)?;
            let mut next = 0;
            let value = |at: usize| {
                next += usize::from(is_other(at));
                if is_other(at) { others.get(next - 1) } else { common }
            };
            Some(Integers::Each((0..count).map(value).collect()))
        }
        PCO => {
            let stored = take_bytes(input)?;
            let mut values = vec![0u64; count];
            let progress = pco::standalone::simple_decompress_into(stored, &mut values).ok()?;
            (progress.n_processed == count).then_some(Integers::Each(values))
        }
        _ => None,
    }
}

thread_local! {
    /// One decompression context (about 160 KB) per thread that reads columns.
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Decompresses `stored` to exactly `length` bytes.
pub(crate) fn decompress(stored: &[u8], length: usize) -> Option<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|slot| {
        let decompressor = match slot {
            Some(decompressor) => decompressor,
            None => slot.insert(Decompressor::new().ok()?),
        };
        let mut out = Vec::with_capacity(length);
        decompressor.decompress_to_buffer(stored, &mut out).ok()?;
        (out.len() == length).then_some(out)
    })
}

/// Reads bytes.
pub(crate) fn take_column_bytes(input: &mut &[u8]) -> Option<Vec<u8>> {
    let kind = take_byte(input)?;
    let length = take_count(input, COLUMN_BYTES_MAX)?;
    match kind {
        RAW => {
            let (bytes, rest) = input.split_at_checked(length)?;
            *input = rest;
            Some(bytes.to_vec())
        }
        ZSTD => decompress(take_bytes(input)?, length),
        _ => None,
    }
}

/// Byte strings as read.
#[derive(Default, Debug)]
pub(crate) struct Strings {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Strings {
    /// No strings.
    pub(crate) const fn new() -> Strings {
        Strings { bytes: Vec::new(), ends: Vec::new() }
    }

    /// Strings that end at `ends` in `bytes`.
    pub(crate) fn of(bytes: Vec<u8>, ends: Vec<u32>) -> Strings {
        Strings { bytes, ends }
    }

    /// Adds a string.
    pub(crate) fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len() as u32);
    }

    /// Number of strings.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// String `at`; empty past the end.
    #[inline]
    pub(crate) fn get(&self, at: usize) -> &[u8] {
        let end = self.ends.get(at).copied().unwrap_or(0) as usize;
        let start = if at == 0 { 0 } else { self.ends.get(at - 1).copied().unwrap_or(0) as usize };
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// Memory held, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * 4
    }
}

/// Reads `count` byte strings.
pub(crate) fn take_strings(input: &mut &[u8], count: usize) -> Option<Strings> {
    let lengths = take_integers(input, count)?;
    let bytes = take_column_bytes(input)?;
    let mut ends = Vec::with_capacity(count);
    let mut end = 0u64;
    for at in 0..count {
        end = end.checked_add(lengths.get(at))?;
        ends.push(u32::try_from(end).ok()?);
    }
    (end == bytes.len() as u64).then_some(Strings { bytes, ends })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn integers_come_back(values in prop::collection::vec(prop_oneof![any::<u64>(), 0u64..9, Just(u64::MAX)], 0..300), squeeze: bool) {
            let mut writer = ColumnWriter::new(3);
            writer.squeeze = squeeze;
            let mut out = Vec::new();
            writer.integers(&values, &mut out);
            let mut input = out.as_slice();
            let read = take_integers(&mut input, values.len()).unwrap();
            prop_assert!(input.is_empty());
            prop_assert!(values.iter().enumerate().all(|(i, v)| read.get(i) == *v));
        }

        #[test]
        fn damage_is_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), count in 0usize..200) {
            let _ = take_integers(&mut bytes.as_slice(), count);
            let _ = take_strings(&mut bytes.as_slice(), count);
            let _ = take_column_bytes(&mut bytes.as_slice());
        }
    }
}
