//! Pauses between attempts: exponential, with full jitter.

use bramble_runtime::Rng;
use std::time::Duration;

/// Longest pause that a destination's own hint is followed for.
const HINT_MAX: Duration = Duration::from_secs(300);

/// How long to wait after each failure in a row.
///
/// Full jitter (M. Brooker, "Exponential Backoff And Jitter", AWS 2015): uniform between nothing and the exponential bound, so
/// that many nodes do not come back to their hub in step.
#[derive(Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
    rng: Rng,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration, seed: u64) -> Self {
        Backoff { min, max, failures: 0, rng: Rng::new(seed) }
    }

    /// The pause after one more failure; at least what the destination asked for.
    pub(crate) fn failed(&mut self, hint: Option<Duration>) -> Duration {
        let bound = self.min.saturating_mul(1 << self.failures.min(20)).min(self.max);
        self.failures = self.failures.saturating_add(1);
        let jittered = bound.mul_f64(self.rng.unit());
        match hint {
            // What everybody was told is spread a little as well.
            Some(hint) => hint.min(HINT_MAX) + jittered.min(hint / 4),
            None => jittered,
        }
    }

    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_bound_and_are_spread() {
        let second = Duration::from_secs(1);
        let mut backoff = Backoff::new(second, 10 * second, 1);
        let pauses: Vec<Duration> = (0..2000).map(|_| backoff.failed(None)).collect();
        assert!(pauses[0] <= second && pauses[1] <= 2 * second && pauses[2] <= 4 * second);
        assert!(pauses.iter().all(|&pause| pause <= 10 * second));
        let mean = pauses[4..].iter().sum::<Duration>() / 1996;
        assert!((4.8..5.2).contains(&mean.as_secs_f64()), "{mean:?}");
        assert!(backoff.failed(Some(20 * second)) >= 20 * second);
        assert!(backoff.failed(Some(Duration::MAX)) <= HINT_MAX + 10 * second);
        backoff.succeeded();
        assert!(backoff.failed(None) <= second);
    }
}
