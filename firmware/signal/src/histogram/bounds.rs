//! Bounds of buckets.
//!
//! An exponential bound is 2^(index / 2^schema): a fraction of a table times a power of two, so that it costs no `exp2`
//! and is the same on every machine. The fractions are not rounded to nearest: they are the numbers that Prometheus and
//! its client libraries use, to the bit, since bounds are compared and printed. Those come from products of the eight
//! roots below, each a root of two as Go's `math.Exp2` gives it.

use super::{EXPONENTIAL_SCHEMA_MAX, EXPONENTIAL_SCHEMA_MIN};

/// 2^(1/2), 2^(1/4) … 2^(1/256).
const ROOT_BITS: [u64; 8] = [
    0x3ff6_a09e_667f_3bcc,
    0x3ff3_06fe_0a31_b715,
    0x3ff1_72b8_3c7d_517b,
    0x3ff0_b558_6cf9_890f,
    0x3ff0_59b0_d315_8574,
    0x3ff0_2c9a_3e77_8061,
    0x3ff0_163d_a9fb_3335,
    0x3ff0_0b1a_fa5a_bcbf,
];

/// 2^(i/256) / 2. Schema `s` uses every `256 >> s`th.
static FRACTIONS: [f64; 256] = fractions();

const fn fractions() -> [f64; 256] {
    let mut table = [0.5; 256];
    let mut schema = 1;
    while schema <= 8 {
        let (stride, root) = (256 >> schema, f64::from_bits(ROOT_BITS[schema - 1]));
        let mut odd = stride;
        while odd < 256 {
            table[odd] = table[odd - stride] * root;
            odd += 2 * stride;
        }
        schema += 1;
    }
    table
}

/// `fraction * 2^exponent` for a fraction of 0.5 up to 1, rounded once.
fn scaled(fraction: f64, exponent: i64) -> f64 {
    const MANTISSA: u64 = (1 << 52) - 1;
    // Far below the smallest subnormal; it keeps the sums below small.
    let exponent = exponent.max(-2000);
    if exponent > 1024 {
        return f64::INFINITY;
    }
    let at = |biased: i64| f64::from_bits(fraction.to_bits() & MANTISSA | (biased as u64) << 52);
    match exponent + 1022 {
        normal @ 1.. => at(normal),
        subnormal @ -99..=0 => at(subnormal + 100) * f64::from_bits((1023 - 100) << 52),
        _ => 0.0,
    }
}

/// The upper bound of bucket `index` of a schema of -4 to 8 (others count as the nearest of these).
///
/// The last bucket of finite observations ends at the largest finite number, the one after it at +Inf.
pub fn exponential_bound(index: i64, schema: i8) -> f64 {
    let schema = schema.clamp(EXPONENTIAL_SCHEMA_MIN, EXPONENTIAL_SCHEMA_MAX);
    let (fraction, exponent) = if schema < 0 {
        (0.5, index.saturating_mul(1 << -schema).saturating_add(1))
    } else {
        let place = (index & ((1 << schema) - 1)) << (8 - schema);
        (FRACTIONS.get(place as usize).copied().unwrap_or(0.5), (index >> schema) + 1)
    };
    if fraction == 0.5 && exponent == 1025 {
        return f64::MAX;
    }
    scaled(fraction, exponent)
}

/// The upper bound of bucket `index` with custom bounds: -Inf before the first, +Inf from the one after the last.
pub fn custom_bound(index: i64, bounds: &[f64]) -> f64 {
    match usize::try_from(index) {
        Err(_) => f64::NEG_INFINITY,
        Ok(at) => bounds.get(at).copied().unwrap_or(f64::INFINITY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_those_of_prometheus() {
        let at = |place: usize| FRACTIONS[place];
        assert_eq!([at(0), at(128)], [0.5, 0.707_106_781_186_547_5]);
        assert_eq!([at(1), at(2), at(3)], [0.501_355_637_525_101_3, 0.502_714_950_556_401_4, 0.504_077_949_059_208_8]);
        assert_eq!([at(64), at(192)], [0.594_603_557_501_360_5, 0.840_896_415_253_714_4]);
        assert_eq!([at(253), at(255)], [0.991_910_082_425_109_5, 0.997_296_056_085_469_8]);
    }

    #[test]
    fn bounds_at_the_ends() {
        assert_eq!(exponential_bound(0, 0), 1.0);
        assert_eq!(exponential_bound(-1, 0), 0.5);
        assert_eq!(exponential_bound(1, -4), 65536.0);
        assert_eq!(exponential_bound(1, 1), std::f64::consts::SQRT_2.next_down());
        for schema in -4..=8 {
            let last = if schema < 0 { 1024 >> -schema } else { 1024 << schema };
            assert_eq!(exponential_bound(last, schema), f64::MAX, "schema {schema}");
            assert_eq!(exponential_bound(last + 1, schema), f64::INFINITY, "schema {schema}");
        }
        assert_eq!(exponential_bound(-1074, 0), f64::from_bits(1));
        assert_eq!(exponential_bound(-1075, 0), 0.0);
        assert_eq!(exponential_bound(i64::MIN / 2, 8), 0.0);
        assert_eq!(exponential_bound(i64::MAX / 2, -4), f64::INFINITY);
    }

    #[test]
    fn bounds_ascend_and_agree_between_schemas() {
        for schema in 0..8 {
            for index in -1100 << schema..1030 << schema {
                assert_eq!(exponential_bound(index, schema), exponential_bound(index * 2, schema + 1));
                assert!(exponential_bound(index, schema) <= exponential_bound(index + 1, schema));
            }
        }
    }
}
