//! What one series gathers, step by step.

use super::grid::Grid;
use super::groups::Labels;
use super::{MetricExemplar, MetricSeries};
use crate::eval::value::Value;
use crate::syntax::ast::{Field, Intrinsic, Measure};
use bramble_storage::{QueryContext, ReadError};
use std::collections::BTreeSet;

/// Values of one step.
#[derive(Clone, Copy, Default)]
pub(super) struct Number {
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
}

impl Number {
    fn add(&mut self, value: f64) {
        (self.min, self.max) =
            if self.count == 0 { (value, value) } else { (self.min.min(value), self.max.max(value)) };
        self.count += 1;
        self.sum += value;
    }
}

/// Number of values by the exponent of the power of two that bounds them, ascending.
pub(super) type Buckets = Vec<(i32, u64)>;

/// One series' steps: no more than its measure needs.
pub(super) enum Column {
    Counts(Vec<u64>),
    Numbers(Vec<Number>),
    Buckets(Vec<Buckets>),
}

impl Column {
    pub(super) fn of(measure: &Measure, count: usize) -> Self {
        match measure {
            Measure::Rate | Measure::Count | Measure::Compare(_) => Column::Counts(vec![0; count]),
            Measure::Min(_) | Measure::Max(_) | Measure::Avg(_) | Measure::Sum(_) => {
                Column::Numbers(vec![Number::default(); count])
            }
            Measure::Quantile(..) | Measure::Histogram(_) => Column::Buckets(vec![Vec::new(); count]),
        }
    }

    /// Bytes of a column.
    pub(super) fn bytes(measure: &Measure, count: usize) -> usize {
        let cell = match measure {
            Measure::Rate | Measure::Count | Measure::Compare(_) => size_of::<u64>(),
            Measure::Min(_) | Measure::Max(_) | Measure::Avg(_) | Measure::Sum(_) => size_of::<Number>(),
            Measure::Quantile(..) | Measure::Histogram(_) => size_of::<Buckets>(),
        };
        size_of::<Column>() + count * cell
    }

    /// Counts a span whose measured value is `value`; durations in seconds.
    pub(super) fn add(
        &mut self,
        place: usize,
        value: f64,
        scale: f64,
        context: &QueryContext,
    ) -> Result<(), ReadError> {
        match self {
            Column::Counts(counts) => counts.get_mut(place).into_iter().for_each(|count| *count += 1),
            Column::Numbers(numbers) => numbers.get_mut(place).into_iter().for_each(|number| number.add(value)),
            Column::Buckets(columns) => {
                let Some(buckets) = columns.get_mut(place).filter(|_| value > 0.0) else { return Ok(()) };
                let exponent = exponent(value * scale);
                match buckets.binary_search_by_key(&exponent, |(e, _)| *e) {
                    Ok(at) => buckets.get_mut(at).into_iter().for_each(|(_, count)| *count += 1),
                    Err(at) => {
                        // Vectors grow by doubling.
                        context.reserve(2 * size_of::<(i32, u64)>())?;
                        buckets.insert(at, (exponent, 1));
                    }
                }
            }
        }
        Ok(())
    }
}

/// The power of two that bounds a value; at least two, so that there is a lower bound.
fn exponent(value: f64) -> i32 {
    (value.log2().ceil() as i32).max(1)
}

/// Whether values are durations, whose buckets double from nanoseconds on and are shown in seconds.
pub(super) fn scale_of(measure: &Measure) -> f64 {
    use Intrinsic::{Duration, EventTimeSinceStart, TraceDuration};
    let is_duration = matches!(measure.field(), Some(Field::Intrinsic(Duration | TraceDuration | EventTimeSinceStart)));
    if is_duration { 1e9 } else { 1.0 }
}

/// The series of a group: one, or one for each quantile or bucket, with the exemplars that belong to each.
pub(super) fn finished(
    measure: &Measure,
    labels: &Labels,
    column: &Column,
    grid: &Grid,
    exemplars: &[(usize, MetricExemplar)],
) -> Vec<MetricSeries> {
    let series = |extra: Option<(String, Value<'static>)>, samples: Vec<(i64, f64)>| {
        let mut labels = labels.clone();
        if matches!(measure, Measure::Histogram(_)) {
            labels.retain(|(_, value)| *value != Value::Nil);
        }
        labels.extend(extra);
        if labels.is_empty() {
            labels.push(("__name__".to_owned(), Value::Text(measure.name().into())));
        }
        MetricSeries { labels, samples, exemplars: Vec::new() }
    };
    let mut out: Vec<MetricSeries> = match (measure, column) {
        (Measure::Quantile(_, quantiles), Column::Buckets(columns)) => quantiles
            .iter()
            .map(|q| {
                let value = |buckets: &Buckets| quantile(measure, buckets, *q).unwrap_or(0.0);
                let samples = columns.iter().enumerate().map(|(place, b)| (grid.time_ms(place), value(b)));
                series(Some(("p".to_owned(), Value::Float(*q))), samples.collect())
            })
            .collect(),
        (_, Column::Buckets(columns)) => {
            let exponents: BTreeSet<i32> = columns.iter().flatten().map(|(exponent, _)| *exponent).collect();
            let of = |exponent: &i32| {
                let count = |buckets: &Buckets| buckets.iter().find(|(e, _)| e == exponent).map_or(0, |(_, n)| *n);
                let samples = columns.iter().enumerate().map(|(place, b)| (grid.time_ms(place), count(b) as f64));
                let label = ("__bucket".to_owned(), Value::Float(bound(measure, *exponent)));
                series(Some(label), samples.collect())
            };
            exponents.iter().map(of).collect()
        }
        (_, Column::Counts(counts)) => {
            let seconds = if matches!(measure, Measure::Rate) { grid.step_ns as f64 / 1e9 } else { 1.0 };
            let samples = counts.iter().enumerate().map(|(place, n)| (grid.time_ms(place), *n as f64 / seconds));
            vec![series(None, samples.collect())]
        }
        (_, Column::Numbers(numbers)) => {
            let value = |n: &Number| match measure {
                Measure::Min(_) => n.min,
                Measure::Max(_) => n.max,
                Measure::Avg(_) => n.sum / n.count as f64,
                _ => n.sum,
            };
            let known = numbers.iter().enumerate().filter(|(_, n)| n.count > 0);
            vec![series(None, known.map(|(place, n)| (grid.time_ms(place), value(n))).collect())]
        }
    };
    for (place, exemplar) in exemplars {
        hand_out(measure, &mut out, *place, exemplar, grid);
    }
    out
}

/// Gives an exemplar to the series that its value belongs to: of buckets its own, of quantiles the first that is not
/// below it. Where spans are only counted it stands at the sample's height.
fn hand_out(measure: &Measure, series: &mut [MetricSeries], place: usize, exemplar: &MetricExemplar, grid: &Grid) {
    let time_ms = grid.time_ms(place);
    let sample = |s: &MetricSeries| s.samples.iter().find(|(time, _)| *time == time_ms).map(|(_, value)| *value);
    let mut exemplar = exemplar.clone();
    let at = match measure {
        Measure::Histogram(_) => {
            let bound = bound(measure, exponent(exemplar.value * scale_of(measure)));
            series.iter().position(|s| s.labels.last().is_some_and(|(_, value)| *value == Value::Float(bound)))
        }
        Measure::Quantile(..) => {
            let above = series.iter().position(|s| sample(s).is_some_and(|v| v >= exemplar.value));
            above.or(series.len().checked_sub(1))
        }
        Measure::Rate | Measure::Count | Measure::Compare(_) => {
            exemplar.value = series.first().and_then(sample).unwrap_or(0.0);
            Some(0)
        }
        _ => Some(0),
    };
    if let Some(found) = at.and_then(|at| series.get_mut(at)) {
        found.exemplars.push(exemplar);
    }
}

fn bound(measure: &Measure, exponent: i32) -> f64 {
    2f64.powi(exponent) / scale_of(measure)
}

/// The value below which a share `q` of the values lies, exponentially interpolated within its bucket.
fn quantile(measure: &Measure, buckets: &Buckets, q: f64) -> Option<f64> {
    let total: u64 = buckets.iter().map(|(_, count)| count).sum();
    // A whole number of values lies below.
    let wanted = (q * total as f64).ceil();
    let mut below = 0.0;
    for (exponent, count) in buckets {
        let within = *count as f64;
        if below + within >= wanted {
            let share = ((wanted - below) / within).clamp(0.0, 1.0);
            return Some(bound(measure, exponent - 1) * 2f64.powf(share));
        }
        below += within;
    }
    None
}
