//! An LED of `/sys/class/leds`: the green one on the board.
//!
//! Source: kernel `Documentation/leds/leds-class.rst`. Its trigger (on a Pi, what the card does) is taken away while we speak with
//! it, and put back when we stop.

use super::Light;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// What the green LED is called: by Raspberry Pi's and newer mainline device trees, by older ones, by those that name function
/// and colour. Pi 3 B+ and older, 4, 5 and Zero 2 W all have one of these.
const NAMES: [&str; 6] = ["ACT", "led0", "act", "led-act", "green:activity", "led-0"];

/// One LED.
#[derive(Debug)]
pub struct SysfsLed {
    directory: PathBuf,
    brightness: File,
    /// What is written for "lit": digits of the largest brightness.
    lit: String,
    /// What it showed before us.
    trigger: Option<String>,
}

impl SysfsLed {
    /// Finds the activity LED below `sys`, usually `/sys`, and takes it over.
    ///
    /// # Errors
    /// `NotFound` when there is none, `PermissionDenied` when it is not ours to write; it stays as it was then.
    pub fn open(sys: &Path) -> io::Result<Self> {
        let root = sys.join("class/leds");
        let directory = NAMES.iter().map(|name| root.join(name)).find(|directory| directory.is_dir());
        let directory = directory.ok_or(io::ErrorKind::NotFound)?;
        let brightness = OpenOptions::new().write(true).open(directory.join("brightness"))?;
        let lit = fs::read_to_string(directory.join("max_brightness")).unwrap_or_default().trim().to_owned();
        let lit = if lit.parse::<u32>().is_ok_and(|most| most > 0) { lit } else { "1".to_owned() };
        let triggers = fs::read_to_string(directory.join("trigger")).unwrap_or_default();
        let trigger = triggers.split_whitespace().find_map(|word| word.strip_prefix('[')?.strip_suffix(']'));
        let trigger = trigger.filter(|trigger| *trigger != "none").map(str::to_owned);
        if trigger.is_some() {
            fs::write(directory.join("trigger"), "none")?;
        }
        Ok(SysfsLed { directory, brightness, lit, trigger })
    }
}

impl Light for SysfsLed {
    fn set(&mut self, lit: bool) -> io::Result<()> {
        let text = if lit { self.lit.as_bytes() } else { b"0" };
        self.brightness.write_at(text, 0).map(drop)
    }
}

impl Drop for SysfsLed {
    fn drop(&mut self) {
        // The machine may be going down; nobody could be told.
        let _ = self.set(false);
        if let Some(trigger) = &self.trigger {
            let _ = fs::write(self.directory.join("trigger"), trigger);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensors::tests::tree;

    #[test]
    fn the_trigger_is_taken_and_given_back() {
        let sys = tree(&[
            ("class/leds/PWR/brightness", "255"),
            ("class/leds/led0/brightness", "0"),
            ("class/leds/led0/max_brightness", "255\n"),
            ("class/leds/led0/trigger", "none rc-feedback [mmc0] timer\n"),
        ]);
        let read = |file: &str| fs::read_to_string(sys.path().join("class/leds/led0").join(file)).unwrap();
        let mut led = SysfsLed::open(sys.path()).unwrap();
        assert_eq!(read("trigger"), "none");
        led.set(true).unwrap();
        assert_eq!(read("brightness"), "255");
        drop(led);
        assert_eq!((read("trigger").as_str(), &read("brightness")[..1]), ("mmc0", "0"));
        assert_eq!(fs::read_to_string(sys.path().join("class/leds/PWR/brightness")).unwrap(), "255");
    }

    #[test]
    fn without_an_led_there_is_none() {
        let sys = tree(&[("class/leds/PWR/brightness", "1"), ("class/leds/input3::capslock/brightness", "0")]);
        assert_eq!(SysfsLed::open(sys.path()).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(SysfsLed::open(Path::new("/nowhere")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
