//! `rate`, `increase`, `delta`, `irate` and `idelta` of histograms, and of numbers whose beginnings are known.

use super::notes::{Noted, Operation};
use super::resets::{Counted, began_anew, overlaps};
use crate::eval::rates::{Change, Extrapolation};
use crate::eval::window::Window;
use bramble_signal::{NativeHistogram, ResetHint};

/// Which relative of `rate`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Kind {
    /// Resets count, and gauges are complained of.
    pub(crate) counter: bool,
    /// Divided by the range's seconds.
    pub(crate) per_second: bool,
}

/// Where notes go.
pub(crate) type Notes<'n> = &'n mut dyn FnMut(Noted);

fn counted(w: &Window<'_>, i: usize) -> Counted {
    Counted { time_ms: w.timestamps_ms.get(i).copied().unwrap_or(0), start_ms: w.start_of(i) }
}

/// Whether start times tell of a reset between sample `i` and the one before it.
fn anew(w: &Window<'_>, i: usize) -> bool {
    i > 0 && !w.starts.is_empty() && began_anew(counted(w, i - 1), counted(w, i))
}

fn note_overlap(w: &Window<'_>, notes: Notes<'_>) {
    let overlapping = |i: &usize| overlaps(counted(w, i - 1), counted(w, *i));
    if !w.starts.is_empty() && (1..w.values.len()).any(|i| overlapping(&i)) {
        notes(Noted::Overlap);
    }
}

/// The change over a window of histograms, extrapolated to its edges. `newer`: as Prometheus after 3.5.
pub(crate) fn extrapolated(w: &Window<'_>, kind: Kind, newer: bool, notes: Notes<'_>) -> Option<NativeHistogram> {
    let first = w.histogram(0)?;
    let mut change = match w.values.len() {
        1 => None,
        _ => Some(change(w, kind.counter, newer, notes)?),
    };
    let began_ms = kind.counter.then(|| began_inside(w)).flatten();
    if began_ms.is_some() {
        match &mut change {
            None => change = Some(first.clone()),
            Some(change) => {
                add(change, first, newer, notes)?;
            }
        }
    }
    let mut change = change?;
    let extrapolation = Extrapolation {
        counter: kind.counter,
        per_second: kind.per_second,
        began_ms,
        // Prometheus up to 3.5 lets counts of histograms begin below zero.
        change: Change { first: first.count, total: if newer { change.count } else { 0.0 } },
    };
    change.mul(extrapolation.factor(w)?);
    Some(change)
}

/// When the first sample's count began, if that is inside the window.
fn began_inside(w: &Window<'_>) -> Option<i64> {
    let first = w.timestamps_ms.first()?;
    Some(w.start_of(0)).filter(|s| *s != 0 && *s > w.start_ms && s < first)
}

/// As `extrapolated` of numbers, for a counter with start times.
pub(crate) fn extrapolated_number(w: &Window<'_>, kind: Kind, notes: Notes<'_>) -> Option<f64> {
    let (first, last) = (*w.values.first()?, *w.values.last()?);
    note_overlap(w, notes);
    let mut change = last - first;
    for (i, pair) in w.values.windows(2).enumerate() {
        if let [before, now] = pair
            && (now < before || anew(w, i + 1))
        {
            change += before;
        }
    }
    let began_ms = began_inside(w);
    if began_ms.is_some() {
        change += first;
    } else if w.values.len() < 2 {
        return None;
    }
    let extrapolation =
        Extrapolation { counter: true, per_second: kind.per_second, began_ms, change: Change { first, total: change } };
    Some(change * extrapolation.factor(w)?)
}

fn change(w: &Window<'_>, counter: bool, newer: bool, notes: Notes<'_>) -> Option<NativeHistogram> {
    let all = || (0..w.values.len()).filter_map(|i| w.histogram(i));
    let (first, second, last) = (w.histogram(0)?, w.histogram(1)?, w.histogram(w.values.len() - 1)?);
    let gauge = |h: &NativeHistogram| h.reset_hint == ResetHint::Gauge;
    if counter && all().any(gauge) {
        notes(Noted::NotCounter);
    }
    // What came before a reset at once does not matter, whatever its layout is.
    let nothing;
    let mut before = first;
    if counter && (anew(w, 1) || is_reset(second, first, newer)) {
        nothing = NativeHistogram {
            schema: second.schema,
            custom_bounds: second.custom_bounds.clone(),
            ..NativeHistogram::default()
        };
        before = &nothing;
    }
    let custom = before.has_custom_bounds();
    let others = if counter { 1..w.values.len() } else { w.values.len() - 1..w.values.len() };
    if others.filter_map(|i| w.histogram(i)).any(|h| h.has_custom_bounds() != custom) {
        notes(Noted::MixedSchemas);
        return None;
    }
    let between = all().skip(1).take_while(|_| counter).map(|h| h.schema);
    let schema = between.chain([before.schema, last.schema]).min()?;
    let mut change = last.copy_to_schema(schema);
    subtract(&mut change, before, newer, notes)?;
    if counter {
        note_overlap(w, notes);
        for i in 1..w.values.len() {
            let now = w.histogram(i)?;
            if anew(w, i) || is_reset(now, before, newer) {
                add(&mut change, before, newer, notes)?;
            }
            before = now;
        }
    } else if !gauge(first) || !gauge(last) {
        notes(Noted::NotGauge);
    }
    change.reset_hint = ResetHint::Gauge;
    change.compact(0);
    Some(change)
}

/// Whether there was a reset. Prometheus up to 3.5 takes other custom bounds for one.
pub(crate) fn is_reset(now: &NativeHistogram, before: &NativeHistogram, newer: bool) -> bool {
    let other_bounds = !newer
        && now.reset_hint != ResetHint::NotReset
        && now.has_custom_bounds()
        && before.has_custom_bounds()
        && !now.same_bounds(before);
    other_bounds || now.detect_reset(before)
}

/// Adds, telling what there is to tell; `None` when they cannot be added.
pub(crate) fn add(to: &mut NativeHistogram, other: &NativeHistogram, newer: bool, notes: Notes<'_>) -> Option<()> {
    together(to, other, newer, Operation::Addition, notes)
}

/// Subtracts, telling what there is to tell; `None` when they cannot be subtracted.
pub(crate) fn subtract(
    from: &mut NativeHistogram,
    other: &NativeHistogram,
    newer: bool,
    notes: Notes<'_>,
) -> Option<()> {
    together(from, other, newer, Operation::Subtraction, notes)
}

fn together(
    to: &mut NativeHistogram,
    other: &NativeHistogram,
    newer: bool,
    operation: Operation,
    notes: Notes<'_>,
) -> Option<()> {
    if !newer && to.has_custom_bounds() && other.has_custom_bounds() && !to.same_bounds(other) {
        notes(Noted::IncompatibleBounds);
        return None;
    }
    let done = match operation {
        Operation::Subtraction => to.sub(other),
        _ => to.add(other),
    };
    match done {
        Ok(said) => {
            if said.bounds_reconciled {
                notes(Noted::Reconciled(operation));
            }
            Some(())
        }
        Err(_) => {
            notes(Noted::MixedSchemas);
            None
        }
    }
}

/// `irate` and `idelta`: the last two histograms of a window.
pub(crate) fn last_two(w: &Window<'_>, is_rate: bool, newer: bool, notes: Notes<'_>) -> Option<NativeHistogram> {
    let n = w.values.len();
    let (before, last) = (w.histogram(n.checked_sub(2)?)?, w.histogram(n - 1)?);
    let gap_ms = w.timestamps_ms.get(n - 1)? - w.timestamps_ms.get(n - 2)?;
    let mut change = last.clone();
    let gauges = [before, last].map(|h| h.reset_hint == ResetHint::Gauge);
    if is_rate && gauges.contains(&true) {
        notes(Noted::NotCounter);
    }
    if !is_rate && gauges.contains(&false) {
        notes(Noted::NotGauge);
    }
    if !is_rate || !anew(w, n - 1) && !is_reset(last, before, newer) {
        subtract(&mut change, before, newer, notes)?;
    }
    change.reset_hint = ResetHint::Gauge;
    change.compact(0);
    if is_rate {
        change.div(gap_ms as f64 / 1000.0);
    }
    Some(change)
}

/// `irate` of numbers with start times: whether the last was counted anew.
pub(crate) fn last_anew(w: &Window<'_>) -> bool {
    anew(w, w.values.len().saturating_sub(1))
}

/// Resets that only start times tell of.
pub(crate) fn resets_by_start(w: &Window<'_>, i: usize) -> bool {
    anew(w, i)
}
