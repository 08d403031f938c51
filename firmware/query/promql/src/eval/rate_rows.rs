//! `rate`, `increase` and `delta` over all windows of a series of numbers, in one pass.
//!
//! Windows overlap: a sample is in as many as fit into the range. Resets are looked for once, and each window only
//! goes through those inside it.

use super::native::Kind;
use super::rates::{Change, Extrapolation};
use super::window::RangeSeries;

/// Which relative of `rate` a name is.
pub(crate) fn kind_of(name: &str) -> Option<Kind> {
    match name {
        "rate" | "increase" | "delta" => Some(Kind { counter: name != "delta", per_second: name == "rate" }),
        _ => None,
    }
}

/// Fills a row's values; says whether there are any.
pub(crate) fn fill(series: &RangeSeries<'_>, kind: Kind, out: &mut [f64]) -> bool {
    let mut any = false;
    let resets: Vec<usize> = match kind.counter {
        true => (1..series.values.len()).filter(|i| is_reset(series.values, *i)).collect(),
        false => Vec::new(),
    };
    // Places before the first of the window are of no interest any more.
    let mut passed = 0;
    series.window_places(|i, w, place| {
        let (Some(first), Some(last)) = (w.values.first(), w.values.last()) else { return };
        if w.values.len() < 2 {
            return;
        }
        while resets.get(passed).is_some_and(|at| *at <= place) {
            passed += 1;
        }
        let inside = resets.iter().skip(passed).take_while(|at| **at < place + w.values.len());
        let lost = |at: &usize| series.values.get(at - 1).copied().unwrap_or(0.0);
        let total = inside.fold(last - first, |change, at| change + lost(at));
        let change = Change { first: *first, total };
        let extrapolation =
            Extrapolation { counter: kind.counter, per_second: kind.per_second, began_ms: None, change };
        if let (Some(factor), Some(slot)) = (extrapolation.factor(&w), out.get_mut(i)) {
            *slot = total * factor;
            any = true;
        }
    });
    any
}

fn is_reset(values: &[f64], i: usize) -> bool {
    matches!((values.get(i - 1), values.get(i)), (Some(before), Some(now)) if now < before)
}
