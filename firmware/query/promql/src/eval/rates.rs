//! `rate` and its relatives.

use super::sums::Compensated;
use super::window::Window;

/// `rate`, `increase` and `delta`: the change over the window, extrapolated to its edges.
pub(crate) fn extrapolated(w: &Window<'_>, is_counter: bool, per_second: bool) -> Option<f64> {
    let (first, last) = (*w.values.first()?, *w.values.last()?);
    if w.values.len() < 2 {
        return None;
    }
    let mut change = last - first;
    if is_counter {
        let mut before = first;
        for value in w.values {
            if *value < before {
                change += before;
            }
            before = *value;
        }
    }
    let extrapolation =
        Extrapolation { counter: is_counter, per_second, began_ms: None, change: Change { first, total: change } };
    Some(change * extrapolation.factor(w)?)
}

/// The first count of a window and how much it grew.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    pub(crate) first: f64,
    pub(crate) total: f64,
}

/// How a change is carried to the edges of its window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extrapolation {
    pub(crate) counter: bool,
    pub(crate) per_second: bool,
    /// The count is known to have been zero then, inside the window: nothing is guessed of the time before.
    pub(crate) began_ms: Option<i64>,
    pub(crate) change: Change,
}

impl Extrapolation {
    /// What the change is multiplied by; `None` for a window that is empty, or has one sample of unknown beginning.
    pub(crate) fn factor(&self, w: &Window<'_>) -> Option<f64> {
        let shape = Shape {
            before_ms: w.timestamps_ms.first()? - w.start_ms,
            sampled_ms: w.timestamps_ms.last()? - w.timestamps_ms.first()?,
            behind_ms: w.end_ms - w.timestamps_ms.last()?,
            gaps: w.values.len() - 1,
        };
        let per = if self.per_second { w.range_seconds() } else { 1.0 };
        if let Some(began_ms) = self.began_ms {
            let sampled = (w.timestamps_ms.last()? - began_ms) as f64 / 1000.0;
            let edges = Edges { to_start: 0.0, sampled, to_end: shape.reach_end() };
            return Some(edges.factor(0.0) / per);
        }
        if shape.gaps == 0 {
            return None;
        }
        let edges = Edges::of(&shape);
        Some(edges.factor(edges.reach_start(self.counter, self.change)) / per)
    }
}

/// Where the samples of a window lie: windows of the same shape reach equally far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shape {
    /// From the window's start to its first sample, milliseconds.
    pub(crate) before_ms: i64,
    /// From the first to the last.
    pub(crate) sampled_ms: i64,
    /// From the last to the window's end.
    pub(crate) behind_ms: i64,
    /// Samples but one.
    pub(crate) gaps: usize,
}

impl Shape {
    fn average_gap(&self) -> f64 {
        if self.gaps > 0 { self.sampled_ms as f64 / 1000.0 / self.gaps as f64 } else { 0.0 }
    }

    /// A series that starts or ends further inside the window than about a gap is taken to start or end half a gap
    /// beyond its sample.
    fn reach(&self, edge_ms: i64) -> f64 {
        let (seconds, average_gap) = (edge_ms as f64 / 1000.0, self.average_gap());
        if seconds >= average_gap * 1.1 { average_gap / 2.0 } else { seconds }
    }

    fn reach_end(&self) -> f64 {
        self.reach(self.behind_ms)
    }
}

/// How far a change is carried beyond the samples, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edges {
    to_start: f64,
    sampled: f64,
    to_end: f64,
}

impl Edges {
    pub(crate) fn of(shape: &Shape) -> Self {
        let sampled = shape.sampled_ms as f64 / 1000.0;
        Edges { to_start: shape.reach(shape.before_ms), sampled, to_end: shape.reach_end() }
    }

    /// How far to the start: a counter cannot have been below zero.
    pub(crate) fn reach_start(&self, counter: bool, change: Change) -> f64 {
        match counter && change.total > 0.0 && change.first >= 0.0 {
            true => self.to_start.min(self.sampled * (change.first / change.total)),
            false => self.to_start,
        }
    }

    /// What a change is multiplied by when it is carried so far to the start.
    pub(crate) fn factor(&self, to_start: f64) -> f64 {
        if self.sampled == 0.0 { 1.0 } else { (self.sampled + to_start + self.to_end) / self.sampled }
    }

    /// Whether nothing bounds the way to the start.
    pub(crate) fn is_whole(&self, to_start: f64) -> bool {
        to_start == self.to_start
    }
}

/// `irate` and `idelta`: the last two samples; `anew` when the last is known to be counted from zero.
pub(crate) fn instant(w: &Window<'_>, is_rate: bool, anew: bool) -> Option<f64> {
    let n = w.values.len();
    let (before, last) = (*w.values.get(n.checked_sub(2)?)?, *w.values.get(n - 1)?);
    let gap_ms = w.timestamps_ms.get(n - 1)? - w.timestamps_ms.get(n - 2)?;
    if gap_ms == 0 {
        return None;
    }
    if !is_rate {
        return Some(last - before);
    }
    let change = if last < before || anew { last } else { last - before };
    Some(change / (gap_ms as f64 / 1000.0))
}

/// Slope per second and value at `at_ms` of the line of least squares.
pub(crate) fn regression(w: &Window<'_>, at_ms: i64) -> Option<(f64, f64)> {
    let first = *w.values.first()?;
    if w.values.len() < 2 {
        return None;
    }
    if w.values.iter().all(|v| *v == first) {
        return Some(if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) });
    }
    let n = w.values.len() as f64;
    let [mut sum_x, mut sum_y, mut sum_xy, mut sum_xx] = [Compensated::default(); 4];
    for (t, y) in w.timestamps_ms.iter().zip(w.values) {
        let x = t.saturating_sub(at_ms) as f64 / 1000.0;
        sum_x.add(x);
        sum_y.add(*y);
        sum_xy.add(x * y);
        sum_xx.add(x * x);
    }
    let (sum_x, sum_y) = (sum_x.total(), sum_y.total());
    let covariance = sum_xy.total() - sum_x * sum_y / n;
    let variance = sum_xx.total() - sum_x * sum_x / n;
    let slope = covariance / variance;
    Some((slope, sum_y / n - slope * sum_x / n))
}

/// `double_exponential_smoothing`; both factors are within [0, 1].
pub(crate) fn double_smoothing(w: &Window<'_>, smoothing: f64, trend_factor: f64) -> Option<f64> {
    let (first, second) = (*w.values.first()?, *w.values.get(1)?);
    let (mut before, mut level, mut trend) = (0.0, first, second - first);
    for (i, value) in w.values.iter().enumerate().skip(1) {
        if i > 1 {
            trend = trend_factor * (level - before) + (1.0 - trend_factor) * trend;
        }
        before = level;
        level = smoothing * value + (1.0 - smoothing) * (level + trend);
    }
    Some(level)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window<'a>(timestamps_ms: &'a [i64], values: &'a [f64]) -> Window<'a> {
        Window::of(timestamps_ms, values, 0, 60_000)
    }

    #[test]
    fn a_counter_reset_adds_what_was_lost() {
        let w = window(&[15_000, 30_000, 45_000, 60_000], &[10.0, 20.0, 5.0, 15.0]);
        let increase = extrapolated(&w, true, false).unwrap();
        // 10 + 5 + 10 over 45 s, extrapolated to 55 s at most by the zero point: 25 * (45 + 15) / 45.
        assert!((increase - 25.0 * 60.0 / 45.0).abs() < 1e-9, "{increase}");
        assert!((extrapolated(&w, true, true).unwrap() - increase / 60.0).abs() < 1e-12);
        assert_eq!(extrapolated(&window(&[1], &[1.0]), true, true), None);
    }

    #[test]
    fn irate_takes_the_last_two() {
        let w = window(&[10_000, 20_000, 30_000], &[1.0, 9.0, 4.0]);
        assert_eq!(instant(&w, true, false), Some(0.4));
        assert_eq!(instant(&w, false, false), Some(-5.0));
    }

    #[test]
    fn a_line_is_found() {
        let w = window(&[0, 10_000, 20_000], &[1.0, 2.0, 3.0]);
        let (slope, at_end) = regression(&w, 20_000).unwrap();
        assert!((slope - 0.1).abs() < 1e-12 && (at_end - 3.0).abs() < 1e-12);
    }
}
