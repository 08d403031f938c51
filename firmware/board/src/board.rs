//! The state machine: what comes in, what goes out.

use crate::button::{Button, Wish};
use crate::fan::{Fan, FanCurve};
use crate::health::Health;
use crate::led::{Led, LedState};
use crate::sensors::Readings;

/// How long a device shows which it is.
const IDENTIFY_MS: u64 = 30_000;
/// How long a shutdown is believed to come; after that it did not.
const POWER_OFF_MS: u64 = 90_000;
/// A weak supply shows in moments; each is told for so long.
const POWER_TOLD_MS: u64 = 60_000;
/// Longest time between two ticks: temperatures are slow.
const TICK_MS_MAX: u64 = 2000;

/// What there is to decide about.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parts {
    /// The button's level at the start, if there is a button.
    pub button: Option<bool>,
    /// How the fan is driven, if there is one.
    pub fan: Option<FanCurve>,
}

/// What is the case now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inputs {
    /// Whether the button is down; `None` without a button, or when it cannot be read: then it counts as up.
    pub pressed: Option<bool>,
    /// What the sensors said last.
    pub readings: Readings,
    /// How Bramble does.
    pub health: Health,
}

/// What is to be the case.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outputs {
    /// Whether the status LED is lit.
    pub lit: bool,
    /// What it says.
    pub state: LedState,
    /// Duty of the fan in percent; `None` without a fan.
    pub fan_percent: Option<u8>,
    /// What somebody asked for just now. [`Identify`](Wish::Identify) is done here; the others are the caller's.
    pub wish: Option<Wish>,
    /// When something changes by itself: the latest time of the next tick, after this one, by 2 s at most.
    pub due_ms: u64,
}

/// Everything that is remembered between ticks.
#[derive(Debug)]
pub struct Board {
    button: Option<Button>,
    fan: Option<Fan>,
    led: Led,
    identify_until_ms: u64,
    power_off_until_ms: u64,
    power_told_until_ms: u64,
}

impl Board {
    /// A board that starts at `now_ms`.
    pub fn new(now_ms: u64, parts: Parts) -> Self {
        Board {
            button: parts.button.map(Button::new),
            fan: parts.fan.map(Fan::new),
            led: Led::new(now_ms),
            identify_until_ms: 0,
            power_off_until_ms: 0,
            power_told_until_ms: 0,
        }
    }

    /// Decides what is to be at `now_ms`, milliseconds of any clock that never goes back. Allocates nothing.
    pub fn tick(&mut self, now_ms: u64, inputs: &Inputs) -> Outputs {
        let wish = self.button.as_mut().and_then(|button| button.sample(now_ms, inputs.pressed.unwrap_or(false)));
        match wish {
            Some(Wish::Identify) => self.identify(now_ms),
            Some(Wish::PowerOff | Wish::FactoryReset) => self.power_off_until_ms = now_ms + POWER_OFF_MS,
            None => {}
        }
        if inputs.readings.throttled.is_some_and(|flags| flags.hampers_now()) {
            self.power_told_until_ms = now_ms + POWER_TOLD_MS;
        }
        let state = self.state(now_ms, &inputs.health);
        let (lit, led_due_ms) = self.led.tick(now_ms, state);
        let fan_percent =
            self.fan.as_mut().map(|fan| fan.tick(now_ms, inputs.readings.celsius.map(|celsius| celsius as f32)));
        let ends = [self.identify_until_ms, self.power_off_until_ms, self.power_told_until_ms];
        let due_ms = [Some(led_due_ms), Some(now_ms + TICK_MS_MAX)]
            .into_iter()
            .chain([self.button.as_ref().and_then(|button| button.due_ms(now_ms))])
            .chain([self.fan.as_ref().and_then(|fan| fan.due_ms(now_ms))])
            .flatten()
            .chain(ends)
            .filter(|at_ms| *at_ms > now_ms)
            .min()
            .unwrap_or(now_ms + TICK_MS_MAX);
        Outputs { lit, state, fan_percent, wish, due_ms }
    }

    fn state(&self, now_ms: u64, health: &Health) -> LedState {
        if let Some(feedback) = self.button.as_ref().and_then(|button| button.feedback(now_ms)) {
            return feedback;
        }
        match now_ms {
            _ if now_ms < self.power_off_until_ms => LedState::PoweringOff,
            _ if now_ms < self.identify_until_ms => LedState::Identify,
            _ => LedState::of(health, now_ms < self.power_told_until_ms),
        }
    }

    /// Shows for half a minute which device this is; asked again meanwhile, no more.
    pub fn identify(&mut self, now_ms: u64) {
        self.identify_until_ms = if now_ms < self.identify_until_ms { 0 } else { now_ms + IDENTIFY_MS };
    }

    /// What was wished cannot be done: the light goes back to what is the case.
    pub fn wish_failed(&mut self) {
        self.power_off_until_ms = 0;
    }
}
