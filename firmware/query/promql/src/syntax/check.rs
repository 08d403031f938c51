//! Types and rules that the grammar does not express.

use super::error::{ParseError, Span};
use super::functions::{Function, Variadic};
use super::tree::{AggregateOp, BinaryOp, Cardinality, Expr, ExprKind, Selector, ValueType};
use bramble_signal::METRIC_NAME;

/// Checks a whole tree; the first fault in Prometheus' order is the one reported.
pub(crate) fn check(query: &str, expr: &Expr) -> Result<(), ParseError> {
    Checker { query }.expr(expr).map(drop)
}

/// Settles a fresh binary node's cardinality.
pub(crate) fn finish_binary(expr: &mut Expr) {
    if let ExprKind::Binary { op, matching, .. } = &mut expr.kind
        && op.is_set()
        && let Some(matching) = matching
        && matching.cardinality == Cardinality::OneToOne
    {
        matching.cardinality = Cardinality::ManyToMany;
    }
}

struct Checker<'a> {
    query: &'a str,
}

impl Checker<'_> {
    fn error<T>(&self, span: Span, text: impl AsRef<str>) -> Result<T, ParseError> {
        Err(ParseError::at(self.query, span, text))
    }

    fn expect(&self, expr: &Expr, wanted: ValueType, context: &str) -> Result<(), ParseError> {
        let got = self.expr(expr)?;
        if got != wanted {
            return self.error(expr.span, format!("expected type {wanted} in {context}, got {got}"));
        }
        Ok(())
    }

    fn expr(&self, expr: &Expr) -> Result<ValueType, ParseError> {
        match &expr.kind {
            ExprKind::Number { .. } | ExprKind::Text(_) => {}
            ExprKind::Selector(selector) | ExprKind::Range { selector, .. } => self.selector(expr, selector)?,
            ExprKind::Subquery { expr: inner, .. } => {
                let got = self.expr(inner)?;
                if got != ValueType::Vector {
                    let got = if got == ValueType::Matrix { "matrix".to_owned() } else { got.to_string() };
                    return self
                        .error(expr.span, format!("subquery is only allowed on instant vector, got {got} instead"));
                }
            }
            ExprKind::Call { function, args } => self.call(expr, function, args)?,
            ExprKind::Aggregate { op, expr: inner, param, .. } => {
                self.expect(inner, ValueType::Vector, "aggregation expression")?;
                if let Some(param) = param {
                    let wanted = if *op == AggregateOp::CountValues { ValueType::String } else { ValueType::Scalar };
                    self.expect(param, wanted, "aggregation parameter")?;
                }
            }
            ExprKind::Binary { .. } => self.binary(expr)?,
            ExprKind::Unary { expr: inner, .. } => {
                let got = self.expr(inner)?;
                if !matches!(got, ValueType::Scalar | ValueType::Vector) {
                    let text = format!(
                        "unary expression only allowed on expressions of type scalar or instant vector, got \"{got}\""
                    );
                    return self.error(expr.span, text);
                }
            }
            ExprKind::Paren(inner) => return self.expr(inner),
        }
        Ok(expr.value_type())
    }

    fn selector(&self, expr: &Expr, selector: &Selector) -> Result<(), ParseError> {
        if let Some(name) = &selector.name {
            let before = selector.matchers.len().saturating_sub(1);
            if let Some(twice) = selector.matchers.iter().take(before).find(|m| m.name == METRIC_NAME) {
                let text = format!("metric name must not be set twice: {name:?} or {:?}", twice.value);
                return self.error(expr.span, text);
            }
            return Ok(());
        }
        if selector.matchers.iter().all(|m| m.matches_absent()) {
            return self.error(expr.span, "vector selector must contain at least one non-empty matcher");
        }
        Ok(())
    }

    fn call(&self, expr: &Expr, function: &Function, args: &[Expr]) -> Result<(), ParseError> {
        let (name, declared, got) = (function.name, function.args.len(), args.len());
        let count = match function.variadic {
            Variadic::No if got != declared => Some(format!("expected {declared}")),
            Variadic::UpTo(_) | Variadic::Any if got + 1 < declared => {
                Some(format!("expected at least {}", declared - 1))
            }
            Variadic::UpTo(more) if got > declared - 1 + more => {
                Some(format!("expected at most {}", declared - 1 + more))
            }
            _ => None,
        };
        if let Some(count) = count {
            return self.error(expr.span, format!("{count} argument(s) in call to {name:?}, got {got}"));
        }
        for (i, arg) in args.iter().enumerate() {
            let Some(wanted) = function.args.get(i).or(function.args.last()) else { break };
            if name == "info" && i == 1 {
                self.info_selector(expr, arg)?;
                continue;
            }
            self.expect(arg, *wanted, &format!("call to function {name:?}"))?;
        }
        Ok(())
    }

    /// The second argument of `info` is braces alone, and may accept everything.
    fn info_selector(&self, call: &Expr, arg: &Expr) -> Result<(), ParseError> {
        match &arg.kind {
            ExprKind::Selector(selector) if selector.name.is_none() => Ok(()),
            ExprKind::Selector(_) => self.error(arg.span, "expected label selectors only, got vector selector instead"),
            _ => {
                let got = arg.value_type();
                self.error(call.span, format!("expected type instant vector in call to function \"info\", got {got}"))
            }
        }
    }

    fn binary(&self, expr: &Expr) -> Result<(), ParseError> {
        let ExprKind::Binary { op, lhs, rhs, matching, return_bool } = &expr.kind else { return Ok(()) };
        let (left, right) = (self.expr(lhs)?, self.expr(rhs)?);
        let operator = self.operator_span(lhs, rhs);
        if *return_bool && !op.is_comparison() {
            return self.error(operator, "bool modifier can only be used on comparison operators");
        }
        if op.is_comparison() && !return_bool && (left, right) == (ValueType::Scalar, ValueType::Scalar) {
            return self.error(operator, "comparisons between scalars must use BOOL modifier");
        }
        if let Some(m) = matching
            && m.on
            && let Some(twice) = m.labels.iter().find(|l| m.include.contains(l))
        {
            return self.error(operator, format!("label {twice:?} must not occur in ON and GROUP clause at once"));
        }
        for (side, got) in [(lhs, left), (rhs, right)] {
            if !matches!(got, ValueType::Scalar | ValueType::Vector) {
                return self.error(side.span, "binary expression must contain only scalar and instant vector types");
            }
        }
        self.binary_matching(expr, *op, left == ValueType::Vector && right == ValueType::Vector)
    }

    fn binary_matching(&self, expr: &Expr, op: BinaryOp, vectors: bool) -> Result<(), ParseError> {
        let ExprKind::Binary { matching: Some(matching), .. } = &expr.kind else { return Ok(()) };
        if !vectors {
            if !matching.labels.is_empty() {
                return self.error(expr.span, "vector matching only allowed between instant vectors");
            }
            if matching.fill.left.is_some() || matching.fill.right.is_some() {
                return self.error(expr.span, "filling in missing series only allowed between instant vectors");
            }
            if op.is_set() {
                let text = format!("set operator \"{op}\" not allowed in binary scalar expression");
                return self.error(expr.span, text);
            }
            return Ok(());
        }
        if op.is_set() {
            if matching.fill.left.is_some() || matching.fill.right.is_some() {
                return self.error(expr.span, "filling in missing series not allowed for set operators");
            }
            if matching.cardinality != Cardinality::ManyToMany {
                return self.error(expr.span, format!("no grouping allowed for \"{op}\" operation"));
            }
        }
        Ok(())
    }

    /// Between the operands, without the white space.
    fn operator_span(&self, lhs: &Expr, rhs: &Expr) -> Span {
        let between = self.query.get(lhs.span.end..rhs.span.start).unwrap_or_default();
        let skip = between.len() - between.trim_start().len();
        Span::new(lhs.span.end + skip, lhs.span.end + between.trim_end().len())
    }
}
