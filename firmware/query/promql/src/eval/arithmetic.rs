//! Operators on numbers, and between vectors and scalars.

use super::evaluator::{Evaluator, Outcome, Sink};
use super::rows::{ABSENT, Grid, is_absent};
use crate::syntax::{BinaryOp, Expr};

/// The number an operator gives; for comparisons 1 or 0.
pub(crate) fn scalars(op: BinaryOp, a: f64, b: f64) -> f64 {
    use BinaryOp::*;
    match op {
        Add => a + b,
        Sub => a - b,
        Mul => a * b,
        Div => a / b,
        Mod => a % b,
        Pow => power(a, b),
        Atan2 => a.atan2(b),
        op => f64::from(u8::from(compares(op, a, b))),
    }
}

/// `a ^ b` with Go's corner cases: `1 ^ NaN` and `NaN ^ 0` are 1 there too.
fn power(a: f64, b: f64) -> f64 {
    // Go: (±1) ^ ±Inf is 1.
    if a.abs() == 1.0 && b.is_infinite() { 1.0 } else { a.powf(b) }
}

/// Whether a comparison holds.
pub(crate) fn compares(op: BinaryOp, a: f64, b: f64) -> bool {
    use BinaryOp::*;
    match op {
        Equal => a == b,
        NotEqual => a != b,
        Less => a < b,
        LessEqual => a <= b,
        Greater => a > b,
        GreaterEqual => a >= b,
        _ => false,
    }
}

/// What an element becomes: its new value, or [`ABSENT`] when a comparison filters it out.
pub(crate) fn element(op: BinaryOp, return_bool: bool, a: f64, b: f64, kept: f64) -> f64 {
    use BinaryOp::*;
    match op {
        TrimUpper | TrimLower => ABSENT,
        op if op.is_comparison() && !return_bool => {
            if compares(op, a, b) {
                kept
            } else {
                ABSENT
            }
        }
        op => scalars(op, a, b),
    }
}

/// One operation between a vector and a scalar.
pub(crate) struct WithScalar<'e> {
    pub(crate) op: BinaryOp,
    pub(crate) return_bool: bool,
    pub(crate) vector: &'e Expr,
    pub(crate) scalar: &'e Expr,
    /// The scalar is on the left.
    pub(crate) swapped: bool,
}

impl Evaluator<'_> {
    pub(crate) fn with_scalar(&self, operation: &WithScalar<'_>, grid: Grid, sink: Sink<'_>) -> Outcome<()> {
        let WithScalar { op, return_bool, vector, scalar, swapped } = *operation;
        let scalars = self.scalar(scalar, grid)?;
        let mut produce = |sink: Sink<'_>| {
            self.each(vector, grid, &mut |mut row| {
                let mut any = false;
                for (value, scalar) in row.values.iter_mut().zip(&scalars).filter(|(v, _)| !is_absent(**v)) {
                    let (a, b) = if swapped { (*scalar, *value) } else { (*value, *scalar) };
                    *value = element(op, return_bool, a, b, *value);
                    any |= !is_absent(*value);
                }
                if any { sink(row) } else { Ok(()) }
            })
        };
        match op.is_comparison() && !return_bool {
            true => produce(sink),
            false => self.renamed(vector, sink, &mut produce),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_follow_ieee() {
        assert!(scalars(BinaryOp::Div, 0.0, 0.0).is_nan());
        assert_eq!(scalars(BinaryOp::Mod, -5.0, 3.0), -2.0);
        assert_eq!(scalars(BinaryOp::Pow, -1.0, f64::INFINITY), 1.0);
        assert_eq!(scalars(BinaryOp::Less, 1.0, f64::NAN), 0.0);
        assert!(is_absent(element(BinaryOp::Greater, false, 1.0, 2.0, 1.0)));
    }
}
