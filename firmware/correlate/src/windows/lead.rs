//! How far events have come, where the clock does not know.

/// By how much items may be ahead of the clock and the clock still be taken for right.
const TOLERANCE_NS: i64 = 10_000_000_000;
/// For how long what items said counts; at least, at most twice that.
const MEMORY_NS: u64 = 10_000_000_000;

/// By how much the items that are least ahead of the clock are ahead of it: a machine without a battery starts in the past
/// and all items are ahead, while one sender whose clock is fast moves nothing.
pub(crate) struct Lead {
    now_ns: i64,
    before_ns: i64,
    since_ns: u64,
}

impl Lead {
    pub(crate) fn new() -> Self {
        Lead { now_ns: i64::MAX, before_ns: i64::MAX, since_ns: 0 }
    }

    /// Items came of which the earliest was of `time_ns`.
    pub(crate) fn see(&mut self, time_ns: i64, wall_ns: i64, mono_ns: u64) {
        self.turn(mono_ns);
        self.now_ns = self.now_ns.min(time_ns.saturating_sub(wall_ns));
    }

    fn turn(&mut self, mono_ns: u64) {
        let age_ns = mono_ns.saturating_sub(self.since_ns);
        if age_ns >= MEMORY_NS {
            self.before_ns = if age_ns < 2 * MEMORY_NS { self.now_ns } else { i64::MAX };
            (self.now_ns, self.since_ns) = (i64::MAX, mono_ns);
        }
    }

    /// How far events have come.
    pub(crate) fn event_ns(&mut self, wall_ns: i64, mono_ns: u64) -> i64 {
        self.turn(mono_ns);
        let lead_ns = self.now_ns.min(self.before_ns);
        let is_behind = lead_ns > TOLERANCE_NS && lead_ns != i64::MAX;
        if is_behind { wall_ns.saturating_add(lead_ns) } else { wall_ns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: i64 = 1_000_000_000;

    #[test]
    fn one_fast_clock_moves_nothing_and_a_clock_in_the_past_is_helped() {
        let mut lead = Lead::new();
        assert_eq!(lead.event_ns(5, 0), 5);
        lead.see(3600 * SECOND_NS, 0, 1);
        assert_eq!(lead.event_ns(0, 2), 3600 * SECOND_NS, "all items are an hour ahead");
        lead.see(SECOND_NS, 0, 3);
        assert_eq!(lead.event_ns(0, 4), 0, "one sender agrees with the clock");
        lead.see(3600 * SECOND_NS, 0, 11 * MEMORY_NS / 10);
        assert_eq!(lead.event_ns(0, 12 * MEMORY_NS / 10), 0, "it still counts");
        assert_eq!(lead.event_ns(7, 100 * MEMORY_NS), 7, "nothing came of late");
    }
}
