//! Lines of the header, through the GPIO character device (`/dev/gpiochip*`): the same on Raspberry Pi's kernel and on
//! mainline, and grantable to an ordinary user.

use super::{Light, Switch};
use gpiocdev::Request;
use gpiocdev::line::{Bias, EdgeDetection, Value};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Controllers of the 40 pins: BCM283x, Pi 4, Pi 5 (RP1).
const LABELS: [&str; 3] = ["pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1"];

/// Lines of the 40 pins.
const GPIO_MAX: u32 = 27;

/// Events that are thrown away in one go.
const EVENTS_MAX: usize = 64;

/// The controller of the 40 pins.
fn chip() -> io::Result<PathBuf> {
    let is_ours = |path: &Path| -> io::Result<bool> {
        let chip = gpiocdev::Chip::from_path(path).map_err(io::Error::other)?;
        let info = chip.info().map_err(io::Error::other)?;
        Ok(LABELS.contains(&info.label.as_str()))
    };
    let mut refused = io::Error::from(io::ErrorKind::NotFound);
    for number in 0..16 {
        let path = PathBuf::from(format!("/dev/gpiochip{number}"));
        if !path.exists() {
            continue;
        }
        match is_ours(&path) {
            Ok(true) => return Ok(path),
            Ok(false) => {}
            Err(error) => refused = io::Error::other(format!("{}: {error}", path.display())),
        }
    }
    Err(refused)
}

fn checked(gpio: u32) -> io::Result<u32> {
    if gpio <= GPIO_MAX {
        return Ok(gpio);
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("GPIO {gpio} is not on the header; it has 0 to {GPIO_MAX}"),
    ))
}

/// A button between a GPIO and ground; the pull-up is the chip's own.
#[derive(Debug)]
pub struct GpioButton {
    request: Request,
}

impl GpioButton {
    /// The button at GPIO `gpio` (0 to 27, by the chip's numbers, not by pins).
    ///
    /// # Errors
    /// When there is no such line, somebody else has it, or it is not ours to use.
    pub fn open(gpio: u32) -> io::Result<Self> {
        let request = Request::builder()
            .on_chip(chip()?)
            .with_consumer("bramble button")
            .with_line(checked(gpio)?)
            .as_input()
            .as_active_low()
            .with_bias(Bias::PullUp)
            .with_edge_detection(EdgeDetection::BothEdges)
            .request();
        Ok(GpioButton { request: request.map_err(io::Error::other)? })
    }
}

impl Switch for GpioButton {
    fn is_pressed(&mut self) -> io::Result<bool> {
        Ok(self.request.lone_value().map_err(io::Error::other)? == Value::Active)
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        if !self.request.wait_edge_event(timeout).map_err(io::Error::other)? {
            return Ok(());
        }
        // That something changed is all that counts; what it is now is asked for.
        for _ in 0..EVENTS_MAX {
            if !self.request.has_edge_event().map_err(io::Error::other)? {
                break;
            }
            self.request.read_edge_event().map_err(io::Error::other)?;
        }
        Ok(())
    }
}

/// An LED at a GPIO.
#[derive(Debug)]
pub struct GpioLed {
    request: Request,
}

impl GpioLed {
    /// The LED at GPIO `gpio` (0 to 27), between it and ground; `inverted`, between 3.3 V and it.
    ///
    /// # Errors
    /// As [`GpioButton::open`].
    pub fn open(gpio: u32, inverted: bool) -> io::Result<Self> {
        let mut builder = Request::builder();
        builder.on_chip(chip()?).with_consumer("bramble status").with_line(checked(gpio)?).as_output(Value::Inactive);
        if inverted {
            builder.as_active_low();
        }
        Ok(GpioLed { request: builder.request().map_err(io::Error::other)? })
    }
}

impl Light for GpioLed {
    fn set(&mut self, lit: bool) -> io::Result<()> {
        self.request.set_lone_value(if lit { Value::Active } else { Value::Inactive }).map_err(io::Error::other)
    }
}

impl Drop for GpioLed {
    fn drop(&mut self) {
        let _ = self.set(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_not_on_the_header_is_refused() {
        assert_eq!(checked(27).unwrap(), 27);
        assert!(checked(28).unwrap_err().to_string().contains("0 to 27"));
    }
}
