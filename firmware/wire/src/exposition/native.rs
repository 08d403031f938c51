//! Native histograms of protobuf exposition.

use super::error::ExpositionError;
use crate::protobuf::{Field, Reader, Value};
use bramble_signal::{BucketSpan, NativeHistogram, ResetHint};

type Result<T> = std::result::Result<T, ExpositionError>;

/// The fields of a `Histogram` message, its vectors reused from one to the next.
#[derive(Clone, Default, Debug)]
pub(super) struct NativeFields {
    count_whole: u64,
    count_float: f64,
    pub(super) sum: f64,
    schema: i64,
    zero_threshold: f64,
    zero_whole: u64,
    zero_float: f64,
    positive: Side,
    negative: Side,
    pub(super) start_ms: Option<i64>,
    pub(super) has_buckets: bool,
}

#[derive(Clone, Default, Debug)]
struct Side {
    spans: Vec<BucketSpan>,
    deltas: Vec<i64>,
    counts: Vec<u64>,
}

impl Side {
    fn clear(&mut self) {
        self.spans.clear();
        self.deltas.clear();
        self.counts.clear();
    }

    fn write_to(&self, is_float: bool, spans: &mut Vec<BucketSpan>, counts: &mut Vec<f64>) {
        spans.clone_from(&self.spans);
        counts.clear();
        if is_float {
            counts.extend(self.counts.iter().map(|bits| f64::from_bits(*bits)));
            return;
        }
        let mut count = 0i64;
        counts.extend(self.deltas.iter().map(|delta| {
            count = count.saturating_add(*delta);
            count as f64
        }));
    }
}

impl NativeFields {
    pub(super) fn read(&mut self, mut reader: Reader<'_>) -> Result<()> {
        self.clear();
        while let Some(field) = reader.next()? {
            match field.number {
                1 => self.count_whole = field.varint()?,
                2 => self.sum = field.double()?,
                3 => self.has_buckets = true,
                4 => self.count_float = field.double()?,
                5 => self.schema = signed(field.varint()?),
                6 => self.zero_threshold = field.double()?,
                7 => self.zero_whole = field.varint()?,
                8 => self.zero_float = field.double()?,
                9 => self.negative.spans.push(span(field.message()?)?),
                10 => push_signed(&field, &mut self.negative.deltas)?,
                11 => field.push_fixed64(&mut self.negative.counts)?,
                12 => self.positive.spans.push(span(field.message()?)?),
                13 => push_signed(&field, &mut self.positive.deltas)?,
                14 => field.push_fixed64(&mut self.positive.counts)?,
                15 => self.start_ms = timestamp_ms(field.message()?)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn clear(&mut self) {
        self.positive.clear();
        self.negative.clear();
        let (positive, negative) = (std::mem::take(&mut self.positive), std::mem::take(&mut self.negative));
        *self = NativeFields { positive, negative, ..Default::default() };
    }

    pub(super) fn is_native(&self) -> bool {
        self.zero_threshold > 0.0
            || self.zero_whole > 0
            || self.zero_float > 0.0
            || !self.positive.spans.is_empty()
            || !self.negative.spans.is_empty()
    }

    /// Observations, whichever way they are said.
    pub(super) fn count(&self) -> f64 {
        if self.count_float > 0.0 { self.count_float } else { self.count_whole as f64 }
    }

    pub(super) fn write_to(&self, out: &mut NativeHistogram, is_gauge: bool) {
        let is_float = self.count_float > 0.0 || self.zero_float > 0.0;
        // What fits no schema is refused by `validate`, so any number that is out of range will do.
        out.schema = i8::try_from(self.schema).unwrap_or(i8::MAX);
        out.reset_hint = if is_gauge { ResetHint::Gauge } else { ResetHint::Unknown };
        out.zero_threshold = self.zero_threshold;
        out.zero_count = if is_float { self.zero_float } else { self.zero_whole as f64 };
        (out.count, out.sum) = (self.count(), self.sum);
        self.positive.write_to(is_float, &mut out.positive_spans, &mut out.positive_counts);
        self.negative.write_to(is_float, &mut out.negative_spans, &mut out.negative_counts);
        // Exposition has no field for bounds of their own.
        out.custom_bounds.clear();
    }
}

/// Zigzag.
fn signed(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

fn push_signed(field: &Field<'_>, out: &mut Vec<i64>) -> Result<()> {
    match field.value {
        Value::Varint(value) => out.push(signed(value)),
        _ => push_packed(field.bytes()?, field.position, out)?,
    }
    Ok(())
}

fn push_packed(bytes: &[u8], position: usize, out: &mut Vec<i64>) -> Result<()> {
    let (mut value, mut shift) = (0u64, 0u32);
    for (at, byte) in bytes.iter().enumerate() {
        if shift > 63 {
            let message = "a packed number is longer than 64 bits".into();
            return Err(ExpositionError { line: 0, column: 0, position: position + at, message });
        }
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            out.push(signed(value));
            (value, shift) = (0, 0);
        }
    }
    match shift {
        0 => Ok(()),
        _ => {
            let (position, message) = (position + bytes.len(), "packed numbers end inside a number".into());
            Err(ExpositionError { line: 0, column: 0, position, message })
        }
    }
}

fn span(mut reader: Reader<'_>) -> Result<BucketSpan> {
    let mut span = BucketSpan::default();
    while let Some(field) = reader.next()? {
        match field.number {
            1 => span.offset = signed(field.varint()?) as i32,
            2 => span.length = field.uint32()?,
            _ => {}
        }
    }
    Ok(span)
}

/// A `google.protobuf.Timestamp`; `None` when it is 0 or cannot be told in 64-bit milliseconds.
pub(super) fn timestamp_ms(mut reader: Reader<'_>) -> Result<Option<i64>> {
    let (mut seconds, mut nanos) = (0i64, 0i64);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => seconds = field.int64()?,
            2 => nanos = field.int64()?,
            _ => {}
        }
    }
    let ms = seconds.checked_mul(1000).and_then(|ms| ms.checked_add(nanos / 1_000_000));
    Ok(ms.filter(|ms| *ms != 0))
}
