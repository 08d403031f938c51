//! Doubles as decimal integers, where that is exact.
//!
//! Most measured values are decimals of few digits: `value = integer / 10^exponent`, and the division gives back
//! exactly the double that the sender had. Integers have small differences; doubles that differ in the last
//! decimal differ in most of their bits. What is not exactly such a number (also -0.0, NaN, infinities) is `None`.

/// Largest exponent tried: micro- and nanoseconds, and a few digits more.
pub(crate) const EXPONENT_MAX: u8 = 12;

const POWERS: [f64; EXPONENT_MAX as usize + 1] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12];

/// Integers up to here are exact in a double.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Decimals of so many digits survive a double and back.
const FIFTEEN_DIGITS: f64 = 1e15;

/// The integer of `value` at `exponent`, if it gives back the same bits.
#[inline]
pub(crate) fn to_integer(value: f64, exponent: u8) -> Option<i64> {
    let scaled = value * POWERS[usize::from(exponent.min(EXPONENT_MAX))];
    if scaled.is_nan() || scaled.abs() >= EXACT {
        return None;
    }
    let integer = (scaled + 0.5f64.copysign(scaled)) as i64;
    (from_integer(integer, exponent).to_bits() == value.to_bits()).then_some(integer)
}

/// The inverse of [`to_integer`].
#[inline]
pub(crate) fn from_integer(integer: i64, exponent: u8) -> f64 {
    if exponent == 0 { integer as f64 } else { integer as f64 / POWERS[usize::from(exponent.min(EXPONENT_MAX))] }
}

/// The smallest exponent of at least `from` (or else below it) at which `value` is exact.
pub(crate) fn exponent_of(value: f64, from: u8) -> Option<u8> {
    if value.is_nan() || value.abs() >= EXACT {
        return None;
    }
    // One test refuses noise: a decimal of up to 15 digits is also exact at the largest exponent that keeps it so.
    let mut largest = EXPONENT_MAX;
    while largest > 0 && value.abs() * POWERS[usize::from(largest)] >= FIFTEEN_DIGITS {
        largest -= 1;
    }
    to_integer(value, largest)?;
    (from.min(largest)..=largest).chain(0..from.min(largest)).find(|&e| to_integer(value, e).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn finds_the_shortest() {
        for (value, expected) in [
            (1.0, Some(0)),
            (0.1, Some(1)),
            (1034.802, Some(3)),
            (-0.000_001, Some(6)),
            (0.1 + 0.2, None),
            (f64::NAN, None),
            (-0.0, None),
            (1e300, None),
            (9e15, Some(0)),
        ] {
            assert_eq!(exponent_of(value, 0), expected, "{value}");
        }
        assert_eq!(exponent_of(1.5, 3), Some(3), "stays where the series is");
    }

    proptest! {
        #[test]
        fn exact_or_none(bits in any::<u64>(), exponent in 0u8..=EXPONENT_MAX) {
            let value = f64::from_bits(bits);
            if let Some(integer) = to_integer(value, exponent) {
                prop_assert_eq!(from_integer(integer, exponent).to_bits(), bits);
            }
        }

        #[test]
        fn decimals_are_found(integer in -1_000_000_000i64..1_000_000_000, exponent in 0u8..=6) {
            let value = from_integer(integer, exponent);
            prop_assert!(integer == 0 || exponent_of(value, 0).is_some_and(|e| e <= exponent));
        }
    }
}
