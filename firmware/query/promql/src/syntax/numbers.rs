//! Numbers, durations and strings in Go's text forms.

use std::fmt::Write;

/// A value as Prometheus prints it in JSON: shortest digits that give the same number, never an exponent.
pub fn format_value(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        value.to_string()
    }
}

/// `%g` of Go: shortest digits, an exponent when it is below -4 or at least 21.
pub(crate) fn format_g(value: f64) -> String {
    if !value.is_finite() || value == 0.0 {
        return format_value(value);
    }
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..21).contains(&exponent) {
        return format_value(value);
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// A duration as Prometheus prints it: `1h30m`, `500ms`, `0s`.
pub fn format_duration(ms: i64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    let mut rest = ms.unsigned_abs();
    if ms < 0 {
        out.push('-');
    }
    // Years and weeks only when they divide evenly, as Prometheus does.
    let units: [(&str, u64, bool); 7] = [
        ("y", 31_536_000_000, true),
        ("w", 604_800_000, true),
        ("d", 86_400_000, false),
        ("h", 3_600_000, false),
        ("m", 60_000, false),
        ("s", 1000, false),
        ("ms", 1, false),
    ];
    for (unit, size, exact) in units {
        if rest == 0 || exact && !rest.is_multiple_of(size) {
            continue;
        }
        let count = rest / size;
        if count > 0 {
            let _ = write!(out, "{count}{unit}");
            rest -= count * size;
        }
    }
    out
}

/// Milliseconds of `1h30m`; units descending, each at most once.
pub(crate) fn parse_duration_ms(text: &str) -> Result<i64, String> {
    let not_a_duration = || format!("not a valid duration string: {}", go_quote(text));
    let units = [
        ("y", 31_536_000_000i64),
        ("w", 604_800_000),
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
        ("ms", 1),
    ];
    let (mut rest, mut next_unit, mut total) = (text, 0, 0i64);
    if rest.is_empty() {
        return Err("empty duration string".to_owned());
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        let at = units.iter().position(|(u, _)| *u == unit).filter(|at| *at >= next_unit).ok_or_else(not_a_duration)?;
        let count: i64 = number.parse().map_err(|_| not_a_duration())?;
        total = units
            .get(at)
            .and_then(|(_, size)| count.checked_mul(*size))
            .and_then(|ms| total.checked_add(ms))
            // Prometheus counts nanoseconds in 64 bits.
            .filter(|ms| *ms <= i64::MAX / 1_000_000)
            .ok_or_else(|| "duration out of range".to_owned())?;
        next_unit = at + 1;
        rest = tail;
    }
    Ok(total)
}

/// A number literal as Go reads it: decimal, hexadecimal, leading-zero octal, `_` between digits, Inf, NaN.
pub(crate) fn parse_number(text: &str) -> Result<f64, String> {
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "inf" | "+inf" => return Ok(f64::INFINITY),
        "-inf" => return Ok(f64::NEG_INFINITY),
        "nan" => return Ok(f64::NAN),
        _ => {}
    }
    let invalid = |why: &str| format!("error parsing number: strconv.ParseFloat: parsing {}: {why}", go_quote(text));
    if let Some(hex) = lower.strip_prefix("0x") {
        let digits = hex.replace('_', "");
        return i64::from_str_radix(&digits, 16).map(|n| n as f64).map_err(|_| invalid("invalid syntax"));
    }
    let digits = lower.replace('_', "");
    let octal = digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| (b'0'..=b'7').contains(&b));
    if octal {
        return i64::from_str_radix(&digits, 8).map(|n| n as f64).map_err(|_| invalid("value out of range"));
    }
    // Go's float syntax takes no underscores outside base-prefixed numbers; its integer syntax does.
    if lower.contains('_') && (digits.contains(['.', 'e']) || digits.starts_with('0')) {
        return Err(invalid("invalid syntax"));
    }
    match digits.parse::<f64>() {
        Ok(value) if value.is_infinite() => Err(invalid("value out of range")),
        Ok(value) => Ok(value),
        Err(_) => Err(invalid("invalid syntax")),
    }
}

/// Go's `%q`.
pub(crate) fn go_quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\u{b}' => out.push_str("\\v"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c => match raw_byte(c) {
                Some(byte) => {
                    let _ = write!(out, "\\x{byte:02x}");
                }
                None => out.push(c),
            },
        }
    }
    out.push('"');
    out
}

/// The text of a quoted literal, quotes included in `literal`. Backticks take everything as it stands.
pub(crate) fn unquote(literal: &str) -> Result<String, String> {
    let mut chars = literal.chars();
    let Some(quote) = chars.next() else { return Ok(String::new()) };
    let inner = literal.get(1..literal.len().saturating_sub(1)).unwrap_or_default();
    if quote == '`' {
        return Ok(inner.to_owned());
    }
    let mut bytes: Vec<u8> = Vec::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            push_char(&mut bytes, c);
            continue;
        }
        let invalid = || "invalid syntax".to_owned();
        let escaped = chars.next().ok_or_else(invalid)?;
        let (digits, radix, already) = match escaped {
            'x' => (2, 16, None),
            'u' => (4, 16, None),
            'U' => (8, 16, None),
            '0'..='7' => (2, 8, Some(escaped)),
            _ => (0, 0, None),
        };
        if digits > 0 {
            let text: String = already.into_iter().chain(chars.by_ref().take(digits)).collect();
            let number = u32::from_str_radix(&text, radix).map_err(|_| invalid())?;
            match escaped {
                'u' | 'U' => push_char(&mut bytes, char::from_u32(number).ok_or_else(invalid)?),
                _ => bytes.push(u8::try_from(number).map_err(|_| invalid())?),
            }
            continue;
        }
        bytes.push(match escaped {
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => 11,
            '\\' | '"' | '\'' => escaped as u8,
            _ => return Err(invalid()),
        });
    }
    Ok(bytes_to_text(&bytes))
}

fn push_char(bytes: &mut Vec<u8>, c: char) {
    let mut buffer = [0; 4];
    bytes.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
}

/// Where bytes that are no UTF-8 (from `\xff`) live inside our texts: private-use characters that print as the
/// escape and are no part of a valid label name.
const RAW_BYTE_BASE: u32 = 0x10_ff00;

/// The byte that a character stands for, when it stands for a byte that is no UTF-8.
pub(crate) fn raw_byte(c: char) -> Option<u8> {
    (c as u32).checked_sub(RAW_BYTE_BASE).and_then(|b| u8::try_from(b).ok())
}

fn bytes_to_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().filter_map(|b| char::from_u32(RAW_BYTE_BASE + u32::from(*b))));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_print_without_exponent() {
        let cases = [
            (1e21, "1000000000000000000000"),
            (0.1, "0.1"),
            (-0.0, "-0"),
            (f64::INFINITY, "+Inf"),
            (1e-7, "0.0000001"),
        ];
        for (value, text) in cases {
            assert_eq!(format_value(value), text);
        }
        assert_eq!((format_g(1e21), format_g(1e-7), format_g(0.25)), ("1e+21".into(), "1e-07".into(), "0.25".into()));
    }

    #[test]
    fn durations_round_trip() {
        for text in ["1h30m", "500ms", "0s", "1w", "1d12h", "5m"] {
            assert_eq!(format_duration(parse_duration_ms(text).unwrap()), text);
        }
        assert!(parse_duration_ms("5m1h").is_err() && parse_duration_ms("5").is_err());
    }

    #[test]
    fn numbers_as_go_reads_them() {
        assert_eq!(parse_number("0x1F"), Ok(31.0));
        assert_eq!(parse_number("010"), Ok(8.0));
        assert_eq!(parse_number("1_000"), Ok(1000.0));
        assert!(parse_number("1e1000").unwrap_err().ends_with("value out of range"));
    }

    #[test]
    fn strings_unquote() {
        assert_eq!(unquote(r#""a\tb\x41\u00e9""#).unwrap(), "a\tbA\u{e9}");
        assert_eq!(unquote(r"`a\n`").unwrap(), "a\\n");
        assert!(unquote(r#""\z""#).is_err());
    }
}
