//! Operators with a histogram on at least one side.

use super::notes::{Noted, Operation};
use super::over_time::same;
use super::trim::trim;
use crate::eval::native::Element;
use crate::syntax::BinaryOp;
use bramble_signal::NativeHistogram;

/// The two sides of an operation.
#[derive(Clone, Copy)]
pub(crate) enum Operands<'h> {
    /// Both are numbers.
    Floats(f64, f64),
    /// A number and a histogram.
    FloatHistogram(f64, &'h NativeHistogram),
    /// A histogram and a number.
    HistogramFloat(&'h NativeHistogram, f64),
    /// Both are histograms.
    Histograms(&'h NativeHistogram, &'h NativeHistogram),
}

/// Why an operation gives nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// The operator does not go with these types: what is on the left and on the right.
    Types(&'static str, &'static str),
    /// The layouts do not go together.
    Layout,
    /// A comparison that does not hold.
    Filtered,
}

/// Operates where a histogram is involved. Comparisons that hold give the left side.
pub(crate) fn operate(
    op: BinaryOp,
    operands: Operands<'_>,
    newer: bool,
    notes: &mut dyn FnMut(Noted),
) -> Result<Element, Refusal> {
    use BinaryOp::*;
    let compacted = |mut h: NativeHistogram| {
        h.compact(0);
        Ok(Element::Histogram(h))
    };
    match operands {
        Operands::FloatHistogram(factor, h) if op == Mul => {
            let mut product = h.clone();
            product.mul(factor);
            compacted(product)
        }
        Operands::HistogramFloat(h, number) => match op {
            Mul => {
                let mut product = h.clone();
                product.mul(number);
                compacted(product)
            }
            Div => {
                let mut quotient = h.clone();
                quotient.div(number);
                compacted(quotient)
            }
            TrimUpper | TrimLower => compacted(trim(h, number, op == TrimUpper)),
            _ => Err(Refusal::Types("histogram", "float")),
        },
        Operands::Histograms(a, b) => match op {
            Add => compacted(together(a, b, Operation::Addition, newer, notes)?),
            Sub => compacted(together(a, b, Operation::Subtraction, newer, notes)?),
            Equal | NotEqual if same(a, b) == (op == Equal) => Ok(Element::Histogram(a.clone())),
            Equal | NotEqual => Err(Refusal::Filtered),
            _ => Err(Refusal::Types("histogram", "histogram")),
        },
        Operands::FloatHistogram(..) => Err(Refusal::Types("float", "histogram")),
        // Only the trimming operators come here with numbers.
        Operands::Floats(..) => Err(Refusal::Types("float", "float")),
    }
}

fn together(
    a: &NativeHistogram,
    b: &NativeHistogram,
    operation: Operation,
    newer: bool,
    notes: &mut dyn FnMut(Noted),
) -> Result<NativeHistogram, Refusal> {
    if !newer && a.has_custom_bounds() && b.has_custom_bounds() && !a.same_bounds(b) {
        return Err(Refusal::Layout);
    }
    let mut result = a.clone();
    let said = match operation {
        Operation::Subtraction => result.sub(b),
        _ => result.add(b),
    };
    let said = said.map_err(|_| Refusal::Layout)?;
    if operation == Operation::Subtraction {
        result.reset_hint = bramble_signal::ResetHint::Gauge;
    }
    if said.reset_hint_collision {
        notes(Noted::ResetCollision(operation));
    }
    if said.bounds_reconciled {
        notes(Noted::Reconciled(operation));
    }
    Ok(result)
}
