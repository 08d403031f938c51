//! What somebody wants who presses the button, by how long.
//!
//! ```text
//! released after    0 ... 3 s     identify this device (again: no more)
//!                   3 ... 8 s     shut down
//!                   8 ... 10 s    nothing: a way out for who held on too long
//!                  10 ... 30 s    factory reset, once it is confirmed by a short press within 10 s
//!                  30 s ...       nothing: a stuck switch, or something that lies on it
//! ```
//!
//! Nothing irreversible happens while it is held, and the reset needs a second, different gesture: a button that was
//! squeezed in a bag does neither. A button that is down when we start is ignored until it has been let go.

use crate::debounce::Debouncer;
use crate::led::LedState;

/// Held this long and let go, the machine shuts down.
pub const SHUTDOWN_MS: u64 = 3000;
/// From here on letting go does nothing.
pub const CANCEL_MS: u64 = 8000;
/// Held this long and let go, a factory reset waits to be confirmed.
pub const RESET_MS: u64 = 10_000;
/// Held this long, it is stuck.
pub const STUCK_MS: u64 = 30_000;
/// How long a confirmation is waited for.
pub const CONFIRM_MS: u64 = 10_000;

/// What somebody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Show which device this is.
    Identify,
    /// Shut down safely.
    PowerOff,
    /// Forget everything and start as new.
    FactoryReset,
}

impl Wish {
    /// All of them.
    pub const ALL: [Wish; 3] = [Wish::Identify, Wish::PowerOff, Wish::FactoryReset];

    /// Its name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Wish::Identify => "identify",
            Wish::PowerOff => "poweroff",
            Wish::FactoryReset => "factory-reset",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// Down, and of no meaning until it is let go.
    Ignored,
    Up,
    Down {
        since_ms: u64,
    },
    /// Up; a reset waits for its confirmation.
    Confirming {
        until_ms: u64,
    },
    /// Down, pressed while a reset waited.
    ConfirmingDown {
        since_ms: u64,
    },
}

/// One button.
#[derive(Debug)]
pub(crate) struct Button {
    debouncer: Debouncer,
    phase: Phase,
}

impl Button {
    /// A button whose level is `pressed` now.
    pub(crate) fn new(pressed: bool) -> Self {
        Button { debouncer: Debouncer::new(pressed), phase: if pressed { Phase::Ignored } else { Phase::Up } }
    }

    /// Takes its level at `now_ms`.
    pub(crate) fn sample(&mut self, now_ms: u64, pressed: bool) -> Option<Wish> {
        let edge = self.debouncer.sample(now_ms, pressed);
        let (phase, wish) = self.next(now_ms, edge);
        self.phase = phase;
        wish
    }

    fn next(&self, now_ms: u64, edge: Option<bool>) -> (Phase, Option<Wish>) {
        let held_ms = |since_ms: u64| now_ms.saturating_sub(since_ms);
        match (self.phase, edge) {
            (Phase::Ignored, Some(false)) => (Phase::Up, None),
            (Phase::Up, Some(true)) => (Phase::Down { since_ms: now_ms }, None),
            (Phase::Down { since_ms }, Some(false)) => match held_ms(since_ms) {
                0..SHUTDOWN_MS => (Phase::Up, Some(Wish::Identify)),
                SHUTDOWN_MS..CANCEL_MS => (Phase::Up, Some(Wish::PowerOff)),
                RESET_MS..STUCK_MS => (Phase::Confirming { until_ms: now_ms + CONFIRM_MS }, None),
                _ => (Phase::Up, None),
            },
            (Phase::Down { since_ms }, None) if held_ms(since_ms) >= STUCK_MS => (Phase::Ignored, None),
            (Phase::Confirming { until_ms }, None) if now_ms >= until_ms => (Phase::Up, None),
            (Phase::Confirming { .. }, Some(true)) => (Phase::ConfirmingDown { since_ms: now_ms }, None),
            (Phase::ConfirmingDown { since_ms }, Some(false)) => {
                (Phase::Up, (held_ms(since_ms) < SHUTDOWN_MS).then_some(Wish::FactoryReset))
            }
            (Phase::ConfirmingDown { since_ms }, None) if held_ms(since_ms) >= SHUTDOWN_MS => (Phase::Ignored, None),
            (phase, _) => (phase, None),
        }
    }

    /// What the light says to the finger: what letting go would do now.
    pub(crate) fn feedback(&self, now_ms: u64) -> Option<LedState> {
        match self.phase {
            Phase::Ignored | Phase::Up => None,
            Phase::Confirming { .. } => Some(LedState::ConfirmReset),
            Phase::ConfirmingDown { .. } => Some(LedState::Pressed),
            Phase::Down { since_ms } => Some(match now_ms.saturating_sub(since_ms) {
                0..SHUTDOWN_MS => LedState::Pressed,
                SHUTDOWN_MS..CANCEL_MS => LedState::WillPowerOff,
                CANCEL_MS..RESET_MS => LedState::WillDoNothing,
                _ => LedState::WillReset,
            }),
        }
    }

    /// When something changes although the level does not; `None` for never.
    pub(crate) fn due_ms(&self, now_ms: u64) -> Option<u64> {
        let next = match self.phase {
            Phase::Ignored | Phase::Up => None,
            Phase::Confirming { until_ms } => Some(until_ms),
            Phase::ConfirmingDown { since_ms } => Some(since_ms + SHUTDOWN_MS),
            Phase::Down { since_ms } => {
                let marks = [SHUTDOWN_MS, CANCEL_MS, RESET_MS, STUCK_MS];
                marks.into_iter().map(|mark_ms| since_ms + mark_ms).find(|at_ms| *at_ms > now_ms)
            }
        };
        [next, self.debouncer.due_ms()].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::debounce::SETTLE_MS;
    use proptest::prelude::*;

    /// Presses and pauses in milliseconds, sampled every 5 ms; returns wishes and when they were made.
    fn wishes(button: &mut Button, lengths: &[(bool, u64)]) -> Vec<Wish> {
        let (mut now_ms, mut found) = (0, Vec::new());
        for &(pressed, length_ms) in lengths {
            let end_ms = now_ms + length_ms;
            while now_ms < end_ms {
                found.extend(button.sample(now_ms, pressed));
                now_ms += 5;
            }
        }
        found
    }

    fn held(length_ms: u64) -> Vec<Wish> {
        wishes(&mut Button::new(false), &[(false, 100), (true, length_ms), (false, 60_000)])
    }

    #[test]
    fn duration_says_what_is_wanted() {
        for (length_ms, expected) in [
            (20, vec![]),
            (100, vec![Wish::Identify]),
            (2900, vec![Wish::Identify]),
            (3100, vec![Wish::PowerOff]),
            (7900, vec![Wish::PowerOff]),
            (8100, vec![]),
            (9900, vec![]),
            (10_100, vec![]),
            (31_000, vec![]),
        ] {
            assert_eq!(held(length_ms), expected, "{length_ms} ms");
        }
    }

    #[test]
    fn a_reset_needs_a_short_press_in_time() {
        let reset = |after_ms, length_ms| {
            let presses = [(true, 12_000), (false, after_ms), (true, length_ms), (false, 1000)];
            wishes(&mut Button::new(false), &[&[(false, 100)][..], &presses].concat())
        };
        assert_eq!(reset(2000, 200), [Wish::FactoryReset]);
        assert_eq!(reset(9000, 200), [Wish::FactoryReset]);
        // Too late, it is a press like any other; too long, it is neither.
        assert_eq!(reset(10_500, 200), [Wish::Identify]);
        assert_eq!(reset(2000, 4000), []);
    }

    #[test]
    fn a_button_that_is_down_at_the_start_means_nothing() {
        let mut button = Button::new(true);
        assert_eq!(wishes(&mut button, &[(true, 4000), (false, 500)]), []);
        assert_eq!(wishes(&mut button, &[(true, 200), (false, 500)]), [Wish::Identify]);
    }

    #[test]
    fn the_light_follows_the_finger() {
        let mut button = Button::new(false);
        let mut seen = vec![button.feedback(0)];
        for now_ms in (0..45_000).step_by(10) {
            button.sample(now_ms, now_ms < 40_000);
            let feedback = button.feedback(now_ms);
            if seen.last() != Some(&feedback) {
                seen.push(feedback);
            }
        }
        let held = [LedState::Pressed, LedState::WillPowerOff, LedState::WillDoNothing, LedState::WillReset];
        let expected: Vec<_> = std::iter::once(None).chain(held.map(Some)).chain([None]).collect();
        assert_eq!(seen, expected);
    }

    proptest! {
        /// Asked only when something changes or is due, it decides as if asked all the time.
        #[test]
        fn due_times_miss_nothing(lengths in proptest::collection::vec(5u64..14_000, 1..8)) {
            let (mut often, mut seldom) = (Button::new(false), Button::new(false));
            let (mut now_ms, mut pressed, mut wake_ms) = (0, false, 0);
            let (mut of_often, mut of_seldom) = (vec![], vec![]);
            for length_ms in lengths {
                let end_ms = now_ms + length_ms;
                wake_ms = wake_ms.min(now_ms);
                while now_ms < end_ms {
                    of_often.extend(often.sample(now_ms, pressed));
                    if now_ms >= wake_ms {
                        of_seldom.extend(seldom.sample(now_ms, pressed));
                        wake_ms = seldom.due_ms(now_ms).unwrap_or(u64::MAX);
                    }
                    prop_assert_eq!(often.feedback(now_ms), seldom.feedback(now_ms));
                    now_ms += 1;
                }
                pressed = !pressed;
                wake_ms = now_ms;
            }
            prop_assert_eq!(of_often, of_seldom);
        }

        /// However often it is pressed: what is not held for ten seconds does not reset. (Shorter gaps are bounces of one press.)
        #[test]
        fn presses_never_reset(lengths in proptest::collection::vec(SETTLE_MS + 10..RESET_MS - 2 * SETTLE_MS, 0..30)) {
            let mut pressed = false;
            let line: Vec<_> = lengths.into_iter().map(|length_ms| { pressed = !pressed; (pressed, length_ms) }).collect();
            prop_assert!(!wishes(&mut Button::new(false), &line).contains(&Wish::FactoryReset));
        }
    }
}
