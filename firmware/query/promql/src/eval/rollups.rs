//! Windows over rollups: what the columns answer, and how exactly.
//!
//! Where samples are gone, a series comes with rollups and with the samples told from them: first and last of each.
//! Functions are of three kinds:
//! * sums, counts, extremes, means, rates and resets are computed from the columns;
//! * first, last, present: the told samples are as good as any;
//! * all others see the told samples alone, and the answer says so by name.
//!
//! Edges: sums, counts, extremes and resets take a rollup whole, and it belongs to a window when its last sample does.
//! Changes (`rate`, `increase`, `delta`) take of a rollup at an edge the share that lies inside, as if it had changed
//! evenly. So windows of whole buckets are exact, others are off by at most a bucket at each edge (docs/storage.md).
//!
//! Ranges and lookbacks below two widths are widened to two; sums, counts and increases are then scaled to the range
//! that was asked for.

use super::dates::civil;
use super::evaluator::Evaluator;
use super::sums::Compensated;
use super::window::{RangeSeries, Window};
use crate::syntax::Span;
use bramble_signal::{NativeHistogram, ROLLUP_WIDTH_MS, Rollup, SeriesSamples, is_histogram_marker};

/// The least range and lookback over rollups.
pub(crate) const WIDENED_MS: i64 = 2 * ROLLUP_WIDTH_MS;

/// The rollups that a window touches.
#[derive(Clone, Copy, Default)]
pub(crate) struct Touched<'s> {
    /// Those whose bucket overlaps the window.
    pub(crate) rollups: &'s [Rollup],
    /// The last one with samples before them.
    before: Option<&'s Rollup>,
    /// The range asked for, milliseconds; the window itself may be wider.
    asked_ms: i64,
}

/// Leaves of the told samples those that there were: what stands between the first and the last sample of a rollup was
/// put there for readers who know nothing of rollups.
pub(crate) fn strip(series: &mut SeriesSamples) {
    if series.rollups.is_empty() {
        return;
    }
    let mut at = 0;
    let mut keep = Vec::with_capacity(series.values.len());
    for (t, value) in series.timestamps_ms.iter().zip(&series.values) {
        while series.rollups.get(at).is_some_and(|r| r.last.timestamp_ms <= *t) {
            at += 1;
        }
        let inside = series.rollups.get(at).is_some_and(|r| r.count > 0 && r.first.timestamp_ms < *t);
        keep.push(!inside || is_histogram_marker(*value));
    }
    if keep.iter().all(|k| *k) {
        return;
    }
    let mut kept = keep.iter();
    series.timestamps_ms.retain(|_| kept.next().copied().unwrap_or(true));
    let mut kept = keep.iter();
    series.values.retain(|_| kept.next().copied().unwrap_or(true));
}

/// How far an instant selector looks back when the newest sample is the one at `newest`.
pub(crate) fn lookback(series: &SeriesSamples, newest: usize, cold_before_ms: i64, lookback_ms: i64) -> i64 {
    let Some(stamp_ms) = series.timestamps_ms.get(newest).copied().filter(|t| *t < cold_before_ms) else {
        return lookback_ms;
    };
    let at = series.rollups.partition_point(|r| end_of(r) < stamp_ms);
    let rolled = series.rollups.get(at).is_some_and(|r| r.start_ms < stamp_ms);
    // Of histograms one is left where a rollup would be.
    let thinned = series.values.get(newest).is_some_and(|v| is_histogram_marker(*v));
    if rolled || thinned { lookback_ms.max(WIDENED_MS) } else { lookback_ms }
}

/// Whether histograms were thinned: there are some where full resolution is gone.
fn has_thinned(timestamps_ms: &[i64], values: &[f64], cold_before_ms: i64) -> bool {
    let old = timestamps_ms.partition_point(|t| *t < cold_before_ms);
    values.iter().take(old).any(|v| is_histogram_marker(*v))
}

fn end_of(rollup: &Rollup) -> i64 {
    rollup.start_ms.saturating_add(ROLLUP_WIDTH_MS)
}

fn touched(rollups: &[Rollup], start_ms: i64, end_ms: i64) -> std::ops::Range<usize> {
    let from = rollups.partition_point(|r| end_of(r) <= start_ms);
    let to = rollups.partition_point(|r| r.start_ms < end_ms);
    from..to.max(from)
}

impl RangeSeries<'_> {
    /// The window of a step, and the rollups it touches; widened if it touches any and is too narrow for them.
    pub(crate) fn over_rollups(&self, end_ms: i64) -> (i64, Touched<'_>) {
        let start_ms = end_ms.saturating_sub(self.range_ms);
        if self.rollups.is_empty() {
            // Of histograms, samples are left, one for each rollup.
            let sparse = !self.histograms.is_empty() && start_ms < self.cold_before_ms;
            let range_ms = if sparse { self.range_ms.max(WIDENED_MS) } else { self.range_ms };
            return (end_ms.saturating_sub(range_ms), Touched { asked_ms: self.range_ms, ..Touched::default() });
        }
        let found = touched(self.rollups, start_ms, end_ms);
        if found.is_empty() {
            return (start_ms, Touched { asked_ms: self.range_ms, ..Touched::default() });
        }
        let start_ms = end_ms.saturating_sub(self.range_ms.max(WIDENED_MS));
        let found = touched(self.rollups, start_ms, end_ms);
        let earlier = self.rollups.get(..found.start).unwrap_or_default();
        let before = earlier.iter().rfind(|r| r.count > 0);
        let rollups = self.rollups.get(found).unwrap_or_default();
        (start_ms, Touched { rollups, before, asked_ms: self.range_ms })
    }
}

impl Evaluator<'_> {
    /// First time to read for windows or lookbacks of `span_ms` that end at `end_ms`, exclusive.
    pub(crate) fn reach(&self, end_ms: i64, span_ms: i64) -> i64 {
        let start_ms = end_ms.saturating_sub(span_ms);
        match start_ms < self.cold_before_ms() {
            true => end_ms.saturating_sub(span_ms.max(WIDENED_MS)),
            false => start_ms,
        }
    }

    /// Where full resolution begins.
    pub(crate) fn cold_before_ms(&self) -> i64 {
        *self.cold_before.get_or_init(|| self.source.rolled_up_before_ms())
    }

    /// Says once that rollups were read.
    pub(crate) fn tell_rollups(&self, series: &SeriesSamples) {
        let before_ms = self.cold_before_ms();
        if !series.rollups.is_empty()
            || !series.histograms.is_empty() && has_thinned(&series.timestamps_ms, &series.values, before_ms)
        {
            let time = rfc3339(before_ms);
            self.annotations.info_anywhere(format!("answered partly from 5-minute rollups before {time}"));
        }
    }

    /// Says what a function makes of the rollups of a series, if it has any.
    pub(crate) fn tell_function(&self, name: &str, span: Span, series: &RangeSeries<'_>) {
        let thinned =
            !series.histograms.is_empty() && has_thinned(series.timestamps_ms, series.values, series.cold_before_ms);
        if series.rollups.is_empty() && !thinned {
            return;
        }
        if series.range_ms < WIDENED_MS {
            self.info(span, "range is widened to 10 minutes over 5-minute rollups");
        }
        if thinned && !matches!(kind_of(name), Kind::Told) && !matches!(name, "rate" | "increase" | "delta") {
            self.warn(span, format!("{name} sees only the last histogram of each 5 minutes"));
        }
        if series.rollups.is_empty() {
            return;
        }
        match kind_of(name) {
            Kind::Columns | Kind::Told => {}
            Kind::Last => {
                self.warn(
                    span,
                    format!("{name} is taken over the last 5-minute rollup, not over the last two samples"),
                );
            }
            Kind::Nearly => {
                self.warn(span, format!("{name} sees only the first and the last sample of each 5-minute rollup"));
            }
        }
    }
}

enum Kind {
    Columns,
    Told,
    Last,
    Nearly,
}

fn kind_of(name: &str) -> Kind {
    match name {
        "sum_over_time" | "count_over_time" | "avg_over_time" | "min_over_time" | "max_over_time" | "rate"
        | "increase" | "delta" | "resets" => Kind::Columns,
        "first_over_time"
        | "last_over_time"
        | "present_over_time"
        | "absent_over_time"
        | "ts_of_first_over_time"
        | "ts_of_last_over_time" => Kind::Told,
        "irate" | "idelta" => Kind::Last,
        _ => Kind::Nearly,
    }
}

/// What the columns answer; `None` when the samples of the window must do.
pub(crate) fn value(name: &str, w: &Window<'_>) -> Option<Option<f64>> {
    if w.touched.rollups.is_empty() || w.kinds().1 > 0 {
        return None;
    }
    let scale = w.touched.asked_ms as f64 / (w.end_ms - w.start_ms) as f64;
    let scaled = |value: f64| if scale < 1.0 { value * scale } else { value };
    Some(match name {
        "sum_over_time" => whole(w).map(|all| scaled(all.sum)),
        "count_over_time" => whole(w).map(|all| scaled(all.count)),
        "avg_over_time" => whole(w).map(|all| all.sum / all.count),
        "min_over_time" => whole(w).map(|all| all.min),
        "max_over_time" => whole(w).map(|all| all.max),
        "resets" => whole(w).map(|all| all.resets),
        "rate" => change(w, true).map(|change| change / w.range_seconds()),
        "increase" => change(w, true).map(scaled),
        "delta" => change(w, false).map(scaled),
        "irate" => last_change(w, |r| r.increase / ((r.last.timestamp_ms - r.first.timestamp_ms) as f64 / 1000.0))?,
        "idelta" => last_change(w, |r| (r.last.value - r.first.value) / f64::from(r.count - 1))?,
        _ => return None,
    })
}

/// What a function gives of histograms in a window that was widened, for the range that was asked for.
pub(crate) fn scaled(name: &str, w: &Window<'_>, mut histogram: NativeHistogram) -> NativeHistogram {
    let range_ms = w.end_ms - w.start_ms;
    if w.touched.asked_ms > 0 && w.touched.asked_ms < range_ms && matches!(name, "increase" | "delta") {
        let by = w.touched.asked_ms as f64 / range_ms as f64;
        let counts = histogram.positive_counts.iter_mut().chain(&mut histogram.negative_counts);
        counts.for_each(|count| *count *= by);
        histogram.zero_count *= by;
        histogram.count *= by;
        histogram.sum *= by;
    }
    histogram
}

/// Rollups and samples in the order of time.
fn pieces<'w>(w: &Window<'w>) -> impl Iterator<Item = Rollup> + use<'w> {
    let rollups = w.touched.rollups;
    let (mut at, mut next, stamps, values) = (0, 0, w.timestamps_ms, w.values);
    std::iter::from_fn(move || {
        let rollup = rollups.get(at);
        let Some((t, value)) = stamps.get(next).zip(values.get(next)) else {
            at += 1;
            return rollup.copied();
        };
        match rollup {
            Some(r) if r.first.timestamp_ms <= *t => {
                // Its told samples are itself.
                while stamps.get(next).is_some_and(|t| *t <= r.last.timestamp_ms) {
                    next += 1;
                }
                at += 1;
                Some(*r)
            }
            _ => {
                next += 1;
                Some(alone(*t, *value))
            }
        }
    })
    .filter(|r| r.count > 0)
}

/// A sample as a rollup of itself.
fn alone(timestamp_ms: i64, value: f64) -> Rollup {
    let sample = bramble_signal::Sample { timestamp_ms, value };
    Rollup {
        start_ms: timestamp_ms.saturating_sub(1),
        count: 1,
        resets: 0,
        stale: false,
        sum: value,
        min: value,
        max: value,
        first: sample,
        last: sample,
        increase: 0.0,
    }
}

/// Sums over what belongs to a window wholly.
struct Whole {
    count: f64,
    sum: f64,
    min: f64,
    max: f64,
    resets: f64,
}

fn whole(w: &Window<'_>) -> Option<Whole> {
    let mut sum = Compensated::default();
    let mut all = Whole { count: 0.0, sum: 0.0, min: f64::NAN, max: f64::NAN, resets: 0.0 };
    let mut before = w.touched.before.map(|r| r.last.value);
    let mut within = false;
    for r in pieces(w) {
        let falls = before.is_some_and(|value| r.first.value < value);
        let inside = r.last.timestamp_ms > w.start_ms && r.last.timestamp_ms <= w.end_ms;
        if inside {
            all.count += f64::from(r.count);
            sum.add(r.sum);
            if r.min < all.min || all.min.is_nan() {
                all.min = r.min;
            }
            if r.max > all.max || all.max.is_nan() {
                all.max = r.max;
            }
            // Of its resets, one may be against what is before the window; a sample alone knows of none.
            let own = r.resets.saturating_sub(u32::from(falls));
            all.resets += f64::from(own + u32::from(falls && within));
            within = true;
        }
        before = Some(r.last.value);
    }
    all.sum = sum.total();
    within.then_some(all)
}

/// The change over the window, extrapolated to its edges as over samples, with the gaps that the samples had.
fn change(w: &Window<'_>, counter: bool) -> Option<f64> {
    let mut ends = None::<((f64, f64), (f64, f64))>;
    let (mut lost, mut gaps) = (0.0, 0.0);
    let (mut cut_start, mut cut_end) = (false, false);
    let seconds = |t: i64| (t - w.start_ms) as f64 / 1000.0;
    for r in pieces(w) {
        let (t0, t1) = (r.first.timestamp_ms, r.last.timestamp_ms);
        if t1 <= w.start_ms || t0 > w.end_ms {
            continue;
        }
        let (mut first, mut last) = (r.first.value, r.last.value);
        let grown = if counter { r.increase } else { last - first };
        let own_lost = if counter && r.resets > 0 { grown - (last - first) } else { 0.0 };
        let (from, to) = (t0.max(w.start_ms), t1.min(w.end_ms));
        let share = |part_ms: i64| if t1 > t0 { part_ms as f64 / (t1 - t0) as f64 } else { 0.0 };
        let cuts = (t0 <= w.start_ms, t1 > w.end_ms);
        match cuts {
            (false, false) => lost += own_lost,
            (true, false) => first = last - grown * share(t1 - from),
            (false, true) => last = first + grown * share(to - t0),
            (true, true) => last = first + grown * share(to - from),
        }
        cut_start |= cuts.0;
        cut_end |= cuts.1;
        gaps += f64::from(r.count - 1) * if cuts == (false, false) { 1.0 } else { share(to - from) };
        ends = Some(match ends {
            None => ((seconds(from), first), (seconds(to), last)),
            Some((begin, (_, before))) => {
                gaps += 1.0;
                if counter && first < before {
                    lost += before;
                }
                (begin, (seconds(to), last))
            }
        });
    }
    let ((begin, first), (end, last)) = ends?;
    let (sampled, total) = (end - begin, last - first + lost);
    if gaps <= 0.0 || sampled <= 0.0 {
        return None;
    }
    let average_gap = sampled / gaps;
    let reach = |distance: f64, cut: bool| match (cut, distance >= average_gap * 1.1) {
        (true, _) => 0.0,
        (_, true) => average_gap / 2.0,
        _ => distance,
    };
    let mut to_start = reach(begin, cut_start);
    if counter && total > 0.0 && first >= 0.0 {
        to_start = to_start.min(sampled * (first / total));
    }
    let to_end = reach(w.range_seconds() - end, cut_end);
    Some(total * (sampled + to_start + to_end) / sampled)
}

/// Of the last piece of the window, if that is a rollup of several samples; `None` when samples come last.
fn last_change(w: &Window<'_>, of: impl Fn(&Rollup) -> f64) -> Option<Option<f64>> {
    let last = pieces(w).filter(|r| r.last.timestamp_ms > w.start_ms && r.first.timestamp_ms <= w.end_ms).last()?;
    if last.count > 1 { Some(Some(of(&last))) } else { None }
}

/// `2026-11-20T00:00:00Z`.
fn rfc3339(time_ms: i64) -> String {
    let (days, second) = (time_ms.div_euclid(86_400_000), time_ms.rem_euclid(86_400_000) / 1000);
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_people_read_them() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(1_794_959_999_000), "2026-11-17T23:59:59Z");
    }
}
