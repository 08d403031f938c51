//! Durations that are computed: `[5m + step()]`, `offset -(2 * 1h)`.

use super::error::Span;
use super::parser::{Parsed, Parser};
use super::token::Kind;

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

fn negated(expr: DurationExpr) -> DurationExpr {
    match expr {
        DurationExpr::Literal { seconds, units } => DurationExpr::Literal { seconds: -seconds, units },
        expr => DurationExpr::Negative(Box::new(expr)),
    }
}

impl Parser<'_> {
    /// A whole duration expression, as inside brackets.
    pub(crate) fn duration_expr(&mut self, weakest: u8, context: &str) -> Parsed<PlacedDuration> {
        let mut lhs = self.duration_factor(context)?;
        loop {
            let (op, strength) = match self.peek() {
                t if t.kind != Kind::Operator => return Ok(lhs),
                t => match t.text.as_str() {
                    "+" => ('+', 1),
                    "-" => ('-', 1),
                    "*" => ('*', 2),
                    "/" => ('/', 2),
                    "%" => ('%', 2),
                    "^" => ('^', 3),
                    _ => return Ok(lhs),
                },
            };
            if strength < weakest {
                return Ok(lhs);
            }
            self.take();
            let rhs = self.duration_expr(if op == '^' { strength } else { strength + 1 }, context)?;
            lhs = PlacedDuration {
                span: lhs.span.to(rhs.span),
                expr: DurationExpr::Binary(op, Box::new(lhs.expr), Box::new(rhs.expr)),
            };
        }
    }

    /// Inside brackets a sign binds less than `^`; after `offset` the power is not the duration's.
    fn duration_factor(&mut self, context: &str) -> Parsed<PlacedDuration> {
        let sign = self.peek().clone();
        if !sign.is_operator("-") {
            return self.duration_operand(context);
        }
        self.take();
        let inner = self.duration_expr(3, context)?;
        Ok(PlacedDuration { span: sign.span.to(inner.span), expr: negated(inner.expr) })
    }

    /// An optional sign and a literal, a call of `step`, `range`, `min_of`, `max_of`, or a parenthesis.
    pub(crate) fn duration_operand(&mut self, context: &str) -> Parsed<PlacedDuration> {
        let token = self.peek().clone();
        if token.is_operator("-") || token.is_operator("+") {
            self.take();
            let inner = self.duration_operand(context)?;
            let expr = if token.text == "-" { negated(inner.expr) } else { inner.expr };
            return Ok(PlacedDuration { expr, span: token.span.to(inner.span) });
        }
        let called = self.ahead(1).kind == Kind::LeftParen;
        let word = token.text.to_ascii_lowercase();
        match token.kind {
            Kind::Number | Kind::Duration => {
                let (seconds, units, span) = self.number()?;
                Ok(PlacedDuration { expr: DurationExpr::Literal { seconds, units }, span })
            }
            Kind::LeftParen => {
                self.take();
                let inner = self.duration_expr(0, context)?;
                let close = self.close_paren(context)?;
                Ok(PlacedDuration { expr: DurationExpr::Paren(Box::new(inner.expr)), span: token.span.to(close) })
            }
            Kind::Preprocessor if called && (word == "step" || word == "range") => {
                self.take();
                self.take();
                let close = self.close_paren(context)?;
                let expr = if word == "step" { DurationExpr::Step } else { DurationExpr::Range };
                Ok(PlacedDuration { expr, span: token.span.to(close) })
            }
            Kind::Identifier if called && ["min_of", "max_of", "min", "max"].contains(&word.as_str()) => {
                self.duration_pair(&word, context)
            }
            _ => Err(self.unexpected(context, "number or duration")),
        }
    }

    fn duration_pair(&mut self, word: &str, context: &str) -> Parsed<PlacedDuration> {
        let open = self.take();
        self.take();
        let a = self.duration_expr(0, context)?;
        if self.accept(Kind::Comma).is_none() {
            return Err(self.unexpected(context, "\",\""));
        }
        let b = self.duration_expr(0, context)?;
        let close = self.close_paren(context)?;
        let (a, b) = (Box::new(a.expr), Box::new(b.expr));
        let expr = if word.starts_with("min") { DurationExpr::Min(a, b) } else { DurationExpr::Max(a, b) };
        Ok(PlacedDuration { expr, span: open.span.to(close) })
    }

    fn close_paren(&mut self, context: &str) -> Parsed<Span> {
        match self.accept(Kind::RightParen) {
            Some(close) => Ok(close.span),
            None => Err(self.unexpected(context, "\")\"")),
        }
    }
}
