//! What the light says, and how.

use crate::health::{Health, SETUP_DIGITS, SetupCode};

/// What the status LED says; the most urgent of what is true. The number of blinks between two pauses is the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedState {
    /// Not ready yet: as long dark as lit.
    Booting,
    /// All is well: one short blink every three seconds. It blinks so that a machine that hangs can be told.
    Well,
    /// Data or queries are turned away: two blinks.
    Overloaded,
    /// A node reaches no hub: three blinks.
    HubUnreachable,
    /// The supply is too weak or the board too hot: four blinks.
    PowerOrHeat,
    /// The disk fails or is full: five blinks.
    StorageFailing,
    /// An update is being written: lit, with short gaps. Leave the power on.
    Updating,
    /// There is no owner: the digits of the set-up code.
    Code(SetupCode),
    /// "I am this one": flickering.
    Identify,
    /// The button is down: lit.
    Pressed,
    /// Let go now and it shuts down: two changes a second.
    WillPowerOff,
    /// Let go now and nothing happens: dark.
    WillDoNothing,
    /// Let go now and a reset waits to be confirmed: flickering fast.
    WillReset,
    /// A short press now resets: pairs of flashes.
    ConfirmReset,
    /// Shutting down: lit, until the power is off.
    PoweringOff,
}

impl LedState {
    /// Names as in metrics, in the order of the variants.
    pub const NAMES: [&'static str; 15] = [
        "booting",
        "well",
        "overloaded",
        "hub_unreachable",
        "power_or_heat",
        "storage_failing",
        "updating",
        "setup_code",
        "identify",
        "pressed",
        "will_power_off",
        "will_do_nothing",
        "will_reset",
        "confirm_reset",
        "powering_off",
    ];

    /// Its place in [`NAMES`](Self::NAMES).
    pub fn index(self) -> usize {
        match self {
            LedState::Booting => 0,
            LedState::Well => 1,
            LedState::Overloaded => 2,
            LedState::HubUnreachable => 3,
            LedState::PowerOrHeat => 4,
            LedState::StorageFailing => 5,
            LedState::Updating => 6,
            LedState::Code(_) => 7,
            LedState::Identify => 8,
            LedState::Pressed => 9,
            LedState::WillPowerOff => 10,
            LedState::WillDoNothing => 11,
            LedState::WillReset => 12,
            LedState::ConfirmReset => 13,
            LedState::PoweringOff => 14,
        }
    }

    /// The most urgent of what is true of Bramble and its power. The code comes before what an owner would have to see to, and after
    /// what must not be overlooked in any case.
    pub fn of(health: &Health, power_or_heat: bool) -> Self {
        match health {
            Health { updating: true, .. } => LedState::Updating,
            Health { storage_failing: true, .. } => LedState::StorageFailing,
            Health { is_ready: false, .. } => LedState::Booting,
            Health { setup_code: Some(code), .. } => LedState::Code(*code),
            _ if power_or_heat => LedState::PowerOrHeat,
            Health { hub_unreachable: true, .. } => LedState::HubUnreachable,
            Health { overloaded: true, .. } => LedState::Overloaded,
            _ => LedState::Well,
        }
    }

    /// How it looks.
    pub fn waveform(self) -> Waveform {
        match self {
            LedState::Booting => Waveform::of(&[500, 500]),
            LedState::Well => Waveform::of(&[60, 2940]),
            LedState::Overloaded => Waveform::blinks(2),
            LedState::HubUnreachable => Waveform::blinks(3),
            LedState::PowerOrHeat => Waveform::blinks(4),
            LedState::StorageFailing => Waveform::blinks(5),
            LedState::Updating => Waveform::of(&[900, 100]),
            LedState::Code(code) => Waveform::code(code),
            LedState::Identify => Waveform::of(&[100, 100]),
            LedState::Pressed | LedState::PoweringOff => Waveform::of(&[STEADY_MS]),
            LedState::WillPowerOff => Waveform::of(&[250, 250]),
            LedState::WillDoNothing => Waveform::of(&[0, STEADY_MS]),
            LedState::WillReset => Waveform::of(&[50, 50]),
            LedState::ConfirmReset => Waveform::of(&[50, 100, 50, 400]),
        }
    }
}

/// A step of a light that does not change.
const STEADY_MS: u16 = 60_000;

/// Counted blinks: lit, dark, and the pause after the last.
const BLINK_MS: [u16; 2] = [150, 250];
const PAUSE_MS: u16 = 1600;

/// A digit: each blink lit and dark; a zero is one long blink, since no blink at all cannot be counted.
const DIGIT_MS: [u16; 2] = [250, 350];
const ZERO_MS: u16 = 1000;
/// The pause after a digit, and that after the last.
const DIGIT_PAUSE_MS: u16 = 1500;
const CODE_PAUSE_MS: u16 = 3000;
/// What tells that the first digit comes: lit, dark.
const CODE_START_MS: [u16; 2] = [2500, 1500];

/// Six nines and what is before them.
const STEPS_MAX: usize = 2 + SETUP_DIGITS * 9 * 2;

/// Light and dark in turns, in milliseconds, beginning with light, over and over. At least one step; the sum is not 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Waveform {
    steps_ms: heapless::Vec<u16, STEPS_MAX>,
    period_ms: u64,
}

impl Waveform {
    fn of(steps_ms: &[u16]) -> Self {
        let mut waveform = Waveform { steps_ms: heapless::Vec::new(), period_ms: 0 };
        waveform.extend(steps_ms.iter().copied());
        waveform
    }

    /// Adds steps; of those that do not fit, none (they all do: [`STEPS_MAX`]).
    fn extend(&mut self, steps_ms: impl IntoIterator<Item = u16>) {
        for step_ms in steps_ms {
            if self.steps_ms.push(step_ms).is_ok() {
                self.period_ms += u64::from(step_ms);
            }
        }
    }

    /// The last step is a pause of this length instead.
    fn pause(&mut self, pause_ms: u16) {
        if let Some(last) = self.steps_ms.last_mut() {
            self.period_ms = self.period_ms - u64::from(*last) + u64::from(pause_ms);
            *last = pause_ms;
        }
    }

    fn blinks(count: usize) -> Self {
        let mut waveform = Waveform::of(&[]);
        waveform.extend(std::iter::repeat_n(BLINK_MS, count).flatten());
        waveform.pause(PAUSE_MS);
        waveform
    }

    fn code(code: SetupCode) -> Self {
        let mut waveform = Waveform::of(&CODE_START_MS);
        for digit in code.digits() {
            match digit {
                0 => waveform.extend([ZERO_MS, DIGIT_PAUSE_MS]),
                _ => waveform.extend(std::iter::repeat_n(DIGIT_MS, usize::from(digit)).flatten()),
            }
            waveform.pause(DIGIT_PAUSE_MS);
        }
        waveform.pause(CODE_PAUSE_MS);
        waveform
    }

    /// Whether it is lit so long after it began, and for how many milliseconds it stays so (at least 1).
    pub fn at(&self, elapsed_ms: u64) -> (bool, u64) {
        let mut rest_ms = elapsed_ms % self.period_ms.max(1);
        for (i, &step_ms) in self.steps_ms.iter().enumerate() {
            let step_ms = u64::from(step_ms);
            if rest_ms < step_ms {
                return (i % 2 == 0, step_ms - rest_ms);
            }
            rest_ms -= step_ms;
        }
        (false, 1)
    }

    /// After how many milliseconds it begins anew.
    pub fn period_ms(&self) -> u64 {
        self.period_ms
    }
}

/// What the light says, since when.
#[derive(Debug)]
pub(crate) struct Led {
    state: LedState,
    waveform: Waveform,
    since_ms: u64,
}

impl Led {
    pub(crate) fn new(now_ms: u64) -> Self {
        Led { state: LedState::Booting, waveform: LedState::Booting.waveform(), since_ms: now_ms }
    }

    /// Says `state` from now on; returns whether it is lit, and when that changes.
    pub(crate) fn tick(&mut self, now_ms: u64, state: LedState) -> (bool, u64) {
        if state != self.state {
            *self = Led { state, waveform: state.waveform(), since_ms: now_ms };
        }
        let (lit, rest_ms) = self.waveform.at(now_ms.saturating_sub(self.since_ms));
        (lit, now_ms + rest_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lit stretches of one period, in milliseconds, by asking each millisecond.
    fn flashes(state: LedState) -> Vec<u64> {
        let waveform = state.waveform();
        let mut found = vec![];
        let mut was_lit = false;
        for elapsed_ms in 0..waveform.period_ms() {
            let (lit, _) = waveform.at(elapsed_ms);
            match (lit, was_lit) {
                (true, false) => found.push(1),
                (true, true) => *found.last_mut().unwrap() += 1,
                _ => {}
            }
            was_lit = lit;
        }
        found
    }

    #[test]
    fn words_are_counted() {
        for (state, count) in [
            (LedState::Well, 1),
            (LedState::Overloaded, 2),
            (LedState::HubUnreachable, 3),
            (LedState::PowerOrHeat, 4),
            (LedState::StorageFailing, 5),
            (LedState::WillDoNothing, 0),
            (LedState::ConfirmReset, 2),
        ] {
            assert_eq!(flashes(state).len(), count, "{state:?}");
        }
    }

    #[test]
    fn a_code_can_be_counted() {
        let code = SetupCode::parse("420907").unwrap();
        let mut expected = vec![2500];
        for digit in code.digits() {
            match digit {
                0 => expected.push(1000),
                _ => expected.extend(vec![250; usize::from(digit)]),
            }
        }
        assert_eq!(flashes(LedState::Code(code)), expected);
        // The longest fits.
        let nines = SetupCode::parse("999999").unwrap();
        assert_eq!(flashes(LedState::Code(nines)).len(), 1 + 54);
    }

    #[test]
    fn what_is_left_of_a_step_is_right() {
        let code = SetupCode::parse("100000").unwrap();
        for state in [LedState::Well, LedState::WillDoNothing, LedState::Code(code), LedState::Pressed] {
            let waveform = state.waveform();
            let mut at_ms = 0;
            while at_ms < 2 * waveform.period_ms() {
                let (lit, rest_ms) = waveform.at(at_ms);
                assert!(rest_ms >= 1);
                assert_eq!(waveform.at(at_ms + rest_ms - 1).0, lit, "{state:?} at {at_ms}");
                at_ms += rest_ms;
            }
        }
    }

    #[test]
    fn names_and_indexes_agree() {
        let code = SetupCode::parse("123456").unwrap();
        let states = [
            (LedState::Code(code), "setup_code"),
            (LedState::PoweringOff, "powering_off"),
            (LedState::Booting, "booting"),
        ];
        for (state, name) in states {
            assert_eq!(LedState::NAMES.get(state.index()), Some(&name));
        }
    }

    /// The table in docs/board.md names each state.
    #[test]
    fn the_document_has_every_word() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/board.md");
        let text = std::fs::read_to_string(path).unwrap();
        for name in LedState::NAMES {
            assert!(text.contains(&format!("`{name}`")), "docs/board.md does not name {name}");
        }
    }
}
