//! Samples of the journal as a batch, for those who observe: the replay into heads, but into a batch.

use super::MetricReplay;
use bramble_signal::{Labels, LabelsRef, MetricBatch, MetricMetadata};
use bramble_storage::{Sequence, SeriesRef};
use std::cell::RefCell;

/// Series of an epoch, and what a record has of them. Bounded by the series of an epoch, which heads had room for.
#[derive(Default)]
pub(crate) struct ShownMetrics(RefCell<State>);

#[derive(Default)]
struct State {
    series: Vec<Labels>,
    batch: MetricBatch,
}

impl ShownMetrics {
    /// Another epoch begins: its series have other numbers.
    pub(crate) fn clear(&self) {
        *self.0.borrow_mut() = State::default();
    }

    /// What the record that was read last has.
    pub(crate) fn take(&self) -> MetricBatch {
        std::mem::take(&mut self.0.borrow_mut().batch)
    }
}

impl MetricReplay for ShownMetrics {
    fn resolve(&self, labels: LabelsRef<'_>) -> SeriesRef {
        let mut state = self.0.borrow_mut();
        state.series.push(labels.to_labels());
        SeriesRef(state.series.len() as u32 - 1)
    }

    fn replay(&self, series: &[SeriesRef], batch: &MetricBatch, _: Sequence) {
        let State { series: known, batch: out } = &mut *self.0.borrow_mut();
        for (index, series) in series.iter().enumerate().take(batch.series_count()) {
            let Some(labels) = known.get(series.0 as usize) else { continue };
            out.start_series_encoded(labels.as_ref());
            out.set_start(batch.start_ms(index));
            batch.series(index).1.iter().for_each(|sample| out.push_sample_of(batch, *sample));
            out.push_exemplars_of(batch, index);
        }
    }

    fn apply_metadata(&self, metadata: &[MetricMetadata], _: Sequence) {
        self.0.borrow_mut().batch.metadata.extend_from_slice(metadata);
    }
}
