//! `*_over_time`: one number from a window's values.

use super::quantiles::quantile;
use super::sums::{Compensated, Mean, Spread};
use super::window::Window;

/// A function of a window alone.
pub(crate) type WindowFunction = fn(&Window<'_>) -> Option<f64>;

/// The function of this name.
pub(crate) fn find(name: &str) -> Option<WindowFunction> {
    Some(match name {
        "avg_over_time" => |w| Some(mean(w.values)).filter(|_| !w.values.is_empty()),
        "sum_over_time" => |w| Some(sum(w.values)).filter(|_| !w.values.is_empty()),
        "count_over_time" => |w| (!w.values.is_empty()).then_some(w.values.len() as f64),
        "min_over_time" => |w| extreme(w, |new, old| new < old).map(|at| w.values[at]),
        "max_over_time" => |w| extreme(w, |new, old| new > old).map(|at| w.values[at]),
        "ts_of_min_over_time" => |w| extreme(w, |new, old| new <= old).and_then(|at| seconds(w, at)),
        "ts_of_max_over_time" => |w| extreme(w, |new, old| new >= old).and_then(|at| seconds(w, at)),
        "first_over_time" => |w| w.values.first().copied(),
        "last_over_time" => |w| w.values.last().copied(),
        "ts_of_first_over_time" => |w| seconds(w, 0),
        "ts_of_last_over_time" => |w| seconds(w, w.values.len().checked_sub(1)?),
        "present_over_time" => |w| (!w.values.is_empty()).then_some(1.0),
        "stddev_over_time" => |w| Some(variance(w.values).sqrt()).filter(|_| !w.values.is_empty()),
        "stdvar_over_time" => |w| Some(variance(w.values)).filter(|_| !w.values.is_empty()),
        "mad_over_time" => |w| (!w.values.is_empty()).then(|| median_deviation(w.values)),
        "changes" => |w| (!w.values.is_empty()).then(|| changes(w.values)),
        "resets" => |w| (!w.values.is_empty()).then(|| resets(w.values)),
        _ => return None,
    })
}

fn seconds(w: &Window<'_>, at: usize) -> Option<f64> {
    w.timestamps_ms.get(at).map(|t| *t as f64 / 1000.0)
}

/// Index of the extreme value; numbers win over NaN.
fn extreme(w: &Window<'_>, better: fn(f64, f64) -> bool) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (i, value) in w.values.iter().enumerate() {
        if best.is_none_or(|(_, old)| better(*value, old) || old.is_nan()) {
            best = Some((i, *value));
        }
    }
    best.map(|(i, _)| i)
}

fn sum(values: &[f64]) -> f64 {
    let mut sum = Compensated::default();
    values.iter().for_each(|v| sum.add(*v));
    sum.total()
}

fn mean(values: &[f64]) -> f64 {
    let mut mean = Mean::default();
    values.iter().for_each(|v| mean.add(*v));
    mean.total()
}

fn variance(values: &[f64]) -> f64 {
    let mut spread = Spread::default();
    values.iter().for_each(|v| spread.add(*v));
    spread.variance()
}

fn median_deviation(values: &[f64]) -> f64 {
    if values.iter().any(|v| v.is_nan()) {
        return f64::NAN;
    }
    let mut sorted = values.to_vec();
    let median = quantile(0.5, &mut sorted);
    let mut distances: Vec<f64> = values.iter().map(|v| (v - median).abs()).collect();
    quantile(0.5, &mut distances)
}

fn changes(values: &[f64]) -> f64 {
    let changed = |w: &&[f64]| w[0] != w[1] && !(w[0].is_nan() && w[1].is_nan());
    values.windows(2).filter(changed).count() as f64
}

fn resets(values: &[f64]) -> f64 {
    values.windows(2).filter(|w| w[1] < w[0]).count() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, values: &[f64]) -> Option<f64> {
        let timestamps_ms: Vec<i64> = (1..=values.len() as i64).map(|i| i * 1000).collect();
        find(name).unwrap()(&Window::of(&timestamps_ms, values, 0, 60_000))
    }

    #[test]
    fn nan_loses_against_numbers() {
        assert_eq!(of("min_over_time", &[f64::NAN, 2.0, 1.0]), Some(1.0));
        assert_eq!(of("max_over_time", &[2.0, f64::NAN, 1.0]), Some(2.0));
        assert!(of("max_over_time", &[f64::NAN]).unwrap().is_nan());
    }

    #[test]
    fn each_function_on_a_small_window() {
        for (name, wanted) in [
            ("avg_over_time", 2.5),
            ("sum_over_time", 10.0),
            ("count_over_time", 4.0),
            ("first_over_time", 1.0),
            ("last_over_time", 3.0),
            ("changes", 3.0),
            ("resets", 1.0),
            ("stdvar_over_time", 1.25),
            ("mad_over_time", 1.0),
            ("ts_of_max_over_time", 3.0),
        ] {
            let got = of(name, &[1.0, 2.0, 4.0, 3.0]).unwrap();
            assert!((got - wanted).abs() < 1e-12, "{name} {got}");
            assert_eq!(of(name, &[]), None, "{name}");
        }
    }
}
