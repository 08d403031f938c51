//! Multiplying and dividing.

use super::layout::Runs;
use super::{NativeHistogram, ResetHint};

impl NativeHistogram {
    /// Multiplies all counts and the sum. A negative factor makes a gauge of it.
    pub fn mul(&mut self, factor: f64) {
        self.scale(|number| number * factor);
        if factor < 0.0 {
            self.reset_hint = ResetHint::Gauge;
        }
    }

    /// Divides all counts and the sum. A negative divisor makes a gauge of it; a divisor of zero leaves count, sum and
    /// zero count infinite (or NaN, of nothing) and no buckets.
    pub fn div(&mut self, divisor: f64) {
        if divisor == 0.0 {
            self.set_positive(Runs::default());
            self.set_negative(Runs::default());
        }
        self.scale(|number| number / divisor);
        if divisor < 0.0 {
            self.reset_hint = ResetHint::Gauge;
        }
    }

    /// Changes the sign of all counts and of the sum: a gauge.
    pub fn negate(&mut self) {
        self.mul(-1.0);
    }

    fn scale(&mut self, by: impl Fn(f64) -> f64) {
        let numbers = [&mut self.zero_count, &mut self.count, &mut self.sum].into_iter();
        for number in numbers.chain(&mut self.positive_counts).chain(&mut self.negative_counts) {
            *number = by(*number);
        }
    }

    /// Whether count, sum or a bucket is infinite: a mean then goes on incrementally.
    pub fn has_overflow(&self) -> bool {
        let buckets = self.positive_counts.iter().chain(&self.negative_counts);
        [self.zero_count, self.count, self.sum].iter().chain(buckets).any(|n| n.is_infinite())
    }
}
