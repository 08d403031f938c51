//! Prometheus' chunk of native histograms with floating point counts.
//!
//! ```text
//! u16 be number of samples, u8 flags (top two bits: what is known of a reset)
//! layout: zero threshold, varbit schema, spans of both sides, custom bounds
//! first sample: varbit t, count, zero count, sum, counts of both sides, 64 bits each
//! per sample: varbit time difference (from the third: difference of differences), xor of the same numbers
//! ```
//!
//! All histograms of a chunk share one layout and, but for gauges, never shrink: the reader takes it as said that
//! there is no reset inside a chunk. [`push`](FloatHistogramChunk::push) says when a chunk must be cut.
//!
//! Source: Prometheus' `tsdb/docs/format/chunks.md`.

use super::bits::{BitWriter, XorColumn};
use bramble_signal::{BucketSpan, NativeHistogram, ResetHint};

/// Writes one chunk.
#[derive(Clone, Default, Debug)]
pub struct FloatHistogramChunk {
    bits: BitWriter,
    columns: Vec<XorColumn>,
    last: Option<NativeHistogram>,
    count: u16,
    first_ms: i64,
    last_ms: i64,
    delta_ms: i64,
}

const NOT_RESET: u8 = 0b0100_0000;
const RESET: u8 = 0b1000_0000;
const GAUGE: u8 = 0b1100_0000;

impl FloatHistogramChunk {
    /// An empty chunk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Empties the chunk and keeps its memory.
    pub fn clear(&mut self) {
        let (mut bits, mut columns) = (std::mem::take(&mut self.bits), std::mem::take(&mut self.columns));
        bits.clear();
        columns.clear();
        *self = FloatHistogramChunk { bits, columns, ..Self::default() };
    }

    /// Appends a histogram, later than the one before. `false` when it does not go into this chunk; it was not
    /// appended then. The first always goes in.
    pub fn push(&mut self, timestamp_ms: i64, histogram: &NativeHistogram) -> bool {
        if self.last.as_ref().is_some_and(|last| !follows(last, histogram)) {
            return false;
        }
        let is_first = self.last.is_none();
        if is_first {
            self.begin(timestamp_ms, histogram);
        } else {
            let delta_ms = timestamp_ms.wrapping_sub(self.last_ms);
            let change = if self.count == 1 { delta_ms } else { delta_ms.wrapping_sub(self.delta_ms) };
            self.bits.varbit_int(change);
            self.delta_ms = delta_ms;
        }
        for (at, number) in numbers(histogram).enumerate() {
            match self.columns.get_mut(at) {
                Some(column) if !is_first => column.push(number, &mut self.bits),
                _ => self.columns.push(XorColumn::first(number, &mut self.bits)),
            }
        }
        match &mut self.last {
            // The vectors of the last one are used again.
            Some(last) => last.clone_from(histogram),
            None => self.last = Some(histogram.clone()),
        }
        self.last_ms = timestamp_ms;
        self.count = self.count.saturating_add(1);
        self.bits.patch(0, &self.count.to_be_bytes());
        true
    }

    fn begin(&mut self, timestamp_ms: i64, histogram: &NativeHistogram) {
        self.first_ms = timestamp_ms;
        self.bits.bits(0, 16);
        let flags = match histogram.reset_hint {
            ResetHint::Unknown => 0,
            ResetHint::Reset => RESET,
            ResetHint::NotReset => NOT_RESET,
            ResetHint::Gauge => GAUGE,
        };
        self.bits.all(&[flags]);
        push_zero_threshold(histogram.zero_threshold, &mut self.bits);
        self.bits.varbit_int(histogram.schema.into());
        push_spans(&histogram.positive_spans, &mut self.bits);
        push_spans(&histogram.negative_spans, &mut self.bits);
        if histogram.has_custom_bounds() {
            self.bits.varbit_uint(histogram.custom_bounds.len() as u64);
            for bound in &histogram.custom_bounds {
                // Bounds with few decimals have a shorter form; a zero bit says that this is not it.
                self.bits.bits(0, 1);
                self.bits.bits(bound.to_bits(), 64);
            }
        }
        self.bits.varbit_int(timestamp_ms);
    }

    /// Number of histograms.
    pub fn len(&self) -> usize {
        self.count.into()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Times of the first and last one.
    pub fn range_ms(&self) -> (i64, i64) {
        (self.first_ms, self.last_ms)
    }

    /// The encoded chunk.
    pub fn bytes(&self) -> &[u8] {
        self.bits.bytes()
    }
}

/// Count, zero count, sum, then the counts of both sides.
fn numbers(histogram: &NativeHistogram) -> impl Iterator<Item = f64> {
    let head = [histogram.count, histogram.zero_count, histogram.sum];
    let counts = histogram.positive_counts.iter().chain(&histogram.negative_counts);
    head.into_iter().chain(counts.copied())
}

/// Whether `next` may be in the same chunk.
fn follows(last: &NativeHistogram, next: &NativeHistogram) -> bool {
    let is_gauge = next.reset_hint == ResetHint::Gauge;
    if !last.same_layout(next) || is_gauge != (last.reset_hint == ResetHint::Gauge) {
        return false;
    }
    if is_gauge {
        return true;
    }
    let shrinks = |a: &[f64], b: &[f64]| a.iter().zip(b).any(|(a, b)| b < a);
    next.reset_hint != ResetHint::Reset
        && next.count >= last.count
        && next.zero_count >= last.zero_count
        && !shrinks(&last.positive_counts, &next.positive_counts)
        && !shrinks(&last.negative_counts, &next.negative_counts)
}

/// One byte for 0 and for powers of two from 2^-243 to 2^10; else 255 and the number.
fn push_zero_threshold(threshold: f64, bits: &mut BitWriter) {
    if threshold == 0.0 {
        return bits.all(&[0]);
    }
    let raw = threshold.to_bits();
    let (exponent, mantissa) = ((raw >> 52) as i64 & 0x7ff, raw & ((1 << 52) - 1));
    // As 0.5 * 2^power.
    let power = exponent - 1022;
    if mantissa == 0 && threshold > 0.0 && (-242..=11).contains(&power) {
        return bits.all(&[(power + 243) as u8]);
    }
    bits.all(&[255]);
    bits.bits(raw, 64);
}

fn push_spans(spans: &[BucketSpan], bits: &mut BitWriter) {
    bits.varbit_uint(spans.len() as u64);
    for span in spans {
        bits.varbit_uint(span.length.into());
        bits.varbit_int(span.offset.into());
    }
}
