//! How queries print: in errors, as names of results, and so that they read back as the same query.

use super::Query;
use super::ast::*;
use super::token::is_name;
use std::fmt::{self, Display, Formatter, Write};

/// A duration in Go's form: `1.5s`, `2m0.25s`, `300µs`.
pub fn duration_text(ns: i64) -> String {
    let (sign, ns) = (if ns < 0 { "-" } else { "" }, ns.unsigned_abs());
    let decimal = |unit_ns: u64, ns: u64| format!("{}", ns as f64 / unit_ns as f64);
    let text = match ns {
        0 => return "0s".to_owned(),
        1..1_000 => format!("{ns}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(1_000, ns)),
        1_000_000..1_000_000_000 => format!("{}ms", decimal(1_000_000, ns)),
        _ => {
            let (minutes, below) = (ns / 60_000_000_000, ns % 60_000_000_000);
            let seconds = format!("{}s", decimal(1_000_000_000, below));
            match (minutes / 60, minutes % 60) {
                (0, 0) => seconds,
                (0, m) => format!("{m}m{seconds}"),
                (h, m) => format!("{h}h{m}m{seconds}"),
            }
        }
    };
    format!("{sign}{text}")
}

fn quoted(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            '\n' => f.write_str("\\n")?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Field::Attribute(scope, name) => {
                write!(f, "{}.", scope.as_str())?;
                if !name.is_empty() && name.chars().all(is_name) { f.write_str(name) } else { quoted(f, name) }
            }
            Field::Intrinsic(intrinsic) => f.write_str(intrinsic.as_str()),
        }
    }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Nil => f.write_str("nil"),
            Literal::Bool(b) => write!(f, "{b}"),
            Literal::Int(i) => write!(f, "{i}"),
            Literal::Float(d) => {
                let text = d.to_string();
                f.write_str(&text)?;
                // Without a point it would read back as a whole number.
                if text.contains('.') { Ok(()) } else { f.write_str(".0") }
            }
            Literal::Duration(ns) => f.write_str(&duration_text(*ns)),
            Literal::Text(text) if text.contains('`') => quoted(f, text),
            Literal::Text(text) => write!(f, "`{text}`"),
            Literal::Status(status) => f.write_str(status.as_str()),
            Literal::Kind(kind) => f.write_str(kind.as_str()),
        }
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        struct Inner<'a>(&'a Expr);
        impl Display for Inner<'_> {
            fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
                match self.0 {
                    Expr::Binary(..) | Expr::Match { .. } => write!(f, "({})", self.0),
                    e => write!(f, "{e}"),
                }
            }
        }
        match self {
            Expr::Literal(literal) => write!(f, "{literal}"),
            Expr::Field(field) => write!(f, "{field}"),
            Expr::Not(e) => write!(f, "!{}", Inner(e)),
            Expr::Negate(e) => write!(f, "-{}", Inner(e)),
            Expr::Binary(op, a, b) => write!(f, "{} {} {}", Inner(a), op.as_str(), Inner(b)),
            Expr::Match { value, pattern, negative, .. } => {
                write!(f, "{} {} ", Inner(value), if *negative { "!~" } else { "=~" })?;
                if pattern.contains('`') { quoted(f, pattern) } else { write!(f, "`{pattern}`") }
            }
        }
    }
}

impl Display for Scalar {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Literal(literal) => write!(f, "{literal}"),
            Scalar::Count => f.write_str("count()"),
            Scalar::Aggregate(aggregate, e) => write!(f, "{}({e})", aggregate.as_str()),
            Scalar::Binary(op, a, b) => write!(f, "({a}) {} ({b})", op.as_str()),
        }
    }
}

impl Display for SpansetExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        struct Inner<'a>(&'a SpansetExpr);
        impl Display for Inner<'_> {
            fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
                match self.0 {
                    SpansetExpr::Op { .. } => write!(f, "({})", self.0),
                    e => write!(f, "{e}"),
                }
            }
        }
        match self {
            SpansetExpr::Filter(None) => f.write_str("{ }"),
            SpansetExpr::Filter(Some(e)) => write!(f, "{{ {e} }}"),
            SpansetExpr::Op { relation, negated, union, left, right } => {
                let prefix = if *negated { "!" } else { "" };
                let union = if *union { "&" } else { "" };
                write!(f, "{} {prefix}{union}{} ", Inner(left), relation.as_str())?;
                // Beside steps in brackets stand brackets only.
                match (&**left, &**right) {
                    (SpansetExpr::Pipeline(_), SpansetExpr::Filter(_)) => write!(f, "({right})"),
                    _ => write!(f, "{}", Inner(right)),
                }
            }
            SpansetExpr::Pipeline(stages) => {
                f.write_char('(')?;
                list(f, stages, " | ")?;
                f.write_char(')')
            }
        }
    }
}

fn list<T: Display>(f: &mut Formatter<'_>, items: &[T], between: &str) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        write!(f, "{}{item}", if i == 0 { "" } else { between })?;
    }
    Ok(())
}

impl Display for Stage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Stage::Spanset(set) => write!(f, "{set}"),
            Stage::By(e) => write!(f, "by({e})"),
            Stage::Coalesce => f.write_str("coalesce()"),
            Stage::Select(fields) => {
                f.write_str("select(")?;
                list(f, fields, ", ")?;
                f.write_char(')')
            }
            Stage::Filter(left, op, right) => write!(f, "{left} {} {right}", op.as_str()),
        }
    }
}

impl Display for Measure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.name())?;
        match self {
            Measure::Quantile(field, quantiles) => {
                write!(f, "{field}, ")?;
                list(f, quantiles, ", ")?;
            }
            Measure::Compare(compare) => {
                write!(f, "{}, {}", SpansetExpr::Filter(compare.selection.clone()), compare.top)?;
                if let Some((start, end)) = compare.window_ns {
                    write!(f, ", {start}, {end}")?;
                }
            }
            other => {
                if let Some(field) = other.field() {
                    write!(f, "{field}")?;
                }
            }
        }
        f.write_char(')')
    }
}

impl Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        list(f, &self.stages, " | ")?;
        if let Some(metrics) = &self.metrics {
            write!(f, " | {}", metrics.measure)?;
            if !metrics.by.is_empty() {
                f.write_str(" by (")?;
                list(f, &metrics.by, ", ")?;
                f.write_char(')')?;
            }
            for stage in &metrics.stages {
                match stage {
                    SeriesStage::Top(limit) => write!(f, " | topk({limit})")?,
                    SeriesStage::Bottom(limit) => write!(f, " | bottomk({limit})")?,
                    SeriesStage::Filter(op, value) => write!(f, " {} {}", op.as_str(), Literal::Float(*value))?,
                }
            }
        }
        if !self.hints.is_empty() {
            let hints: Vec<String> = self.hints.iter().map(|(name, value)| format!("{name}={value}")).collect();
            write!(f, " with ({})", hints.join(", "))?;
        }
        Ok(())
    }
}
