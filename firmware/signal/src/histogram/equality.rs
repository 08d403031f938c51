//! When two histograms are the same: as data, to the bit.

use super::NativeHistogram;
use super::layout::Side;

impl NativeHistogram {
    /// Whether they hold the same data: schema, bounds, buckets (also empty ones), and every number to the bit, so that
    /// NaN equals itself. However spans are cut, and whatever the hints say. This is PromQL's `==`.
    pub fn equals(&self, other: &Self) -> bool {
        self.schema == other.schema
            && self.zero_threshold == other.zero_threshold
            && same_bits(&[self.count, self.sum, self.zero_count], &[other.count, other.sum, other.zero_count])
            && (!self.has_custom_bounds() || same_bits(&self.custom_bounds, &other.custom_bounds))
            && same_side(self.positive(), other.positive())
            && same_side(self.negative(), other.negative())
    }
}

fn same_bits(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

fn same_side(a: Side<'_>, b: Side<'_>) -> bool {
    let places = || a.cells::<f64>().map(|(index, _)| index);
    same_bits(a.counts, b.counts) && (a.spans == b.spans || places().eq(b.cells::<f64>().map(|(index, _)| index)))
}
