//! Integers as differences, and back.

use super::{CLASS_DOUBLES, CLASSES};

/// Differences whose steps are counted from their usual one.
pub(super) const ORDER_DRIFT: u8 = 3;
/// Steps looked at for the usual one: their median is within a twelfth of the deviation.
const DRIFT_STEPS: usize = 255;
/// Bits that a slope must pay for.
const SLOPE_BITS: u64 = 24;

/// How a series' integers become residuals.
pub(super) struct Plan {
    pub(super) order: u8,
    pub(super) divisor: u64,
    pub(super) class: u8,
    /// The usual step, of order [`ORDER_DRIFT`].
    pub(super) drift: i64,
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Turns integers into `x` in place and chooses order and class.
pub(super) fn plan(integers: &mut [i64]) -> Plan {
    let first = integers.first().copied().unwrap_or(0);
    let mut divisor = 0u64;
    for x in integers.iter_mut() {
        *x = x.wrapping_sub(first);
        if divisor != 1 && *x != 0 {
            divisor = gcd(divisor, x.unsigned_abs());
        }
    }
    let divisor = divisor.max(1);
    if let Ok(by) = i64::try_from(divisor)
        && by > 1
    {
        for x in integers.iter_mut() {
            *x /= by;
        }
    }
    let drift = usual_step(integers);
    let mut bits = [0u64; 4];
    let (mut before, mut step) = (0i64, 0i64);
    for (at, &x) in integers.iter().enumerate().skip(1) {
        let now = x.wrapping_sub(before);
        bits[0] += bit_length(x);
        bits[1] += bit_length(now);
        bits[2] += if at == 1 { SLOPE_BITS } else { bit_length(now.wrapping_sub(step)) };
        bits[3] += bit_length(now.wrapping_sub(drift)) + if at == 1 { SLOPE_BITS } else { 0 };
        (before, step) = (x, now);
    }
    bits[2] = if integers.len() < 3 { u64::MAX } else { bits[2] };
    bits[3] = if drift == 0 { u64::MAX } else { bits[3] };
    let order = (0..4).min_by_key(|&o| bits[o]).unwrap_or(1);
    let class = class_of(bits[order], integers.len().saturating_sub(1).max(1) as u64);
    Plan { order: order as u8, divisor, class, drift }
}

/// The median of some steps: a counter's reset does not move it.
fn usual_step(integers: &[i64]) -> i64 {
    let stride = (integers.len() / DRIFT_STEPS).max(1);
    let mut steps = [0i64; DRIFT_STEPS];
    let mut count = 0;
    for (step, pair) in steps.iter_mut().zip(integers.windows(2).step_by(stride)) {
        *step = pair[1].wrapping_sub(pair[0]);
        count += 1;
    }
    let steps = &mut steps[..count];
    if steps.is_empty() {
        return 0;
    }
    let middle = steps.len() / 2;
    *steps.select_nth_unstable(middle).1
}

/// The stream for residuals of so many bits in all, by their mean: quarters of a bit below one, bits above. Series that
/// spread alike share the tables of the entropy coder. 0: all are zero.
fn class_of(bits: u64, count: u64) -> u8 {
    let class = match bits {
        0 => 0,
        _ if bits < count => 1 + bits * 4 / count,
        _ => 4 + bits / count,
    };
    // Doubles have their number from version 1.
    let class = if class >= CLASS_DOUBLES as u64 { class + 1 } else { class };
    class.min(CLASSES as u64 - 1) as u8
}

fn bit_length(residual: i64) -> u64 {
    u64::from(64 - crate::bytes::zigzag(residual).leading_zeros())
}

/// Undoes differences of `order`: calls `emit` with 0 and what follows.
pub(super) fn sum_up(residuals: &[i64], order: u8, slope: i64, mut emit: impl FnMut(i64)) {
    emit(0);
    let (mut x, mut step) = (0i64, slope);
    match order {
        0 => residuals.iter().for_each(|&residual| emit(residual)),
        1 => {
            for &residual in residuals {
                x = x.wrapping_add(residual);
                emit(x);
            }
        }
        ORDER_DRIFT => {
            for &residual in residuals {
                x = x.wrapping_add(slope).wrapping_add(residual);
                emit(x);
            }
        }
        _ => {
            x = slope;
            emit(x);
            for &residual in residuals {
                step = step.wrapping_add(residual);
                x = x.wrapping_add(step);
                emit(x);
            }
        }
    }
}
