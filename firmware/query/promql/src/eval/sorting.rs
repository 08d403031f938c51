//! `sort` and its relatives: they order the answers of instant queries.

use super::evaluator::{Evaluator, Outcome, Sink};
use super::rows::{ABSENT, Grid, Row, order};
use crate::syntax::Expr;

impl Evaluator<'_> {
    pub(crate) fn sort_by_value(
        &self,
        args: &[Expr],
        expr: &Expr,
        down: bool,
        grid: Grid,
        sink: Sink<'_>,
    ) -> Outcome<()> {
        let Some(arg) = args.first() else { return Ok(()) };
        if self.sorts_nothing(expr) {
            return self.each(arg, grid, sink);
        }
        let mut rows = self.collect(arg, grid)?.take();
        rows.iter_mut().for_each(Row::drop_histograms);
        rows.retain(|row| !row.is_empty());
        let value = |row: &Row| row.values.first().copied().unwrap_or(ABSENT);
        // Prometheus leaves equal values as they came; here zero comes before its negative both ways.
        rows.sort_by(|a, b| order(value(a), value(b), down).then_with(|| zero_first(value(a), value(b))));
        rows.into_iter().try_for_each(sink)
    }

    pub(crate) fn sort_by_label(
        &self,
        args: &[Expr],
        expr: &Expr,
        down: bool,
        grid: Grid,
        sink: Sink<'_>,
    ) -> Outcome<()> {
        let Some(arg) = args.first() else { return Ok(()) };
        if self.sorts_nothing(expr) {
            return self.each(arg, grid, sink);
        }
        let names = args.iter().skip(1).map(|a| self.text(a)).collect::<Outcome<Vec<_>>>()?;
        let mut rows = self.collect(arg, grid)?.take();
        rows.sort_by(|a, b| {
            let by_names = names.iter().map(|name| {
                let (a, b) = (a.labels.get(name).unwrap_or_default(), b.labels.get(name).unwrap_or_default());
                // A label that is not there comes after all values.
                a.is_empty().cmp(&b.is_empty()).then_with(|| natural_order(a, b))
            });
            let order = by_names.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then);
            let order = order.then_with(|| a.labels.cmp(&b.labels));
            if down { order.reverse() } else { order }
        });
        rows.into_iter().try_for_each(sink)
    }

    /// Sorting means nothing over a range, whose series are always ordered by labels.
    fn sorts_nothing(&self, expr: &Expr) -> bool {
        let range = self.whole.step_ms > 0;
        if range && self.options.newer_than_3_5 {
            self.warn(expr.span, "sort is ineffective for range queries since results are always ordered by labels");
        }
        range
    }
}

/// Order of the two zeros, which equal each other: the positive one first.
fn zero_first(a: f64, b: f64) -> std::cmp::Ordering {
    match a == 0.0 && b == 0.0 {
        true => a.is_sign_negative().cmp(&b.is_sign_negative()),
        false => std::cmp::Ordering::Equal,
    }
}

/// Text order in which runs of digits compare as numbers: `a2` before `a10`.
pub(crate) fn natural_order(a: &str, b: &str) -> std::cmp::Ordering {
    let (mut a, mut b) = (a, b);
    let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
    loop {
        let (m, n) = (digits(a), digits(b));
        if m > 0 && n > 0 {
            let ((x, rest_a), (y, rest_b)) = (a.split_at(m), b.split_at(n));
            let (short_x, short_y) = (x.trim_start_matches('0'), y.trim_start_matches('0'));
            let order = short_x.len().cmp(&short_y.len()).then_with(|| short_x.cmp(short_y)).then(m.cmp(&n));
            if order.is_ne() {
                return order;
            }
            (a, b) = (rest_a, rest_b);
            continue;
        }
        let (mut left, mut right) = (a.chars(), b.chars());
        match (left.next(), right.next()) {
            (None, None) => return std::cmp::Ordering::Equal,
            (x, y) if x != y => return x.cmp(&y),
            _ => (a, b) = (left.as_str(), right.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_compare_as_numbers() {
        assert!(natural_order("a2", "a10").is_lt() && natural_order("a", "b").is_lt());
        assert!(natural_order("x1y", "x1y").is_eq());
    }
}
