//! Sets of spans through the steps of a query.

use super::expr::{accepts, calculate, compare, evaluate};
use super::structure::related;
use super::value::Value;
use super::view::{At, TraceView};
use crate::interner::Interner;
use crate::syntax::ast::{Aggregate, BinaryOp, Scalar, SpansetExpr, Stage};

/// A set of spans of one trace, and what was computed of it.
#[derive(Clone, Default, Debug)]
pub struct Spanset<'a> {
    /// Places of the spans, ascending.
    pub spans: Vec<At>,
    /// Values by the text that computed them, in order.
    pub attributes: Vec<(String, Value<'a>)>,
}

/// The sets that remain after all steps, none of them empty.
pub fn run<'a>(view: &TraceView<'a>, stages: &'a [Stage]) -> Vec<Spanset<'a>> {
    let mut sets = vec![Spanset { spans: (0..view.spans.len()).collect(), attributes: Vec::new() }];
    for stage in stages {
        sets = match stage {
            Stage::Spanset(e) => {
                sets.into_iter().map(|set| Spanset { spans: spans_of(view, e, &set.spans), ..set }).collect()
            }
            Stage::By(e) => sets.iter().flat_map(|set| split(view, set, e)).collect(),
            Stage::Coalesce => vec![joined(&sets)],
            Stage::Select(_) => sets,
            Stage::Filter(left, op, right) => {
                sets.into_iter().filter_map(|set| filtered(view, set, left, *op, right)).collect()
            }
        };
        sets.retain(|set| !set.spans.is_empty());
        if sets.is_empty() {
            break;
        }
    }
    sets
}

fn spans_of<'a>(view: &TraceView<'a>, e: &'a SpansetExpr, among: &[At]) -> Vec<At> {
    match e {
        SpansetExpr::Filter(filter) => among.iter().copied().filter(|at| accepts(view, *at, filter.as_ref())).collect(),
        SpansetExpr::Op { relation, negated, union, left, right } => {
            let right = spans_of(view, right, among);
            related(view, *relation, *negated, *union, &spans_of(view, left, among), &right)
        }
        SpansetExpr::Pipeline(stages) => {
            let mut spans = joined(&run(view, stages)).spans;
            spans.retain(|at| among.binary_search(at).is_ok());
            spans
        }
    }
}

fn joined<'a>(sets: &[Spanset<'a>]) -> Spanset<'a> {
    let mut spans: Vec<At> = sets.iter().flat_map(|set| set.spans.iter().copied()).collect();
    spans.sort_unstable();
    spans.dedup();
    Spanset { spans, attributes: Vec::new() }
}

fn split<'a>(view: &TraceView<'a>, set: &Spanset<'a>, by: &'a crate::syntax::ast::Expr) -> Vec<Spanset<'a>> {
    let (mut groups, mut numbers, mut key) = (Vec::<Spanset<'a>>::new(), Interner::default(), Vec::new());
    for at in &set.spans {
        let value = evaluate(view, *at, by);
        key.clear();
        value.write_key(&mut key);
        let number = numbers.find(&key).unwrap_or_else(|| {
            let mut attributes = set.attributes.clone();
            attributes.push((format!("by({by})"), value));
            groups.push(Spanset { spans: Vec::new(), attributes });
            numbers.insert(&key)
        });
        if let Some(group) = groups.get_mut(number) {
            group.spans.push(*at);
        }
    }
    groups
}

fn filtered<'a>(
    view: &TraceView<'a>,
    mut set: Spanset<'a>,
    left: &'a Scalar,
    op: BinaryOp,
    right: &'a Scalar,
) -> Option<Spanset<'a>> {
    let (a, b) = (scalar(view, &set, left), scalar(view, &set, right));
    if !compare(op, &a, &b) {
        return None;
    }
    for (scalar, value) in [(left, a), (right, b)] {
        if !matches!(scalar, Scalar::Literal(_)) {
            set.attributes.push((scalar.to_string(), value));
        }
    }
    Some(set)
}

fn scalar<'a>(view: &TraceView<'a>, set: &Spanset<'a>, e: &'a Scalar) -> Value<'a> {
    match e {
        Scalar::Literal(literal) => Value::of_literal(literal),
        Scalar::Count => Value::Int(set.spans.len() as i64),
        Scalar::Binary(op, a, b) => calculate(*op, &scalar(view, set, a), &scalar(view, set, b)),
        Scalar::Aggregate(aggregate, e) => {
            let values = set.spans.iter().map(|at| evaluate(view, *at, e)).filter(|v| v.number().is_some());
            aggregated(*aggregate, values)
        }
    }
}

fn aggregated<'a>(aggregate: Aggregate, mut values: impl Iterator<Item = Value<'a>>) -> Value<'a> {
    let Some(mut out) = values.next() else { return Value::Nil };
    let mut count = 1i64;
    for value in values {
        count += 1;
        out = match aggregate {
            Aggregate::Min if compare(BinaryOp::Less, &value, &out) => value,
            Aggregate::Max if compare(BinaryOp::Greater, &value, &out) => value,
            Aggregate::Min | Aggregate::Max => out,
            Aggregate::Sum | Aggregate::Avg => match (&out, &value) {
                (Value::Duration(a), Value::Duration(b)) => Value::Duration(a.saturating_add(*b)),
                _ => calculate(BinaryOp::Add, &out, &value),
            },
        };
    }
    match (aggregate, out) {
        (Aggregate::Avg, Value::Duration(ns)) => Value::Duration(ns / count),
        (Aggregate::Avg, sum) => Value::Float(sum.number().unwrap_or(0.0) / count as f64),
        (_, out) => out,
    }
}
