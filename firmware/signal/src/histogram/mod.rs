//! Native histograms: buckets of exponential width, or with bounds of their own, as one value of a series.
//!
//! Shape and names follow Prometheus' native histogram specification
//! (<https://prometheus.io/docs/specs/native_histograms/>). Counts are floating point here, whatever they were on the
//! wire: integers below 2^53 are exact.
//!
//! `layout`, `bounds` and `amount` are the ground the rest stands on: spans as indices, indices as bounds, sums with and
//! without compensation. What PromQL does with histograms is in `arithmetic` (with `zero`, the zero bucket of two),
//! `scale`, `resets`, `equality`, `compaction`, `trim`, `buckets` and `text`; `classic` makes histograms of classic
//! buckets, `codec` and `value` bring them to disk and into columns of numbers.
//!
//! Everything but [`NativeHistogram::validate`] takes a histogram as it comes, also one that breaks its rules: answers may
//! then be wrong, but nothing panics, and time and memory follow the number of spans and counts, not the indices.

mod amount;
mod arithmetic;
mod bounds;
mod buckets;
mod classic;
mod codec;
mod compaction;
mod equality;
mod layout;
mod resets;
mod scale;
#[cfg(test)]
mod tests;
mod text;
mod trim;
mod value;
mod zero;

pub use arithmetic::{Incompatible, Notes};
pub use bounds::{custom_bound, exponential_bound};
pub use buckets::Bucket;
pub use classic::{ClassicBucket, ClassicError, convert_classic};
pub use codec::{HistogramDecodeError, decode_histogram, encode_histogram};
pub use trim::Keep;
pub use value::{histogram_at, histogram_marker, is_histogram_marker, without_marker};

/// Schema of histograms with custom bounds.
pub const CUSTOM_BUCKETS_SCHEMA: i8 = -53;
/// Lowest exponential schema: a bucket is 2^16 times as wide as the one before.
pub const EXPONENTIAL_SCHEMA_MIN: i8 = -4;
/// Highest exponential schema kept: 256 buckets for each power of two.
pub const EXPONENTIAL_SCHEMA_MAX: i8 = 8;

/// What is known of a counter reset between a histogram and the one before it in its series.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub enum ResetHint {
    /// To be found by comparison.
    #[default]
    Unknown,
    /// It was reset.
    Reset,
    /// It was not.
    NotReset,
    /// A gauge histogram: resets mean nothing.
    Gauge,
}

/// A run of buckets that follow each other without a gap.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct BucketSpan {
    /// Of the first span the index of its first bucket, of others the gap to the span before (not negative).
    pub offset: i32,
    /// Number of buckets.
    pub length: u32,
}

/// One native histogram. The spans of each side describe as many buckets as there are counts.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct NativeHistogram {
    /// -4 to 8: bounds are powers of 2^(2^-schema); or [`CUSTOM_BUCKETS_SCHEMA`].
    pub schema: i8,
    /// What is known of a reset.
    pub reset_hint: ResetHint,
    /// Half width of the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// All observations.
    pub count: f64,
    /// Their sum.
    pub sum: f64,
    /// Buckets of positive observations, or all buckets with custom bounds.
    pub positive_spans: Vec<BucketSpan>,
    /// Observations in each bucket of `positive_spans` (not differences, not cumulative).
    pub positive_counts: Vec<f64>,
    /// Buckets of negative observations; none with custom bounds.
    pub negative_spans: Vec<BucketSpan>,
    /// Observations in each bucket of `negative_spans`.
    pub negative_counts: Vec<f64>,
    /// Upper bounds, strictly ascending, without +Inf; only with custom bounds.
    pub custom_bounds: Vec<f64>,
}

/// Why a histogram cannot be taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HistogramError {
    /// Schema unknown, or finer than what is kept.
    #[error("schema {0} is not supported: it must be between -4 and 8, or -53")]
    Schema(i32),
    /// A count below zero, or no number.
    #[error("{0} has a negative or undefined observation count")]
    NegativeCount(&'static str),
    /// A span other than the first begins before the end of the one before.
    #[error("{0} side: span number {1} has a negative offset")]
    SpanOffset(&'static str, usize),
    /// Spans and counts do not fit.
    #[error("{side} side: spans need {spans} buckets, have {counts} buckets")]
    SpanLength {
        /// `positive` or `negative`.
        side: &'static str,
        /// Buckets of the spans.
        spans: u64,
        /// Counts given.
        counts: usize,
    },
    /// Bounds where there must be none, or none where they are needed, or unordered.
    #[error("custom bounds: {0}")]
    CustomBounds(&'static str),
    /// Buckets hold more than `count` says.
    #[error("{buckets} observations found in buckets, but the count field is {count}")]
    CountMismatch {
        /// Sum over all buckets.
        buckets: String,
        /// What `count` says.
        count: String,
    },
    /// A zero threshold below zero or no number, or one with custom bounds.
    #[error("zero bucket: {0}")]
    ZeroBucket(&'static str),
    /// More buckets than one histogram may have.
    #[error("{0} buckets, at most {BUCKETS_MAX} are taken")]
    TooManyBuckets(usize),
}

/// Most buckets of one histogram, both sides together.
pub const BUCKETS_MAX: usize = 1 << 14;

impl NativeHistogram {
    /// Whether its bounds are its own.
    pub fn has_custom_bounds(&self) -> bool {
        self.schema == CUSTOM_BUCKETS_SCHEMA
    }

    /// Whether it ends its series, as the staleness marker does: its sum is the marker.
    pub fn is_stale_marker(&self) -> bool {
        crate::is_stale_marker(self.sum)
    }

    /// Memory in bytes, with what it points to.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + (self.positive_spans.capacity() + self.negative_spans.capacity()) * size_of::<BucketSpan>()
            + (self.positive_counts.capacity() + self.negative_counts.capacity() + self.custom_bounds.capacity()) * 8
    }

    /// Whether schema, zero threshold, spans and bounds are those of `other`: only counts, sum and hint may differ.
    pub fn same_layout(&self, other: &Self) -> bool {
        self.schema == other.schema
            && self.zero_threshold.to_bits() == other.zero_threshold.to_bits()
            && self.positive_spans == other.positive_spans
            && self.negative_spans == other.negative_spans
            && self.custom_bounds.len() == other.custom_bounds.len()
            && self.custom_bounds.iter().zip(&other.custom_bounds).all(|(a, b)| a.to_bits() == b.to_bits())
    }

    /// Checks what a sender must keep to; a stale marker is always well.
    ///
    /// # Errors
    /// [`HistogramError`] for the first rule that is broken.
    pub fn validate(&self) -> Result<(), HistogramError> {
        let buckets = self.positive_counts.len().saturating_add(self.negative_counts.len());
        if buckets.saturating_add(self.custom_bounds.len()) > BUCKETS_MAX {
            return Err(HistogramError::TooManyBuckets(buckets));
        }
        check_side("positive", &self.positive_spans, &self.positive_counts)?;
        check_side("negative", &self.negative_spans, &self.negative_counts)?;
        if self.has_custom_bounds() {
            self.check_custom()?;
        } else {
            if !(EXPONENTIAL_SCHEMA_MIN..=EXPONENTIAL_SCHEMA_MAX).contains(&self.schema) {
                return Err(HistogramError::Schema(self.schema.into()));
            }
            if !self.custom_bounds.is_empty() {
                return Err(HistogramError::CustomBounds("only schema -53 has them"));
            }
            if self.zero_threshold.is_nan() || self.zero_threshold < 0.0 {
                return Err(HistogramError::ZeroBucket("the threshold is negative or undefined"));
            }
        }
        if self.is_stale_marker() {
            return Ok(());
        }
        for (what, count) in [("the histogram", self.count), ("the zero bucket", self.zero_count)] {
            if count.is_nan() || count < 0.0 {
                return Err(HistogramError::NegativeCount(what));
            }
        }
        self.check_sum_of_buckets()
    }

    fn check_custom(&self) -> Result<(), HistogramError> {
        if self.zero_count != 0.0 || self.zero_threshold != 0.0 {
            return Err(HistogramError::ZeroBucket("there is none with custom bounds"));
        }
        if !self.negative_spans.is_empty() || !self.negative_counts.is_empty() {
            return Err(HistogramError::CustomBounds("there are no negative buckets with them"));
        }
        if self.custom_bounds.iter().any(|b| b.is_nan() || *b == f64::INFINITY) {
            return Err(HistogramError::CustomBounds("a bound is +Inf or undefined"));
        }
        if !self.custom_bounds.is_sorted_by(|a, b| a < b) {
            return Err(HistogramError::CustomBounds("they are not ascending"));
        }
        let end = self.positive_spans.iter().fold(0i64, |at, s| at + i64::from(s.offset) + i64::from(s.length));
        let first = self.positive_spans.first().map_or(0, |s| s.offset);
        if first < 0 || end > self.custom_bounds.len() as i64 + 1 {
            return Err(HistogramError::CustomBounds("there are buckets beyond them"));
        }
        Ok(())
    }

    /// Observations of NaN are in no bucket, so that the count may be larger; it must agree when the sum is a number.
    fn check_sum_of_buckets(&self) -> Result<(), HistogramError> {
        let sum = self.zero_count + self.positive_counts.iter().chain(&self.negative_counts).sum::<f64>();
        let rounding = (self.count * 1e-9).max(1e-9);
        let wrong = if self.sum.is_nan() { sum > self.count + rounding } else { (sum - self.count).abs() > rounding };
        if wrong {
            return Err(HistogramError::CountMismatch { buckets: sum.to_string(), count: self.count.to_string() });
        }
        Ok(())
    }
}

fn check_side(side: &'static str, spans: &[BucketSpan], counts: &[f64]) -> Result<(), HistogramError> {
    if let Some(at) = spans.iter().skip(1).position(|s| s.offset < 0) {
        return Err(HistogramError::SpanOffset(side, at + 2));
    }
    let wanted: u64 = spans.iter().map(|s| u64::from(s.length)).sum();
    if wanted != counts.len() as u64 {
        return Err(HistogramError::SpanLength { side, spans: wanted, counts: counts.len() });
    }
    match counts.iter().all(|c| *c >= 0.0) {
        true => Ok(()),
        false => Err(HistogramError::NegativeCount("a bucket")),
    }
}
