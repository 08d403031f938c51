//! Which time retention may believe.
//!
//! A Pi has no clock battery: it boots in the past, and a wrong time server can put it into the future. Deleting by
//! such a clock loses data, so retention asks here and not the clock (design §3, "Time").

use bramble_runtime::Clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

const HOUR_NS: i64 = 3_600_000_000_000;
const DAY_NS: i64 = 24 * HOUR_NS;

/// Says whether the machine's clock has been set by something trustworthy.
pub trait TimeTrust: Send + Sync + 'static {
    /// Whether wall time may be believed now.
    fn is_synchronised(&self) -> bool;
}

impl<F: Fn() -> bool + Send + Sync + 'static> TimeTrust for F {
    fn is_synchronised(&self) -> bool {
        self()
    }
}

/// The time by which retention decides.
pub struct TrustedTime {
    clock: Arc<dyn Clock>,
    trust: Arc<dyn TimeTrust>,
    /// Newest timestamp that the stores held when the process started, and monotonic time then.
    newest_ns: AtomicI64,
    started_ns: u64,
}

impl TrustedTime {
    /// Trusted time over a clock.
    pub fn new(clock: Arc<dyn Clock>, trust: Arc<dyn TimeTrust>) -> Self {
        let started_ns = clock.monotonic_ns();
        TrustedTime { clock, trust, newest_ns: AtomicI64::new(i64::MIN), started_ns }
    }

    /// Tells of data that is stored already; called once after the catalog was read.
    pub fn observe_stored(&self, newest_ns: i64) {
        self.newest_ns.fetch_max(newest_ns, Ordering::Relaxed);
    }

    /// Whether the clock is believed.
    pub fn is_synchronised(&self) -> bool {
        self.trust.is_synchronised()
    }

    /// Wall time for decisions, nanoseconds; `None` while the clock is not believed.
    ///
    /// When the clock is more than a day ahead of newest stored time plus uptime (a long pause, or a jump), the
    /// answer moves on from there by one day per hour of uptime, so that at most one day an hour expires.
    pub fn decision_ns(&self) -> Option<i64> {
        if !self.trust.is_synchronised() {
            return None;
        }
        let wall_ns = self.clock.wall_ns();
        let newest_ns = self.newest_ns.load(Ordering::Relaxed);
        if newest_ns == i64::MIN {
            return Some(wall_ns);
        }
        let uptime_ns = (self.clock.monotonic_ns() - self.started_ns) as i64;
        let expected_ns = newest_ns.saturating_add(uptime_ns);
        if wall_ns <= expected_ns.saturating_add(DAY_NS) {
            return Some(wall_ns);
        }
        let allowed_ns = DAY_NS.saturating_mul(1 + uptime_ns / HOUR_NS);
        Some(wall_ns.min(expected_ns.saturating_add(allowed_ns)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_runtime::ManualClock;

    #[test]
    fn a_jump_expires_one_day_an_hour() {
        let clock = Arc::new(ManualClock::new(100 * DAY_NS));
        let time = TrustedTime::new(clock.clone(), Arc::new(|| true));
        assert_eq!(time.decision_ns(), Some(100 * DAY_NS), "no data, nothing to lose");
        time.observe_stored(40 * DAY_NS);
        assert_eq!(time.decision_ns(), Some(41 * DAY_NS));
        clock.advance_ns(2 * HOUR_NS as u64);
        assert_eq!(time.decision_ns(), Some(43 * DAY_NS + 2 * HOUR_NS));
        clock.set_wall_ns(30 * DAY_NS);
        assert_eq!(time.decision_ns(), Some(30 * DAY_NS), "a clock behind the data deletes nothing new");
    }

    #[test]
    fn an_unset_clock_decides_nothing() {
        let time = TrustedTime::new(Arc::new(ManualClock::new(0)), Arc::new(|| false));
        assert_eq!(time.decision_ns(), None);
    }
}
