//! Integers as differences, and back.

use super::{CLASS_DOUBLES, CLASSES};
use std::ops::Range;

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

/// Where a series stands at one of its values.
#[derive(Clone, Copy)]
pub(super) struct Walk {
    /// Which value.
    at: usize,
    /// What it is.
    pub(super) x: i64,
    /// Order 2: how much it was more than the one before; at the first value, how much the second will be. Drift: the
    /// usual step.
    step: i64,
}

impl Walk {
    /// At the first value, which is 0; `slope` is the second value for order 2, the usual step for [`ORDER_DRIFT`].
    pub(super) fn new(slope: i64) -> Self {
        Walk { at: 0, x: 0, step: slope }
    }

    /// Goes on to value `to`, appending what `convert` makes of each value after the one it stands at.
    fn emit<R: Copy + Into<i64>, T>(
        &mut self,
        residuals: &[R],
        order: u8,
        to: usize,
        out: &mut Vec<T>,
        convert: impl Fn(i64) -> T,
    ) -> Option<()> {
        if self.at >= to {
            return Some(());
        }
        let (mut x, mut step) = (self.x, self.step);
        match order {
            0 => {
                let of = residuals.get(self.at..to)?;
                out.extend(of.iter().map(|&residual| convert(residual.into())));
                x = (*of.last()?).into();
            }
            1 => out.extend(residuals.get(self.at..to)?.iter().map(|&residual| {
                x = x.wrapping_add(residual.into());
                convert(x)
            })),
            ORDER_DRIFT => out.extend(residuals.get(self.at..to)?.iter().map(|&residual| {
                x = x.wrapping_add(step).wrapping_add(residual.into());
                convert(x)
            })),
            _ => {
                if self.at == 0 {
                    (x, self.at) = (step, 1);
                    out.push(convert(x));
                }
                out.extend(residuals.get(self.at - 1..to - 1)?.iter().map(|&residual| {
                    step = step.wrapping_add(residual.into());
                    x = x.wrapping_add(step);
                    convert(x)
                }));
            }
        }
        *self = Walk { at: to, x, step };
        Some(())
    }

    /// Goes on to value `to`.
    fn skip<R: Copy + Into<i64>>(&mut self, residuals: &[R], order: u8, to: usize) -> Option<()> {
        if self.at >= to {
            return Some(());
        }
        match order {
            0 => self.x = (*residuals.get(to - 1)?).into(),
            1 => {
                let of = residuals.get(self.at..to)?;
                self.x = of.iter().fold(self.x, |x, &residual| x.wrapping_add(residual.into()));
            }
            ORDER_DRIFT => {
                let of = residuals.get(self.at..to)?;
                let steps = self.step.wrapping_mul((to - self.at) as i64);
                self.x = of.iter().fold(self.x.wrapping_add(steps), |x, &residual| x.wrapping_add(residual.into()));
            }
            _ => {
                if self.at == 0 {
                    (self.x, self.at) = (self.step, 1);
                }
                for &residual in residuals.get(self.at - 1..to - 1)? {
                    self.step = self.step.wrapping_add(residual.into());
                    self.x = self.x.wrapping_add(self.step);
                }
            }
        }
        self.at = to;
        Some(())
    }
}

/// A stream of residuals, each in as few bytes as the largest needs.
pub(super) enum Residuals {
    One(Box<[i8]>),
    Two(Box<[i16]>),
    Four(Box<[i32]>),
    Eight(Vec<i64>),
}

fn narrowed<T: TryFrom<i64>>(numbers: &[i64]) -> Option<Box<[T]>> {
    let mut narrow = Vec::with_capacity(numbers.len());
    for &number in numbers {
        narrow.push(T::try_from(number).ok()?);
    }
    Some(narrow.into_boxed_slice())
}

impl Residuals {
    pub(super) fn of(numbers: Vec<i64>) -> Self {
        // All bits that any of them needs, the sign's included.
        let bits = numbers.iter().fold(0, |bits, &number| bits | (number ^ number >> 63) as u64);
        let narrow = match 65 - bits.leading_zeros() {
            ..=8 => narrowed(&numbers).map(Residuals::One),
            9..=16 => narrowed(&numbers).map(Residuals::Two),
            17..=32 => narrowed(&numbers).map(Residuals::Four),
            _ => None,
        };
        narrow.unwrap_or(Residuals::Eight(numbers))
    }

    /// See [`Walk::emit`]; `residuals` are those of the series.
    pub(super) fn emit<T>(
        &self,
        residuals: &Range<usize>,
        order: u8,
        walk: &mut Walk,
        to: usize,
        out: &mut Vec<T>,
        convert: impl Fn(i64) -> T,
    ) -> Option<()> {
        match self {
            Residuals::One(all) => walk.emit(all.get(residuals.clone())?, order, to, out, convert),
            Residuals::Two(all) => walk.emit(all.get(residuals.clone())?, order, to, out, convert),
            Residuals::Four(all) => walk.emit(all.get(residuals.clone())?, order, to, out, convert),
            Residuals::Eight(all) => walk.emit(all.get(residuals.clone())?, order, to, out, convert),
        }
    }

    /// See [`Walk::skip`].
    pub(super) fn skip(&self, residuals: &Range<usize>, order: u8, walk: &mut Walk, to: usize) -> Option<()> {
        match self {
            Residuals::One(all) => walk.skip(all.get(residuals.clone())?, order, to),
            Residuals::Two(all) => walk.skip(all.get(residuals.clone())?, order, to),
            Residuals::Four(all) => walk.skip(all.get(residuals.clone())?, order, to),
            Residuals::Eight(all) => walk.skip(all.get(residuals.clone())?, order, to),
        }
    }

    /// Memory in bytes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Residuals::One(all) => all.len(),
            Residuals::Two(all) => all.len() * 2,
            Residuals::Four(all) => all.len() * 4,
            Residuals::Eight(all) => all.capacity() * 8,
        }
    }
}
