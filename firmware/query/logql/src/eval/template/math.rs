//! Arithmetic. Sums and products of decimals are exact, as in the library that Loki has its functions from: `addf 0.1
//! 0.2` is 0.3.

use super::functions::{regex, text};
use super::value::Value;
use crate::syntax::{parse_bytes, parse_duration};

/// A decimal: `digits` × 10^-`scale`.
#[derive(Clone, Copy)]
struct Decimal {
    digits: i128,
    scale: u32,
}

/// Places of a quotient.
const DIVISION_PLACES: u32 = 16;

impl Decimal {
    /// From the shortest text that reads back as `value`; `None` where that is too long.
    fn of(value: f64) -> Option<Self> {
        if !value.is_finite() {
            return None;
        }
        let text = format!("{value}");
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let digits = format!("{whole}{fraction}").parse().ok()?;
        Some(Decimal { digits, scale: fraction.len() as u32 })
    }

    fn value(self) -> Option<f64> {
        format!("{}e-{}", self.digits, self.scale).parse().ok()
    }

    /// Digits at `scale`, which is not smaller than its own.
    fn at(self, scale: u32) -> Option<i128> {
        self.digits.checked_mul(10i128.checked_pow(scale - self.scale)?)
    }

    fn combine(self, other: Self, op: &str) -> Option<Self> {
        let scale = self.scale.max(other.scale);
        Some(match op {
            "addf" => Decimal { digits: self.at(scale)?.checked_add(other.at(scale)?)?, scale },
            "subf" => Decimal { digits: self.at(scale)?.checked_sub(other.at(scale)?)?, scale },
            "mulf" => Decimal { digits: self.digits.checked_mul(other.digits)?, scale: self.scale + other.scale },
            _ => {
                // To the nearest, halves away from zero.
                let dividend = self.at(scale)?.checked_mul(10i128.checked_pow(DIVISION_PLACES)?)?;
                let divisor = other.at(scale)?;
                let (quotient, rest) = (dividend.checked_div(divisor)?, dividend.checked_rem(divisor)?);
                let away = i128::from(rest.unsigned_abs() * 2 >= divisor.unsigned_abs());
                let sign = if (dividend < 0) == (divisor < 0) { 1 } else { -1 };
                Decimal { digits: quotient + sign * away, scale: DIVISION_PLACES }
            }
        })
    }
}

/// Folds from the left; by floating point where decimals get too long.
fn fold(op: &str, values: &[f64]) -> Result<f64, String> {
    let Some((first, rest)) = values.split_first() else { return Ok(0.0) };
    if op == "divf" && rest.contains(&0.0) {
        return Err("decimal division by 0".to_owned());
    }
    let decimals = rest.iter().try_fold(Decimal::of(*first), |sum, v| Some(sum?.combine(Decimal::of(*v)?, op)));
    if let Some(value) = decimals.flatten().and_then(Decimal::value) {
        return Ok(value);
    }
    Ok(rest.iter().fold(*first, |a, b| match op {
        "addf" => a + b,
        "subf" => a - b,
        "mulf" => a * b,
        _ => a / b,
    }))
}

/// `places` behind the point; what lies at or above `on` of the way to the next goes up, and so negative halves go
/// down, as sprig has it.
fn round(value: f64, places: i64, on: f64) -> f64 {
    let power = 10f64.powi(places.clamp(-300, 300) as i32);
    let digits = value * power;
    let rounded = if digits.fract() >= on { digits.ceil() } else { digits.floor() };
    rounded / power
}

pub(super) fn numbers(name: &str, a: &[Value]) -> Result<Option<Value>, String> {
    let ints = || a.iter().map(Value::int);
    let floats = || a.iter().map(Value::float);
    let (x, y) = (a.first().map_or(0, Value::int), a.get(1).map_or(0, Value::int));
    let f = a.first().map_or(0.0, Value::float);
    const BY_ZERO: &str = "runtime error: integer divide by zero";
    Ok(Some(match (name, a.len()) {
        ("int", 1) => Value::Int(x),
        ("float64", 1) => Value::Float(f),
        ("add", _) => Value::Int(ints().fold(0, i64::wrapping_add)),
        ("sub", 2) => Value::Int(x.wrapping_sub(y)),
        ("mul", 1..) => Value::Int(ints().fold(1, i64::wrapping_mul)),
        ("div", 2) => Value::Int(x.checked_div(y).ok_or(BY_ZERO)?),
        ("mod", 2) => Value::Int(x.checked_rem(y).ok_or(BY_ZERO)?),
        ("addf" | "subf" | "mulf" | "divf", 1..) => Value::Float(fold(name, &floats().collect::<Vec<_>>())?),
        ("max", 1..) => Value::Int(ints().fold(x, i64::max)),
        ("min", 1..) => Value::Int(ints().fold(x, i64::min)),
        ("maxf", 1..) => Value::Float(floats().fold(f, f64::max)),
        ("minf", 1..) => Value::Float(floats().fold(f, f64::min)),
        ("ceil", 1) => Value::Float(f.ceil()),
        ("floor", 1) => Value::Float(f.floor()),
        ("round", 2 | 3) => Value::Float(round(f, y, a.get(2).map_or(0.5, Value::float))),
        ("count", 2) => {
            let (pattern, subject) = (a.first().map(text).unwrap_or_default(), a.get(1).map(text).unwrap_or_default());
            Value::Int(regex(&pattern)?.find_iter(&subject).count() as i64)
        }
        ("duration" | "duration_seconds", 1) => {
            Value::Float(parse_duration(&a.first().map(text).unwrap_or_default(), false)? as f64 / 1e9)
        }
        ("bytes", 1) => Value::Float(parse_bytes(&a.first().map(text).unwrap_or_default())? as f64),
        _ => return Ok(None),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals() {
        let of = |op: &str, values: &[f64]| fold(op, values).unwrap();
        assert_eq!(of("addf", &[0.1, 0.2]), 0.3);
        assert_eq!(of("subf", &[0.3, 0.1]), 0.2);
        assert_eq!(of("mulf", &[1.1, 1.1]), 1.21);
        assert_eq!(of("divf", &[7.0, 2.0]), 3.5);
        assert_eq!(of("divf", &[2.0, 3.0]), 0.666_666_666_666_666_7);
        assert_eq!(of("addf", &[1e300, 1.0]), 1e300);
        assert!(fold("divf", &[1.0, 0.0]).is_err());
        assert_eq!((round(1.2345, 2, 0.5), round(-1.2, 0, 0.5)), (1.23, -2.0));
    }
}
