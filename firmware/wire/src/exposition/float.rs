//! Numbers as Go reads and writes them, since that is what both text formats mean by a number.

use std::fmt::Write;

/// The NaN of values that are read: Prometheus' ordinary one, which is not the staleness marker.
const NORMAL_NAN_BITS: u64 = 0x7ff8_0000_0000_0001;

/// First exponent that is written with `e`: Go's rule for shortest digits.
const EXPONENT_MAX: i32 = 6;

/// Reads a decimal number, `Inf`, `Infinity` or `NaN` (any case). Hexadecimal and `_` are no part of the formats.
///
/// # Errors
/// Why it is none.
pub(crate) fn parse_float(text: &[u8]) -> Result<f64, &'static str> {
    const WRONG: &str = "not a number";
    let word = std::str::from_utf8(text).map_err(|_| WRONG)?;
    let value: f64 = word.parse().map_err(|_| WRONG)?;
    if value.is_nan() {
        // A sign before NaN is Rust's alone.
        let plain = text.first().is_some_and(|b| b.is_ascii_alphabetic());
        return if plain { Ok(f64::from_bits(NORMAL_NAN_BITS)) } else { Err(WRONG) };
    }
    if value.is_infinite() && text.iter().any(u8::is_ascii_digit) {
        return Err("number out of range");
    }
    Ok(value)
}

/// Appends a number as Prometheus' exposition does: shortest digits that read back, with an exponent below
/// 1e-4 and from 1e6 on.
pub(crate) fn push_float(value: f64, out: &mut String) {
    if value.is_nan() {
        return out.push_str("NaN");
    }
    if value.is_infinite() {
        return out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    }
    if value == 0.0 {
        return out.push_str(if value.is_sign_negative() { "-0" } else { "0" });
    }
    let start = out.len();
    // Writing to a string cannot fail. `d.ddde-5`: the digits are the shortest that read back.
    let _ = write!(out, "{value:e}");
    let written = out.get(start..).unwrap_or_default();
    let exponent: i32 = written.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0);
    if (-4..EXPONENT_MAX).contains(&exponent) {
        out.truncate(start);
        let _ = write!(out, "{value}");
        return;
    }
    let mantissa_end = start + written.find('e').unwrap_or(written.len());
    out.truncate(mantissa_end);
    let sign = if exponent < 0 { '-' } else { '+' };
    let _ = write!(out, "e{sign}{:02}", exponent.unsigned_abs());
}

/// As [`push_float`], but whole numbers end in `.0`, as OpenMetrics wants bounds and quantiles.
pub(crate) fn push_open_metrics(value: f64, out: &mut String) {
    let start = out.len();
    push_float(value, out);
    let written = out.get(start..).unwrap_or_default();
    if value.is_finite() && !written.contains(['.', 'e']) {
        out.push_str(".0");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: f64) -> (String, String) {
        let (mut text, mut open_metrics) = (String::new(), String::new());
        push_float(value, &mut text);
        push_open_metrics(value, &mut open_metrics);
        (text, open_metrics)
    }

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        let pair = |text: &str, open_metrics: &str| (text.to_owned(), open_metrics.to_owned());
        assert_eq!(written(1.0), pair("1", "1.0"));
        assert_eq!(written(0.0), pair("0", "0.0"));
        assert_eq!(written(-12.5), pair("-12.5", "-12.5"));
        assert_eq!(written(100_000.0), pair("100000", "100000.0"));
        assert_eq!(written(1e6), pair("1e+06", "1e+06"));
        assert_eq!(written(2_478_268_416.0), pair("2.478268416e+09", "2.478268416e+09"));
        assert_eq!(written(0.0001), pair("0.0001", "0.0001"));
        assert_eq!(written(-1.5e-5), pair("-1.5e-05", "-1.5e-05"));
        assert_eq!(written(1e-100), pair("1e-100", "1e-100"));
        assert_eq!(written(f64::INFINITY), pair("+Inf", "+Inf"));
        assert_eq!(written(f64::NAN), pair("NaN", "NaN"));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for good in ["1", "+1", "-.5", "5.", "1e5", "Inf", "-inf", "+Infinity", "NaN", "nan", "0001.5"] {
            assert!(parse_float(good.as_bytes()).is_ok(), "{good}");
        }
        for bad in ["", "0x1p-3", "1_2", "0b1", "true", "1\t", "+NaN", "-nan", "1e400", ".", "e5", "1 "] {
            assert!(parse_float(bad.as_bytes()).is_err(), "{bad}");
        }
        assert_eq!(parse_float(b"nan").unwrap().to_bits(), NORMAL_NAN_BITS);
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_reads_back(bits in proptest::num::u64::ANY) {
            let value = f64::from_bits(bits);
            proptest::prop_assume!(!value.is_nan());
            let (text, open_metrics) = written(value);
            proptest::prop_assert_eq!(parse_float(text.as_bytes()).unwrap().to_bits(), bits);
            proptest::prop_assert_eq!(parse_float(open_metrics.as_bytes()).unwrap().to_bits(), bits);
        }
    }
}
