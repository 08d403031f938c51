//! Times in lines: Go's reference layouts and the names that Promtail gives to some.

mod layout;
mod rfc3339;
mod zone;

use layout::Layout;
use std::sync::Arc;
use zone::Zone;

const SECOND_NS: i64 = 1_000_000_000;

/// How a time is written.
#[derive(Clone, Debug)]
enum Format {
    Rfc3339,
    /// A number of units since the epoch: nanoseconds per unit.
    Unix(i64),
    Layout(Layout),
}

/// How a time is written, and what it means where it names no zone.
#[derive(Clone, Debug)]
pub(super) struct TimeFormat {
    format: Format,
    zone: Option<Arc<Zone>>,
}

/// A zone by its IANA name.
///
/// # Errors
/// The machine has no such zone.
pub(super) fn location(name: &str) -> Result<Arc<Zone>, String> {
    Zone::load(name).map(Arc::new)
}

impl TimeFormat {
    /// Reads a format.
    ///
    /// # Errors
    /// It is empty or has nothing of a time.
    pub(super) fn new(text: &str, zone: Option<Arc<Zone>>) -> Result<Self, String> {
        let of = |layout: &str| Layout::new(layout).map(Format::Layout);
        let format = match text {
            "RFC3339" | "RFC3339Nano" => Format::Rfc3339,
            "Unix" => Format::Unix(SECOND_NS),
            "UnixMs" => Format::Unix(1_000_000),
            "UnixUs" => Format::Unix(1000),
            "UnixNs" => Format::Unix(1),
            "ANSIC" => of("Mon Jan _2 15:04:05 2006")?,
            "UnixDate" => of("Mon Jan _2 15:04:05 MST 2006")?,
            "RubyDate" => of("Mon Jan 02 15:04:05 -0700 2006")?,
            "RFC822" => of("02 Jan 06 15:04 MST")?,
            "RFC822Z" => of("02 Jan 06 15:04 -0700")?,
            "RFC850" => of("Monday, 02-Jan-06 15:04:05 MST")?,
            "RFC1123" => of("Mon, 02 Jan 2006 15:04:05 MST")?,
            "RFC1123Z" => of("Mon, 02 Jan 2006 15:04:05 -0700")?,
            "2006-01-02T15:04:05Z07:00" | "2006-01-02T15:04:05.999999999Z07:00" => Format::Rfc3339,
            layout => of(layout)?,
        };
        Ok(TimeFormat { format, zone })
    }

    /// Nanoseconds since the epoch. `now_ns` decides on the year where the layout has none: this year's, or the last one's
    /// when it would lie more than a day ahead.
    pub(super) fn parse(&self, text: &str, now_ns: i64) -> Option<i64> {
        match &self.format {
            Format::Rfc3339 => rfc3339::parse(text.as_bytes()),
            Format::Unix(unit_ns) => unix(text, *unit_ns),
            Format::Layout(layout) => layout.parse(text, self.zone.as_deref(), now_ns),
        }
    }
}

/// A number of units, perhaps with a fraction.
fn unix(text: &str, unit_ns: i64) -> Option<i64> {
    let text = text.trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let Ok(units) = whole.parse::<i64>() else {
        let number: f64 = text.parse().ok()?;
        let ns = number * unit_ns as f64;
        return (ns.abs() < i64::MAX as f64).then_some(ns as i64);
    };
    let mut ns = units.checked_mul(unit_ns)?;
    let mut scale = unit_ns / 10;
    for digit in fraction.bytes() {
        if !digit.is_ascii_digit() {
            // An exponent.
            let number: f64 = text.parse().ok()?;
            return ((number * unit_ns as f64).abs() < i64::MAX as f64).then_some((number * unit_ns as f64) as i64);
        }
        let part = i64::from(digit - b'0') * scale;
        ns = if whole.starts_with('-') { ns.checked_sub(part)? } else { ns.checked_add(part)? };
        scale /= 10;
    }
    Some(ns)
}

/// The day counted from the epoch, Gregorian, by eras of 400 years; `month` from 1.
fn day_number(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468
}

/// Year of a second since the epoch.
fn year_of(seconds: i64) -> i64 {
    let days = seconds.div_euclid(86_400);
    let mut year = 1970 + days.div_euclid(366);
    while day_number(year + 1, 1, 1) <= days {
        year += 1;
    }
    year
}

/// Days of a month.
fn month_days(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2023-11-14T22:13:20Z.
    const NOW: i64 = 1_700_000_000 * SECOND_NS;

    fn parse(format: &str, text: &str) -> Option<i64> {
        TimeFormat::new(format, None).unwrap().parse(text, NOW)
    }

    #[test]
    fn names_of_formats() {
        let second = 1_700_000_000 * SECOND_NS;
        for (format, text, expected) in [
            ("RFC3339", "2023-11-14T22:13:20Z", second),
            ("RFC3339Nano", "2023-11-14T23:13:20.123456789+01:00", second + 123_456_789),
            ("RFC3339Nano", "2023-11-14T20:43:20.5-01:30", second + 500_000_000),
            ("Unix", "1700000000", second),
            ("Unix", "1700000000.25", second + 250_000_000),
            ("Unix", "1.7e9", second),
            ("UnixMs", "1700000000123", second + 123_000_000),
            ("UnixUs", "1700000000123456", second + 123_456_000),
            ("UnixNs", "1700000000123456789", second + 123_456_789),
            ("ANSIC", "Tue Nov 14 22:13:20 2023", second),
            ("UnixDate", "Tue Nov 14 22:13:20 UTC 2023", second),
            ("RubyDate", "Tue Nov 14 23:13:20 +0100 2023", second),
            ("RFC822", "14 Nov 23 22:13 UTC", second - 20 * SECOND_NS),
            ("RFC822Z", "14 Nov 23 22:13 +0000", second - 20 * SECOND_NS),
            ("RFC850", "Tuesday, 14-Nov-23 22:13:20 GMT", second),
            ("RFC1123", "Tue, 14 Nov 2023 22:13:20 GMT", second),
            ("RFC1123Z", "Tue, 14 Nov 2023 22:13:20 -0000", second),
            ("2006-01-02 15:04:05,000", "2023-11-14 22:13:20,123", second + 123_000_000),
            ("2006-01-02 15:04:05.999", "2023-11-14 22:13:20.1", second + 100_000_000),
            ("2006-01-02 15:04:05", "2023-11-14 22:13:20.123456", second + 123_456_000),
            ("02/Jan/2006:15:04:05 -0700", "14/Nov/2023:22:13:20 +0000", second),
            ("Jan _2 15:04:05", "Nov  4 22:13:20", second - 10 * 86_400 * SECOND_NS),
            ("Jan  2 15:04:05", "Dec 31 22:13:20", second - 318 * 86_400 * SECOND_NS),
            ("2006-002 3:04:05PM", "2023-318 10:13:20PM", second),
        ] {
            assert_eq!(parse(format, text), Some(expected), "{format} on {text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for (format, text) in [
            ("RFC3339", "2023-11-14 22:13:20Z"),
            ("RFC3339", "2023-02-30T22:13:20Z"),
            ("RFC3339", "2023-11-14T22:13:20"),
            ("RFC3339", ""),
            ("Unix", "soon"),
            ("UnixNs", "99999999999999999999999"),
            ("2006-01-02", "2023-13-14"),
            ("2006-01-02", "2023-11-14 and more"),
            ("15:04", "25:00"),
        ] {
            assert_eq!(parse(format, text), None, "{format} on {text}");
        }
        assert!(TimeFormat::new("", None).is_err() && TimeFormat::new("yesterday", None).is_err());
    }
}
