//! Rows: one series' values at the steps of a grid.

use bramble_signal::labels::encode_sorted;
use bramble_signal::{
    Labels, LabelsRef, METRIC_NAME, NativeHistogram, STALE_NAN_BITS, histogram_at, histogram_marker,
    is_histogram_marker,
};

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

/// A number that is there: neither [`ABSENT`] nor the marker of a histogram.
pub(crate) fn is_float(value: f64) -> bool {
    !is_absent(value) && !is_histogram_marker(value)
}

/// A series of a result in the making.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) labels: Labels,
    /// The name goes when the query ends (delayed name removal).
    pub(crate) drop_name: bool,
    /// One value, or [`ABSENT`], or the marker of a histogram, per step.
    pub(crate) values: Vec<f64>,
    /// What markers stand for; several steps may share one. Empty in most rows, and then no value is a marker.
    pub(crate) histograms: Vec<NativeHistogram>,
}

impl Row {
    /// A row without histograms.
    pub(crate) fn floats(labels: Labels, drop_name: bool, values: Vec<f64>) -> Self {
        Row { labels, drop_name, values, histograms: Vec::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.values.iter().all(|v| is_absent(*v))
    }

    pub(crate) fn name(&self) -> &str {
        self.labels.get(METRIC_NAME).unwrap_or_default()
    }

    /// Values as Prometheus counts them: a histogram is as many as its bytes make.
    pub(crate) fn samples(&self) -> usize {
        let present = self.values.iter().filter(|v| !is_absent(**v)).count();
        match self.histograms.is_empty() {
            true => present,
            false => self.values.iter().filter(|v| !is_absent(**v)).map(|v| samples_of(*v, &self.histograms)).sum(),
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.values.capacity() * size_of::<f64>() + size_of::<Row>() + histogram_bytes(&self.histograms)
    }

    /// The histogram at a step, if there is one.
    pub(crate) fn histogram(&self, step: usize) -> Option<&NativeHistogram> {
        histogram_at(*self.values.get(step)?, &self.histograms)
    }

    /// Puts a histogram beside the row; its marker is to be written at a step.
    pub(crate) fn keep(&mut self, histogram: NativeHistogram) -> f64 {
        keep_histogram(&mut self.histograms, histogram)
    }

    /// Leaves numbers only.
    pub(crate) fn drop_histograms(&mut self) {
        if self.histograms.is_empty() {
            return;
        }
        self.histograms.clear();
        self.values.iter_mut().filter(|v| is_histogram_marker(**v)).for_each(|v| *v = ABSENT);
    }

    /// Replaces each number; histograms go, since functions of numbers ignore them.
    pub(crate) fn map(&mut self, f: impl Fn(usize, f64) -> f64) {
        self.drop_histograms();
        for (i, value) in self.values.iter_mut().enumerate() {
            if !is_absent(*value) {
                *value = f(i, *value);
            }
        }
    }

    /// Takes over the values of a row of equal labels at steps where this one has none; `false` when both have one.
    pub(crate) fn absorb(&mut self, other: Row) -> bool {
        let mut moved = Moved::new(other.histograms);
        for (old, new) in self.values.iter_mut().zip(other.values) {
            match (is_absent(*old), is_absent(new)) {
                (true, false) => *old = moved.to(new, &mut self.histograms),
                (false, false) => return false,
                _ => {}
            }
        }
        true
    }
}

/// Puts a histogram into a column's list and says what stands for it.
pub(crate) fn keep_histogram(histograms: &mut Vec<NativeHistogram>, histogram: NativeHistogram) -> f64 {
    let marker = histogram_marker(u32::try_from(histograms.len()).unwrap_or(u32::MAX));
    histograms.push(histogram);
    marker
}

/// Memory of histograms, bytes.
pub(crate) fn histogram_bytes(histograms: &[NativeHistogram]) -> usize {
    histograms.iter().map(NativeHistogram::memory_bytes).sum()
}

/// How many samples a value counts for: Prometheus divides a histogram's bytes by a float sample's 16.
pub(crate) fn samples_of(value: f64, histograms: &[NativeHistogram]) -> usize {
    match histogram_at(value, histograms) {
        None => 1,
        Some(h) => {
            let parts = h.positive_spans.len()
                + h.negative_spans.len()
                + h.positive_counts.len()
                + h.negative_counts.len()
                + h.custom_bounds.len();
            (176 + 8 * parts) / 16
        }
    }
}

/// Histograms on their way from one column to another, each moved once however many steps share it.
pub(crate) struct Moved {
    from: Vec<NativeHistogram>,
    places: Vec<Option<f64>>,
}

impl Moved {
    pub(crate) fn new(from: Vec<NativeHistogram>) -> Self {
        Moved { places: vec![None; from.len()], from }
    }

    /// What stands for `value` in the column that `to` belongs to.
    pub(crate) fn to(&mut self, value: f64, to: &mut Vec<NativeHistogram>) -> f64 {
        if !is_histogram_marker(value) {
            return value;
        }
        let place = value.to_bits() as u32 as usize;
        match (self.places.get_mut(place), self.from.get_mut(place)) {
            (Some(Some(marker)), _) => *marker,
            (Some(slot), Some(histogram)) => *slot.insert(keep_histogram(to, std::mem::take(histogram))),
            _ => ABSENT,
        }
    }
}

/// Labels that belong to a metric's name: they leave together.
pub(crate) fn is_name_label(name: &str) -> bool {
    matches!(name, METRIC_NAME | "__type__" | "__unit__")
}

/// The labels without the metric's name.
pub(crate) fn without_name(labels: &Labels) -> Labels {
    if !labels.iter().any(|(n, _)| is_name_label(n)) {
        return labels.clone();
    }
    let mut encoded = Vec::with_capacity(labels.as_bytes().len());
    encode_sorted(labels.iter().filter(|(n, _)| !is_name_label(n)), &mut encoded);
    LabelsRef::from_encoded(&encoded).to_labels()
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
