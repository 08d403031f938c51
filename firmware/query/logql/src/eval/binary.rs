//! Operators between numbers and between vectors.

use super::sample::{Grid, GridSeries, evaluate};
use super::{LabelSet, QueryError};
use crate::syntax::{BinaryOp, Comparison, Matching, Sample, Side};
use bramble_storage::{LogSource, QueryContext};
use std::collections::{BTreeMap, HashMap};

/// The value of `a op b`; `None` when a comparison without `as_bool` does not hold (it gives `a` when it does), and for set operators.
pub fn number(op: BinaryOp, a: f64, b: f64, as_bool: bool) -> Option<f64> {
    Some(match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        // Loki guards these two, where Prometheus gives infinities.
        BinaryOp::Div => {
            if b == 0.0 {
                f64::NAN
            } else {
                a / b
            }
        }
        BinaryOp::Mod => {
            if b == 0.0 {
                f64::NAN
            } else {
                a % b
            }
        }
        BinaryOp::Pow => a.powf(b),
        BinaryOp::Compare(c) => {
            let holds = match c {
                Comparison::Equal => a == b,
                Comparison::NotEqual => a != b,
                Comparison::Greater => a > b,
                Comparison::GreaterEqual => a >= b,
                Comparison::Less => a < b,
                Comparison::LessEqual => a <= b,
            };
            match (as_bool, holds) {
                (true, holds) => f64::from(u8::from(holds)),
                (false, true) => a,
                (false, false) => return None,
            }
        }
        BinaryOp::Or | BinaryOp::And | BinaryOp::Unless => return None,
    })
}

/// As [`number`] where the vector is on the right: a comparison keeps the vector's value.
fn number_right(op: BinaryOp, a: f64, b: f64, as_bool: bool) -> Option<f64> {
    let value = number(op, a, b, as_bool)?;
    Some(if matches!(op, BinaryOp::Compare(_)) && !as_bool { b } else { value })
}

fn each_point(mut rows: Vec<GridSeries>, value: impl Fn(f64) -> Option<f64>) -> Vec<GridSeries> {
    for row in &mut rows {
        row.points = row.points.iter().filter_map(|(step, v)| value(*v).map(|v| (*step, v))).collect();
    }
    rows
}

pub(crate) fn binary(
    source: &dyn LogSource,
    (op, left, right): (BinaryOp, &Sample, &Sample),
    as_bool: bool,
    matching: Option<&Matching>,
    grid: &Grid,
    context: &QueryContext,
) -> Result<Vec<GridSeries>, QueryError> {
    match (left, right) {
        (Sample::Literal(a), right) => {
            let rows = evaluate(source, right, grid, context)?;
            Ok(each_point(rows, |b| number_right(op, *a, b, as_bool)))
        }
        (left, Sample::Literal(b)) => {
            let rows = evaluate(source, left, grid, context)?;
            Ok(each_point(rows, |a| number(op, a, *b, as_bool)))
        }
        (left, right) => {
            let default = Matching::default();
            let matching = matching.unwrap_or(&default);
            let left = evaluate(source, left, grid, context)?;
            let right = evaluate(source, right, grid, context)?;
            if op.is_set() {
                return Ok(set_operator(op, left, right, matching));
            }
            arithmetic((op, as_bool), &left, &right, matching, context)
        }
    }
}

fn signature(labels: &LabelSet, matching: &Matching) -> LabelSet {
    let mut out = labels.clone();
    out.retain(|name| matching.names.iter().any(|n| n == name) == matching.on);
    out
}

/// Numbers signatures, so that steps compare integers.
#[derive(Default)]
struct Signatures(HashMap<LabelSet, usize>);

impl Signatures {
    fn of(&mut self, rows: &[GridSeries], matching: &Matching) -> Vec<usize> {
        rows.iter()
            .map(|row| {
                let next = self.0.len();
                *self.0.entry(signature(&row.labels, matching)).or_insert(next)
            })
            .collect()
    }
}

fn set_operator(op: BinaryOp, left: Vec<GridSeries>, right: Vec<GridSeries>, matching: &Matching) -> Vec<GridSeries> {
    let mut signatures = Signatures::default();
    let of_left = signatures.of(&left, matching);
    let of_right = signatures.of(&right, matching);
    let steps = |rows: &[GridSeries], of: &[usize]| {
        let mut out: HashMap<usize, Vec<u32>> = HashMap::new();
        for (row, signature) in rows.iter().zip(of) {
            out.entry(*signature).or_default().extend(row.points.iter().map(|p| p.0));
        }
        for steps in out.values_mut() {
            steps.sort_unstable();
        }
        out
    };
    let keep = |rows: Vec<GridSeries>, of: &[usize], others: &HashMap<usize, Vec<u32>>, present: bool| {
        rows.into_iter()
            .zip(of.to_vec())
            .map(move |(mut row, signature)| {
                let there = others.get(&signature);
                row.points.retain(|p| there.is_some_and(|s| s.binary_search(&p.0).is_ok()) == present);
                row
            })
            .collect::<Vec<_>>()
    };
    match op {
        BinaryOp::And => keep(left, &of_left, &steps(&right, &of_right), true),
        BinaryOp::Unless => keep(left, &of_left, &steps(&right, &of_right), false),
        _ => {
            let added = keep(right, &of_right, &steps(&left, &of_left), false);
            let mut all: BTreeMap<LabelSet, Vec<(u32, f64)>> = BTreeMap::new();
            for row in left.into_iter().chain(added) {
                all.entry(row.labels).or_default().extend(row.points);
            }
            all.into_iter()
                .map(|(labels, mut points)| {
                    points.sort_by_key(|p| p.0);
                    GridSeries { labels, points }
                })
                .collect()
        }
    }
}

/// The labels of a result of one `many` and one `one`.
fn result_labels(many: &LabelSet, one: &LabelSet, matching: &Matching) -> LabelSet {
    match &matching.group {
        None => signature(many, matching),
        Some((_, include)) => {
            let mut labels = many.clone();
            for name in include {
                labels.set(name, one.get(name).unwrap_or(""));
            }
            labels
        }
    }
}

fn arithmetic(
    (op, as_bool): (BinaryOp, bool),
    left: &[GridSeries],
    right: &[GridSeries],
    matching: &Matching,
    context: &QueryContext,
) -> Result<Vec<GridSeries>, QueryError> {
    let swapped = matches!(matching.group, Some((Side::Right, _)));
    let (many, one) = if swapped { (right, left) } else { (left, right) };
    let mut signatures = Signatures::default();
    let (of_many, of_one) = (signatures.of(many, matching), signatures.of(one, matching));
    let mut partners: HashMap<usize, Vec<usize>> = HashMap::new();
    for (at, signature) in of_one.iter().enumerate() {
        partners.entry(*signature).or_default().push(at);
    }
    let mut out: BTreeMap<LabelSet, Vec<(u32, f64)>> = BTreeMap::new();
    // Which signature had a match at which step, if only one may.
    let mut used: std::collections::HashSet<(usize, u32)> = std::collections::HashSet::new();
    let clash = |text: &str| Err(QueryError::Execution(text.to_owned()));
    for (row, signature) in many.iter().zip(&of_many) {
        context.check()?;
        let Some(partners) = partners.get(signature) else { continue };
        let mut values: BTreeMap<u32, (f64, usize)> = BTreeMap::new();
        for &at in partners {
            for (step, value) in one.get(at).map_or(&[] as &[_], |o| o.points.as_slice()) {
                if values.insert(*step, (*value, at)).is_some() {
                    let side = if swapped { "left" } else { "right" };
                    return clash(&format!(
                        "found duplicate series on the {side} hand-side;many-to-many matching not allowed: matching labels must be unique on one side"
                    ));
                }
            }
        }
        for (step, value) in &row.points {
            let Some((other, at)) = values.get(step) else { continue };
            if matching.group.is_none() && !used.insert((*signature, *step)) {
                return clash(
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
                );
            }
            let (a, b) = if swapped { (*other, *value) } else { (*value, *other) };
            let result = number(op, a, b, as_bool);
            if let (Some(result), Some(one)) = (result, one.get(*at)) {
                let points = out.entry(result_labels(&row.labels, &one.labels, matching)).or_default();
                context.reserve(size_of::<(u32, f64)>())?;
                points.push((*step, result));
            }
        }
    }
    let finish = |(labels, mut points): (LabelSet, Vec<(u32, f64)>)| {
        points.sort_by_key(|p| p.0);
        let twice = points.windows(2).any(|w| w[0].0 == w[1].0);
        (!twice).then_some(GridSeries { labels, points })
    };
    let rows: Option<Vec<_>> = out.into_iter().map(finish).collect();
    rows.map_or_else(|| clash("multiple matches for labels: grouping labels must ensure unique matches"), Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(number(BinaryOp::Pow, 2.0, 3.0, false), Some(8.0));
        assert!(number(BinaryOp::Div, 1.0, 0.0, false).unwrap().is_nan());
        let greater = BinaryOp::Compare(Comparison::Greater);
        assert_eq!(number(greater, 1.0, 2.0, true), Some(0.0));
        assert_eq!(number(greater, 1.0, 2.0, false), None);
        assert_eq!(number_right(greater, 3.0, 2.0, false), Some(2.0));
    }
}
