//! Reading series: instant selectors, and the windows that range functions see.

use super::engine::failed;
use super::evaluator::{Evaluator, Outcome, Sink};
use super::rows::{ABSENT, Grid, Row, is_absent};
use crate::syntax::{Expr, ExprKind, Extension, Selector};
use bramble_signal::{Labels, Matcher, SeriesSamples, is_stale_marker};
use bramble_storage::{MetricSelect, QueryStats};

/// One series for a range function: all samples any window may see, staleness markers left out.
pub(crate) struct RangeSeries<'s> {
    pub(crate) labels: &'s Labels,
    /// A function inside a subquery has already dropped the name.
    pub(crate) drop_name: bool,
    pub(crate) timestamps_ms: &'s [i64],
    pub(crate) values: &'s [f64],
    /// Ends of the windows.
    pub(crate) ends: Grid,
    pub(crate) range_ms: i64,
    /// How far beyond its edges an extended range may look.
    pub(crate) reach_ms: i64,
}

/// What a range function sees at one step.
#[derive(Clone, Copy)]
pub(crate) struct Window<'s> {
    pub(crate) timestamps_ms: &'s [i64],
    pub(crate) values: &'s [f64],
    /// Exclusive.
    pub(crate) start_ms: i64,
    /// Inclusive.
    pub(crate) end_ms: i64,
}

impl Window<'_> {
    pub(crate) fn range_seconds(&self) -> f64 {
        (self.end_ms - self.start_ms) as f64 / 1000.0
    }
}

impl RangeSeries<'_> {
    /// Calls `visit` with each step's index and window, also when the window is empty.
    pub(crate) fn windows(&self, mut visit: impl FnMut(usize, Window<'_>)) {
        let (mut first, mut after) = (0, 0);
        for (i, end_ms) in self.ends.times().enumerate() {
            let start_ms = end_ms.saturating_sub(self.range_ms);
            while self.timestamps_ms.get(after).is_some_and(|t| *t <= end_ms) {
                after += 1;
            }
            while first < after && self.timestamps_ms.get(first).is_some_and(|t| *t <= start_ms) {
                first += 1;
            }
            let timestamps_ms = self.timestamps_ms.get(first..after).unwrap_or_default();
            let values = self.values.get(first..after).unwrap_or_default();
            visit(i, Window { timestamps_ms, values, start_ms, end_ms });
        }
    }
}

impl Evaluator<'_> {
    /// Reads the series that match, one at a time.
    pub(crate) fn scan(
        &self,
        matchers: &[Matcher],
        start_ms: i64,
        end_ms: i64,
        visit: &mut dyn FnMut(&mut SeriesSamples) -> Outcome<()>,
    ) -> Outcome<()> {
        let select = MetricSelect { matchers, start_ms, end_ms };
        let mut cursor = self.source.select(&select, self.context)?;
        let mut series = SeriesSamples::default();
        while cursor.next(&mut series)? {
            self.context.check()?;
            QueryStats::add(&self.context.stats.items, series.values.len() as u64);
            // The series itself is held while it is looked at.
            let mut hold = self.hold();
            self.charge(&mut hold, series.values.len() * 16, series.values.len())?;
            visit(&mut series)?;
        }
        Ok(())
    }

    /// Rows of an instant selector: at each step the newest sample of the lookback, unless stale.
    pub(crate) fn instant_rows(&self, selector: &Selector, grid: Grid, sink: Sink<'_>) -> Outcome<()> {
        if selector.extension == Some(Extension::Smoothed) {
            return self.smoothed_rows(selector, grid, sink);
        }
        self.newest(selector, grid, false, sink)
    }

    /// As [`instant_rows`](Self::instant_rows), the samples' times (in seconds) instead of their values.
    pub(crate) fn newest(&self, selector: &Selector, grid: Grid, times: bool, sink: Sink<'_>) -> Outcome<()> {
        let at = self.shifted(grid, selector.offset.as_ref(), selector.at)?;
        let from = at.start_ms.saturating_sub(self.lookback_ms).saturating_add(1);
        self.scan(&selector.matchers, from, at.last_ms(), &mut |series| {
            let mut values = vec![ABSENT; grid.count];
            let (mut after, mut any) = (0, false);
            for (value, t) in values.iter_mut().zip(at.times()) {
                while series.timestamps_ms.get(after).is_some_and(|s| *s <= t) {
                    after += 1;
                }
                let Some(newest) = after.checked_sub(1) else { continue };
                let (Some(stamp), Some(v)) = (series.timestamps_ms.get(newest), series.values.get(newest)) else {
                    continue;
                };
                if *stamp > t.saturating_sub(self.lookback_ms) && !is_stale_marker(*v) {
                    *value = if times { *stamp as f64 / 1000.0 } else { *v };
                    any = true;
                }
            }
            if any { sink(Row { labels: series.labels.clone(), drop_name: false, values }) } else { Ok(()) }
        })
    }

    /// Each series of a range selector or subquery.
    pub(crate) fn ranges(
        &self,
        arg: &Expr,
        grid: Grid,
        visit: &mut dyn FnMut(RangeSeries<'_>) -> Outcome<()>,
    ) -> Outcome<()> {
        match &arg.kind {
            ExprKind::Paren(inner) => self.ranges(inner, grid, visit),
            ExprKind::Range { selector, range } => {
                let range_ms = self.range_ms(range)?;
                let ends = self.shifted(grid, selector.offset.as_ref(), selector.at)?;
                let (before, behind) = match selector.extension {
                    None => (0, 0),
                    Some(Extension::Anchored) => (self.lookback_ms, 0),
                    Some(Extension::Smoothed) => (self.lookback_ms, self.lookback_ms),
                };
                let from = ends.start_ms.saturating_sub(range_ms).saturating_sub(before).saturating_add(1);
                self.scan(&selector.matchers, from, ends.last_ms().saturating_add(behind), &mut |series| {
                    drop_stale(series);
                    visit(RangeSeries {
                        labels: &series.labels,
                        drop_name: false,
                        timestamps_ms: &series.timestamps_ms,
                        values: &series.values,
                        ends,
                        range_ms,
                        reach_ms: self.lookback_ms,
                    })
                })
            }
            ExprKind::Subquery { .. } => self.subquery(arg, grid, visit),
            _ => failed("expression does not evaluate to a range vector"),
        }
    }

    fn subquery(&self, arg: &Expr, grid: Grid, visit: &mut dyn FnMut(RangeSeries<'_>) -> Outcome<()>) -> Outcome<()> {
        let ExprKind::Subquery { expr, range, step, offset, at } = &arg.kind else { return Ok(()) };
        let range_ms = self.range_ms(range)?;
        let step_ms = match step {
            Some(step) => self.range_ms(step)?,
            None => self.options.default_subquery_step_ms,
        };
        let ends = self.shifted(grid, offset.as_ref(), *at)?;
        // Steps are multiples of the resolution, inside the left-open range.
        let open = ends.start_ms.saturating_sub(range_ms);
        let mut first = step_ms * (open / step_ms);
        if first <= open {
            first += step_ms;
        }
        let inner = Grid::between(first, ends.last_ms(), step_ms);
        let _width = self.admit(inner)?;
        let (mut stamps, mut values) = (Vec::new(), Vec::new());
        self.each(expr, inner, &mut |row| {
            stamps.clear();
            values.clear();
            for (t, v) in inner.times().zip(&row.values).filter(|(_, v)| !is_absent(**v)) {
                stamps.push(t);
                values.push(*v);
            }
            let mut hold = self.hold();
            self.charge(&mut hold, values.len() * 16, values.len())?;
            visit(RangeSeries {
                labels: &row.labels,
                drop_name: row.drop_name,
                timestamps_ms: &stamps,
                values: &values,
                ends,
                range_ms,
                reach_ms: 0,
            })
        })
    }

    /// A range vector as the answer of an instant query: the samples themselves.
    pub(crate) fn raw_matrix(&self, expr: &Expr, grid: Grid) -> Outcome<Vec<SeriesSamples>> {
        let mut found = Vec::new();
        let mut hold = self.hold();
        self.ranges(expr, grid, &mut |series| {
            let labels =
                if series.drop_name { super::rows::without_name(series.labels) } else { series.labels.clone() };
            let mut out = SeriesSamples { labels, ..SeriesSamples::default() };
            series.windows(|_, window| {
                out.timestamps_ms.extend_from_slice(window.timestamps_ms);
                out.values.extend_from_slice(window.values);
            });
            if !out.values.is_empty() {
                self.charge(&mut hold, out.values.len() * 16, out.values.len())?;
                found.push(out);
            }
            Ok(())
        })?;
        found.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(found)
    }
}

/// Range vectors never show staleness markers.
pub(crate) fn drop_stale(series: &mut SeriesSamples) {
    if !series.values.iter().any(|v| is_stale_marker(*v)) {
        return;
    }
    let mut keep = series.values.iter().map(|v| !is_stale_marker(*v));
    series.timestamps_ms.retain(|_| keep.next().unwrap_or(false));
    series.values.retain(|v| !is_stale_marker(*v));
}
