//! The same observations in fewer buckets: without the empty ones, or at a lower resolution.

use super::layout::{Moved, Runs, Side, coarser};
use super::{BUCKETS_MAX, BucketSpan, EXPONENTIAL_SCHEMA_MIN, NativeHistogram};

fn is_compact(side: Side<'_>, max_empty: usize) -> bool {
    let apart = |(at, span): (usize, &BucketSpan)| {
        span.length > 0 && (at == 0 || i64::from(span.offset) > i64::try_from(max_empty).unwrap_or(i64::MAX))
    };
    side.counts.iter().all(|c| *c != 0.0) && side.spans.iter().enumerate().all(apart)
}

fn compacted(side: Side<'_>, max_empty: usize) -> Option<Runs> {
    if is_compact(side, max_empty) {
        return None;
    }
    let mut runs = Runs::with_capacity::<f64>(side.counts.len());
    for (index, count) in side.cells::<f64>().filter(|(_, c)| *c != 0.0) {
        let gap = usize::try_from(runs.gap(index)).unwrap_or(0);
        let room = BUCKETS_MAX.max(side.counts.len()).saturating_sub(runs.counts.len());
        if !runs.counts.is_empty() && gap <= max_empty && gap <= room {
            runs.fill::<f64>(index);
        }
        runs.push(index, count);
    }
    Some(runs)
}

impl NativeHistogram {
    /// Drops empty buckets and writes spans in the least form: of empty buckets between others, runs of at most
    /// `max_empty_buckets` stay (or are put in), so that their neighbours share a span.
    ///
    /// Buckets are put in only while a side has at most [`BUCKETS_MAX`], whatever `max_empty_buckets` says.
    /// Allocates only when there is something to do.
    pub fn compact(&mut self, max_empty_buckets: usize) {
        if let Some(runs) = compacted(self.positive(), max_empty_buckets) {
            self.set_positive(runs);
        }
        if let Some(runs) = compacted(self.negative(), max_empty_buckets) {
            self.set_negative(runs);
        }
    }

    /// Adds up buckets so that the schema is `schema`; a histogram that is not finer, or has custom bounds, stays.
    pub fn reduce_resolution(&mut self, schema: i8) {
        let schema = schema.max(EXPONENTIAL_SCHEMA_MIN);
        if self.has_custom_bounds() || schema >= self.schema {
            return;
        }
        let steps = u32::from(self.schema.abs_diff(schema));
        let reduced = |side: Side<'_>| {
            Runs::collect(side.counts.len() >> steps.min(8), Moved::new(side.cells::<f64>(), |i| coarser(i, steps)))
        };
        let (positive, negative) = (reduced(self.positive()), reduced(self.negative()));
        self.set_positive(positive);
        self.set_negative(negative);
        self.schema = schema;
    }

    /// A copy of at most the resolution of `schema`, see [`NativeHistogram::reduce_resolution`].
    pub fn copy_to_schema(&self, schema: i8) -> Self {
        let mut copy = self.clone();
        copy.reduce_resolution(schema);
        copy
    }

    /// Number of buckets that have a count, the zero bucket not among them.
    pub fn bucket_count(&self) -> usize {
        self.positive_counts.len() + self.negative_counts.len()
    }
}
