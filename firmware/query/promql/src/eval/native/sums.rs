//! Sums and means of histograms, compensated.

use super::notes::{Noted, Operation};
use bramble_signal::{NativeHistogram, ResetHint};

/// A running sum or mean.
///
/// A mean divides the sum, and goes over to an incremental form when the sum would overflow.
#[derive(Clone, Debug)]
pub(crate) struct HistogramSum {
    sum: NativeHistogram,
    lost: Option<NativeHistogram>,
    count: f64,
    incremental: bool,
    reset: bool,
    not_reset: bool,
    reconciled: bool,
}

impl HistogramSum {
    /// A sum of one.
    pub(crate) fn new(first: &NativeHistogram) -> Self {
        let mut sum = HistogramSum {
            sum: first.clone(),
            lost: None,
            count: 1.0,
            incremental: false,
            reset: false,
            not_reset: false,
            reconciled: false,
        };
        sum.see(first);
        sum
    }

    fn see(&mut self, histogram: &NativeHistogram) {
        self.reset |= histogram.reset_hint == ResetHint::Reset;
        self.not_reset |= histogram.reset_hint == ResetHint::NotReset;
    }

    /// Memory in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.sum.memory_bytes() + self.lost.as_ref().map_or(0, NativeHistogram::memory_bytes)
    }

    /// Adds one more. `newer`: custom bounds that differ are reconciled.
    ///
    /// # Errors
    /// What forbids it: the sum is of no use any more.
    pub(crate) fn add(&mut self, histogram: &NativeHistogram, is_mean: bool, newer: bool) -> Result<(), Noted> {
        self.see(histogram);
        self.count += 1.0;
        let custom = self.sum.has_custom_bounds() && histogram.has_custom_bounds();
        if !newer && custom && !self.sum.same_bounds(histogram) {
            return Err(Noted::IncompatibleBounds);
        }
        if !is_mean {
            let said = self.sum.kahan_add(histogram, &mut self.lost).map_err(|_| Noted::MixedSchemas)?;
            self.reconciled |= said.bounds_reconciled;
            return Ok(());
        }
        if !self.incremental {
            let (mut sum, mut lost) = (self.sum.clone(), self.lost.clone());
            let said = sum.kahan_add(histogram, &mut lost).map_err(|_| Noted::MixedSchemas)?;
            self.reconciled |= said.bounds_reconciled;
            if !sum.has_overflow() {
                (self.sum, self.lost) = (sum, lost);
                return Ok(());
            }
            self.incremental = true;
            self.scale(1.0 / (self.count - 1.0));
        }
        self.scale((self.count - 1.0) / self.count);
        let mut share = histogram.clone();
        share.div(self.count);
        let said = self.sum.kahan_add(&share, &mut self.lost).map_err(|_| Noted::MixedSchemas)?;
        self.reconciled |= said.bounds_reconciled;
        Ok(())
    }

    fn scale(&mut self, factor: f64) {
        self.sum.mul(factor);
        if let Some(lost) = &mut self.lost {
            lost.mul(factor);
        }
    }

    /// The sum or mean, telling what there is to tell.
    pub(crate) fn finish(mut self, is_mean: bool, notes: &mut dyn FnMut(Noted)) -> NativeHistogram {
        if self.reset && self.not_reset {
            notes(Noted::ResetCollision(Operation::Aggregation));
        }
        if self.reconciled {
            notes(Noted::Reconciled(Operation::Aggregation));
        }
        if is_mean && !self.incremental {
            self.sum.div(self.count);
            if let Some(lost) = &mut self.lost {
                lost.div(self.count);
            }
        }
        let hint = self.sum.reset_hint;
        if let Some(lost) = &self.lost {
            // It has the sum's own layout: nothing can be incompatible.
            let _ = self.sum.add(lost);
        }
        self.sum.reset_hint = hint;
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(count: f64, sum: f64) -> NativeHistogram {
        NativeHistogram { count, sum, ..NativeHistogram::default() }
    }

    #[test]
    fn small_terms_survive_and_means_do_not_overflow() {
        let mut sum = HistogramSum::new(&of(1.0, 1.0));
        sum.add(&of(1.0, 1e100), false, true).unwrap();
        sum.add(&of(1.0, -1e100), false, true).unwrap();
        assert_eq!(sum.finish(false, &mut |_| {}).sum, 1.0);
        let mut mean = HistogramSum::new(&of(f64::MAX, 1.0));
        mean.add(&of(f64::MAX, 3.0), true, true).unwrap();
        let mean = mean.finish(true, &mut |_| {});
        assert!((mean.count / f64::MAX - 1.0).abs() < 1e-12 && mean.sum == 2.0);
    }
}
