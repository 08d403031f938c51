//! The board we run on, where it is a Raspberry Pi: its light says how we are, its button asks for things, its fan is driven.
//!
//! What is absent is silent. Nothing is started on other machines.

mod actions;
mod health;
mod metrics;

pub(crate) use health::{Vitals, of_hub, of_node};

use crate::config::{BoardSettings, Config, Optional, When};
use crate::problems::{Found, Watched};
use actions::Helper;
use bramble_board::hardware::{GpioButton, GpioLed, PwmFan, SysfsLed};
use bramble_board::{Driver, FanCurve, Handle, Hardware, Identity, Sensors, SetupCode};
use metrics::BoardMetrics;
use prometheus::Registry;
use std::path::Path;
use std::thread::JoinHandle;
use tokio::sync::watch;

/// A board that is driven.
pub(crate) struct Running {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
    problems: Vec<(String, String)>,
}

/// Refuses settings that no board could follow.
///
/// # Errors
/// Which, and what would fit.
pub(crate) fn check(settings: &BoardSettings) -> Result<(), String> {
    fan_curve(settings)?;
    let lines =
        [("led_gpio", &settings.led_gpio), ("button_gpio", &settings.button_gpio), ("fan_gpio", &settings.fan_gpio)];
    for (i, (name, Optional(gpio))) in lines.iter().enumerate() {
        let Some(gpio) = gpio else { continue };
        if *gpio > 27 {
            return Err(format!("board.{name}: GPIO {gpio} is not on the header, which has 0 to 27"));
        }
        if let Some((other, _)) = lines.iter().take(i).find(|(_, other)| other.0 == Some(*gpio)) {
            return Err(format!("board.{name} and board.{other} are both GPIO {gpio}"));
        }
    }
    Ok(())
}

fn fan_curve(settings: &BoardSettings) -> Result<FanCurve, String> {
    FanCurve::new(settings.fan_start_celsius as f32, settings.fan_full_celsius as f32)
        .map_err(|why| format!("board.fan_start_celsius, board.fan_full_celsius: {why}"))
}

/// Starts driving the board, if this is one and it is wanted; `vitals` says how we are, and is asked each second.
///
/// # Errors
/// When settings make no sense, or a metric is registered already.
pub(crate) fn start(
    config: &Config,
    registry: &Registry,
    vitals: impl Fn() -> Vitals + Send + 'static,
) -> anyhow::Result<Option<Running>> {
    let settings = &config.board;
    check(settings).map_err(anyhow::Error::msg)?;
    if settings.enabled == When::Off {
        return Ok(None);
    }
    let Some(identity) = Identity::detect(Path::new("/proc")) else {
        if settings.enabled == When::On {
            tracing::warn!("board.enabled is on, but this is no Raspberry Pi: there is nothing to drive");
        }
        return Ok(None);
    };
    let (hardware, problems) = open(settings, &identity);
    for (what, why) in &problems {
        tracing::warn!(what, why, "a part of the board is not used");
    }
    tracing::info!(model = identity.model, revision = identity.revision, parts = ?hardware, "board");
    let handle = Handle::default();
    registry.register(Box::new(BoardMetrics::new(handle.clone(), &identity)?))?;
    let curve = fan_curve(settings).ok();
    let driver = Driver::new(0, hardware, curve, Box::new(Helper::default()), handle.clone());
    let thread = driver.spawn()?;
    tokio::spawn(health::watch(handle.clone(), vitals));
    Ok(Some(Running { handle, thread: Some(thread), problems }))
}

/// Opens the parts that are there; says what of those that were asked for is not.
fn open(settings: &BoardSettings, identity: &Identity) -> (Hardware, Vec<(String, String)>) {
    let sys = Path::new("/sys");
    let mut hardware = Hardware::with_sensors(Sensors::open(sys));
    let mut problems = Vec::new();
    if settings.status_led {
        match SysfsLed::open(sys) {
            Ok(led) => drop(hardware.lights.push(Box::new(led))),
            // Nobody asked for it by name: where it is not ours to write it is left alone.
            Err(why) if settings.enabled != When::On => tracing::debug!(%why, "the board's own LED is left alone"),
            Err(why) => problems.push(("the board's own LED".to_owned(), why.to_string())),
        }
    }
    let mut missing = |what: &str, gpio: u64, why: std::io::Error| {
        problems.push((format!("{what} at GPIO {gpio}"), why.to_string()));
    };
    if let Some(gpio) = settings.led_gpio.0 {
        match GpioLed::open(gpio as u32, settings.led_inverted) {
            Ok(led) => drop(hardware.lights.push(Box::new(led))),
            Err(why) => missing("LED", gpio, why),
        }
    }
    if let Some(gpio) = settings.button_gpio.0 {
        match GpioButton::open(gpio as u32) {
            Ok(button) => hardware.button = Some(Box::new(button)),
            Err(why) => missing("button", gpio, why),
        }
    }
    if let Some(gpio) = settings.fan_gpio.0 {
        match PwmFan::open(sys, identity.family, gpio as u32, settings.fan_inverted) {
            Ok(fan) => hardware.fan = Some(Box::new(fan)),
            Err(why) => missing("fan", gpio, why),
        }
    }
    (hardware, problems)
}

impl Running {
    /// Lets parts that are asked for and missing be told among the other problems.
    pub(crate) fn tell(&self, watched: &Watched) {
        let problems = self.problems.clone();
        if problems.is_empty() {
            return;
        }
        watched.add(move |found: &mut Found| {
            for (what, why) in &problems {
                found.add("board", what, why, "docs/board.md says how it is wired and who may use it");
            }
        });
    }

    /// Blinks the code that makes an owner, as long as there is one and an owner is needed: a light that blinks digits says nothing else.
    pub(crate) fn follow_setup_code(&self, config: &Config, mut code: watch::Receiver<Option<String>>) {
        if !config.security.require_owner {
            return;
        }
        let handle = self.handle.clone();
        tokio::spawn(async move {
            loop {
                let digits = code.borrow_and_update().as_deref().and_then(SetupCode::parse);
                handle.update_health(|health| health.setup_code = digits);
                if code.changed().await.is_err() {
                    return;
                }
            }
        });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            // It gives LED and fan back; its panic, if it had one, has been told.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_be_are_refused() {
        let defaults = BoardSettings::default();
        assert_eq!(check(&defaults), Ok(()));
        let refused = |change: fn(&mut BoardSettings)| {
            let mut settings = defaults.clone();
            change(&mut settings);
            check(&settings).unwrap_err()
        };
        assert!(refused(|s| s.led_gpio = Optional(Some(28))).contains("0 to 27"));
        assert!(refused(|s| s.fan_start_celsius = 80).contains("fan"));
        let twice = |s: &mut BoardSettings| (s.led_gpio, s.button_gpio) = (Optional(Some(17)), Optional(Some(17)));
        assert!(refused(twice).contains("board.button_gpio and board.led_gpio are both GPIO 17"));
    }

    #[tokio::test]
    async fn nothing_is_started_where_nothing_is_wanted() {
        let mut config = Config::default();
        config.board.enabled = When::Off;
        assert!(start(&config, &Registry::new(), Vitals::default).unwrap().is_none());
    }
}
