//! Times of an answer.

use super::MetricsOptions;
use bramble_storage::ReadError;

/// Most steps of one answer.
const STEPS_MAX: u64 = 11_000;

/// Samples' times, evenly spaced.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    pub(super) first_ns: u64,
    pub(super) step_ns: u64,
    pub(super) count: usize,
    /// First and last span start that count, inclusive. Whole steps: the first and last sample cover what lies beyond the
    /// range, so that refreshing moves no value.
    pub(super) range_ns: (u64, u64),
}

impl Grid {
    pub(super) fn of(options: &MetricsOptions) -> Result<Self, ReadError> {
        let (start_ns, end_ns) = (options.start_ns, options.end_ns);
        let Some(step_ns) = options.step_ns else {
            let step_ns = end_ns.saturating_sub(start_ns).max(1);
            return Ok(Grid { first_ns: end_ns, step_ns, count: 1, range_ns: (start_ns, end_ns) });
        };
        let step_ns = step_ns.max(1);
        let (first, last) = (start_ns / step_ns, end_ns.div_ceil(step_ns));
        let steps = last.saturating_sub(first) + 1;
        if steps > STEPS_MAX {
            return Err(ReadError::Limit(format!("more than {STEPS_MAX} steps: use a longer step or a shorter range")));
        }
        let first_ns = first * step_ns;
        let range_ns = (first_ns, first_ns.saturating_add((steps - 1).saturating_mul(step_ns)));
        Ok(Grid { first_ns, step_ns, count: steps as usize, range_ns })
    }

    /// The sample that a span counts for.
    pub(super) fn place(&self, time_ns: u64) -> Option<usize> {
        if !(self.range_ns.0..=self.range_ns.1).contains(&time_ns) {
            return None;
        }
        let place = time_ns.saturating_sub(self.first_ns).div_ceil(self.step_ns) as usize;
        (place < self.count).then_some(place)
    }

    pub(super) fn time_ms(&self, place: usize) -> i64 {
        (self.first_ns.saturating_add((place as u64).saturating_mul(self.step_ns)) / 1_000_000) as i64
    }
}
