//! Rows: one series' values at the steps of a grid.

use bramble_signal::{Labels, METRIC_NAME, STALE_NAN_BITS};

/// The steps of an evaluation: `start + i * step` for `i` in `0..count`. A step of 0 means that every
/// evaluation looks at the same time (`@`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Grid {
    pub(crate) start_ms: i64,
    pub(crate) step_ms: i64,
    pub(crate) count: usize,
}

impl Grid {
    pub(crate) fn once(time_ms: i64) -> Self {
        Grid { start_ms: time_ms, step_ms: 0, count: 1 }
    }

    /// Times from `start` to `end`, both possible.
    pub(crate) fn between(start_ms: i64, end_ms: i64, step_ms: i64) -> Self {
        let count = match end_ms.checked_sub(start_ms) {
            Some(span) if span >= 0 && step_ms > 0 => (span / step_ms) as usize + 1,
            Some(0) => 1,
            _ => 0,
        };
        Grid { start_ms, step_ms, count }
    }

    pub(crate) fn at(&self, i: usize) -> i64 {
        self.start_ms + self.step_ms * i as i64
    }

    pub(crate) fn last_ms(&self) -> i64 {
        self.at(self.count.saturating_sub(1))
    }

    pub(crate) fn times(&self) -> impl Iterator<Item = i64> + use<> {
        let grid = *self;
        (0..grid.count).map(move |i| grid.at(i))
    }
}

/// No value at this step: the staleness marker's bits, which no result ever carries.
pub(crate) const ABSENT: f64 = f64::from_bits(STALE_NAN_BITS);

pub(crate) fn is_absent(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}

/// A series of a result in the making.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) labels: Labels,
    /// The name goes when the query ends (delayed name removal).
    pub(crate) drop_name: bool,
    /// One value, or [`ABSENT`], per step.
    pub(crate) values: Vec<f64>,
}

impl Row {
    pub(crate) fn present(&self) -> usize {
        self.values.iter().filter(|v| !is_absent(**v)).count()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.values.iter().all(|v| is_absent(*v))
    }

    pub(crate) fn name(&self) -> &str {
        self.labels.get(METRIC_NAME).unwrap_or_default()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.values.capacity() * size_of::<f64>() + size_of::<Row>()
    }

    /// Replaces each value that is there.
    pub(crate) fn map(&mut self, f: impl Fn(usize, f64) -> f64) {
        for (i, value) in self.values.iter_mut().enumerate() {
            if !is_absent(*value) {
                *value = f(i, *value);
            }
        }
    }
}

/// Labels that belong to a metric's name: they leave together.
pub(crate) fn is_name_label(name: &str) -> bool {
    matches!(name, METRIC_NAME | "__type__" | "__unit__")
}

/// The labels without the metric's name.
pub(crate) fn without_name(labels: &Labels) -> Labels {
    if labels.iter().any(|(n, _)| is_name_label(n)) {
        Labels::from_pairs(labels.iter().filter(|(n, _)| !is_name_label(n)))
    } else {
        labels.clone()
    }
}

/// Order of values for `sort` and `topk`: NaN last in both directions.
pub(crate) fn order(a: f64, b: f64, down: bool) -> std::cmp::Ordering {
    let by_value = if down { b.partial_cmp(&a) } else { a.partial_cmp(&b) };
    a.is_nan().cmp(&b.is_nan()).then(by_value.unwrap_or(std::cmp::Ordering::Equal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_hold_both_ends() {
        assert_eq!(Grid::between(0, 10, 5).times().collect::<Vec<_>>(), [0, 5, 10]);
        assert_eq!((Grid::between(0, 9, 5).count, Grid::between(1, 0, 5).count, Grid::once(7).last_ms()), (2, 0, 7));
    }

    #[test]
    fn names_leave_with_their_type_and_unit() {
        let labels = Labels::from_pairs([("__name__", "a"), ("__type__", "counter"), ("job", "x")]);
        assert_eq!(without_name(&labels), Labels::from_pairs([("job", "x")]));
    }
}
