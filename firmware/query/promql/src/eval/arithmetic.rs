//! Operators on numbers, and between vectors and scalars.

use super::evaluator::{Evaluator, Outcome, Sink};
use super::native::{self, Element, Operands, Refusal};
use super::rows::{ABSENT, Grid, Row, is_absent};
use crate::syntax::{BinaryOp, Expr, Span};

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
    match op {
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
    /// Where the whole operation stands.
    pub(crate) span: Span,
}

impl Evaluator<'_> {
    pub(crate) fn with_scalar(&self, operation: &WithScalar<'_>, grid: Grid, sink: Sink<'_>) -> Outcome<()> {
        let WithScalar { op, return_bool, vector, scalar, swapped, .. } = *operation;
        let scalars = self.scalar(scalar, grid)?;
        let mut produce = |sink: Sink<'_>| {
            self.each(vector, grid, &mut |mut row| {
                let mut any = false;
                if !row.histograms.is_empty() || op.is_trim() {
                    return self.natively_with_scalar(operation, &scalars, row, sink);
                }
                for (value, scalar) in row.values.iter_mut().zip(&scalars).filter(|(v, _)| !is_absent(**v)) {
                    let (a, b) = if swapped { (*scalar, *value) } else { (*value, *scalar) };
                    *value = element(op, return_bool, a, b, *value);
                    any |= !is_absent(*value);
                }
                if any { sink(row) } else { Ok(()) }
            })
        };
        match op.is_trim() || op.is_comparison() && !return_bool {
            true => produce(sink),
            false => self.renamed(vector, sink, &mut produce),
        }
    }
}

impl Evaluator<'_> {
    /// One operation between a row that holds histograms and scalars.
    fn natively_with_scalar(
        &self,
        operation: &WithScalar<'_>,
        scalars: &[f64],
        row: Row,
        sink: Sink<'_>,
    ) -> Outcome<()> {
        let WithScalar { op, return_bool, swapped, span, .. } = *operation;
        let mut out = Row::floats(row.labels.clone(), row.drop_name, vec![ABSENT; row.values.len()]);
        for (i, (value, scalar)) in row.values.iter().zip(scalars).enumerate().filter(|(_, (v, _))| !is_absent(**v)) {
            let operands = match (row.histogram(i), swapped) {
                (Some(h), true) => Operands::FloatHistogram(*scalar, h),
                (Some(h), false) => Operands::HistogramFloat(h, *scalar),
                (None, true) => Operands::Floats(*scalar, *value),
                (None, false) => Operands::Floats(*value, *scalar),
            };
            let result = match self.operated(op, return_bool, operands, *value, span) {
                None => continue,
                Some(Element::Float(value)) => value,
                Some(Element::Histogram(histogram)) => out.keep(histogram),
            };
            if let Some(slot) = out.values.get_mut(i) {
                *slot = result;
            }
        }
        if out.is_empty() { Ok(()) } else { sink(out) }
    }

    /// An operation on two elements, with what there is to say about it. `kept` is what numbers become when a
    /// comparison holds.
    pub(crate) fn operated(
        &self,
        op: BinaryOp,
        return_bool: bool,
        operands: Operands<'_>,
        kept: f64,
        span: Span,
    ) -> Option<Element> {
        if let Operands::Floats(a, b) = operands
            && !op.is_trim()
        {
            return Some(element(op, return_bool, a, b, kept)).filter(|v| !is_absent(*v)).map(Element::Float);
        }
        let newer = self.options.newer_than_3_5;
        match native::operate(op, operands, newer, &mut |noted| self.note(noted, "", span)) {
            Ok(_) if return_bool => Some(Element::Float(1.0)),
            Ok(element) => Some(element),
            Err(Refusal::Filtered) => return_bool.then_some(Element::Float(0.0)),
            Err(Refusal::Types(left, right)) => {
                self.info(
                    span,
                    format!("incompatible sample types encountered for binary operator \"{op}\": {left} {op} {right}"),
                );
                None
            }
            Err(Refusal::Layout) => {
                self.warn(span, format!("incompatible bucket layout encountered for binary operator {op}"));
                None
            }
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
