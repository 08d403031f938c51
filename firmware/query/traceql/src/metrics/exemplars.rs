//! Spans that stand for a series' values: for each series at most one in each slot of time, and so many in all.

use super::MetricExemplar;
use super::grid::Grid;
use crate::eval::value::Value;
use bramble_signal::SpanEntry;
use bramble_storage::{QueryContext, ReadError};

/// Most slots of time: one bit each.
const SLOTS_MAX: usize = 64;

/// Most exemplars of one answer.
pub(super) const EXEMPLARS_MAX: usize = 100;

struct OfSeries {
    /// Slots that are taken.
    taken: u64,
    /// By step.
    spans: Vec<(usize, MetricExemplar)>,
}

pub(super) struct Exemplars {
    wanted: usize,
    slots: usize,
    steps: usize,
    series: Vec<OfSeries>,
}

impl Exemplars {
    pub(super) fn of(wanted: usize, grid: &Grid) -> Self {
        let wanted = wanted.min(EXEMPLARS_MAX);
        let slots = wanted.min(SLOTS_MAX).min(grid.count).max(1);
        Exemplars { wanted, slots, steps: grid.count.max(1), series: Vec::new() }
    }

    pub(super) fn offer(
        &mut self,
        group: usize,
        place: usize,
        span: &SpanEntry,
        value: f64,
        context: &QueryContext,
    ) -> Result<(), ReadError> {
        if self.wanted == 0 {
            return Ok(());
        }
        while self.series.len() <= group {
            self.series.push(OfSeries { taken: 0, spans: Vec::new() });
        }
        let Some(series) = self.series.get_mut(group) else { return Ok(()) };
        let bit = 1 << (place * self.slots / self.steps).min(SLOTS_MAX - 1);
        if series.taken & bit != 0 {
            return Ok(());
        }
        // The exemplar, its labels and their texts.
        context.reserve(256)?;
        series.taken |= bit;
        let text = |name: &str, value: String| (name.to_owned(), Value::Text(value.into()));
        series.spans.push((
            place,
            MetricExemplar {
                time_ms: (span.start_ns / 1_000_000) as i64,
                value,
                labels: vec![text("trace:id", span.trace_id.to_string()), text("span:id", span.span_id.to_string())],
            },
        ));
        Ok(())
    }

    /// Exemplars of each group, evenly thinned out to as many as are wanted in all.
    pub(super) fn kept(&self, groups: usize) -> Vec<Vec<(usize, MetricExemplar)>> {
        let total: usize = self.series.iter().map(|s| s.spans.len()).sum();
        let mut number = 0;
        let mut keep = || {
            // The first of each of `wanted` equal shares.
            let kept = total <= self.wanted || number * self.wanted / total != (number + 1) * self.wanted / total;
            number += 1;
            kept
        };
        let none = OfSeries { taken: 0, spans: Vec::new() };
        (0..groups)
            .map(|group| {
                let spans = &self.series.get(group).unwrap_or(&none).spans;
                spans.iter().filter(|_| keep()).cloned().collect()
            })
            .collect()
    }
}
