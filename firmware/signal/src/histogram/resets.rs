//! Counter resets: did a histogram begin anew since the one before it in its series?

use super::bounds::{custom_bound, exponential_bound};
use super::layout::{Moved, Side, coarser};
use super::zero::zero_within;
use super::{NativeHistogram, ResetHint};
use std::iter::Peekable;

impl NativeHistogram {
    /// Whether there was a reset between `previous` and `self`. A hint decides, if there is one; else it was reset if
    /// any count (of the histogram, the zero bucket, a bucket) fell, resolution rose, the zero bucket shrank or grew to
    /// where it could not, or the kind of bounds changed. The sum may do as it likes. Gauges are taken for counters.
    ///
    /// Of custom bounds that differ, the counts up to each bound that both have are compared (Prometheus up to 3.5 took
    /// any difference for a reset: a caller that wants that looks at [`NativeHistogram::same_bounds`]).
    pub fn detect_reset(&self, previous: &Self) -> bool {
        match self.reset_hint {
            ResetHint::Reset => return true,
            ResetHint::NotReset => return false,
            ResetHint::Unknown | ResetHint::Gauge => {}
        }
        if self.count < previous.count || self.has_custom_bounds() != previous.has_custom_bounds() {
            return true;
        }
        if self.has_custom_bounds() {
            return match self.same_bounds(previous) {
                true => any_fell(self.positive().cells(), previous.positive().cells()),
                false => self.fell_between_shared_bounds(previous),
            };
        }
        let threshold = self.zero_threshold;
        if self.schema > previous.schema || threshold < previous.zero_threshold || previous.is_cut_by(threshold) {
            return true;
        }
        let mut zero = previous.zero_count;
        if previous.zero_threshold < threshold {
            zero = zero_within([previous.positive(), previous.negative()], previous.schema, threshold, zero);
        }
        if self.zero_count < zero {
            return true;
        }
        let reach = Reach {
            schema: self.schema,
            threshold,
            before: previous.schema,
            swallowed: if previous.zero_threshold < threshold { threshold } else { f64::NEG_INFINITY },
        };
        reach.fell(self.positive(), previous.positive()) || reach.fell(self.negative(), previous.negative())
    }

    fn fell_between_shared_bounds(&self, previous: &Self) -> bool {
        let (own, before) = (&self.custom_bounds, &previous.custom_bounds);
        let mut now = self.positive().cells::<f64>().peekable();
        let mut then = previous.positive().cells::<f64>().peekable();
        let mut others = before.iter().copied().chain([f64::INFINITY]).peekable();
        for bound in own.iter().copied().chain([f64::INFINITY]) {
            while others.next_if(|other| *other < bound).is_some() {}
            if others.peek() == Some(&bound) && up_to(&mut now, own, bound) < up_to(&mut then, before, bound) {
                return true;
            }
        }
        false
    }
}

/// Takes the buckets that end at or below `bound`, and adds them up.
fn up_to(cells: &mut Peekable<impl Iterator<Item = (i64, f64)>>, bounds: &[f64], bound: f64) -> f64 {
    let mut sum = 0.0;
    while let Some((_, count)) = cells.next_if(|(i, _)| custom_bound(*i, bounds) <= bound) {
        sum += count;
    }
    sum
}

/// Which buckets of exponential sides are compared, and as what.
struct Reach {
    /// Schema and zero threshold of the later histogram.
    schema: i8,
    threshold: f64,
    /// Schema of the one before, and up to where its buckets count as in the zero bucket.
    before: i8,
    swallowed: f64,
}

impl Reach {
    fn fell(&self, now: Side<'_>, then: Side<'_>) -> bool {
        let steps = u32::from(self.schema.abs_diff(self.before));
        let inside = |index: i64| self.threshold > 0.0 && exponential_bound(index, self.schema) <= self.threshold;
        let then = then.cells::<f64>().skip_while(|(i, _)| exponential_bound(*i, self.before) <= self.swallowed);
        let then = Moved::new(then, |i| coarser(i, steps)).skip_while(|(i, _)| inside(*i));
        any_fell(now.cells::<f64>().skip_while(|(i, _)| inside(*i)), then)
    }
}

/// Whether a bucket holds less than it did, or is gone though it was populated.
fn any_fell(now: impl Iterator<Item = (i64, f64)>, then: impl Iterator<Item = (i64, f64)>) -> bool {
    let mut now = now.peekable();
    for (index, before) in then {
        while now.next_if(|(i, _)| *i < index).is_some() {}
        let missed = match now.peek() {
            Some((i, count)) if *i == index => *count < before,
            _ => before != 0.0,
        };
        if missed {
            return true;
        }
    }
    false
}
