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
        let (first_ms, last_ms) = (*w.timestamps_ms.first()?, *w.timestamps_ms.last()?);
        let gaps = w.values.len() - 1;
        let mut to_start = (first_ms - w.start_ms) as f64 / 1000.0;
        let mut to_end = (w.end_ms - last_ms) as f64 / 1000.0;
        let mut sampled = (last_ms - first_ms) as f64 / 1000.0;
        let average_gap = if gaps > 0 { sampled / gaps as f64 } else { 0.0 };
        // A series that starts or ends further inside the window than this is taken to start or end there.
        let threshold = average_gap * 1.1;
        if let Some(began_ms) = self.began_ms {
            to_start = 0.0;
            sampled = (last_ms - began_ms) as f64 / 1000.0;
        } else if gaps == 0 {
            return None;
        } else {
            if to_start >= threshold {
                to_start = average_gap / 2.0;
            }
            if self.counter && self.change.total > 0.0 && self.change.first >= 0.0 {
                // A counter cannot have been below zero.
                to_start = to_start.min(sampled * (self.change.first / self.change.total));
            }
        }
        if to_end >= threshold {
            to_end = average_gap / 2.0;
        }
        let factor = if sampled == 0.0 { 1.0 } else { (sampled + to_start + to_end) / sampled };
        Some(if self.per_second { factor / w.range_seconds() } else { factor })
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
