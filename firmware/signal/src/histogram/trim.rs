//! Cutting a histogram at a value: PromQL's `</` and `>/`.
//!
//! Buckets on the right side stay, the one that holds the cut is divided as if observations lay in it evenly (custom
//! bounds) or exponentially, and the sum is estimated anew from the middles of what stays.

use super::{Bucket, NativeHistogram};

/// Which observations stay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep {
    /// Those at or below the cut: `</`.
    Below,
    /// Those above it: `>/`.
    Above,
}

/// What stays of a bucket, and about which value.
type Part = (f64, f64);

const NOTHING: Part = (0.0, 0.0);

#[derive(Clone, Copy)]
struct Cut {
    keep: Keep,
    at: f64,
    /// Observations lie evenly in their bucket.
    linear: bool,
}

impl Cut {
    fn part(self, bucket: &Bucket) -> Part {
        let (whole, cut) = match self.keep {
            Keep::Below => (bucket.upper <= self.at, bucket.lower < self.at),
            Keep::Above => (bucket.lower >= self.at, bucket.upper > self.at),
        };
        match (whole, cut) {
            (true, _) => (bucket.count, self.middle(bucket.lower, bucket.upper)),
            (false, true) if bucket.lower.is_finite() && bucket.upper.is_finite() => self.divided(bucket),
            (false, true) => self.divided_unbounded(bucket),
            (false, false) => NOTHING,
        }
    }

    fn divided(self, bucket: &Bucket) -> Part {
        let Bucket { lower, upper, count, .. } = *bucket;
        let place = |value: f64| match self.linear || lower == 0.0 || upper == 0.0 {
            true => value,
            false => value.abs().log2(),
        };
        let share = match lower < 0.0 && !self.linear {
            // Exponents rise away from zero.
            true => 1.0 - (place(self.at) - place(upper)) / (place(lower) - place(upper)),
            false => (place(self.at) - place(lower)) / (place(upper) - place(lower)),
        };
        let below = count * share;
        match self.keep {
            Keep::Below => (below, self.middle(lower, self.at)),
            Keep::Above => (count - below, self.middle(self.at, upper)),
        }
    }

    /// Of a bucket without an end, nobody knows where its observations are: mostly none stay. But the lowest bucket is
    /// taken to begin at 0 when it ends above, and one whose other end is on the side that stays is kept.
    fn divided_unbounded(self, bucket: &Bucket) -> Part {
        let Bucket { lower, upper, count, .. } = *bucket;
        match (self.keep, lower.is_finite(), upper.is_finite()) {
            (Keep::Below, false, true) if upper <= 0.0 => (count, self.at),
            (Keep::Below, false, true) if self.at > 0.0 => (count * self.at / upper, self.at / 2.0),
            (Keep::Above, false, true) if self.at >= 0.0 => {
                (count * (1.0 - self.at / upper), f64::midpoint(self.at, upper))
            }
            (Keep::Above, true, false) => (count, self.at),
            _ => NOTHING,
        }
    }

    fn zero_part(self, bucket: &Bucket) -> Part {
        let Bucket { lower, upper, count, .. } = *bucket;
        let at = self.at;
        match self.keep {
            Keep::Below if at <= lower => NOTHING,
            Keep::Above if at >= upper && at > lower => NOTHING,
            Keep::Below if at < upper => (count * ((at - lower) / (upper - lower)), f64::midpoint(lower, at)),
            Keep::Above if at > lower => (count * ((upper - at) / (upper - lower)), f64::midpoint(at, upper)),
            Keep::Below | Keep::Above => (count, f64::midpoint(lower, upper)),
        }
    }

    fn middle(self, lower: f64, upper: f64) -> f64 {
        match (lower.is_finite(), upper.is_finite()) {
            (false, false) => 0.0,
            (false, true) if upper > 0.0 => upper / 2.0,
            (false, true) => upper,
            (true, false) => lower,
            (true, true) if self.linear => f64::midpoint(lower, upper),
            (true, true) => (lower.abs().sqrt() * upper.abs().sqrt()).copysign(lower + upper),
        }
    }
}

impl NativeHistogram {
    /// Keeps only observations on one side of `at`. If any are cut off, count and sum become those of what stays, as
    /// far as buckets tell, and empty buckets go.
    pub fn trim(&mut self, keep: Keep, at: f64) {
        let cut = Cut { keep, at, linear: self.has_custom_bounds() };
        let parts = |buckets: &mut dyn Iterator<Item = Bucket>| -> Vec<Part> {
            buckets.map(|b| if b.count == 0.0 { NOTHING } else { cut.part(&b) }).collect()
        };
        let (positive, negative) = (parts(&mut self.positive_buckets()), parts(&mut self.negative_buckets()));
        let mut zero_bucket = self.zero_bucket();
        let populated = |counts: &[f64]| counts.iter().any(|c| *c != 0.0);
        match (populated(&self.negative_counts), populated(&self.positive_counts)) {
            (true, false) => zero_bucket.upper = 0.0,
            (false, true) => zero_bucket.lower = 0.0,
            _ => {}
        }
        let zero = if self.zero_count > 0.0 { cut.zero_part(&zero_bucket) } else { (self.zero_count, 0.0) };
        let (mut count, mut sum, mut trimmed) = (0.0, 0.0, false);
        let before = self.positive_counts.iter_mut().chain(&mut self.negative_counts).chain([&mut self.zero_count]);
        for (before, (kept, middle)) in before.zip(positive.into_iter().chain(negative).chain([zero])) {
            trimmed |= *before != kept;
            *before = kept;
            count += kept;
            sum += kept * middle;
        }
        if trimmed {
            (self.count, self.sum) = (count, sum);
            self.compact(0);
        }
    }
}
