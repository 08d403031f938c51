//! Amounts of bytes and of time as people write them.

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use std::fmt;
use std::time::Duration;

/// Bytes: a number, or text such as `64MiB` or `1GB`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub struct Amount(pub u64);

/// A time span: text such as `30s`, `1h30m`, `7d`; a number is seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub struct Period(pub Duration);

impl Amount {
    /// Reads the text.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let factor: u64 = match unit.trim() {
            "" | "B" => 1,
            "KiB" | "k" | "K" => 1 << 10,
            "MiB" | "m" | "M" => 1 << 20,
            "GiB" | "g" | "G" => 1 << 30,
            "TiB" => 1 << 40,
            "kB" | "KB" => 1000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "TB" => 1_000_000_000_000,
            _ => return None,
        };
        number.parse::<u64>().ok()?.checked_mul(factor).map(Amount)
    }
}

impl Period {
    /// Reads the text: numbers each followed by `ms`, `s`, `m`, `h`, `d` or `w`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim();
        let mut sum_ms: u64 = 0;
        if rest.is_empty() {
            return None;
        }
        while !rest.is_empty() {
            let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
            let (unit, after) = after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
            let ms = match unit {
                "ms" => 1,
                "s" => 1000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                "w" => 7 * 86_400_000,
                _ => return None,
            };
            sum_ms = sum_ms.checked_add(number.parse::<u64>().ok()?.checked_mul(ms)?)?;
            rest = after;
        }
        Some(Period(Duration::from_millis(sum_ms)))
    }
}

struct NumberOrText(&'static str);

enum Said {
    Number(u64),
    Text(String),
}

impl Visitor<'_> for NumberOrText {
    type Value = Said;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Said, E> {
        Ok(Said::Number(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Said, E> {
        u64::try_from(number).map(Said::Number).map_err(|_| E::custom(format!("{number} is negative")))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Said, E> {
        Ok(Said::Text(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match from.deserialize_any(NumberOrText("bytes, such as 64MiB"))? {
            Said::Number(bytes) => Ok(Amount(bytes)),
            Said::Text(text) => Amount::parse(&text)
                .ok_or_else(|| D::Error::custom(format!("{text:?} is no size; write it like \"64MiB\""))),
        }
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match from.deserialize_any(NumberOrText("a time span, such as 30s"))? {
            Said::Number(seconds) => Ok(Period(Duration::from_secs(seconds))),
            Said::Text(text) => Period::parse(&text).ok_or_else(|| {
                D::Error::custom(format!("{text:?} is no time span; write it like \"30s\" or \"1h30m\""))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_spans_read_as_people_write_them() {
        for (text, bytes) in [("12", 12), ("64MiB", 64 << 20), ("1 GB", 1_000_000_000), ("3k", 3072)] {
            assert_eq!(Amount::parse(text), Some(Amount(bytes)), "{text}");
        }
        for text in ["", "MiB", "-1", "1.5MiB", "99999999999TiB"] {
            assert_eq!(Amount::parse(text), None, "{text}");
        }
        for (text, ms) in [("30s", 30_000), ("1h30m", 5_400_000), ("250ms", 250), ("2d", 172_800_000)] {
            assert_eq!(Period::parse(text), Some(Period(Duration::from_millis(ms))), "{text}");
        }
        for text in ["", "30", "s", "1y", "99999999999999999999w"] {
            assert_eq!(Period::parse(text), None, "{text}");
        }
    }
}
