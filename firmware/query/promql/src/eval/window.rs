//! What range functions see: a series' samples, and at each step the window of those in range.

use super::counting::Counting;
use super::rollups::Touched;
use super::rows::{Grid, samples_of};
use super::select::start_of;
use bramble_signal::{Labels, METRIC_NAME, NativeHistogram, Rollup, StartChange, histogram_at, is_histogram_marker};
use bramble_storage::QueryContext;

/// Samples that are looked at between two checks whether the query should go on.
const SAMPLES_PER_CHECK: usize = 1 << 20;

/// One series for a range function: all samples any window may see, staleness markers left out.
pub(crate) struct RangeSeries<'s> {
    pub(crate) labels: &'s Labels,
    /// A function inside a subquery has already dropped the name.
    pub(crate) drop_name: bool,
    pub(crate) timestamps_ms: &'s [i64],
    pub(crate) values: &'s [f64],
    /// What markers among the values stand for.
    pub(crate) histograms: &'s [NativeHistogram],
    /// When counts began.
    pub(crate) starts: &'s [StartChange],
    /// Where samples are gone; `timestamps_ms` then holds the first and the last of each.
    pub(crate) rollups: &'s [Rollup],
    /// Where full resolution begins; `i64::MIN` when all of it is.
    pub(crate) cold_before_ms: i64,
    pub(crate) counting: &'s Counting,
    pub(crate) context: &'s QueryContext,
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
    pub(crate) histograms: &'s [NativeHistogram],
    pub(crate) starts: &'s [StartChange],
    pub(crate) touched: Touched<'s>,
    /// Exclusive.
    pub(crate) start_ms: i64,
    /// Inclusive.
    pub(crate) end_ms: i64,
}

impl<'s> Window<'s> {
    /// A window of numbers.
    #[cfg(test)]
    pub(crate) fn of(timestamps_ms: &'s [i64], values: &'s [f64], start_ms: i64, end_ms: i64) -> Self {
        let touched = Touched::default();
        Window { timestamps_ms, values, histograms: &[], starts: &[], touched, start_ms, end_ms }
    }

    pub(crate) fn range_seconds(&self) -> f64 {
        (self.end_ms - self.start_ms) as f64 / 1000.0
    }

    /// Numbers and histograms in the window.
    pub(crate) fn kinds(&self) -> (usize, usize) {
        let histograms = match self.histograms.is_empty() {
            true => 0,
            false => self.values.iter().filter(|v| is_histogram_marker(**v)).count(),
        };
        (self.values.len() - histograms, histograms)
    }

    /// The histogram at place `i`, if there is one.
    pub(crate) fn histogram(&self, i: usize) -> Option<&'s NativeHistogram> {
        histogram_at(*self.values.get(i)?, self.histograms)
    }

    /// When what sample `i` counts began; 0 for not known.
    pub(crate) fn start_of(&self, i: usize) -> i64 {
        match self.starts.is_empty() {
            true => 0,
            false => self.timestamps_ms.get(i).map_or(0, |t| start_of(self.starts, *t)),
        }
    }
}

#[cfg(test)]
impl<'s> RangeSeries<'s> {
    /// A series of numbers without windows.
    pub(crate) fn of(
        labels: &'s Labels,
        timestamps_ms: &'s [i64],
        values: &'s [f64],
        counting: &'s Counting,
        context: &'s QueryContext,
    ) -> Self {
        RangeSeries {
            labels,
            drop_name: false,
            timestamps_ms,
            values,
            histograms: &[],
            starts: &[],
            rollups: &[],
            cold_before_ms: i64::MIN,
            counting,
            context,
            ends: Grid::once(0),
            range_ms: 1,
            reach_ms: 0,
        }
    }
}

impl RangeSeries<'_> {
    /// The metric's name, or nothing.
    pub(crate) fn name(&self) -> &str {
        self.labels.get(METRIC_NAME).unwrap_or_default()
    }

    /// Calls `visit` with each step's index and window, also when the window is empty.
    pub(crate) fn windows(&self, mut visit: impl FnMut(usize, Window<'_>)) {
        let (mut first, mut after) = (0, 0);
        let mut unchecked = 0;
        // Much of one series may take long: who asked may be gone meanwhile. What is left out then is no answer, since
        // the query ends with the same check.
        let mut goes_on = |looked_at: usize| {
            unchecked += looked_at;
            let due = unchecked >= SAMPLES_PER_CHECK;
            if due {
                unchecked = 0;
            }
            !due || self.context.check().is_ok()
        };
        let counted = self.ends.times().enumerate().map_while(|(i, end_ms)| {
            let (start_ms, touched) = self.over_rollups(end_ms);
            // A window that is widened may begin before the last one did.
            while first > 0 && self.timestamps_ms.get(first - 1).is_some_and(|t| *t > start_ms) {
                first -= 1;
            }
            while self.timestamps_ms.get(after).is_some_and(|t| *t <= end_ms) {
                after += 1;
            }
            while first < after && self.timestamps_ms.get(first).is_some_and(|t| *t <= start_ms) {
                first += 1;
            }
            let timestamps_ms = self.timestamps_ms.get(first..after).unwrap_or_default();
            let values = self.values.get(first..after).unwrap_or_default();
            let (histograms, starts) = (self.histograms, self.starts);
            if !goes_on(values.len() + 1) {
                return None;
            }
            visit(i, Window { timestamps_ms, values, histograms, starts, touched, start_ms, end_ms });
            Some((i, count(values, histograms)))
        });
        self.counting.add_each(counted);
    }
}

fn count(values: &[f64], histograms: &[NativeHistogram]) -> usize {
    match histograms.is_empty() {
        true => values.len(),
        false => values.iter().map(|v| samples_of(*v, histograms)).sum(),
    }
}
