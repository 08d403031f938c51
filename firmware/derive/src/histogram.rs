//! Durations counted in buckets.

use bramble_signal::histogram::exponential_bound;
use bramble_signal::{BucketSpan, NativeHistogram};

/// Buckets of one native histogram; with more, each two become one. The connector's default.
const NATIVE_BUCKETS_MAX: usize = 160;

/// Resolution that native histograms begin with: eight buckets for each power of two, a growth by 9 %.
const NATIVE_SCHEMA: i8 = 3;

/// What is counted of the durations of one label set, or one side of an edge.
pub(crate) struct Durations {
    /// Per bound, and one more for what is above all; empty when there are no classic buckets.
    pub(crate) buckets: Box<[u64]>,
    pub(crate) count: u64,
    pub(crate) sum_ns: u64,
    /// Native, in the units asked for.
    pub(crate) native: Vec<Native>,
}

/// A native histogram in the making: buckets without gaps.
pub(crate) struct Native {
    /// Nanoseconds in its unit.
    unit_ns: f64,
    schema: i8,
    zeros: u64,
    /// Index of the first bucket.
    first: i32,
    counts: Vec<u64>,
}

impl Durations {
    /// `bounds`: number of classic bounds, 0 for no classic buckets. `units_ns`: of each native histogram wanted.
    pub(crate) fn new(bounds: usize, units_ns: &[f64]) -> Self {
        let buckets = if bounds == 0 { 0 } else { bounds + 1 };
        let native = units_ns.iter().map(|&unit_ns| Native {
            unit_ns,
            schema: NATIVE_SCHEMA,
            zeros: 0,
            first: 0,
            counts: Vec::new(),
        });
        Durations { buckets: vec![0; buckets].into(), count: 0, sum_ns: 0, native: native.collect() }
    }

    /// What [`new`](Self::new) takes, with native histograms at their largest.
    pub(crate) fn bytes_max(bounds: usize, natives: usize) -> usize {
        (bounds + 1) * 8 + natives * (size_of::<Native>() + NATIVE_BUCKETS_MAX * 8)
    }

    pub(crate) fn add(&mut self, ns: u64, bounds_ns: &[u64]) {
        // Two dozen bounds at most: walking them is as fast as anything.
        let at = bounds_ns.iter().position(|bound| ns <= *bound).unwrap_or(bounds_ns.len());
        if let Some(bucket) = self.buckets.get_mut(at) {
            *bucket += 1;
        }
        self.count += 1;
        self.sum_ns = self.sum_ns.saturating_add(ns);
        self.native.iter_mut().for_each(|native| native.add(ns));
    }
}

/// The bucket of a positive `value`: the one that ends at it or is the first to end above it.
fn index_of(value: f64, schema: i8) -> i32 {
    let scale = f64::from(schema).exp2();
    let mut index = (value.log2() * scale).ceil() as i64;
    // The logarithm is rounded, the bounds are what they are.
    while exponential_bound(index, schema) < value {
        index += 1;
    }
    while exponential_bound(index - 1, schema) >= value {
        index -= 1;
    }
    index as i32
}

/// `index` in the schema one below.
fn coarser(index: i32) -> i32 {
    (index + 1).div_euclid(2)
}

impl Native {
    fn add(&mut self, ns: u64) {
        if ns == 0 {
            self.zeros += 1;
            return;
        }
        let mut index = index_of(ns as f64 / self.unit_ns, self.schema);
        if self.counts.is_empty() {
            self.first = index;
        }
        let end = |native: &Self| native.first + native.counts.len() as i32;
        while (end(self).max(index + 1) - self.first.min(index)) as usize > NATIVE_BUCKETS_MAX {
            self.halve();
            index = coarser(index);
        }
        if index < self.first {
            let more = (self.first - index) as usize;
            self.counts.splice(0..0, std::iter::repeat_n(0, more));
            self.first = index;
        }
        let at = (index - self.first) as usize;
        if at >= self.counts.len() {
            self.counts.resize(at + 1, 0);
        }
        self.counts[at] += 1;
    }

    fn halve(&mut self) {
        let first = coarser(self.first);
        let mut counts = Vec::with_capacity(self.counts.len() / 2 + 1);
        for (index, count) in (self.first..).zip(&self.counts) {
            let at = (coarser(index) - first) as usize;
            if at >= counts.len() {
                counts.resize(at + 1, 0);
            }
            counts[at] += count;
        }
        (self.first, self.counts, self.schema) = (first, counts, self.schema - 1);
    }

    pub(crate) fn unit_ns(&self) -> f64 {
        self.unit_ns
    }

    /// As a value of a series; `count` and `sum_ns` are those of the [`Durations`] it belongs to.
    pub(crate) fn value(&self, count: u64, sum_ns: u64) -> NativeHistogram {
        let spans = match self.counts.len() {
            0 => Vec::new(),
            length => vec![BucketSpan { offset: self.first, length: length as u32 }],
        };
        NativeHistogram {
            schema: self.schema,
            zero_count: self.zeros as f64,
            count: count as f64,
            sum: sum_ns as f64 / self.unit_ns,
            positive_spans: spans,
            positive_counts: self.counts.iter().map(|&n| n as f64).collect(),
            ..NativeHistogram::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bounds_are_inclusive() {
        let mut durations = Durations::new(2, &[]);
        for ns in [0, 10, 11, 20, 21, u64::MAX] {
            durations.add(ns, &[10, 20]);
        }
        assert_eq!(*durations.buckets, [2, 2, 2]);
        assert_eq!((durations.count, durations.sum_ns), (6, u64::MAX));
    }

    #[test]
    fn a_value_on_a_bound_is_in_the_bucket_that_ends_there() {
        for schema in [-4, 0, 3, 8] {
            for index in [-9, 0, 1, 7, 100] {
                let bound = exponential_bound(index, schema);
                if bound > 0.0 && bound.is_finite() {
                    assert_eq!(i64::from(index_of(bound, schema)), index, "{schema}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn native_histograms_hold_everything_in_the_right_bucket(
            values in proptest::collection::vec(prop_oneof![0u64..5, 0u64..10_000_000_000, any::<u64>()], 1..300),
        ) {
            let mut durations = Durations::new(0, &[1e9, 1e6]);
            values.iter().for_each(|&ns| durations.add(ns, &[]));
            for native in &durations.native {
                let value = native.value(durations.count, 0);
                prop_assert!(value.positive_counts.len() <= NATIVE_BUCKETS_MAX);
                prop_assert_eq!(value.validate(), Ok(()));
                for (at, count) in value.positive_counts.iter().enumerate() {
                    let index = i64::from(native.first) + at as i64;
                    let (low, high) = (exponential_bound(index - 1, value.schema), exponential_bound(index, value.schema));
                    let within = |ns: &&u64| **ns > 0 && (**ns as f64 / native.unit_ns) > low && (**ns as f64 / native.unit_ns) <= high;
                    prop_assert_eq!(values.iter().filter(within).count() as f64, *count);
                }
            }
        }
    }
}
