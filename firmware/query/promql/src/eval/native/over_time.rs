//! `*_over_time`, `changes` and `resets` of windows that hold histograms.

use super::notes::Noted;
use super::rate::{is_reset, resets_by_start};
use super::sums::HistogramSum;
use crate::eval::window::Window;
use bramble_signal::NativeHistogram;

/// Sum or mean of a window of histograms.
pub(crate) fn sum(w: &Window<'_>, is_mean: bool, newer: bool, notes: &mut dyn FnMut(Noted)) -> Option<NativeHistogram> {
    let mut sum = HistogramSum::new(w.histogram(0)?);
    for i in 1..w.values.len() {
        if let Err(noted) = sum.add(w.histogram(i)?, is_mean, newer) {
            notes(noted);
            return None;
        }
    }
    Some(sum.finish(is_mean, notes))
}

/// How often two neighbours of a window differ; a number and a histogram always do.
pub(crate) fn changes(w: &Window<'_>) -> f64 {
    count(w, |i| match (w.histogram(i - 1), w.histogram(i)) {
        (Some(before), Some(now)) => !same(before, now),
        (None, None) => numbers(w, i).is_some_and(|(a, b)| a != b && !(a.is_nan() && b.is_nan())),
        _ => true,
    })
}

/// How often a count began anew in a window; between a number and a histogram it always does.
pub(crate) fn resets(w: &Window<'_>, newer: bool) -> f64 {
    count(w, |i| {
        resets_by_start(w, i)
            || match (w.histogram(i - 1), w.histogram(i)) {
                (Some(before), Some(now)) => is_reset(now, before, newer),
                (None, None) => numbers(w, i).is_some_and(|(a, b)| b < a),
                _ => true,
            }
    })
}

fn numbers(w: &Window<'_>, i: usize) -> Option<(f64, f64)> {
    Some((*w.values.get(i - 1)?, *w.values.get(i)?))
}

fn count(w: &Window<'_>, differ: impl Fn(usize) -> bool) -> f64 {
    (1..w.values.len()).filter(|i| differ(*i)).count() as f64
}

/// Whether two histograms are the same in all but the hint; empty buckets do not count.
pub(crate) fn same(a: &NativeHistogram, b: &NativeHistogram) -> bool {
    let (mut a, mut b) = (a.clone(), b.clone());
    a.compact(0);
    b.compact(0);
    let numbers = |h: &NativeHistogram| [h.sum, h.count, h.zero_count].map(f64::to_bits);
    let counts = |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits());
    a.same_layout(&b)
        && numbers(&a) == numbers(&b)
        && counts(&a.positive_counts, &b.positive_counts)
        && counts(&a.negative_counts, &b.negative_counts)
}
