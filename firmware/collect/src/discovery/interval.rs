//! Lengths of time as Prometheus writes them.

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use std::fmt;
use std::time::Duration;

/// A length of time such as `30s`, `1m30s` or `1h`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Interval(pub Duration);

const UNITS_MS: [(&str, u64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

impl Interval {
    /// Of so many seconds.
    pub(crate) const fn seconds(seconds: u64) -> Interval {
        Interval(Duration::from_secs(seconds))
    }

    /// Reads Prometheus' form: numbers with units from the largest to the smallest, each at most once; or `0`.
    fn parse(text: &str) -> Option<Interval> {
        if text == "0" {
            return Some(Interval(Duration::ZERO));
        }
        let (mut rest, mut total_ms, mut allowed) = (text, 0u64, UNITS_MS.as_slice());
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, tail) = rest.split_at_checked(digits)?;
            let letters = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
            let (unit, tail) = tail.split_at_checked(letters)?;
            let index = allowed.iter().position(|(name, _)| *name == unit)?;
            let (_, unit_ms) = allowed.get(index)?;
            total_ms = total_ms.checked_add(number.parse::<u64>().ok()?.checked_mul(*unit_ms)?)?;
            allowed = allowed.get(index + 1..)?;
            rest = tail;
        }
        (!text.is_empty()).then_some(Interval(Duration::from_millis(total_ms)))
    }
}

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Interval;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a duration such as 30s or 5m")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Interval, E> {
                Interval::parse(text).ok_or_else(|| E::custom(format!("not a valid duration string: \"{text}\"")))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Interval, E> {
                self.visit_str(&number.to_string())
            }
        }
        deserializer.deserialize_any(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_come_once_and_descend() {
        let ms = |text| Interval::parse(text).map(|interval| interval.0.as_millis());
        assert_eq!(ms("1m30s"), Some(90_000));
        assert_eq!(ms("15s"), Some(15_000));
        assert_eq!(ms("1d2h3m4s5ms"), Some(93_784_005));
        assert_eq!(ms("0"), Some(0));
        assert_eq!(ms("30s1m"), None);
        assert_eq!(ms("1s1s"), None);
        assert_eq!(ms("5"), None);
        assert_eq!(ms(""), None);
        assert_eq!(ms("99999999999999999999s"), None);
    }
}
