//! Vector matching: `on`, `ignoring`, `group_left`, `group_right`, `fill`.

use super::engine::failed;
use super::evaluator::{Evaluator, Outcome, Sink};
use super::groups::Groups;
use super::names::merge_equal;
use super::native::{Element, Operands};
use super::rows::{ABSENT, Grid, Row, is_absent, without_name};
use crate::syntax::{BinaryOp, Cardinality, Expr, ExprKind, Matching, Span};
use bramble_signal::{Labels, METRIC_NAME, NativeHistogram};
use std::collections::HashMap;

/// The labels by which elements find each other.
pub(crate) fn key_pairs<'l>(
    labels: &'l Labels,
    matching: &'l Matching,
) -> impl Iterator<Item = (&'l str, &'l str)> + Clone {
    labels.iter().filter(|(name, _)| {
        let listed = matching.labels.iter().any(|l| l == name);
        if matching.on { listed } else { !listed && *name != METRIC_NAME }
    })
}

/// Rows of one side with their groups' numbers.
struct Side {
    rows: Vec<Row>,
    groups: Vec<usize>,
}

/// A side's rows with a value at a step, per group.
const NOBODY: u32 = u32::MAX;

struct Join<'m> {
    op: BinaryOp,
    return_bool: bool,
    span: Span,
    delayed: bool,
    /// As Prometheus after 3.5.
    newer: bool,
    matching: &'m Matching,
    /// `group_right`: the sides were exchanged so that `many` may have several elements per group.
    exchanged: bool,
    many: Side,
    one: Side,
    keys: Vec<Labels>,
    out: Vec<Row>,
    places: HashMap<(Labels, bool), usize>,
    /// Per row of `many`: its last partner and where their result goes.
    last: Vec<Option<(u32, usize)>>,
    steps: usize,
}

impl Evaluator<'_> {
    /// An operation between two vectors, not a set operation.
    pub(crate) fn matched(&self, expr: &Expr, matching: &Matching, grid: Grid, sink: Sink<'_>) -> Outcome<()> {
        let ExprKind::Binary { op, lhs, rhs, return_bool, .. } = &expr.kind else { return Ok(()) };
        let left = self.collect(lhs, grid)?;
        let fills = matching.fill.left.is_some() || matching.fill.right.is_some();
        if left.list.is_empty() && !fills {
            return Ok(());
        }
        let right = self.collect(rhs, grid)?;
        if right.list.is_empty() && !fills {
            return Ok(());
        }
        let exchanged = matching.cardinality == Cardinality::OneToMany;
        let (many, one) = if exchanged { (right.take(), left.take()) } else { (left.take(), right.take()) };
        let mut keys = Groups::default();
        let mut side = |rows: Vec<Row>| {
            let groups = rows.iter().map(|row| keys.place(key_pairs(&row.labels, matching))).collect();
            Side { rows, groups }
        };
        let (many, one) = (side(many), side(one));
        let mut join = Join {
            op: *op,
            return_bool: *return_bool,
            span: expr.span,
            delayed: self.options.delayed_name_removal,
            newer: self.options.newer_than_3_5,
            matching,
            exchanged,
            last: vec![None; many.rows.len()],
            many,
            one,
            keys: keys.into_keys(),
            out: Vec::new(),
            places: HashMap::new(),
            steps: grid.count,
        };
        join.run(self)?;
        merge_equal(join.out)?.into_iter().filter(|r| !r.is_empty()).try_for_each(sink)
    }
}

impl Join<'_> {
    fn run(&mut self, evaluator: &Evaluator<'_>) -> Outcome<()> {
        let mut partners = vec![NOBODY; self.keys.len()];
        let mut matched: Vec<bool> = vec![false; self.keys.len()];
        let mut written: HashMap<usize, usize> = HashMap::new();
        let (mut hold, mut charged) = (evaluator.hold(), 0);
        for step in 0..self.steps {
            if step.is_multiple_of(64) {
                evaluator.context.check()?;
            }
            partners.fill(NOBODY);
            matched.fill(false);
            self.place_one_side(step, &mut partners)?;
            for many in 0..self.many.rows.len() {
                let value = value_at(&self.many.rows, many, step);
                if is_absent(value) {
                    continue;
                }
                let group = self.many.groups.get(many).copied().unwrap_or(0);
                let partner = partners.get(group).copied().unwrap_or(NOBODY);
                let one = match partner {
                    NOBODY => match self.fill_of_one() {
                        Some(fill) => Operand::Number(fill),
                        None => continue,
                    },
                    one => operand(&self.one.rows, one as usize, step),
                };
                let result = self.compute(evaluator, operand(&self.many.rows, many, step), one);
                let filtered = result.is_none();
                // Prometheus up to 3.5 only minds several elements that pass the comparison.
                let mut again = matched.get(group).copied().unwrap_or(false);
                if let Some(slot) = matched.get_mut(group).filter(|_| !filtered || self.newer || !self.strict()) {
                    *slot = true;
                }
                again &= !filtered || self.newer;
                if again && self.strict() {
                    return failed(
                        "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
                    );
                }
                let Some(result) = result else { continue };
                let place = self.place(many, partner);
                if written.insert(place, step) == Some(step) {
                    return failed("multiple matches for labels: grouping labels must ensure unique matches");
                }
                self.write(place, step, result);
            }
            self.fill_many_side(evaluator, step, &partners, &matched);
            if self.out.len() > charged {
                evaluator.charge(&mut hold, (self.out.len() - charged) * self.steps * size_of::<f64>(), 0)?;
                charged = self.out.len();
            }
        }
        Ok(())
    }

    fn place_one_side(&self, step: usize, partners: &mut [u32]) -> Outcome<()> {
        for (i, (row, group)) in self.one.rows.iter().zip(&self.one.groups).enumerate() {
            if row.values.get(step).is_none_or(|v| is_absent(*v)) {
                continue;
            }
            let Some(slot) = partners.get_mut(*group) else { continue };
            if *slot == NOBODY {
                *slot = i as u32;
                continue;
            }
            let first = self.one.rows.get(*slot as usize).map(|r| r.labels.to_string()).unwrap_or_default();
            let side = if self.exchanged { "left" } else { "right" };
            let key = self.keys.get(*group).map(Labels::to_string).unwrap_or_default();
            let again = row.labels.to_string();
            let (a, b) = if self.newer { (first, again) } else { (again, first) };
            return failed(format!(
                "found duplicate series for the match group {key} on the {side} hand-side of the operation: [{a}, \
                 {b}];many-to-many matching not allowed: matching labels must be unique on one side"
            ));
        }
        Ok(())
    }

    /// For a missing element of the one side. With `group_right`, Prometheus' `fill_right` means the one side
    /// too, although it stands on the left.
    fn fill_of_one(&self) -> Option<f64> {
        self.matching.fill.right
    }

    fn fill_of_many(&self) -> Option<f64> {
        self.matching.fill.left
    }

    /// Elements of the one side without a partner, when the many side has a fill.
    fn fill_many_side(&mut self, evaluator: &Evaluator<'_>, step: usize, partners: &[u32], matched: &[bool]) {
        let Some(fill) = self.fill_of_many() else { return };
        for (group, one) in partners.iter().enumerate() {
            if *one == NOBODY || matched.get(group).copied().unwrap_or(true) {
                continue;
            }
            let value = operand(&self.one.rows, *one as usize, step);
            let Some(result) = self.compute(evaluator, Operand::Number(fill), value) else { continue };
            let Some(row) = self.one.rows.get(*one as usize) else { continue };
            let (labels, drop_name) = (self.filled_labels(&row.labels), self.return_bool || row.drop_name);
            let place = self.place_of(labels, drop_name);
            self.write(place, step, result);
        }
    }

    fn compute(&self, evaluator: &Evaluator<'_>, many: Operand<'_>, one: Operand<'_>) -> Option<Element> {
        let (a, b) = if self.exchanged { (one, many) } else { (many, one) };
        let (operands, kept) = match (a, b) {
            (Operand::Number(a), Operand::Number(b)) => (Operands::Floats(a, b), a),
            (Operand::Number(a), Operand::Histogram(b)) => (Operands::FloatHistogram(a, b), a),
            (Operand::Histogram(a), Operand::Number(b)) => (Operands::HistogramFloat(a, b), b),
            (Operand::Histogram(a), Operand::Histogram(b)) => (Operands::Histograms(a, b), ABSENT),
        };
        evaluator.operated(self.op, self.return_bool, operands, kept, self.span)
    }

    fn write(&mut self, place: usize, step: usize, element: Element) {
        let Some(row) = self.out.get_mut(place) else { return };
        let value = match element {
            Element::Float(value) => value,
            Element::Histogram(histogram) => row.keep(histogram),
        };
        if let Some(slot) = row.values.get_mut(step) {
            *slot = value;
        }
    }

    /// The result row of a pair.
    fn place(&mut self, many: usize, one: u32) -> usize {
        if let Some(Some((partner, place))) = self.last.get(many)
            && *partner == one
        {
            return *place;
        }
        let Some(row) = self.many.rows.get(many) else { return 0 };
        let partner = self.one.rows.get(one as usize).map(|r| &r.labels);
        let (labels, drop_name) = (self.result_labels(&row.labels, partner), self.return_bool || row.drop_name);
        let place = self.place_of(labels, drop_name);
        if let Some(slot) = self.last.get_mut(many) {
            *slot = Some((one, place));
        }
        place
    }

    fn place_of(&mut self, labels: Labels, drop_name: bool) -> usize {
        let (out, steps) = (&mut self.out, self.steps);
        *self.places.entry((labels, drop_name)).or_insert_with_key(|(labels, _)| {
            out.push(Row::floats(labels.clone(), drop_name, vec![ABSENT; steps]));
            out.len() - 1
        })
    }

    /// Whether an element may have one partner only.
    fn strict(&self) -> bool {
        self.matching.cardinality == Cardinality::OneToOne
    }

    fn drops_name(&self) -> bool {
        !self.op.is_comparison() && !self.op.is_trim() || self.return_bool && !self.delayed
    }

    fn result_labels(&self, many: &Labels, one: Option<&Labels>) -> Labels {
        let mut base = if self.drops_name() { without_name(many) } else { many.clone() };
        if self.matching.cardinality == Cardinality::OneToOne {
            let listed = |name: &str| self.matching.labels.iter().any(|l| l == name);
            base = Labels::from_pairs(base.iter().filter(|(n, _)| listed(n) == self.matching.on));
        }
        if self.matching.include.is_empty() {
            return base;
        }
        let mut builder = base.to_builder();
        for name in &self.matching.include {
            builder.set(name, one.and_then(|o| o.get(name)).unwrap_or_default());
        }
        builder.build()
    }

    /// Labels of an element that only the one side has: those it is matched by.
    fn filled_labels(&self, one: &Labels) -> Labels {
        let mut builder = Labels::from_pairs(key_pairs(one, self.matching)).to_builder();
        for label in &self.matching.include {
            builder.set(label, one.get(label).unwrap_or_default());
        }
        builder.build()
    }
}

/// An element of one side.
#[derive(Clone, Copy)]
enum Operand<'h> {
    Number(f64),
    Histogram(&'h NativeHistogram),
}

fn operand(rows: &[Row], row: usize, step: usize) -> Operand<'_> {
    match rows.get(row).and_then(|r| r.histogram(step)) {
        Some(histogram) => Operand::Histogram(histogram),
        None => Operand::Number(value_at(rows, row, step)),
    }
}

fn value_at(rows: &[Row], row: usize, step: usize) -> f64 {
    rows.get(row).and_then(|r| r.values.get(step)).copied().unwrap_or(ABSENT)
}
