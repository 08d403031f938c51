//! Prometheus' chunk of floats ("XOR", after Facebook's Gorilla): what remote read streams.
//!
//! ```text
//! u16 be number of samples
//! varint t0, 64 bits v0
//! uvarint t1 - t0, xor(v1)
//! per sample: difference of differences of times in 1, 16, 20, 24 or 68 bits, xor(v)
//! ```
//!
//! Source: Prometheus' `tsdb/docs/format/chunks.md` and "Gorilla: A Fast, Scalable, In-Memory Time Series Database"
//! (VLDB 2015), §4.1.

use super::bits::{BitWriter, XorColumn, fits};

/// Samples per chunk, as Prometheus cuts them.
pub const CHUNK_SAMPLES_MAX: usize = 120;

/// Writes one chunk.
#[derive(Clone, Default, Debug)]
pub struct XorChunk {
    bits: BitWriter,
    values: Option<XorColumn>,
    count: u16,
    first_ms: i64,
    last_ms: i64,
    delta_ms: i64,
}

impl XorChunk {
    /// An empty chunk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Empties the chunk and keeps its memory.
    pub fn clear(&mut self) {
        let mut bits = std::mem::take(&mut self.bits);
        bits.clear();
        *self = XorChunk { bits, ..Self::default() };
    }

    /// Appends a sample, later than the one before.
    pub fn push(&mut self, timestamp_ms: i64, value: f64) {
        match &mut self.values {
            None => {
                self.first_ms = timestamp_ms;
                self.bits.bits(0, 16);
                self.bits.varint(timestamp_ms);
                self.values = Some(XorColumn::first(value, &mut self.bits));
            }
            Some(values) => {
                let delta_ms = timestamp_ms.wrapping_sub(self.last_ms);
                if self.count == 1 {
                    self.bits.uvarint(delta_ms.cast_unsigned());
                } else {
                    push_time(delta_ms.wrapping_sub(self.delta_ms), &mut self.bits);
                }
                self.delta_ms = delta_ms;
                values.push(value, &mut self.bits);
            }
        }
        self.last_ms = timestamp_ms;
        self.count = self.count.saturating_add(1);
        self.bits.patch(0, &self.count.to_be_bytes());
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.count.into()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Times of the first and last sample.
    pub fn range_ms(&self) -> (i64, i64) {
        (self.first_ms, self.last_ms)
    }

    /// The encoded chunk.
    pub fn bytes(&self) -> &[u8] {
        self.bits.bytes()
    }
}

fn push_time(change: i64, bits: &mut BitWriter) {
    if change == 0 {
        return bits.bits(0, 1);
    }
    for (prefix, length, width) in [(0b10, 2, 14), (0b110, 3, 17), (0b1110, 4, 20)] {
        if fits(change, width) {
            bits.bits(prefix, length);
            return bits.bits(change.cast_unsigned(), width);
        }
    }
    bits.bits(0b1111, 4);
    bits.bits(change.cast_unsigned(), 64);
}
