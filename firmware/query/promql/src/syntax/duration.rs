//! Durations that are computed: `[5m + step()]`, `offset -(2 * 1h)`.

use super::error::Span;

/// A duration in brackets or after `offset`. Numbers are seconds.
#[derive(Clone, PartialEq, Debug)]
pub enum DurationExpr {
    /// A literal, in seconds, and whether it was written with units.
    Literal {
        /// Seconds.
        seconds: f64,
        /// `5m` rather than `300`.
        units: bool,
    },
    /// The query's step; 0 for an instant query.
    Step,
    /// The query's range; 0 for an instant query.
    Range,
    /// `-x`
    Negative(Box<DurationExpr>),
    /// `(x)`
    Paren(Box<DurationExpr>),
    /// `+ - * / % ^`
    Binary(char, Box<DurationExpr>, Box<DurationExpr>),
    /// `min_of(a, b)`
    Min(Box<DurationExpr>, Box<DurationExpr>),
    /// `max_of(a, b)`
    Max(Box<DurationExpr>, Box<DurationExpr>),
}

impl DurationExpr {
    /// Seconds, given the query's step and range in seconds.
    ///
    /// # Errors
    /// A text for division or modulo by zero.
    pub fn seconds(&self, step: f64, range: f64) -> Result<f64, String> {
        let of = |e: &DurationExpr| e.seconds(step, range);
        Ok(match self {
            DurationExpr::Literal { seconds, .. } => *seconds,
            DurationExpr::Step => step,
            DurationExpr::Range => range,
            DurationExpr::Negative(e) => -of(e)?,
            DurationExpr::Paren(e) => of(e)?,
            DurationExpr::Min(a, b) => of(a)?.min(of(b)?),
            DurationExpr::Max(a, b) => of(a)?.max(of(b)?),
            DurationExpr::Binary(op, a, b) => {
                let (a, b) = (of(a)?, of(b)?);
                match op {
                    '+' => a + b,
                    '-' => a - b,
                    '*' => a * b,
                    '/' if b == 0.0 => return Err("division by zero".to_owned()),
                    '/' => a / b,
                    '%' if b == 0.0 => return Err("modulo by zero".to_owned()),
                    '%' => a % b,
                    _ => a.powf(b),
                }
            }
        })
    }

    /// Milliseconds, given the query's step and range in milliseconds.
    ///
    /// # Errors
    /// As [`seconds`](Self::seconds), and when the result does not fit.
    pub fn resolve(&self, step_ms: i64, range_ms: i64) -> Result<i64, String> {
        let seconds = self.seconds(step_ms as f64 / 1000.0, range_ms as f64 / 1000.0)?;
        // Prometheus keeps durations as nanoseconds in 64 bits.
        if !seconds.is_finite() || seconds.abs() >= 9_223_372_036.0 {
            return Err("duration out of range".to_owned());
        }
        Ok((seconds * 1000.0).round() as i64)
    }

    /// Whether the value depends on nothing: a literal, possibly negated or in arithmetic.
    pub fn is_constant(&self) -> bool {
        match self {
            DurationExpr::Literal { .. } => true,
            DurationExpr::Step | DurationExpr::Range => false,
            DurationExpr::Negative(e) | DurationExpr::Paren(e) => e.is_constant(),
            DurationExpr::Binary(_, a, b) | DurationExpr::Min(a, b) | DurationExpr::Max(a, b) => {
                a.is_constant() && b.is_constant()
            }
        }
    }
}

/// A duration with its place.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct PlacedDuration {
    pub(crate) expr: DurationExpr,
    pub(crate) span: Span,
}
