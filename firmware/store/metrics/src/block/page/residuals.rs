//! Integers as differences, and back.

use super::CLASS_BITS;

/// How a series' integers become residuals.
pub(super) struct Plan {
    pub(super) order: u8,
    pub(super) divisor: u64,
    pub(super) class: u8,
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
    let (mut bits, mut largest) = ([0u64; 3], [0u8; 3]);
    let (mut before, mut step) = (0i64, 0i64);
    for (at, &x) in integers.iter().enumerate().skip(1) {
        let now = x.wrapping_sub(before);
        let residuals = [x, now, now.wrapping_sub(step)];
        for (order, &residual) in residuals.iter().enumerate().take(if at == 1 { 2 } else { 3 }) {
            let length = bit_length(residual);
            bits[order] += u64::from(length);
            largest[order] = largest[order].max(length);
        }
        (before, step) = (x, now);
    }
    // A second slope to store must pay for itself.
    bits[2] = if integers.len() < 3 { u64::MAX } else { bits[2] + 24 };
    let order = (0..3).min_by_key(|&o| bits[o]).unwrap_or(1);
    let class = CLASS_BITS.iter().position(|&b| b >= largest[order]).unwrap_or(CLASS_BITS.len() - 1);
    Plan { order: order as u8, divisor, class: class as u8 }
}

fn bit_length(residual: i64) -> u8 {
    (64 - crate::bytes::zigzag(residual).leading_zeros()) as u8
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
