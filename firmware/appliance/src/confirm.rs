//! When a slot on trial is kept.
//!
//! It must have been well without a break for a while; a slot that is never well for so long is given up.

use std::time::Duration;

/// So long it must be well without a break.
pub const WELL_FOR: Duration = Duration::from_secs(60);

/// So long it has for that.
pub const WITHIN: Duration = Duration::from_secs(300);

/// What to do with the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Look again.
    Wait,
    /// Keep it.
    Keep,
    /// Give it up.
    GiveUp,
}

/// What was seen so far. Times are since the first look.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    well_for: Duration,
    within: Duration,
    well_since: Option<Duration>,
}

impl Default for Trial {
    fn default() -> Self {
        Trial::new(WELL_FOR, WITHIN)
    }
}

impl Trial {
    /// A trial that is kept after `well_for` without a break, and given up after `within`.
    pub fn new(well_for: Duration, within: Duration) -> Trial {
        Trial { well_for, within, well_since: None }
    }

    /// It was looked at `now`, and was well or not.
    pub fn look(&mut self, now: Duration, is_well: bool) -> Verdict {
        self.well_since = if is_well { self.well_since.or(Some(now)) } else { None };
        match self.well_since {
            Some(since) if now.saturating_sub(since) >= self.well_for => Verdict::Keep,
            _ if now >= self.within => Verdict::GiveUp,
            _ => Verdict::Wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(well: impl Fn(u64) -> bool) -> (u64, Verdict) {
        let mut trial = Trial::default();
        (0..1000).map(|s| (s, trial.look(Duration::from_secs(s), well(s)))).find(|(_, v)| *v != Verdict::Wait).unwrap()
    }

    #[test]
    fn well_for_a_minute_is_kept() {
        assert_eq!(verdict(|_| true), (60, Verdict::Keep));
        assert_eq!(verdict(|s| s >= 20), (80, Verdict::Keep));
        assert_eq!(verdict(|s| s != 59), (120, Verdict::Keep), "a break begins anew");
        assert_eq!(verdict(|_| false), (300, Verdict::GiveUp));
        assert_eq!(verdict(|s| s % 50 != 0), (300, Verdict::GiveUp));
    }
}
