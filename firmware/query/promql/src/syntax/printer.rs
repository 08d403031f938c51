//! A tree as text: in one line, or laid out when it is wider than a line.

use super::duration::DurationExpr;
use super::error::ParseError;
use super::numbers::{format_duration, format_g, go_quote};
use super::parser::parse;
use super::tree::{AtModifier, Cardinality, Expr, ExprKind, Extension, Matching, Selector};
use bramble_signal::METRIC_NAME;

const WIDTH_MAX: usize = 100;

/// A query laid out as Prometheus' `/format_query` does.
///
/// # Errors
/// As [`parse`].
pub fn format_query(text: &str) -> Result<String, ParseError> {
    Ok(pretty(&parse(text)?, 0))
}

/// A tree in one line.
pub fn print(expr: &Expr) -> String {
    match &expr.kind {
        ExprKind::Number { value, units: true } => format_duration((value * 1000.0).round() as i64),
        ExprKind::Number { value, .. } => format_g(*value),
        ExprKind::Text(text) => go_quote(text),
        ExprKind::Selector(s) => format!("{}{}", series(s), suffix(s.at, s.offset.as_ref(), s.extension)),
        ExprKind::Range { selector: s, range } => {
            format!("{}[{}]{}", series(s), duration(range), suffix(s.at, s.offset.as_ref(), s.extension))
        }
        ExprKind::Subquery { expr: inner, .. } => format!("{}{}", print(inner), subquery_suffix(expr)),
        ExprKind::Call { function, args } => {
            let args: Vec<String> = args.iter().map(print).collect();
            format!("{}({})", function.name, args.join(", "))
        }
        ExprKind::Aggregate { expr: inner, param, .. } => {
            let param = param.as_ref().map(|p| print(p) + ", ").unwrap_or_default();
            format!("{}({param}{})", aggregate_head(expr), print(inner))
        }
        ExprKind::Binary { lhs, rhs, .. } => format!("{} {} {}", print(lhs), operator(expr), print(rhs)),
        ExprKind::Unary { negative, expr: inner } => format!("{}{}", if *negative { '-' } else { '+' }, print(inner)),
        ExprKind::Paren(inner) => format!("({})", print(inner)),
    }
}

fn pretty(expr: &Expr, level: usize) -> String {
    let (line, indent) = (print(expr), "  ".repeat(level));
    if line.len() <= WIDTH_MAX {
        return indent + &line;
    }
    match &expr.kind {
        ExprKind::Call { function, args } => {
            let args: Vec<String> = args.iter().map(|a| pretty(a, level + 1)).collect();
            format!("{indent}{}(\n{}\n{indent})", function.name, args.join(",\n"))
        }
        ExprKind::Aggregate { expr: inner, param, .. } => {
            let param = param.as_ref().map(|p| pretty(p, level + 1) + ",\n").unwrap_or_default();
            format!("{indent}{}(\n{param}{}\n{indent})", aggregate_head(expr), pretty(inner, level + 1))
        }
        ExprKind::Binary { lhs, rhs, .. } => {
            format!("{}\n{indent}{}\n{}", pretty(lhs, level + 1), operator(expr), pretty(rhs, level + 1))
        }
        ExprKind::Subquery { expr: inner, .. } => pretty(inner, level) + &subquery_suffix(expr),
        ExprKind::Unary { negative, expr: inner } => {
            format!("{indent}{}{}", if *negative { '-' } else { '+' }, pretty(inner, level).trim_start_matches(' '))
        }
        ExprKind::Paren(inner) => format!("{indent}(\n{}\n{indent})", pretty(inner, level + 1)),
        _ => indent + &line,
    }
}

/// Whether a label name needs no quotes.
fn is_plain_name(name: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    name.bytes().all(word) && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
}

fn label(name: &str) -> String {
    if is_plain_name(name) { name.to_owned() } else { go_quote(name) }
}

fn labels(names: &[String]) -> String {
    names.iter().map(|n| label(n)).collect::<Vec<_>>().join(", ")
}

fn series(selector: &Selector) -> String {
    let shown: Vec<String> = selector
        .matchers
        .iter()
        .filter(|m| selector.name.is_none() || m.name != METRIC_NAME)
        .map(|m| format!("{}{}{}", label(&m.name), m.op, go_quote(&m.value)))
        .collect();
    let name = selector.name.as_deref().unwrap_or_default();
    if shown.is_empty() && !name.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", shown.join(",")) }
}

fn duration(expr: &DurationExpr) -> String {
    match expr {
        DurationExpr::Literal { seconds, .. } => format_duration((seconds * 1000.0).round() as i64),
        DurationExpr::Step => "step()".to_owned(),
        DurationExpr::Range => "range()".to_owned(),
        DurationExpr::Negative(e) => format!("-{}", duration(e)),
        DurationExpr::Paren(e) => format!("({})", duration(e)),
        DurationExpr::Binary(op, a, b) => format!("{} {op} {}", duration(a), duration(b)),
        DurationExpr::Min(a, b) => format!("min_of({}, {})", duration(a), duration(b)),
        DurationExpr::Max(a, b) => format!("max_of({}, {})", duration(a), duration(b)),
    }
}

fn suffix(at: Option<AtModifier>, offset: Option<&DurationExpr>, extension: Option<Extension>) -> String {
    let extension = match extension {
        Some(Extension::Anchored) => " anchored",
        Some(Extension::Smoothed) => " smoothed",
        None => "",
    };
    let at = match at {
        Some(AtModifier::Time(ms)) => format!(" @ {:.3}", ms as f64 / 1000.0),
        Some(AtModifier::Start) => " @ start()".to_owned(),
        Some(AtModifier::End) => " @ end()".to_owned(),
        None => String::new(),
    };
    let offset = offset.map(|o| format!(" offset {}", duration(o))).unwrap_or_default();
    format!("{extension}{at}{offset}")
}

fn subquery_suffix(expr: &Expr) -> String {
    let ExprKind::Subquery { range, step, offset, at, .. } = &expr.kind else { return String::new() };
    let step = step.as_ref().map(duration).unwrap_or_default();
    format!("[{}:{step}]{}", duration(range), suffix(*at, offset.as_ref(), None))
}

fn aggregate_head(expr: &Expr) -> String {
    let ExprKind::Aggregate { op, grouping, without, .. } = &expr.kind else { return String::new() };
    match (without, grouping.is_empty()) {
        (true, _) => format!("{op} without ({}) ", labels(grouping)),
        (false, false) => format!("{op} by ({}) ", labels(grouping)),
        (false, true) => op.to_string(),
    }
}

fn operator(expr: &Expr) -> String {
    let ExprKind::Binary { op, matching, return_bool, .. } = &expr.kind else { return String::new() };
    let mut out = op.to_string();
    if *return_bool {
        out.push_str(" bool");
    }
    if let Some(matching) = matching {
        out.push_str(&matching_text(matching));
    }
    out
}

fn matching_text(matching: &Matching) -> String {
    let mut out = String::new();
    let grouped = match matching.cardinality {
        Cardinality::ManyToOne => Some("left"),
        Cardinality::OneToMany => Some("right"),
        _ => None,
    };
    if matching.on || !matching.labels.is_empty() || grouped.is_some() {
        let word = if matching.on { "on" } else { "ignoring" };
        out = format!(" {word} ({})", labels(&matching.labels));
    }
    if let Some(side) = grouped {
        out += &format!(" group_{side} ({})", labels(&matching.include));
    }
    match (matching.fill.left, matching.fill.right) {
        (Some(l), Some(r)) if l == r => out += &format!(" fill ({})", format_g(l)),
        (l, r) => {
            out += &l.map(|v| format!(" fill_left ({})", format_g(v))).unwrap_or_default();
            out += &r.map(|v| format!(" fill_right ({})", format_g(v))).unwrap_or_default();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_queries_stay_in_one_line() {
        for (query, text) in [
            ("sum(rate(foo[5m]))by(x)", "sum by (x) (rate(foo[5m]))"),
            ("a+on(y)group_left(z) b", "a + on (y) group_left (z) b"),
            ("foo[5m:1m] @ 100 offset 1m", "foo[5m:1m] @ 100.000 offset 1m"),
            ("{\"foo.bar\"}", "{__name__=\"foo.bar\"}"),
            ("0x1F", "31"),
        ] {
            assert_eq!(format_query(query).unwrap(), text);
        }
    }

    #[test]
    fn printing_and_parsing_agree() {
        for query in ["-a ^ 2", "topk(3, x{a!~\"b\"} offset -1m)", "a and on () b", "(1 + 2) * 3", "foo @ end()"] {
            let once = print(&parse(query).unwrap());
            assert_eq!(print(&parse(&once).unwrap()), once);
        }
    }
}
