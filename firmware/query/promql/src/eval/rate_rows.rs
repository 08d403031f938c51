//! `rate`, `increase` and `delta` over all windows of a series of numbers, in one pass.
//!
//! Windows overlap: a sample is in as many as fit into the range. Resets are looked for once, and each window only
//! goes through those inside it. Samples mostly come at even intervals, so that windows have the same shape as the one
//! before, and the same factor.

use super::native::Kind;
use super::rates::{Change, Edges, Shape};
use super::window::RangeSeries;

/// Which relative of `rate` a name is.
pub(crate) fn kind_of(name: &str) -> Option<Kind> {
    match name {
        "rate" | "increase" | "delta" => Some(Kind { counter: name != "delta", per_second: name == "rate" }),
        _ => None,
    }
}

/// The samples of a window, by their places in the series.
#[derive(Clone, Copy)]
struct Places {
    first: usize,
    after: usize,
}

/// Fills a row's values; says whether there are any. The series has no histograms, starts and rollups.
pub(crate) fn fill(series: &RangeSeries<'_>, kind: Kind, out: &mut [f64]) -> bool {
    let (stamps, values) = (series.timestamps_ms, series.values);
    let resets: Vec<usize> = match kind.counter {
        true => (1..values.len()).filter(|i| is_reset(values, *i)).collect(),
        false => Vec::new(),
    };
    let mut rates = Rates::new(kind, series.range_ms as f64 / 1000.0);
    let (mut at, mut passed, mut any) = (Places { first: 0, after: 0 }, 0, false);
    let counted = series.ends.times().zip(out).enumerate().map(|(i, (end_ms, slot))| {
        let start_ms = end_ms.saturating_sub(series.range_ms);
        while stamps.get(at.after).is_some_and(|t| *t <= end_ms) {
            at.after += 1;
        }
        while at.first < at.after && stamps.get(at.first).is_some_and(|t| *t <= start_ms) {
            at.first += 1;
        }
        let (samples, newest) = (at.after - at.first, at.after.saturating_sub(1));
        if let (2.., Some(first_ms), Some(last_ms), Some(first), Some(last)) =
            (samples, stamps.get(at.first), stamps.get(newest), values.get(at.first), values.get(newest))
        {
            while resets.get(passed).is_some_and(|reset| *reset <= at.first) {
                passed += 1;
            }
            let inside = resets.iter().skip(passed).take_while(|reset| **reset < at.after);
            let lost = |reset: &usize| values.get(reset - 1).copied().unwrap_or(0.0);
            let total = inside.fold(last - first, |change, reset| change + lost(reset));
            let shape = Shape {
                before_ms: first_ms - start_ms,
                sampled_ms: last_ms - first_ms,
                behind_ms: end_ms - last_ms,
                gaps: samples - 1,
            };
            *slot = rates.value(&shape, Change { first: *first, total });
            any = true;
        }
        (i, samples)
    });
    series.counting.add_each(counted);
    any
}

fn is_reset(values: &[f64], i: usize) -> bool {
    matches!((values.get(i - 1), values.get(i)), (Some(before), Some(now)) if now < before)
}

/// Changes carried to the edges of windows.
struct Rates {
    kind: Kind,
    range_seconds: f64,
    /// Of the last shape: how far it reaches, and its factor when nothing bounds that.
    last: Option<(Shape, Edges, f64)>,
}

impl Rates {
    fn new(kind: Kind, range_seconds: f64) -> Self {
        Rates { kind, range_seconds, last: None }
    }

    fn per(&self, factor: f64) -> f64 {
        if self.kind.per_second { factor / self.range_seconds } else { factor }
    }

    fn value(&mut self, shape: &Shape, change: Change) -> f64 {
        let (edges, whole) = match self.last {
            Some((same, edges, whole)) if same == *shape => (edges, whole),
            _ => {
                let edges = Edges::of(shape);
                let whole = self.per(edges.factor(edges.reach_start(false, change)));
                self.last = Some((*shape, edges, whole));
                (edges, whole)
            }
        };
        let to_start = edges.reach_start(self.kind.counter, change);
        change.total * if edges.is_whole(to_start) { whole } else { self.per(edges.factor(to_start)) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::counting::Counting;
    use super::super::rates::extrapolated;
    use super::super::rows::{ABSENT, Grid};
    use super::*;
    use bramble_signal::Labels;
    use bramble_storage::QueryContext;
    use proptest::prelude::*;

    proptest! {
        /// Windows one by one give the same bits.
        #[test]
        fn one_pass_is_each_window(
            gaps in proptest::collection::vec(1i64..40, 0..60),
            values in proptest::collection::vec(0u8..20, 60),
            range_ms in 1i64..200,
            step_ms in 1i64..60,
        ) {
            let timestamps_ms: Vec<i64> = gaps.iter().scan(0, |t, gap| { *t += gap; Some(*t) }).collect();
            let values: Vec<f64> = values.iter().take(timestamps_ms.len()).map(|v| f64::from(*v)).collect();
            let counting = Counting::default();
            let labels = Labels::empty();
            let ends = Grid::between(0, 1000, step_ms);
            let context = QueryContext::unlimited();
            let of = RangeSeries::of(&labels, &timestamps_ms, &values, &counting, &context);
            let series = RangeSeries { ends, range_ms, ..of };
            for name in ["rate", "increase", "delta"] {
                let kind = kind_of(name).unwrap();
                let (mut fast, mut slow) = (vec![ABSENT; ends.count], vec![ABSENT; ends.count]);
                fill(&series, kind, &mut fast);
                series.windows(|i, w| {
                    if let Some(value) = extrapolated(&w, kind.counter, kind.per_second) {
                        slow[i] = value;
                    }
                });
                let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                prop_assert_eq!(bits(&fast), bits(&slow));
            }
        }
    }
}
