//! One zero bucket for two histograms: the wider wins, and grows until it cuts through no populated bucket.

use super::NativeHistogram;
use super::amount::Amount;
use super::bounds::exponential_bound;
use super::layout::{Runs, Side};

/// A threshold moves to the end of a bucket of one histogram, then of the other, whose coarser bucket it may have cut:
/// it is still in a few rounds. Spans that run backwards could make it many.
const ROUNDS_MAX: usize = 8;

fn lower(index: i64, schema: i8) -> f64 {
    exponential_bound(index.saturating_sub(1), schema)
}

/// The least threshold from `threshold` up that is in no populated bucket of `side`.
fn grown(side: Side<'_>, schema: i8, threshold: f64) -> f64 {
    for (index, count) in side.cells::<f64>() {
        let upper = exponential_bound(index, schema);
        if upper > threshold {
            return if lower(index, schema) < threshold && count != 0.0 { upper } else { threshold };
        }
    }
    threshold
}

impl NativeHistogram {
    fn grown_threshold(&self, threshold: f64) -> f64 {
        let threshold = grown(self.positive(), self.schema, threshold);
        grown(self.negative(), self.schema, threshold)
    }

    /// The least threshold that both can have; each keeps its own as long as it need not grow.
    pub(super) fn common_threshold(&self, other: &Self) -> f64 {
        let mut threshold = self.zero_threshold.max(other.zero_threshold);
        for _ in 0..ROUNDS_MAX {
            let before = threshold;
            for one in [other, self] {
                if one.zero_threshold < threshold {
                    threshold = one.grown_threshold(threshold);
                }
            }
            if threshold == before {
                break;
            }
        }
        threshold
    }

    /// Whether a zero bucket of `threshold` would cut through a populated bucket.
    pub(super) fn is_cut_by(&self, threshold: f64) -> bool {
        self.zero_threshold < threshold && self.grown_threshold(threshold) != threshold
    }
}

fn inside<V: Amount>(side: Side<'_>, schema: i8, threshold: f64) -> impl Iterator<Item = (i64, V)> {
    side.cells::<V>().take_while(move |(i, _)| lower(*i, schema) < threshold)
}

/// Observations in the zero bucket, were its threshold the wider `threshold`. `zero`: those in it now.
pub(super) fn zero_within<V: Amount>(sides: [Side<'_>; 2], schema: i8, threshold: f64, zero: V) -> V {
    sides.into_iter().flat_map(|side| inside(side, schema, threshold)).fold(zero, |zero, (_, amount)| zero.plus(amount))
}

/// The populated buckets outside a zero bucket of `threshold`.
pub(super) fn outside<V: Amount>(side: Side<'_>, schema: i8, threshold: f64) -> Runs {
    let cells = side.cells::<V>().skip_while(|(i, _)| lower(*i, schema) < threshold);
    Runs::collect(side.counts.len(), cells.filter(|(_, amount)| !amount.is_zero()))
}
