//! A switch bounces: its contact opens and closes a few times within milliseconds.

/// How long a level must stay before it is believed. Small switches bounce for 1 to 5 ms, worn ones for 20.
pub const SETTLE_MS: u64 = 30;

/// Believes a level that has stayed for [`SETTLE_MS`].
#[derive(Clone, Copy, Debug)]
pub struct Debouncer {
    believed: bool,
    /// Since when the level differs from what is believed, seen without interruption.
    differs_since_ms: Option<u64>,
}

impl Debouncer {
    /// Begins with `level`.
    pub fn new(level: bool) -> Self {
        Debouncer { believed: level, differs_since_ms: None }
    }

    /// Takes the level at `now_ms`, which never goes back; returns the new level when it is believed from now on.
    pub fn sample(&mut self, now_ms: u64, level: bool) -> Option<bool> {
        if level == self.believed {
            self.differs_since_ms = None;
            return None;
        }
        let since_ms = *self.differs_since_ms.get_or_insert(now_ms);
        if now_ms.saturating_sub(since_ms) < SETTLE_MS {
            return None;
        }
        self.believed = level;
        self.differs_since_ms = None;
        Some(level)
    }

    /// What is believed.
    pub fn level(&self) -> bool {
        self.believed
    }

    /// When a level that stays as it was last seen will be believed; `None` when it is already.
    pub fn due_ms(&self) -> Option<u64> {
        self.differs_since_ms.map(|since_ms| since_ms + SETTLE_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Levels of a line as stretches of milliseconds, sampled each millisecond; returns what was believed, and when.
    fn believed(stretches: &[(bool, u64)]) -> Vec<(u64, bool)> {
        let mut debouncer = Debouncer::new(false);
        let mut now_ms = 0;
        let mut found = Vec::new();
        for &(level, length_ms) in stretches {
            for _ in 0..length_ms {
                found.extend(debouncer.sample(now_ms, level).map(|level| (now_ms, level)));
                now_ms += 1;
            }
        }
        found
    }

    #[test]
    fn a_bouncing_press_is_one_press() {
        let press = [
            (false, 10),
            (true, 2),
            (false, 1),
            (true, 4),
            (false, 2),
            (true, 100),
            (false, 3),
            (true, 5),
            (false, 50),
        ];
        assert_eq!(believed(&press), [(19 + SETTLE_MS, true), (127 + SETTLE_MS, false)]);
    }

    proptest! {
        #[test]
        fn what_is_shorter_than_settling_is_never_believed(
            stretches in proptest::collection::vec(1..SETTLE_MS, 0..60),
        ) {
            let mut level = true;
            let line: Vec<_> = stretches.iter().map(|&length_ms| { level = !level; (level, length_ms) }).collect();
            prop_assert_eq!(believed(&line), vec![]);
        }

        #[test]
        fn levels_alternate_and_come_late_by_settling(
            stretches in proptest::collection::vec((any::<bool>(), 1u64..200), 0..40),
        ) {
            let found = believed(&stretches);
            for (i, &(_, level)) in found.iter().enumerate() {
                prop_assert_eq!(level, i % 2 == 0);
            }
            // Whatever stays longer than settling is what is believed at its end.
            let (mut now_ms, mut steady) = (0, (false, 0));
            for &(level, length_ms) in &stretches {
                steady = if steady.0 == level { (level, steady.1 + length_ms) } else { (level, length_ms) };
                now_ms += length_ms;
                if steady.1 > SETTLE_MS {
                    let last = found.iter().rev().find(|(at_ms, _)| *at_ms < now_ms).is_some_and(|(_, level)| *level);
                    prop_assert_eq!(last, level);
                }
            }
        }
    }
}
