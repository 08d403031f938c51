//! The parts of a board that can be seen and touched, each behind a trait of two or three functions, so that the
//! [`Driver`](crate::Driver) runs on a simulated board as on a real one.

mod leds;
mod lines;
mod pwm;

pub use leds::SysfsLed;
pub use lines::{GpioButton, GpioLed};
pub use pwm::PwmFan;

use crate::sensors::{Readings, Sensors};
use std::io;
use std::time::Duration;

/// A light.
pub trait Light: Send {
    /// Lights it, or not.
    ///
    /// # Errors
    /// When the device cannot be written; the next change is tried all the same.
    fn set(&mut self, lit: bool) -> io::Result<()>;
}

/// A switch that closes while it is pressed.
pub trait Switch: Send {
    /// Whether it is down.
    ///
    /// # Errors
    /// When the device cannot be read.
    fn is_pressed(&mut self) -> io::Result<bool>;

    /// Waits until its level may have changed, at most `timeout`. May return early.
    ///
    /// # Errors
    /// When the device cannot be read.
    fn wait(&mut self, timeout: Duration) -> io::Result<()>;
}

/// Something that turns.
pub trait Rotor: Send {
    /// Sets the duty, 0 to 100 percent.
    ///
    /// # Errors
    /// When the device cannot be written.
    fn set(&mut self, percent: u8) -> io::Result<()>;
}

/// What feels temperature and voltage.
pub trait Feel: Send {
    /// What it feels now.
    fn read(&mut self) -> Readings;
}

impl Feel for Sensors {
    fn read(&mut self) -> Readings {
        Sensors::read(self)
    }
}

/// The parts that are there.
pub struct Hardware {
    /// Status LEDs, the board's own and one on a GPIO; all show the same.
    pub lights: heapless::Vec<Box<dyn Light>, 2>,
    /// The button.
    pub button: Option<Box<dyn Switch>>,
    /// The fan.
    pub fan: Option<Box<dyn Rotor>>,
    /// Temperature and voltage.
    pub sensors: Box<dyn Feel>,
}

impl Hardware {
    /// A board of which nothing is known but what its sensors say.
    pub fn with_sensors(sensors: impl Feel + 'static) -> Self {
        Hardware { lights: heapless::Vec::new(), button: None, fan: None, sensors: Box::new(sensors) }
    }
}

impl std::fmt::Debug for Hardware {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = (self.lights.len(), self.button.is_some(), self.fan.is_some());
        write!(f, "Hardware {{ lights: {}, button: {}, fan: {} }}", parts.0, parts.1, parts.2)
    }
}
