//! Durations and byte sizes, as Go's `time` and `humanize` read them.

use std::borrow::Cow;

/// Largest duration a query may name, nanoseconds (Go's limit).
const DURATION_MAX: f64 = 9.223_372_036_854_775e18;

const UNITS: [(&str, f64); 10] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
    ("d", 86_400e9),
    ("w", 604_800e9),
];

const SIZES: [(&[&str], f64); 13] = [
    (&["", "b"], 1.0),
    (&["k", "kb"], 1e3),
    (&["m", "mb"], 1e6),
    (&["g", "gb"], 1e9),
    (&["t", "tb"], 1e12),
    (&["p", "pb"], 1e15),
    (&["e", "eb"], 1e18),
    (&["ki", "kib"], 1024.0),
    (&["mi", "mib"], 1_048_576.0),
    (&["gi", "gib"], 1_073_741_824.0),
    (&["ti", "tib"], 1_099_511_627_776.0),
    (&["pi", "pib"], 1_125_899_906_842_624.0),
    (&["ei", "eib"], 1_152_921_504_606_846_976.0),
];

/// Nanoseconds of `1h30m`, `-1.5s`, `0`. `days` also allows `d`, `w` and `y`, which queries may use but Go's own
/// format, found in log lines, does not.
///
/// # Errors
/// Go's text.
pub fn parse_duration(text: &str, days: bool) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", super::quote(text));
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut sum = 0.0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let number: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = &rest[..end];
        rest = &rest[end..];
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {}", super::quote(text)));
        }
        let factor = match unit {
            "d" | "w" if !days => None,
            "y" if days => Some(365.0 * 86_400e9),
            _ => UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor),
        };
        let Some(factor) = factor else {
            return Err(format!("time: unknown unit {} in duration {}", super::quote(unit), super::quote(text)));
        };
        sum += number * factor;
    }
    if sum > DURATION_MAX {
        return Err(invalid());
    }
    Ok(if negative { -(sum.round() as i64) } else { sum.round() as i64 })
}

/// Bytes of `5KB`, `1.5 MiB`, `100`: decimal units are powers of 1000, binary ones of 1024.
///
/// # Errors
/// The text humanize gives.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ',')).unwrap_or(text.len());
    let (digits, unit) = (&text[..end], text[end..].trim());
    let digits: Cow<'_, str> = if digits.contains(',') { digits.replace(',', "").into() } else { digits.into() };
    let number: f64 =
        digits.parse().map_err(|_| format!("strconv.ParseFloat: parsing {}: invalid syntax", super::quote(&digits)))?;
    let factor = SIZES.iter().find(|(names, _)| names.iter().any(|n| unit.eq_ignore_ascii_case(n)));
    let Some((_, factor)) = factor else {
        return Err(format!("unhandled size name: {}", unit.to_ascii_lowercase()));
    };
    let bytes = number * factor;
    if bytes >= u64::MAX as f64 { Err(format!("too large: {text}")) } else { Ok(bytes as u64) }
}

/// A duration as Go prints it (`1h30m0s`, `1.5s`, `5ms`), nanoseconds.
pub fn duration_text(ns: i64) -> String {
    let (sign, ns) = if ns < 0 { ("-", ns.unsigned_abs()) } else { ("", ns as u64) };
    let decimal = |value: f64, unit: &str| format!("{sign}{value}{unit}");
    match ns {
        0 => "0s".to_owned(),
        1..1_000 => decimal(ns as f64, "ns"),
        1_000..1_000_000 => decimal(ns as f64 / 1e3, "µs"),
        1_000_000..1_000_000_000 => decimal(ns as f64 / 1e6, "ms"),
        _ => {
            let (minutes, seconds) = (ns / 60_000_000_000, (ns % 60_000_000_000) as f64 / 1e9);
            match minutes {
                0 => format!("{sign}{seconds}s"),
                1..60 => format!("{sign}{minutes}m{seconds}s"),
                _ => format!("{sign}{}h{}m{seconds}s", minutes / 60, minutes % 60),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(parse_duration("1h30m", false), Ok(5_400_000_000_000));
        assert_eq!(parse_duration("-1.5s", false), Ok(-1_500_000_000));
        assert_eq!(parse_duration("731µs", false), Ok(731_000));
        assert_eq!(parse_duration("1d", true), Ok(86_400_000_000_000));
        assert_eq!(parse_duration("1d", false), Err(r#"time: unknown unit "d" in duration "1d""#.to_owned()));
        assert_eq!(parse_duration("5", false), Err(r#"time: missing unit in duration "5""#.to_owned()));
        assert_eq!(parse_duration("abc", false), Err(r#"time: invalid duration "abc""#.to_owned()));
        assert_eq!(duration_text(5_400_000_000_000), "1h30m0s");
        assert_eq!(duration_text(1_500_000), "1.5ms");
    }

    #[test]
    fn sizes() {
        assert_eq!(parse_bytes("5KB"), Ok(5000));
        assert_eq!(parse_bytes("1KiB"), Ok(1024));
        assert_eq!(parse_bytes("6.0MiB"), Ok(6_291_456));
        assert_eq!(parse_bytes("5 xx"), Err("unhandled size name: xx".to_owned()));
        assert!(parse_bytes("x").is_err());
    }
}
