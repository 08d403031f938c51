//! Durations and sizes as Prometheus writes them.

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::time::Duration;

/// Units of durations in milliseconds, largest first, and whether only whole multiples are printed in them.
const DURATION_UNITS: [(&str, u64, bool); 7] = [
    ("y", 365 * 24 * 3_600_000, true),
    ("w", 7 * 24 * 3_600_000, true),
    ("d", 24 * 3_600_000, true),
    ("h", 3_600_000, false),
    ("m", 60_000, false),
    ("s", 1_000, false),
    ("ms", 1, false),
];

/// A duration in whole milliseconds: `1h30m`, `15s`, `500ms`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct PromDuration(u64);

impl PromDuration {
    /// So many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        PromDuration(seconds * 1000)
    }

    /// Milliseconds.
    pub fn ms(self) -> u64 {
        self.0
    }

    /// The same for tokio.
    pub fn to_std(self) -> Duration {
        Duration::from_millis(self.0)
    }

    /// Reads `1h30m`: units in descending order, each once; `0` needs none.
    ///
    /// # Errors
    /// Prometheus' text.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "0" {
            return Ok(PromDuration(0));
        }
        if text.is_empty() {
            return Err("empty duration string".to_owned());
        }
        let bad = || format!("not a valid duration string: {text:?}");
        let (mut rest, mut sum_ms, mut units) = (text, 0u64, DURATION_UNITS.as_slice());
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, behind) = rest.split_at_checked(digits).ok_or_else(bad)?;
            let letters = behind.bytes().take_while(u8::is_ascii_alphabetic).count();
            let (unit, behind) = behind.split_at_checked(letters).ok_or_else(bad)?;
            let at = units.iter().position(|(name, ..)| *name == unit).ok_or_else(bad)?;
            let factor = units.get(at).map_or(0, |(_, ms, _)| *ms);
            let number: u64 = number.parse().map_err(|_| bad())?;
            let sum = number.checked_mul(factor).and_then(|ms| sum_ms.checked_add(ms));
            sum_ms = sum.filter(|&ms| ms <= i64::MAX as u64 / 1_000_000).ok_or("duration out of range")?;
            units = units.get(at + 1..).unwrap_or_default();
            rest = behind;
        }
        Ok(PromDuration(sum_ms))
    }
}

impl fmt::Display for PromDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for (unit, ms, only_whole) in DURATION_UNITS {
            if rest >= ms && (!only_whole || rest.is_multiple_of(ms)) {
                write!(f, "{}{unit}", rest / ms)?;
                rest %= ms;
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for PromDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        PromDuration::parse(&text).map_err(D::Error::custom)
    }
}

/// A size in bytes: `10MB`, `1GiB`; every unit is a power of 1024.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ByteSize(pub u64);

impl ByteSize {
    fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("units: invalid {text}");
        if text == "0" {
            return Ok(ByteSize(0));
        }
        let digits = text.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let (number, unit) = text.split_at_checked(digits).ok_or_else(bad)?;
        let letters = unit.strip_suffix('B').ok_or_else(|| format!("units: unknown unit {unit} in {text}"))?;
        let letters = letters.strip_suffix('i').unwrap_or(letters);
        let power = match letters {
            "" => 0,
            "K" => 1,
            "M" => 2,
            "G" => 3,
            "T" => 4,
            "P" => 5,
            _ => return Err(format!("units: unknown unit {unit} in {text}")),
        };
        let number: f64 = number.parse().map_err(|_| bad())?;
        let bytes = number * 1024f64.powi(power);
        if bytes < 9e18 { Ok(ByteSize(bytes as u64)) } else { Err(bad()) }
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        ByteSize::parse(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_printed() {
        for (text, ms, printed) in [
            ("15s", 15_000, "15s"),
            ("1m30s", 90_000, "1m30s"),
            ("90s", 90_000, "1m30s"),
            ("0", 0, "0s"),
            ("1h1ms", 3_600_001, "1h1ms"),
            ("24h", 86_400_000, "1d"),
            ("25h", 90_000_000, "25h"),
            ("1d", 86_400_000, "1d"),
        ] {
            let duration = PromDuration::parse(text).unwrap();
            assert_eq!((duration.ms(), duration.to_string().as_str()), (ms, printed), "{text}");
        }
        for bad in ["", "s", "15", "1s1m", "1s1s", "1.5s", "-1s", "1 s", "99999999999y"] {
            assert!(PromDuration::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(PromDuration::parse("15").unwrap_err(), "not a valid duration string: \"15\"");
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in
            [("0", 0), ("10B", 10), ("1KB", 1024), ("1.5KiB", 1536), ("50MB", 50 << 20), ("1GiB", 1 << 30)]
        {
            assert_eq!(ByteSize::parse(text), Ok(ByteSize(bytes)), "{text}");
        }
        assert!(ByteSize::parse("10").is_err() && ByteSize::parse("xMB").is_err() && ByteSize::parse("1XB").is_err());
    }
}
