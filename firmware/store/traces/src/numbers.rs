//! Columns of numbers.
//!
//! `tag, count, payload`; the writer tries what suits the data and takes the smallest:
//! * constant: one varint;
//! * bytes: width (1, 2, 4) and that many little-endian bytes per number, left to the page's zstd;
//! * pco: for what looks random (times, ids drawn from a set): the pco library's standalone format.

use crate::bytes::{put_bytes, put_varint, take_array, take_bytes, take_count, take_exact, take_varint};
use pco::standalone::{simple_compress, simple_decompress};
use pco::{ChunkConfig, DeltaSpec, ModeSpec};

/// Most numbers in one column: a damaged count must not become an allocation.
pub(crate) const COUNT_MAX: usize = 1 << 22;
/// Below this pco's own tables cost more than they save.
const PCO_MIN: usize = 48;

/// Fewer numbers are not asked whether they are drawn, nor are such as are this large.
const DRAWN_MIN: usize = 256;
const DRAWN_MAX: u32 = 1 << 12;
/// pco's effort for them: up to 256 bins, so that frequent ones have their own.
const DRAWN_LEVEL: usize = 8;

const CONSTANT: u8 = 0;
const BYTES: u8 = 1;
const PCO: u8 = 2;
const RAW: u8 = 3;

/// Appends a column of small numbers, of which many repeat (dictionary numbers, counts).
pub(crate) fn put_codes(out: &mut Vec<u8>, values: &[u32]) {
    let max = values.iter().copied().max().unwrap_or(0);
    if values.iter().all(|v| *v == max) {
        out.push(CONSTANT);
        put_varint(out, values.len() as u64);
        put_varint(out, u64::from(max));
        return;
    }
    if is_drawn(values, max) {
        let config = ChunkConfig::default().with_compression_level(DRAWN_LEVEL);
        let config = config.with_mode_spec(ModeSpec::Classic).with_delta_spec(DeltaSpec::NoOp);
        if let Ok(packed) = simple_compress(values, &config) {
            out.push(PCO);
            put_varint(out, values.len() as u64);
            put_bytes(out, &packed);
            return;
        }
    }
    out.push(BYTES);
    put_varint(out, values.len() as u64);
    let width: u8 = if max < 1 << 8 {
        1
    } else if max < 1 << 16 {
        2
    } else {
        4
    };
    out.push(width);
    // One plane per byte: high bytes repeat, low bytes do not, and zstd sees each on its own.
    for plane in 0..width {
        out.extend(values.iter().map(|v| (v >> (8 * plane)) as u8));
    }
}

/// Whether small numbers look as if each were drawn by itself, whatever came before: equal neighbours are as frequent
/// as chance has it. Then an entropy coder does all there is to do, and zstd looks for what is not there.
fn is_drawn(values: &[u32], max: u32) -> bool {
    if values.len() < DRAWN_MIN || max >= DRAWN_MAX {
        return false;
    }
    let mut counts = vec![0u32; max as usize + 1];
    for value in values {
        if let Some(count) = counts.get_mut(*value as usize) {
            *count += 1;
        }
    }
    let all = values.len() as f64;
    let by_chance: f64 = counts.iter().map(|n| (f64::from(*n) / all).powi(2)).sum::<f64>() * all;
    let equal = values.windows(2).filter(|pair| pair.first() == pair.last()).count() as f64;
    // Four standard deviations, about, either way.
    (equal - by_chance).abs() < 4.0 * by_chance.sqrt() + 1.0
}

/// Reads a column of [`put_codes`]; `None` when damaged.
pub(crate) fn take_codes(bytes: &mut &[u8]) -> Option<Vec<u32>> {
    let [tag] = take_array(bytes)?;
    let count = take_count(bytes, COUNT_MAX)?;
    match tag {
        CONSTANT => Some(vec![u32::try_from(take_varint(bytes)?).ok()?; count]),
        BYTES => {
            let [width] = take_array(bytes)?;
            if !matches!(width, 1 | 2 | 4) {
                return None;
            }
            let mut values: Vec<u32> = take_exact(bytes, count)?.iter().map(|&b| u32::from(b)).collect();
            for plane in 1..width {
                for (value, &byte) in values.iter_mut().zip(take_exact(bytes, count)?) {
                    *value |= u32::from(byte) << (8 * plane);
                }
            }
            Some(values)
        }
        PCO => {
            let packed = take_bytes(bytes)?;
            simple_decompress::<u32>(packed).ok().filter(|values| values.len() == count)
        }
        _ => None,
    }
}

fn put_latents<T: pco::data_types::Number>(out: &mut Vec<u8>, values: &[T], bits: impl Fn(&T) -> u64) {
    put_packed(out, values, bits, ChunkConfig::default().with_compression_level(LEVEL));
}

/// As [`put_latents`] for numbers that do not depend on those before: no time is spent on finding how they do.
fn put_unordered<T: pco::data_types::Number>(out: &mut Vec<u8>, values: &[T], bits: impl Fn(&T) -> u64) {
    let config = ChunkConfig::default().with_compression_level(LEVEL);
    put_packed(out, values, bits, config.with_mode_spec(ModeSpec::Classic).with_delta_spec(DeltaSpec::NoOp));
}

fn put_packed<T: pco::data_types::Number>(
    out: &mut Vec<u8>,
    values: &[T],
    bits: impl Fn(&T) -> u64,
    config: ChunkConfig,
) {
    let first = values.first().map_or(0, &bits);
    if values.iter().all(|v| bits(v) == first) {
        out.push(CONSTANT);
        put_varint(out, values.len() as u64);
        out.extend_from_slice(&first.to_le_bytes());
        return;
    }
    if values.len() >= PCO_MIN
        && let Ok(packed) = simple_compress(values, &config)
    {
        out.push(PCO);
        put_varint(out, values.len() as u64);
        put_bytes(out, &packed);
        return;
    }
    out.push(RAW);
    put_varint(out, values.len() as u64);
    for value in values {
        out.extend_from_slice(&bits(value).to_le_bytes());
    }
}

fn take_latents<T: pco::data_types::Number>(bytes: &mut &[u8], of: impl Fn(u64) -> T) -> Option<Vec<T>> {
    let [tag] = take_array(bytes)?;
    let count = take_count(bytes, COUNT_MAX)?;
    match tag {
        CONSTANT => Some(vec![of(u64::from_le_bytes(take_array(bytes)?)); count]),
        PCO => {
            let packed = take_bytes(bytes)?;
            simple_decompress::<T>(packed).ok().filter(|values| values.len() == count)
        }
        RAW => {
            let raw = take_exact(bytes, count.checked_mul(8)?)?;
            Some(raw.as_chunks::<8>().0.iter().map(|b| of(u64::from_le_bytes(*b))).collect())
        }
        _ => None,
    }
}

/// pco's effort: 6 gives nearly all of 8's ratio at two thirds of its cost (measured on span times).
const LEVEL: usize = 6;

/// Appends a column of shares in 256ths, which have a distribution and no order.
pub(crate) fn put_shares(out: &mut Vec<u8>, values: &[u16]) {
    put_unordered(out, values, |v| u64::from(*v));
}

/// Reads a column of [`put_shares`]; `None` when damaged.
pub(crate) fn take_shares(bytes: &mut &[u8]) -> Option<Vec<u16>> {
    take_latents(bytes, |bits| bits as u16)
}

/// Appends a column of integers of any size.
pub(crate) fn put_u64s(out: &mut Vec<u8>, values: &[u64]) {
    put_latents(out, values, |v| *v);
}

/// Reads a column of [`put_u64s`]; `None` when damaged.
pub(crate) fn take_u64s(bytes: &mut &[u8]) -> Option<Vec<u64>> {
    take_latents(bytes, |bits| bits)
}

/// Appends a column of signed integers.
pub(crate) fn put_i64s(out: &mut Vec<u8>, values: &[i64]) {
    put_latents(out, values, |v| *v as u64);
}

/// Reads a column of [`put_i64s`]; `None` when damaged.
pub(crate) fn take_i64s(bytes: &mut &[u8]) -> Option<Vec<i64>> {
    take_latents(bytes, |bits| bits as i64)
}

/// Appends a column of doubles; every bit comes back, NaN payloads included.
pub(crate) fn put_f64s(out: &mut Vec<u8>, values: &[f64]) {
    put_latents(out, values, |v| v.to_bits());
}

/// Reads a column of [`put_f64s`]; `None` when damaged.
pub(crate) fn take_f64s(bytes: &mut &[u8]) -> Option<Vec<f64>> {
    take_latents(bytes, f64::from_bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn codes_round_trip(values in prop_oneof![
            prop::collection::vec(0u32..4, 0..100),
            prop::collection::vec(any::<u32>(), 0..100),
            prop::collection::vec(0u32..70_000, 0..100),
        ]) {
            let mut out = Vec::new();
            put_codes(&mut out, &values);
            let mut rest = out.as_slice();
            prop_assert_eq!(take_codes(&mut rest), Some(values));
            prop_assert!(rest.is_empty());
            for cut in 0..out.len() {
                prop_assert!(take_codes(&mut &out[..cut]).is_none());
            }
        }

        #[test]
        fn numbers_round_trip(values in prop::collection::vec(any::<u64>(), 0..200), small in any::<bool>()) {
            let values: Vec<u64> = values.into_iter().map(|v| if small { v % 1000 } else { v }).collect();
            let mut out = Vec::new();
            put_u64s(&mut out, &values);
            prop_assert_eq!(take_u64s(&mut out.as_slice()), Some(values.clone()));
            out.clear();
            let signed: Vec<i64> = values.iter().map(|&v| v as i64).collect();
            put_i64s(&mut out, &signed);
            prop_assert_eq!(take_i64s(&mut out.as_slice()), Some(signed));
            out.clear();
            let doubles: Vec<f64> = values.iter().map(|&v| f64::from_bits(v)).collect();
            put_f64s(&mut out, &doubles);
            let back: Vec<u64> = take_f64s(&mut out.as_slice()).unwrap().iter().map(|d| d.to_bits()).collect();
            prop_assert_eq!(back, values);
        }
    }
}
