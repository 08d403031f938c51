//! Reading series: instant selectors, and the windows that range functions see.

use super::engine::failed;
use super::evaluator::{Evaluator, Outcome, Sink};
use super::native::tell_resets;
use super::reading::{read, series_bytes};
use super::rollups;
use super::rows::{ABSENT, Grid, Row, histogram_bytes, is_absent, keep_histogram, samples_of};
use super::window::RangeSeries;
use crate::syntax::{Expr, ExprKind, Extension, Selector, Span};
use bramble_signal::{
    Matcher, NativeHistogram, ResetHint, Sample, SeriesSamples, StartChange, histogram_at, is_histogram_marker,
    is_stale_marker,
};
use bramble_storage::{MetricSelect, QueryStats};

/// Series between two looks at the clock.
const CHECK_EVERY: u32 = 16;

/// What an instant selector gives for the newest sample of a step.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Newest {
    /// Its value.
    Value,
    /// Its time in seconds.
    Time,
    /// Its time in seconds; a histogram is an error.
    NumberTime,
    /// When what it counts began, in seconds; 0 for not known.
    Start,
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
        // One series at a time is held while it is looked at: the account is that of the largest.
        let (mut hold, mut seen) = (self.hold(), 0u32);
        read(self.source, &select, self.context, &mut |series| {
            if seen.is_multiple_of(CHECK_EVERY) {
                self.context.check()?;
            }
            seen = seen.wrapping_add(1);
            QueryStats::add(&self.context.stats.items, series.values.len() as u64);
            self.tell_rollups(series);
            self.hold_instead(&mut hold, series_bytes(series), series.values.len())?;
            if self.tells_resets.get() {
                tell_resets(series);
            }
            visit(series)
        })
    }

    /// Rows of an instant selector: at each step the newest sample of the lookback, unless stale.
    pub(crate) fn instant_rows(&self, selector: &Selector, span: Span, grid: Grid, sink: Sink<'_>) -> Outcome<()> {
        if selector.extension == Some(Extension::Smoothed) {
            return self.smoothed_rows(selector, span, grid, sink);
        }
        self.newest(selector, grid, Newest::Value, sink)
    }

    /// As [`instant_rows`](Self::instant_rows), with what is wanted of the samples.
    pub(crate) fn newest(&self, selector: &Selector, grid: Grid, wanted: Newest, sink: Sink<'_>) -> Outcome<()> {
        let at = self.shifted(grid, selector.offset.as_ref(), selector.at)?;
        let from = self.reach(at.start_ms, self.lookback_ms).saturating_add(1);
        self.scan(&selector.matchers, from, at.last_ms(), &mut |series| {
            rollups::strip(series);
            let mut row = Row::floats(series.labels.clone(), false, vec![ABSENT; grid.count]);
            let (mut after, mut any) = (0, false);
            let mut last = None;
            for (value, t) in row.values.iter_mut().zip(at.times()) {
                while series.timestamps_ms.get(after).is_some_and(|s| *s <= t) {
                    after += 1;
                }
                let Some(newest) = after.checked_sub(1) else { continue };
                let (Some(stamp), Some(v)) = (series.timestamps_ms.get(newest), series.values.get(newest)) else {
                    continue;
                };
                let lookback_ms = rollups::lookback(series, newest, self.cold_before_ms(), self.lookback_ms);
                if *stamp > t.saturating_sub(lookback_ms) && !is_stale_marker(*v) {
                    *value = match wanted {
                        Newest::Value if is_histogram_marker(*v) => {
                            shared(newest, *v, &series.histograms, &mut last, &mut row.histograms)
                        }
                        Newest::Value => *v,
                        Newest::NumberTime if is_histogram_marker(*v) => {
                            let labels = &series.labels;
                            return failed(format!("this should be an info metric, with float samples: {labels}"));
                        }
                        Newest::Time | Newest::NumberTime => *stamp as f64 / 1000.0,
                        Newest::Start => start_of(&series.starts, *stamp) as f64 / 1000.0,
                    };
                    any = true;
                }
            }
            if !any {
                return Ok(());
            }
            let counted = row.values.iter().enumerate().filter(|(_, v)| !is_absent(**v));
            self.counting.add_each(counted.map(|(i, v)| (i, samples_of(*v, &row.histograms))));
            sink(row)
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
                let from = self.reach(ends.start_ms, range_ms.saturating_add(before)).saturating_add(1);
                let cold_before_ms = self.cold_before_ms();
                self.scan(&selector.matchers, from, ends.last_ms().saturating_add(behind), &mut |series| {
                    drop_stale(series);
                    // An extended range reckons with samples alone, and needs the peaks told between them.
                    if selector.extension.is_none() {
                        rollups::strip(series);
                    }
                    visit(RangeSeries {
                        labels: &series.labels,
                        drop_name: false,
                        timestamps_ms: &series.timestamps_ms,
                        values: &series.values,
                        histograms: &series.histograms,
                        starts: if self.options.newer_than_3_5 { &series.starts } else { &[] },
                        rollups: if selector.extension.is_none() { &series.rollups } else { &[] },
                        cold_before_ms,
                        counting: &self.counting,
                        context: self.context,
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
        let last = grid.count.saturating_sub(1);
        let mut visit_row = |mut row: Row| {
            // Hints speak of neighbours, which these are not any more.
            for histogram in row.histograms.iter_mut().filter(|h| h.reset_hint != ResetHint::Gauge) {
                histogram.reset_hint = ResetHint::Unknown;
            }
            stamps.clear();
            values.clear();
            for (t, v) in inner.times().zip(&row.values).filter(|(_, v)| !is_absent(**v)) {
                stamps.push(t);
                values.push(*v);
            }
            let mut hold = self.hold();
            self.charge(&mut hold, values.len() * 16 + histogram_bytes(&row.histograms), values.len())?;
            let series = RangeSeries {
                labels: &row.labels,
                drop_name: row.drop_name,
                timestamps_ms: &stamps,
                values: &values,
                histograms: &row.histograms,
                // Start times are not known of what was computed.
                starts: &[],
                rollups: &[],
                cold_before_ms: i64::MIN,
                counting: &self.counting,
                context: self.context,
                ends,
                range_ms,
                reach_ms: 0,
            };
            self.counting.outside(|| visit(series))
        };
        let evaluate = || self.telling_resets(false, || self.each(expr, inner, &mut visit_row));
        self.counting.apart(last..last + 1, evaluate)
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
                for (timestamp_ms, value) in window.timestamps_ms.iter().zip(window.values) {
                    out.push(Sample { timestamp_ms: *timestamp_ms, value: *value }, window.histograms);
                }
            });
            if !out.values.is_empty() {
                let bytes = out.values.len() * 16 + histogram_bytes(&out.histograms);
                self.charge(&mut hold, bytes, out.values.len())?;
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

/// Copies the histogram that `value` stands for to a row, or shares the copy with the step before when the sample is
/// the same.
fn shared(
    sample: usize,
    value: f64,
    from: &[NativeHistogram],
    last: &mut Option<(usize, f64)>,
    to: &mut Vec<NativeHistogram>,
) -> f64 {
    match (*last, histogram_at(value, from)) {
        (Some((same, marker)), _) if same == sample => marker,
        (_, Some(histogram)) => last.insert((sample, keep_histogram(to, histogram.clone()))).1,
        _ => ABSENT,
    }
}

/// When what a sample counts began; 0 for not known.
pub(crate) fn start_of(starts: &[StartChange], timestamp_ms: i64) -> i64 {
    let after = starts.partition_point(|s| s.timestamp_ms <= timestamp_ms);
    after.checked_sub(1).and_then(|i| starts.get(i)).map_or(0, |s| s.start_ms)
}
