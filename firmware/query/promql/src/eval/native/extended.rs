//! `anchored` and `smoothed` ranges of histograms.

use super::notes::Noted;
use super::rate::{Kind, add, is_reset, subtract};
use bramble_signal::{NativeHistogram, ResetHint};

/// A histogram at its time.
pub(crate) type Point<'h> = (i64, &'h NativeHistogram);

/// The edges of a range, exclusive and inclusive, and whether values there are interpolated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edges {
    pub(crate) start_ms: i64,
    pub(crate) end_ms: i64,
    pub(crate) smoothed: bool,
}

/// On the line from `a` to `b`; a counter that was reset in between starts from zero.
pub(crate) fn interpolate(
    a: Point<'_>,
    b: Point<'_>,
    at_ms: i64,
    counter: bool,
    notes: &mut dyn FnMut(Noted),
) -> Option<NativeHistogram> {
    if at_ms == a.0 {
        return Some(a.1.clone());
    }
    let mut result = b.1.clone();
    if at_ms == b.0 {
        return Some(result);
    }
    let share = (at_ms - a.0) as f64 / (b.0 - a.0) as f64;
    if counter && is_reset(b.1, a.1, true) {
        result.mul(share);
        return Some(result);
    }
    let hint = result.reset_hint;
    subtract(&mut result, a.1, true, notes)?;
    result.mul(share);
    add(&mut result, a.1, true, notes)?;
    if result.reset_hint != ResetHint::Gauge || hint == ResetHint::Gauge {
        result.reset_hint = hint;
    }
    Some(result)
}

/// The change over the range, from the points in reach of it (not empty, ascending).
pub(crate) fn window(
    points: &[Point<'_>],
    edges: Edges,
    kind: Kind,
    range_seconds: f64,
    notes: &mut dyn FnMut(Noted),
) -> Option<NativeHistogram> {
    let last = points.len().checked_sub(1)?;
    let first = points.get(..last)?.partition_point(|p| p.0 <= edges.start_ms).saturating_sub(1);
    let last = match edges.smoothed {
        true => points.get(..last)?.partition_point(|p| p.0 < edges.end_ms),
        false => last,
    };
    let points = points.get(first..=last)?;
    let ((first_ms, first), (last_ms, last)) = (*points.first()?, *points.last()?);
    if last_ms <= edges.start_ms || edges.smoothed && first_ms > edges.end_ms {
        return None;
    }
    if points.iter().any(|p| p.1.has_custom_bounds() != first.has_custom_bounds()) {
        notes(Noted::MixedSchemas);
        return None;
    }
    if kind.counter && points.iter().any(|p| p.1.reset_hint == ResetHint::Gauge) {
        notes(Noted::NotCounter);
    }
    let left = match points {
        [a, b, ..] if edges.smoothed && first_ms < edges.start_ms => {
            interpolate(*a, *b, edges.start_ms, kind.counter, notes)?
        }
        _ => first.clone(),
    };
    let right = match points {
        [.., a, b] if edges.smoothed && last_ms > edges.end_ms => {
            interpolate(*a, *b, edges.end_ms, kind.counter, notes)?
        }
        _ => last.clone(),
    };
    if !kind.counter && [&left, &right].iter().any(|h| h.reset_hint != ResetHint::Gauge) {
        notes(Noted::NotGauge);
    }
    let mut change = right.clone();
    subtract(&mut change, &left, true, notes)?;
    if kind.counter {
        correct(&mut change, points, &left, &right, edges, notes)?;
    }
    if kind.per_second {
        change.div(range_seconds);
    }
    change.reset_hint = ResetHint::Gauge;
    change.compact(0);
    Some(change)
}

/// Adds what was lost at resets between the edges.
fn correct(
    change: &mut NativeHistogram,
    points: &[Point<'_>],
    left: &NativeHistogram,
    right: &NativeHistogram,
    edges: Edges,
    notes: &mut dyn FnMut(Noted),
) -> Option<()> {
    let (mut before, mut next) = (left, 1);
    // A reset that interpolation at the left edge went over is in the left value already.
    if let [(a_ms, a), (_, b), ..] = points
        && edges.smoothed
        && *a_ms < edges.start_ms
        && is_reset(b, a, true)
    {
        (before, next) = (*b, 2);
    }
    if next > points.len() - 1 {
        return Some(());
    }
    for (_, now) in points.get(next..points.len() - 1)? {
        if is_reset(now, before, true) {
            add(change, before, true, notes)?;
        }
        before = now;
    }
    if is_reset(right, before, true) {
        add(change, before, true, notes)?;
    }
    Some(())
}
