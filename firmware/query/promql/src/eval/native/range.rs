//! Range functions on windows that hold histograms, or numbers whose beginnings are known.

use super::notes::Noted;
use super::rate::{self, Kind};
use super::{over_time, rate::last_anew};
use crate::eval::rates;
use crate::eval::window::Window;
use bramble_signal::NativeHistogram;

/// An element that a function gives.
pub(crate) enum Element {
    /// A number.
    Float(f64),
    /// A histogram, to be put beside its row.
    Histogram(NativeHistogram),
}

/// What function `name` gives for a window, which is not empty. `numbers` computes it for a window of numbers.
pub(crate) fn window(
    name: &str,
    w: &Window<'_>,
    newer: bool,
    notes: &mut dyn FnMut(Noted),
    numbers: &mut dyn FnMut(&Window<'_>) -> Option<f64>,
) -> Option<Element> {
    let (floats, histograms) = w.kinds();
    let mixed = floats > 0 && histograms > 0;
    match name {
        "rate" | "increase" | "delta" | "sum_over_time" | "avg_over_time" if mixed => {
            notes(Noted::MixedRange);
            None
        }
        "rate" | "increase" | "delta" => {
            let kind = Kind { counter: name != "delta", per_second: name == "rate" };
            if histograms > 0 {
                return rate::extrapolated(w, kind, newer, notes).map(Element::Histogram);
            }
            let value = match kind.counter && !w.starts.is_empty() {
                true => rate::extrapolated_number(w, kind, notes),
                false => numbers(w),
            };
            value.map(Element::Float)
        }
        "irate" | "idelta" => {
            let n = w.values.len();
            let is_rate = name == "irate";
            match (w.histogram(n.checked_sub(2)?), w.histogram(n - 1)) {
                (None, None) => rates::instant(w, is_rate, last_anew(w)).map(Element::Float),
                (Some(_), Some(_)) => rate::last_two(w, is_rate, newer, notes).map(Element::Histogram),
                _ => {
                    notes(Noted::MixedRange);
                    None
                }
            }
        }
        "sum_over_time" | "avg_over_time" if histograms > 0 => {
            over_time::sum(w, name == "avg_over_time", newer, notes).map(Element::Histogram)
        }
        "first_over_time" if w.histogram(0).is_some() => w.histogram(0).cloned().map(Element::Histogram),
        "last_over_time" if w.histogram(w.values.len() - 1).is_some() => {
            w.histogram(w.values.len() - 1).cloned().map(Element::Histogram)
        }
        "changes" => Some(Element::Float(over_time::changes(w))),
        "resets" => Some(Element::Float(over_time::resets(w, newer))),
        "count_over_time"
        | "present_over_time"
        | "first_over_time"
        | "last_over_time"
        | "ts_of_first_over_time"
        | "ts_of_last_over_time" => numbers(w).map(Element::Float),
        _ => of_numbers(w, floats, histograms, notes, numbers),
    }
}

/// All other functions see numbers only.
fn of_numbers(
    w: &Window<'_>,
    floats: usize,
    histograms: usize,
    notes: &mut dyn FnMut(Noted),
    numbers: &mut dyn FnMut(&Window<'_>) -> Option<f64>,
) -> Option<Element> {
    if floats == 0 {
        return None;
    }
    if histograms == 0 {
        return numbers(w).map(Element::Float);
    }
    notes(Noted::IgnoredInRange);
    let there = w.timestamps_ms.iter().zip(w.values).enumerate().filter(|(i, _)| w.histogram(*i).is_none());
    let (timestamps_ms, values): (Vec<i64>, Vec<f64>) = there.map(|(_, (t, v))| (*t, *v)).unzip();
    numbers(&Window { timestamps_ms: &timestamps_ms, values: &values, histograms: &[], ..*w }).map(Element::Float)
}
