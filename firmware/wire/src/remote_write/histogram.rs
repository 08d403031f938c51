//! A native histogram of either version: the messages have the same fields.
//!
//! Integer histograms write each bucket as the difference to the one before, float histograms write counts. Both
//! become counts. What a message can make us hold is bounded by [`BUCKETS_MAX`] whatever its spans claim.

use crate::DecodeError;
use crate::protobuf::{Field, Reader, unzigzag};
use bramble_signal::histogram::{
    BUCKETS_MAX, BucketSpan, EXPONENTIAL_SCHEMA_MAX, HistogramError, NativeHistogram, ResetHint,
};

/// Finest standard schema; finer ones than what is kept are to be joined by whoever takes them in (native histogram
/// specification, "Schema").
const STANDARD_SCHEMA_MAX: i8 = 52;

/// Memory reused from histogram to histogram.
#[derive(Clone, Default, Debug)]
pub(crate) struct Scratch {
    positive: Side,
    negative: Side,
    custom_bounds: Vec<f64>,
    /// Buckets, spans or bounds beyond what one histogram may have.
    dropped: usize,
}

#[derive(Clone, Default, Debug)]
struct Side {
    spans: Vec<BucketSpan>,
    deltas: Vec<i64>,
    counts: Vec<f64>,
}

impl Side {
    fn clear(&mut self) {
        self.spans.clear();
        self.deltas.clear();
        self.counts.clear();
    }

    fn absolute(&self, is_float: bool) -> Vec<f64> {
        if is_float {
            return self.counts.clone();
        }
        let sum = |count: &mut i64, delta: &i64| {
            *count = count.saturating_add(*delta);
            Some(*count as f64)
        };
        let mut counts = Vec::with_capacity(self.deltas.len());
        counts.extend(self.deltas.iter().scan(0, sum));
        counts
    }
}

/// What a `Histogram` message says.
pub(crate) struct Point {
    pub(crate) timestamp_ms: i64,
    /// 0 when not known; only in 2.0.
    pub(crate) start_ms: i64,
    pub(crate) histogram: Result<NativeHistogram, HistogramError>,
}

/// Adds to `out` unless it is full, and counts what did not fit.
fn push<T>(out: &mut Vec<T>, value: T, dropped: &mut usize) {
    match out.len() < BUCKETS_MAX {
        true => out.push(value),
        false => *dropped += 1,
    }
}

fn span(mut reader: Reader<'_>) -> Result<BucketSpan, DecodeError> {
    let mut span = BucketSpan::default();
    while let Some(field) = reader.next()? {
        match field.number {
            1 => span.offset = field.sint32()?,
            2 => span.length = field.uint32()?,
            _ => {}
        }
    }
    Ok(span)
}

fn bucket(field: &Field<'_>, side: &mut Side, first: u32, dropped: &mut usize) -> Result<(), DecodeError> {
    match field.number - first {
        0 => push(&mut side.spans, span(field.message()?)?, dropped),
        1 => field.each_varint(|value| push(&mut side.deltas, unzigzag(value), dropped))?,
        _ => field.each_fixed64(|bits| push(&mut side.counts, f64::from_bits(bits), dropped))?,
    }
    Ok(())
}

/// Reads a `Histogram` message.
///
/// # Errors
/// [`DecodeError`] for damage; a histogram that contradicts itself is an error inside the point.
pub(crate) fn read(mut reader: Reader<'_>, scratch: &mut Scratch) -> Result<Point, DecodeError> {
    let Scratch { positive, negative, custom_bounds, dropped } = scratch;
    positive.clear();
    negative.clear();
    custom_bounds.clear();
    *dropped = 0;
    let (mut out, mut schema, mut is_float) = (NativeHistogram::default(), 0, false);
    let (mut timestamp_ms, mut start_ms) = (0, 0);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => (out.count, is_float) = (field.varint()? as f64, false),
            2 => (out.count, is_float) = (field.double()?, true),
            3 => out.sum = field.double()?,
            4 => schema = field.sint32()?,
            5 => out.zero_threshold = field.double()?,
            6 => out.zero_count = field.varint()? as f64,
            7 => out.zero_count = field.double()?,
            8..=10 => bucket(&field, negative, 8, dropped)?,
            11..=13 => bucket(&field, positive, 11, dropped)?,
            14 => out.reset_hint = reset_hint(field.varint()?),
            15 => timestamp_ms = field.int64()?,
            16 => field.each_fixed64(|bits| push(custom_bounds, f64::from_bits(bits), dropped))?,
            17 => start_ms = field.int64()?,
            _ => {}
        }
    }
    Ok(Point { timestamp_ms, start_ms, histogram: finish(out, schema, is_float, scratch) })
}

fn finish(
    mut out: NativeHistogram,
    schema: i32,
    is_float: bool,
    scratch: &Scratch,
) -> Result<NativeHistogram, HistogramError> {
    let Scratch { positive, negative, custom_bounds, dropped } = scratch;
    if *dropped > 0 {
        return Err(HistogramError::TooManyBuckets(BUCKETS_MAX + dropped));
    }
    out.schema = i8::try_from(schema).map_err(|_| HistogramError::Schema(schema))?;
    out.positive_counts = positive.absolute(is_float);
    out.negative_counts = negative.absolute(is_float);
    out.positive_spans.clone_from(&positive.spans);
    out.negative_spans.clone_from(&negative.spans);
    out.custom_bounds.clone_from(custom_bounds);
    let finer = (EXPONENTIAL_SCHEMA_MAX + 1..=STANDARD_SCHEMA_MAX).contains(&out.schema);
    if finer {
        out.schema = EXPONENTIAL_SCHEMA_MAX;
    }
    out.validate()?;
    if finer && let Ok(schema) = i8::try_from(schema) {
        out.schema = schema;
        out.reduce_resolution(EXPONENTIAL_SCHEMA_MAX);
    }
    Ok(out)
}

fn reset_hint(code: u64) -> ResetHint {
    match code {
        1 => ResetHint::Reset,
        2 => ResetHint::NotReset,
        3 => ResetHint::Gauge,
        _ => ResetHint::Unknown,
    }
}
