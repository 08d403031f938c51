//! Aggregations that look at a whole group at each step: topk, quantile, count_values, limitk and limit_ratio.

use super::aggregate::Grouping;
use super::engine::failed;
use super::evaluator::{Evaluator, Outcome, Sink};
use super::groups::Groups;
use super::hash::label_hash;
use super::labels::is_label_name;
use super::quantiles::{bad_quantile, quantile};
use super::rows::{ABSENT, Grid, Row, is_absent, order};
use crate::syntax::{AggregateOp, Expr, format_g, format_value, go_quote};
use bramble_signal::Labels;
use std::collections::HashMap;

/// Rows by group, groups in order of appearance.
fn grouped(rows: Vec<Row>, grouping: &Grouping<'_>) -> Vec<(Labels, Vec<Row>)> {
    let mut groups = Groups::default();
    let mut members: Vec<Vec<Row>> = Vec::new();
    for row in rows {
        let at = groups.place(grouping.pairs(&row.labels));
        if at == members.len() {
            members.push(Vec::new());
        }
        if let Some(rows) = members.get_mut(at) {
            rows.push(row);
        }
    }
    groups.into_keys().into_iter().zip(members).collect()
}

impl Evaluator<'_> {
    pub(crate) fn select_from_groups(
        &self,
        op: AggregateOp,
        inner: &Expr,
        param: &Expr,
        grouping: &Grouping<'_>,
        grid: Grid,
        sink: Sink<'_>,
    ) -> Outcome<()> {
        if op == AggregateOp::CountValues {
            return self.count_values(inner, &self.text(param)?, grouping, grid, sink);
        }
        let params = self.scalar(param, grid)?;
        match op {
            AggregateOp::Quantile => {
                for text in params.iter().filter_map(|phi| bad_quantile(*phi)) {
                    self.warn(param.span, text);
                }
                let rows = self.numbers_only(op, inner, grid)?;
                quantiles(grouped(rows, grouping), &params, grid, sink)
            }
            AggregateOp::LimitRatio => {
                if params.iter().any(|r| r.is_nan()) {
                    return failed("Ratio value is NaN");
                }
                for ratio in params.iter().filter(|r| r.abs() > 1.0) {
                    let capped = ratio.clamp(-1.0, 1.0);
                    let text = format!(
                        "ratio value should be between -1 and 1, got {}, capping to {}",
                        format_g(*ratio),
                        format_g(capped)
                    );
                    self.warn(param.span, text);
                }
                self.each(inner, grid, &mut |row| limit_ratio(row, &params, sink))
            }
            _ => {
                check_counts(&params)?;
                let single = self.whole.step_ms == 0 && grid.count == 1;
                if let (true, AggregateOp::Topk | AggregateOp::Bottomk) = (single, op) {
                    let count = params.first().map_or(0, |k| if *k < 1.0 { 0 } else { *k as usize });
                    return self.best(op, count, inner, grouping, grid, sink);
                }
                let rows = match op {
                    AggregateOp::Topk | AggregateOp::Bottomk => self.numbers_only(op, inner, grid)?,
                    _ => self.collect(inner, grid)?.take(),
                };
                let groups = grouped(rows, grouping);
                for (_, rows) in groups {
                    pick(op, rows, &params, single, sink)?;
                }
                Ok(())
            }
        }
    }

    /// `topk` and `bottomk` at one step: only the best so far of each group are kept.
    fn best(
        &self,
        op: AggregateOp,
        count: usize,
        inner: &Expr,
        grouping: &Grouping<'_>,
        grid: Grid,
        sink: Sink<'_>,
    ) -> Outcome<()> {
        let mut groups = Groups::default();
        let mut best: Vec<Vec<Row>> = Vec::new();
        let mut hold = self.hold();
        let down = op == AggregateOp::Topk;
        let value = |row: &Row| row.values.first().copied().unwrap_or(ABSENT);
        self.each(inner, grid, &mut |mut row| {
            self.ignores_histograms(op, &row, inner.span);
            row.drop_histograms();
            let new = value(&row);
            if is_absent(new) || count == 0 {
                return Ok(());
            }
            let at = groups.place(grouping.pairs(&row.labels));
            if at == best.len() {
                best.push(Vec::new());
            }
            let Some(kept) = best.get_mut(at) else { return Ok(()) };
            // Of equals the first ones stay.
            let better = |old: &Row| order(value(old), new, down).is_le();
            if kept.len() >= count && kept.last().is_some_and(better) {
                return Ok(());
            }
            if kept.len() < count {
                self.charge(&mut hold, row.memory_bytes(), 1)?;
            } else {
                kept.pop();
            }
            kept.insert(kept.partition_point(better), row);
            Ok(())
        })?;
        best.into_iter().flatten().try_for_each(sink)
    }

    /// The rows' numbers; that histograms are left out is told.
    fn numbers_only(&self, op: AggregateOp, inner: &Expr, grid: Grid) -> Outcome<Vec<Row>> {
        let mut rows = self.collect(inner, grid)?.take();
        for row in rows.iter_mut().filter(|r| !r.histograms.is_empty()) {
            self.ignores_histograms(op, row, inner.span);
            row.drop_histograms();
        }
        rows.retain(|row| !row.is_empty());
        Ok(rows)
    }

    fn count_values(
        &self,
        inner: &Expr,
        label: &str,
        grouping: &Grouping<'_>,
        grid: Grid,
        sink: Sink<'_>,
    ) -> Outcome<()> {
        if !is_label_name(label) {
            return failed(format!("invalid label name {}", go_quote(label)));
        }
        let mut places: HashMap<Labels, usize> = HashMap::new();
        let (mut out, mut hold): (Vec<Row>, _) = (Vec::new(), self.hold());
        self.each(inner, grid, &mut |row| {
            let key = Labels::from_pairs(grouping.pairs(&row.labels));
            let mut last: Option<(u64, usize)> = None;
            for (i, value) in row.values.iter().enumerate().filter(|(_, v)| !is_absent(**v)) {
                let at = match last {
                    Some((bits, at)) if bits == value.to_bits() => at,
                    _ => {
                        let mut labels = key.to_builder();
                        labels.set(label, &row.histogram(i).map_or_else(|| format_value(*value), ToString::to_string));
                        let labels = labels.build();
                        let new = places.len();
                        let at = *places.entry(labels.clone()).or_insert(new);
                        if at == out.len() {
                            let row = Row::floats(labels, false, vec![ABSENT; grid.count]);
                            self.charge(&mut hold, row.memory_bytes(), 0)?;
                            out.push(row);
                        }
                        at
                    }
                };
                last = Some((value.to_bits(), at));
                if let Some(count) = out.get_mut(at).and_then(|r| r.values.get_mut(i)) {
                    *count = if is_absent(*count) { 1.0 } else { *count + 1.0 };
                }
            }
            Ok(())
        })?;
        out.into_iter().try_for_each(sink)
    }
}

fn check_counts(params: &[f64]) -> Outcome<()> {
    match params.iter().find(|k| k.is_nan() || k.abs() >= i64::MAX as f64) {
        None => Ok(()),
        Some(k) if k.is_nan() => failed("Parameter value is NaN"),
        Some(k) if *k > 0.0 => failed(format!("Scalar value {} overflows int64", format_g(*k))),
        Some(k) => failed(format!("Scalar value {} underflows int64", format_g(*k))),
    }
}

fn quantiles(groups: Vec<(Labels, Vec<Row>)>, params: &[f64], grid: Grid, sink: Sink<'_>) -> Outcome<()> {
    let mut scratch = Vec::new();
    for (labels, rows) in groups {
        let at_step = |i: usize| {
            scratch.clear();
            scratch.extend(rows.iter().filter_map(|r| r.values.get(i)).filter(|v| !is_absent(**v)));
            match params.get(i) {
                Some(phi) if !scratch.is_empty() => quantile(*phi, &mut scratch),
                _ => ABSENT,
            }
        };
        let values = (0..grid.count).map(at_step).collect();
        sink(Row::floats(labels, rows.iter().any(|r| r.drop_name), values))?;
    }
    Ok(())
}

/// Keeps, at each step, the `k` elements that `op` wants; at a single step they come in its order.
fn pick(op: AggregateOp, mut rows: Vec<Row>, params: &[f64], single: bool, sink: Sink<'_>) -> Outcome<()> {
    let value =
        |rows: &[Row], row: usize, i: usize| rows.get(row).and_then(|r| r.values.get(i)).copied().unwrap_or(ABSENT);
    let mut there: Vec<usize> = Vec::with_capacity(rows.len());
    let mut last_order = Vec::new();
    for (i, k) in params.iter().enumerate() {
        there.clear();
        there.extend((0..rows.len()).filter(|row| !is_absent(value(&rows, *row, i))));
        let keep = if *k < 1.0 { 0 } else { *k as usize };
        if matches!(op, AggregateOp::Topk | AggregateOp::Bottomk) && keep < there.len() {
            let down = op == AggregateOp::Topk;
            // Of equals the first ones stay.
            let by_value =
                |a: &usize, b: &usize| order(value(&rows, *a, i), value(&rows, *b, i), down).then_with(|| a.cmp(b));
            there.select_nth_unstable_by(keep, by_value);
        }
        for row in there.iter().skip(keep) {
            if let Some(slot) = rows.get_mut(*row).and_then(|r| r.values.get_mut(i)) {
                *slot = ABSENT;
            }
        }
        if single {
            last_order = there.iter().take(keep).copied().collect();
        }
    }
    if single {
        for row in last_order {
            if let Some(row) = rows.get(row) {
                sink(row.clone())?;
            }
        }
        return Ok(());
    }
    rows.into_iter().filter(|r| !r.is_empty()).try_for_each(sink)
}

/// Keeps a series whose hash falls into the ratio's part of all hashes.
fn limit_ratio(mut row: Row, params: &[f64], sink: Sink<'_>) -> Outcome<()> {
    let place = label_hash(&row.labels) as f64 / u64::MAX as f64;
    for (value, ratio) in row.values.iter_mut().zip(params) {
        let ratio = ratio.clamp(-1.0, 1.0);
        let kept = if ratio >= 0.0 { place < ratio } else { place >= 1.0 + ratio };
        if !kept {
            *value = ABSENT;
        }
    }
    if row.is_empty() { Ok(()) } else { sink(row) }
}
