//! Temperature, throttling and under-voltage, from the kernel's files.
//!
//! Sources: Raspberry Pi documentation, "vcgencmd get_throttled" (bits); kernel `drivers/hwmon/raspberrypi-hwmon.c`
//! (`in0_lcrit_alarm`); the Raspberry Pi kernel's `drivers/firmware/raspberrypi.c` (`get_throttled`). Mainline kernels have no
//! `get_throttled` and show under-voltage alone.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Flags of the firmware.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttled(pub u32);

impl Throttled {
    /// The supply is too weak now.
    pub const UNDER_VOLTAGE: u32 = 1;
    /// The clock is capped now.
    pub const FREQUENCY_CAPPED: u32 = 1 << 1;
    /// The clock is slowed now.
    pub const THROTTLED: u32 = 1 << 2;
    /// The soft temperature limit is reached now.
    pub const SOFT_TEMPERATURE_LIMIT: u32 = 1 << 3;
    /// So many bits higher stands whether a flag ever was set since the start.
    pub const OCCURRED_BITS: u32 = 16;

    /// Whether power or heat hampers the board now: what somebody should see to. A reached soft limit is ordinary on
    /// a Pi 3 B+ in a warm room, and a capped clock follows from the others.
    pub fn hampers_now(self) -> bool {
        self.0 & (Self::UNDER_VOLTAGE | Self::THROTTLED) != 0
    }
}

/// What the sensors said; `None` where they say nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Readings {
    /// Temperature of the system on chip, degrees Celsius.
    pub celsius: Option<f64>,
    /// Flags of the firmware.
    pub throttled: Option<Throttled>,
    /// Whether `throttled` holds all flags (Raspberry Pi's kernel) or under-voltage alone (mainline).
    pub has_all_flags: bool,
}

/// Files that are kept open and read again and again; a reading allocates nothing.
#[derive(Debug, Default)]
pub struct Sensors {
    temperature: Option<File>,
    flags: Option<File>,
    under_voltage: Option<File>,
}

/// Chips below `hwmon` that are looked at.
const CHIPS_MAX: usize = 64;

impl Sensors {
    /// Finds the sensors below `sys`, usually `/sys`; those that are not there stay silent.
    pub fn open(sys: &Path) -> Self {
        let open = |path: &str| File::open(sys.join(path)).ok();
        let flags = open("devices/platform/soc/soc:firmware/get_throttled");
        let under_voltage = if flags.is_none() { under_voltage_alarm(&sys.join("class/hwmon")) } else { None };
        Sensors { temperature: open("class/thermal/thermal_zone0/temp"), flags, under_voltage }
    }

    /// What they say now.
    pub fn read(&self) -> Readings {
        let mut text = [0; 32];
        let mut trimmed = |file: &Option<File>| read_number(file.as_ref()?, &mut text);
        let celsius = trimmed(&self.temperature).map(|number| number.decimal as f64 / 1000.0);
        let flags = trimmed(&self.flags).and_then(|number| u32::try_from(number.hexadecimal).ok());
        let alarm = trimmed(&self.under_voltage).map(|number| u32::from(number.decimal != 0));
        Readings { celsius, throttled: flags.or(alarm).map(Throttled), has_all_flags: flags.is_some() }
    }
}

/// The mainline kernel shows one of the flags, as a sensor.
fn under_voltage_alarm(root: &Path) -> Option<File> {
    let chips = std::fs::read_dir(root).ok()?.flatten().take(CHIPS_MAX);
    let is_ours = |path: &Path| std::fs::read_to_string(path.join("name")).is_ok_and(|name| name.trim() == "rpi_volt");
    let chip = chips.map(|entry| entry.path()).find(|path| is_ours(path))?;
    File::open(chip.join("in0_lcrit_alarm")).ok()
}

struct Number {
    /// Read with base 10; 0 when it is not one.
    decimal: i64,
    /// Read with base 16; -1 when it is not one.
    hexadecimal: i64,
}

fn read_number(file: &File, text: &mut [u8]) -> Option<Number> {
    let length = file.read_at(text, 0).ok()?;
    let text = std::str::from_utf8(text.get(..length)?).ok()?.trim();
    let (decimal, hexadecimal) = (text.parse(), i64::from_str_radix(text.trim_start_matches("0x"), 16));
    if decimal.is_err() && hexadecimal.is_err() {
        return None;
    }
    Some(Number { decimal: decimal.unwrap_or(0), hexadecimal: hexadecimal.unwrap_or(-1) })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A directory with these files.
    pub(crate) fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn a_weak_supply_with_the_raspberry_pi_kernel() {
        let sys = tree(&[
            ("class/thermal/thermal_zone0/temp", "61342\n"),
            // As in the documentation of `vcgencmd get_throttled`.
            ("devices/platform/soc/soc:firmware/get_throttled", "50005\n"),
        ]);
        let sensors = Sensors::open(sys.path());
        let readings = sensors.read();
        assert_eq!(
            readings,
            Readings { celsius: Some(61.342), throttled: Some(Throttled(0x50005)), has_all_flags: true }
        );
        assert!(readings.throttled.unwrap().hampers_now());
        // The same open file says what is new.
        std::fs::write(sys.path().join("class/thermal/thermal_zone0/temp"), "-1500\n").unwrap();
        std::fs::write(sys.path().join("devices/platform/soc/soc:firmware/get_throttled"), "0x50000\n").unwrap();
        let readings = sensors.read();
        assert_eq!((readings.celsius, readings.throttled), (Some(-1.5), Some(Throttled(0x50000))));
        assert!(!readings.throttled.unwrap().hampers_now(), "it occurred, but it is over");
    }

    #[test]
    fn a_mainline_kernel_and_a_machine_without_sensors() {
        let sys = tree(&[
            ("class/hwmon/hwmon0/name", "cpu_thermal\n"),
            ("class/hwmon/hwmon1/name", "rpi_volt\n"),
            ("class/hwmon/hwmon1/in0_lcrit_alarm", "1\n"),
            ("class/thermal/thermal_zone0/temp", "\n"),
        ]);
        let readings = Sensors::open(sys.path()).read();
        assert_eq!(readings, Readings { celsius: None, throttled: Some(Throttled(1)), has_all_flags: false });
        assert_eq!(Sensors::open(Path::new("/nowhere")).read(), Readings::default());
    }
}
