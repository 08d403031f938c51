//! A fan at a GPIO with hardware PWM, through the kernel's `pwm` class.

use super::Rotor;
use crate::model::Family;
use rppal::pwm::{Polarity, Pwm};
use std::io;
use std::path::Path;
use std::time::Duration;

/// 25 kHz: what four-wire fans are made for, and above what people hear.
const PERIOD: Duration = Duration::from_micros(40);

/// Devices of the header's PWM, by the end of their address: BCM283x and Pi 4 (`…20c000.pwm`), Pi 5's RP1 (`…098000.pwm`). The other
/// block of each drives audio, and on a Pi 5 the fan header, which is the kernel's.
const DEVICES: [&str; 2] = ["20c000.pwm", "098000.pwm"];

/// One fan. When dropped it runs in full: nobody watches the temperature from then on.
#[derive(Debug)]
pub struct PwmFan {
    pwm: Pwm,
}

impl PwmFan {
    /// The fan at GPIO `gpio` of a board of `family`; `inverted` for a fan whose input is pulled down through a transistor.
    ///
    /// # Errors
    /// When the GPIO has no hardware PWM, the PWM is not switched on (docs/board.md says how), or not ours to use.
    pub fn open(sys: &Path, family: Family, gpio: u32, inverted: bool) -> io::Result<Self> {
        let channel = family.pwm_channel(gpio).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("GPIO {gpio} has no hardware PWM; 12, 13, 18 and 19 have"),
            )
        })?;
        let chip = chip(sys).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                "PWM of the header is not switched on in config.txt (dtoverlay=pwm)",
            )
        })?;
        let mut pwm = Pwm::with_pwmchip(chip, channel).map_err(io::Error::other)?;
        // What was there before may be longer than our period.
        let _ = pwm.set_pulse_width(Duration::ZERO);
        pwm.set_period(PERIOD).map_err(io::Error::other)?;
        let polarity = if inverted { Polarity::Inverse } else { Polarity::Normal };
        pwm.set_polarity(polarity).map_err(io::Error::other)?;
        pwm.enable().map_err(io::Error::other)?;
        pwm.set_reset_on_drop(false);
        Ok(PwmFan { pwm })
    }
}

/// The number of the chip whose channels are on the header. Numbers change with the order in which drivers load.
fn chip(sys: &Path) -> Option<u8> {
    let chips = std::fs::read_dir(sys.join("class/pwm")).ok()?.flatten();
    chips
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.strip_prefix("pwmchip")?.parse().ok()?;
            let device = std::fs::canonicalize(entry.path().join("device")).ok()?;
            let name = device.file_name()?.to_str()?;
            DEVICES.iter().any(|end| name.ends_with(end)).then_some(number)
        })
        .min()
}

impl Rotor for PwmFan {
    fn set(&mut self, percent: u8) -> io::Result<()> {
        self.pwm.set_pulse_width(PERIOD * u32::from(percent.min(100)) / 100).map_err(io::Error::other)
    }
}

impl Drop for PwmFan {
    fn drop(&mut self) {
        let _ = self.set(100);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_headers_chip_is_found_by_its_device() {
        let sys = tempfile::tempdir().unwrap();
        for (number, device) in [(0, "1f0009c000.pwm"), (3, "1f00098000.pwm")] {
            let device = sys.path().join("devices").join(device);
            let chip = sys.path().join(format!("class/pwm/pwmchip{number}"));
            std::fs::create_dir_all(&device).unwrap();
            std::fs::create_dir_all(&chip).unwrap();
            symlink(&device, chip.join("device")).unwrap();
        }
        assert_eq!(chip(sys.path()), Some(3));
        assert_eq!(chip(Path::new("/nowhere")), None);
        let refused = PwmFan::open(sys.path(), Family::Pi4, 17, false).unwrap_err();
        assert!(refused.to_string().contains("GPIO 17"), "{refused}");
    }
}
