//! Time as an argument.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A source of time. Components take `Arc<dyn Clock>` and never ask the system.
pub trait Clock: Send + Sync + 'static {
    /// Wall time in nanoseconds since the Unix epoch. May jump in either direction.
    fn wall_ns(&self) -> i64;

    /// Nanoseconds since an arbitrary origin. Never decreases.
    fn monotonic_ns(&self) -> u64;

    /// Wall time in milliseconds since the Unix epoch.
    fn wall_ms(&self) -> i64 {
        self.wall_ns().div_euclid(1_000_000)
    }
}

/// The machine's clock.
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    pub fn new() -> Self {
        SystemClock { origin: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn wall_ns(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => since.as_nanos() as i64,
            Err(before) => -(before.duration().as_nanos() as i64),
        }
    }

    fn monotonic_ns(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }
}

/// A clock that stands still until a test moves it.
pub struct ManualClock {
    wall_ns: AtomicI64,
    monotonic_ns: AtomicU64,
}

impl ManualClock {
    /// A clock that shows `wall_ns` and monotonic zero.
    pub fn new(wall_ns: i64) -> Self {
        ManualClock { wall_ns: AtomicI64::new(wall_ns), monotonic_ns: AtomicU64::new(0) }
    }

    /// Lets `ns` nanoseconds pass on both clocks.
    pub fn advance_ns(&self, ns: u64) {
        self.wall_ns.fetch_add(ns as i64, Ordering::SeqCst);
        self.monotonic_ns.fetch_add(ns, Ordering::SeqCst);
    }

    /// Makes wall time jump without monotonic time passing.
    pub fn set_wall_ns(&self, wall_ns: i64) {
        self.wall_ns.store(wall_ns, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn wall_ns(&self) -> i64 {
        self.wall_ns.load(Ordering::SeqCst)
    }

    fn monotonic_ns(&self) -> u64 {
        self.monotonic_ns.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_clock_runs_and_is_after_2020() {
        let clock = SystemClock::new();
        let first = clock.monotonic_ns();
        assert!(clock.wall_ms() > 1_577_836_800_000);
        assert!(clock.monotonic_ns() >= first);
    }

    #[test]
    fn manual_clock_moves_only_when_told() {
        let clock = ManualClock::new(-5_000_001);
        assert_eq!(clock.wall_ms(), -6, "milliseconds round down also before the epoch");
        clock.advance_ns(10);
        assert_eq!((clock.wall_ns(), clock.monotonic_ns()), (-4_999_991, 10));
        clock.set_wall_ns(7);
        assert_eq!((clock.wall_ns(), clock.monotonic_ns()), (7, 10));
    }
}
