//! A fan that follows the temperature without hunting.
//!
//! Duty rises with temperature along a line. Between the line and the same line [`HYSTERESIS_CELSIUS`] further left there is
//! play: as long as the temperature moves within it the duty stays, so that a load that comes and goes does not make
//! the fan howl and fall silent every few seconds.
//!
//! ```text
//! duty %                 falling __  __ rising
//! 100 |                        /    /‾‾‾‾
//!     |                      /    /
//!  30 |                    |    |
//!   0 |____________________|____|____________ °C
//!                   start-4    start    full
//! ```

/// Play of the curve.
pub(crate) const HYSTERESIS_CELSIUS: f32 = 4.0;
/// Below this most fans stand still although they are driven.
pub(crate) const DUTY_PERCENT_MIN: u8 = 30;
/// A fan that stands still is started with full duty for so long.
pub(crate) const KICK_MS: u64 = 1000;
/// Without a temperature for so long, the fan runs in full: a broken sensor must not cook the board.
pub(crate) const BLIND_MS: u64 = 10_000;

/// Temperatures between which a fan goes from standing to full.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FanCurve {
    start_celsius: f32,
    full_celsius: f32,
}

/// Why a curve cannot be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InvalidCurve;

impl std::fmt::Display for InvalidCurve {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a fan starts between 20 and 90 °C and runs in full at a higher temperature of at most 95 °C")
    }
}

impl std::error::Error for InvalidCurve {}

impl FanCurve {
    /// A fan that starts at `start_celsius` (20 to 90) and runs in full from `full_celsius` (above, at most 95).
    ///
    /// # Errors
    /// [`InvalidCurve`] for anything else.
    pub fn new(start_celsius: f32, full_celsius: f32) -> Result<Self, InvalidCurve> {
        let fits = (20.0..=90.0).contains(&start_celsius) && full_celsius > start_celsius && full_celsius <= 95.0;
        if fits { Ok(FanCurve { start_celsius, full_celsius }) } else { Err(InvalidCurve) }
    }

    /// Duty in percent at a temperature while it rises: 0, or 30 to 100.
    pub fn at(&self, celsius: f32) -> u8 {
        if celsius < self.start_celsius {
            return 0;
        }
        let share = ((celsius - self.start_celsius) / (self.full_celsius - self.start_celsius)).clamp(0.0, 1.0);
        let span = f32::from(100 - DUTY_PERCENT_MIN);
        DUTY_PERCENT_MIN + (span * share).round() as u8
    }
}

/// One fan.
#[derive(Debug)]
pub struct Fan {
    curve: FanCurve,
    /// Where the curve wants it; what is put out may differ for the moment of a start.
    duty_percent: u8,
    kicked_until_ms: u64,
    read_ms: Option<u64>,
}

impl Fan {
    /// A fan that stands still.
    pub fn new(curve: FanCurve) -> Self {
        Fan { curve, duty_percent: 0, kicked_until_ms: 0, read_ms: None }
    }

    /// Takes the temperature, if it is known, and returns the duty in percent.
    pub fn tick(&mut self, now_ms: u64, celsius: Option<f32>) -> u8 {
        let read_ms = *self.read_ms.get_or_insert(now_ms);
        let Some(celsius) = celsius.filter(|celsius| celsius.is_finite()) else {
            if now_ms.saturating_sub(read_ms) >= BLIND_MS {
                self.duty_percent = 100;
            }
            return self.put_out(now_ms);
        };
        self.read_ms = Some(now_ms);
        let (low, high) = (self.curve.at(celsius), self.curve.at(celsius + HYSTERESIS_CELSIUS));
        let duty_percent = self.duty_percent.clamp(low, high);
        if self.duty_percent == 0 && duty_percent > 0 {
            self.kicked_until_ms = now_ms + KICK_MS;
        }
        self.duty_percent = duty_percent;
        self.put_out(now_ms)
    }

    fn put_out(&self, now_ms: u64) -> u8 {
        if self.duty_percent > 0 && now_ms < self.kicked_until_ms { 100 } else { self.duty_percent }
    }

    /// When the duty changes although the temperature does not.
    pub fn due_ms(&self, now_ms: u64) -> Option<u64> {
        (now_ms < self.kicked_until_ms).then_some(self.kicked_until_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn curve() -> FanCurve {
        FanCurve::new(55.0, 75.0).unwrap()
    }

    #[test]
    fn the_line() {
        let at = |celsius| curve().at(celsius);
        assert_eq!([at(-10.0), at(54.9), at(55.0), at(65.0), at(75.0), at(120.0)], [0, 0, 30, 65, 100, 100]);
        for (start, full) in [(10.0, 50.0), (60.0, 60.0), (60.0, 96.0), (f32::NAN, 70.0), (50.0, f32::NAN)] {
            assert_eq!(FanCurve::new(start, full), Err(InvalidCurve), "{start} {full}");
        }
    }

    #[test]
    fn it_starts_with_a_kick_and_stops_below_the_play() {
        let mut fan = Fan::new(curve());
        let put_out = [(0, 50.0), (2000, 55.5), (2500, 55.5), (3000, 55.5), (5000, 52.0), (7000, 50.9), (9000, 54.9)]
            .map(|(now_ms, celsius)| fan.tick(now_ms, Some(celsius)));
        assert_eq!(put_out, [0, 100, 100, 32, 32, 0, 0]);
    }

    #[test]
    fn without_a_sensor_it_runs() {
        let mut fan = Fan::new(curve());
        assert_eq!([fan.tick(0, Some(40.0)), fan.tick(9000, None), fan.tick(10_000, Some(f32::NAN))], [0, 0, 100]);
        assert_eq!(fan.tick(11_000, Some(40.0)), 0);
        let mut never = Fan::new(curve());
        assert_eq!([never.tick(500, None), never.tick(10_500, None)], [0, 100]);
    }

    proptest! {
        #[test]
        fn duty_stays_between_the_two_lines(temperatures in proptest::collection::vec(-20.0f32..110.0, 1..100)) {
            let mut fan = Fan::new(curve());
            for (i, celsius) in temperatures.into_iter().enumerate() {
                // Further apart than a kick lasts.
                fan.tick(i as u64 * 5000, Some(celsius));
                let duty = fan.tick(i as u64 * 5000 + KICK_MS, Some(celsius));
                prop_assert!((curve().at(celsius)..=curve().at(celsius + HYSTERESIS_CELSIUS)).contains(&duty));
                prop_assert!(duty == 0 || duty >= DUTY_PERCENT_MIN);
            }
        }

        #[test]
        fn within_the_play_it_does_not_hunt(
            base in 30.0f32..90.0,
            wobbles in proptest::collection::vec(0.02f32..HYSTERESIS_CELSIUS - 0.02, 1..100),
        ) {
            let mut fan = Fan::new(curve());
            // The hottest first: from then on nothing leaves the play.
            fan.tick(0, Some(base + HYSTERESIS_CELSIUS));
            let settled = fan.tick(KICK_MS, Some(base + HYSTERESIS_CELSIUS));
            for (i, wobble) in wobbles.into_iter().enumerate() {
                let duty = fan.tick(2000 + i as u64 * 1000, Some(base + wobble));
                prop_assert_eq!(duty, settled);
            }
        }

        #[test]
        fn hotter_is_never_slower(a in -20.0f32..110.0, b in -20.0f32..110.0) {
            prop_assert!(curve().at(a.min(b)) <= curve().at(a.max(b)));
        }
    }
}
