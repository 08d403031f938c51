//! Times as people and programs write them: RFC 3339 and what is nearly that, or a number whose size tells its unit.

use crate::loki::json::parse_rfc3339;

/// Nanoseconds since the Unix epoch of a time in any of these forms; `None` for all others, and for times that 64 bits
/// cannot hold.
///
/// * RFC 3339, also with a space, a comma before the fraction, slashes in the date, a zone `+01`, `+0100` or ` UTC`, without
///   a zone (UTC), without seconds, or a date alone;
/// * seconds, milli-, micro- or nanoseconds since the Unix epoch, told by their size (below 10¹¹ seconds, below 10¹⁴
///   milliseconds, below 10¹⁷ microseconds), with a fraction or not.
pub(crate) fn parse_time(text: &str) -> Option<i64> {
    let text = text.trim();
    parse_rfc3339(text).or_else(|| of_number(text)).or_else(|| loose(text))
}

fn of_number(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 19 || !all_digits(whole) || !all_digits(fraction) {
        return of_float(text);
    }
    let number: i128 = whole.parse().ok()?;
    let unit = unit_ns(number.unsigned_abs());
    // A fraction of the unit, digit by digit, so that none is lost in binary.
    let mut part = 0;
    let mut scale = unit;
    for digit in fraction.bytes() {
        scale /= 10;
        part += i128::from(digit - b'0') * scale;
    }
    let ns = number * unit + part;
    i64::try_from(if negative { -ns } else { ns }).ok()
}

/// Numbers with an exponent.
fn of_float(text: &str) -> Option<i64> {
    let has_digit = text.bytes().any(|b| b.is_ascii_digit());
    let number: f64 = text.parse().ok().filter(|n: &f64| has_digit && n.is_finite() && n.abs() < 9.2e18)?;
    let ns = number * unit_ns(number.abs() as u128) as f64;
    (ns.abs() < 9.2e18).then_some(ns as i64)
}

fn unit_ns(number: u128) -> i128 {
    match number {
        0..100_000_000_000 => 1_000_000_000,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1000,
        _ => 1,
    }
}

/// What is nearly RFC 3339.
fn loose(text: &str) -> Option<i64> {
    // Nothing that is a time is longer.
    if text.len() > 64 || !text.is_ascii() {
        return None;
    }
    let text = text.replace('/', "-");
    let date = text.get(..10)?;
    if text.len() == 10 {
        return parse_rfc3339(&format!("{date}T00:00:00Z"));
    }
    let clock = text.get(11..)?;
    let end = clock.find(|c: char| !c.is_ascii_digit() && !":.,".contains(c)).unwrap_or(clock.len());
    let (clock, zone) = clock.split_at(end);
    let seconds = if clock.len() == 5 { ":00" } else { "" };
    let separator = text.get(10..11)?;
    let zone = match zone.trim() {
        "" | "Z" | "z" | "UTC" | "GMT" => "Z".to_owned(),
        zone => {
            let (sign, digits) = zone.split_at_checked(1)?;
            let digits: String = digits.chars().filter(|c| *c != ':').collect();
            match digits.len() {
                2 => format!("{sign}{digits}:00"),
                4 => format!("{sign}{}:{}", digits.get(..2)?, digits.get(2..)?),
                _ => return None,
            }
        }
    };
    parse_rfc3339(&format!("{date}{separator}{clock}{seconds}{zone}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOON: i64 = 1_795_240_800_000_000_000;

    #[test]
    fn forms_of_one_time() {
        for (text, ns) in [
            ("2026-11-21T06:00:00Z", NOON),
            ("2026-11-21T06:00:00.5z", NOON + 500_000_000),
            ("2026-11-21 06:00:00,250", NOON + 250_000_000),
            ("2026-11-21T06:00:00.123456789", NOON + 123_456_789),
            ("2026-11-21T07:00:00+0100", NOON),
            ("2026-11-21T07:00:00.5+01", NOON + 500_000_000),
            ("2026-11-21 07:00:00 +01:00", NOON),
            ("2026-11-21 06:00:00 UTC", NOON),
            ("2026/11/21 06:00:00", NOON),
            ("2026-11-21T06:00", NOON),
            ("2026-11-21T06:00Z", NOON),
            ("2026-11-21", NOON - 6 * 3_600_000_000_000),
            (" 1795240800 ", NOON),
            ("1795240800.123456789", NOON + 123_456_789),
            ("1795240800.1234567891", NOON + 123_456_789),
            ("1795240800123", NOON + 123_000_000),
            ("1795240800123.25", NOON + 123_250_000),
            ("1795240800123456", NOON + 123_456_000),
            ("1795240800123456789", NOON + 123_456_789),
            ("1.7952408e9", NOON),
            ("0", 0),
            ("-1.5", -1_500_000_000),
        ] {
            assert_eq!(parse_time(text), Some(ns), "{text}");
        }
    }

    #[test]
    fn what_is_no_time() {
        for text in [
            "",
            " ",
            "soon",
            "NaN",
            "inf",
            "-",
            ".",
            "1e300",
            "99999999999999999999",
            "2026-13-01",
            "2026-11-21T",
            "é026-11-21",
            "2026-11-21T06:00:00+1",
            "2026-11-21T06:00:00CET",
            "9999-01-01T00:00:00Z",
            "21/11/2026 06:00:00",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged(text in ".{0,40}", near in "[0-9TZ:+./ -]{0,40}") {
            let _ = (parse_time(&text), parse_time(&near));
        }

        #[test]
        fn every_unit_reads_back(ns in 1_000_000_000_000_000_000i64..4_000_000_000_000_000_000) {
            prop_assert_eq!(parse_time(&ns.to_string()), Some(ns));
            let (seconds, rest) = (ns / 1_000_000_000, ns % 1_000_000_000);
            prop_assert_eq!(parse_time(&format!("{seconds}.{rest:09}")), Some(ns));
        }
    }
}
