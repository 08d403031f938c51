//! `/parse_query` and `/format_query`.

use super::answer::{ApiError, success};
use crate::params::Params;
use axum::response::Response;
use bramble_query_promql::syntax::{AtModifier, Cardinality, DurationExpr, Expr, ExprKind, Matching, Selector};
use bramble_query_promql::syntax::{ValueType, Variadic};
use bramble_query_promql::{format_query, parse};
use serde_json::{Value, json};

pub(super) async fn format(params: Params) -> Result<Response, ApiError> {
    let formatted = format_query(params.raw("query").unwrap_or("")).map_err(|e| ApiError::parameter("query", e))?;
    Ok(success(formatted))
}

pub(super) async fn parsed(params: Params) -> Result<Response, ApiError> {
    let expr = parse(params.raw("query").unwrap_or("")).map_err(|e| ApiError::parameter("query", e))?;
    Ok(success(tree(&expr)))
}

/// The tree as Prometheus' page for building queries reads it. The parser bounds its depth.
fn tree(expr: &Expr) -> Value {
    match &expr.kind {
        ExprKind::Number { value, .. } => json!({"type": "numberLiteral", "val": plain(*value)}),
        ExprKind::Text(text) => json!({"type": "stringLiteral", "val": text}),
        ExprKind::Paren(inner) => json!({"type": "parenExpr", "expr": tree(inner)}),
        ExprKind::Unary { negative, expr } => {
            json!({"type": "unaryExpr", "op": if *negative { "-" } else { "+" }, "expr": tree(expr)})
        }
        ExprKind::Selector(selector) => series("vectorSelector", selector, None),
        ExprKind::Range { selector, range } => series("matrixSelector", selector, Some(duration_ms(range))),
        ExprKind::Subquery { expr, range, step, offset, at } => {
            let (timestamp, edge) = at_of(*at);
            json!({
                "type": "subquery", "expr": tree(expr), "range": duration_ms(range),
                "step": step.as_ref().map_or(0, duration_ms), "offset": offset.as_ref().map_or(0, duration_ms),
                "timestamp": timestamp, "startOrEnd": edge,
            })
        }
        ExprKind::Call { function, args } => {
            let variadic = match function.variadic {
                Variadic::No => 0,
                Variadic::UpTo(n) => n as i64,
                Variadic::Any => -1,
            };
            let types: Vec<&str> = function.args.iter().map(|t| type_name(*t)).collect();
            json!({
                "type": "call", "args": args.iter().map(tree).collect::<Vec<_>>(),
                "func": {
                    "name": function.name, "argTypes": types, "variadic": variadic,
                    "returnType": type_name(function.returns),
                },
            })
        }
        ExprKind::Aggregate { op, expr, param, grouping, without } => json!({
            "type": "aggregation", "op": op.as_str(), "expr": tree(expr), "param": param.as_deref().map(tree),
            "grouping": grouping, "without": without,
        }),
        ExprKind::Binary { op, lhs, rhs, matching, return_bool } => json!({
            "type": "binaryExpr", "op": op.as_str(), "lhs": tree(lhs), "rhs": tree(rhs),
            "matching": matching.as_ref().filter(|_| are_vectors(lhs, rhs)).map(matching_of), "bool": return_bool,
        }),
    }
}

fn are_vectors(lhs: &Expr, rhs: &Expr) -> bool {
    lhs.value_type() == ValueType::Vector && rhs.value_type() == ValueType::Vector
}

fn series(kind: &str, selector: &Selector, range_ms: Option<i64>) -> Value {
    let matchers: Vec<Value> =
        selector.matchers.iter().map(|m| json!({"name": m.name, "type": m.op.to_string(), "value": m.value})).collect();
    let (timestamp, edge) = at_of(selector.at);
    let mut node = json!({
        "type": kind, "name": selector.name.as_deref().unwrap_or(""), "matchers": matchers,
        "offset": selector.offset.as_ref().map_or(0, duration_ms), "timestamp": timestamp, "startOrEnd": edge,
    });
    if let Some(range_ms) = range_ms {
        node["range"] = range_ms.into();
    }
    node
}

fn at_of(at: Option<AtModifier>) -> (Option<i64>, Option<&'static str>) {
    match at {
        None => (None, None),
        Some(AtModifier::Time(ms)) => (Some(ms), None),
        Some(AtModifier::Start) => (None, Some("start")),
        Some(AtModifier::End) => (None, Some("end")),
    }
}

fn matching_of(matching: &Matching) -> Value {
    let card = match matching.cardinality {
        Cardinality::OneToOne => "one-to-one",
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToMany => "one-to-many",
        Cardinality::ManyToMany => "many-to-many",
    };
    let mut node = json!({"card": card, "labels": matching.labels, "on": matching.on, "include": matching.include});
    if matching.fill.left.is_some() || matching.fill.right.is_some() {
        node["fillValues"] = json!({"lhs": matching.fill.left, "rhs": matching.fill.right});
    }
    node
}

/// Milliseconds; of one that depends on the query's step or range 0, as Prometheus prints what it does not know yet.
fn duration_ms(duration: &DurationExpr) -> i64 {
    duration.seconds(0.0, 0.0).map_or(0, |seconds| (seconds * 1000.0).round() as i64)
}

fn type_name(kind: ValueType) -> &'static str {
    match kind {
        ValueType::Scalar => "scalar",
        ValueType::String => "string",
        ValueType::Vector => "vector",
        ValueType::Matrix => "matrix",
    }
}

/// A number without exponent.
fn plain(value: f64) -> String {
    match value {
        v if v.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        v => v.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(query: &str) -> Value {
        tree(&parse(query).unwrap_or_else(|e| panic!("{e}")))
    }

    #[test]
    fn durations_signs_and_edges() {
        let node = of("-(rate(foo[5m:] offset -90s)) > bool Inf");
        assert_eq!((node["op"].as_str(), node["bool"].as_bool()), (Some(">"), Some(true)));
        assert_eq!(node["rhs"]["val"], "+Inf");
        assert_eq!(node["matching"], Value::Null);
        let subquery = &node["lhs"]["expr"]["expr"]["args"][0];
        assert_eq!((subquery["offset"].as_i64(), subquery["step"].as_i64()), (Some(-90_000), Some(0)));
        let selector = of("{a=~\"b\"} @ start()");
        assert_eq!((selector["name"].as_str(), selector["startOrEnd"].as_str()), (Some(""), Some("start")));
        assert_eq!(of("round(x)")["func"]["variadic"], 1);
        assert_eq!(of("label_join(x, \"a\", \"b\")")["func"]["variadic"], -1);
    }
}
