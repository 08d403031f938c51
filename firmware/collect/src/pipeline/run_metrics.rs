//! Pipelines over samples.

use super::compiled::{Compiled, Outcome, Pipeline, Step};
use super::config::Place;
use super::fields::Fields;
use crate::relabel::{LabelPairs, RelabelConfig, relabel};
use bramble_runtime::Budget;
use bramble_signal::labels::encode_sorted;
use bramble_signal::{LabelsRef, MetricBatch, Signal};
use bramble_storage::WriteError;

/// What becomes of the series of a batch.
struct Fate {
    /// Whether each series is in the pipeline's hands.
    selected: Vec<bool>,
    dropped: Vec<bool>,
}

impl Compiled {
    /// Runs a batch through all pipelines for samples.
    ///
    /// # Errors
    /// [`WriteError::OverBudget`] when a limiter says so.
    pub(super) fn metrics(&self, batch: &mut MetricBatch, receive: &Budget) -> Result<Outcome, WriteError> {
        let mut total = Outcome::default();
        for pipeline in self.of(Signal::Metrics) {
            let bytes = batch.sample_count() * size_of::<f64>();
            pipeline.check_limits(Signal::Metrics, receive, bytes, true)?;
            let one = run(pipeline, batch);
            total.items += one.items;
            total.histograms += one.histograms;
            total.exemplars += one.exemplars;
            total.changed |= one.changed;
        }
        Ok(total)
    }
}

fn run(pipeline: &Pipeline, batch: &mut MetricBatch) -> Outcome {
    let selected = batch.iter().map(|(labels, _)| pipeline.selector.matches_labels(labels)).collect();
    let mut fate = Fate { selected, dropped: vec![false; batch.series_count()] };
    let mut changed = false;
    for step in &pipeline.steps {
        match step {
            Step::Attributes(actions) => {
                let edit = |labels: LabelsRef<'_>, out: &mut Vec<u8>| {
                    let mut fields = Fields::of_labels(labels);
                    // A series has labels only: both kinds of actions are for them.
                    actions.change_labels(Place::Resource, &mut fields);
                    actions.change_labels(Place::Item, &mut fields);
                    if fields.changed {
                        fields.encode_labels(out);
                    }
                    fields.changed
                };
                changed |= fate.edit(batch, edit);
            }
            Step::Filter { filter, keep, counters } => {
                let gone = fate.drop(batch, |labels| filter.meets_series(labels) != *keep);
                counters.dropped(Signal::Metrics, gone);
            }
            Step::Relabel(rules, counters) => {
                let before = fate.samples_dropped(batch);
                changed |= fate.relabel(batch, rules);
                counters.dropped(Signal::Metrics, fate.samples_dropped(batch) - before);
            }
            Step::Limit(..) | Step::Stages(..) => {}
        }
    }
    let mut outcome = Outcome { changed, ..Outcome::default() };
    if fate.dropped.contains(&true) {
        let kept = without(batch, &fate.dropped);
        outcome.items = (batch.sample_count() - kept.sample_count()) as u64;
        outcome.histograms = (batch.histogram_count() - kept.histogram_count()) as u64;
        outcome.exemplars = (batch.exemplar_count() - kept.exemplar_count()) as u64;
        outcome.changed = true;
        *batch = kept;
    }
    outcome
}

impl Fate {
    /// The series that steps still see.
    fn here(&self) -> impl Iterator<Item = usize> + use<> {
        let both = self.selected.iter().zip(&self.dropped).enumerate();
        let here: Vec<usize> =
            both.filter(|(_, (selected, dropped))| **selected && !**dropped).map(|(i, _)| i).collect();
        here.into_iter()
    }

    fn edit(&self, batch: &mut MetricBatch, edit: impl Fn(LabelsRef<'_>, &mut Vec<u8>) -> bool) -> bool {
        let (mut encoded, mut changed) = (Vec::new(), false);
        for at in self.here() {
            encoded.clear();
            if edit(batch.series(at).0, &mut encoded) {
                batch.set_labels(at, LabelsRef::from_encoded(&encoded));
                changed = true;
            }
        }
        changed
    }

    /// Marks series as dropped; says how many samples they have.
    fn drop(&mut self, batch: &MetricBatch, is_gone: impl Fn(LabelsRef<'_>) -> bool) -> u64 {
        let mut gone = 0;
        for at in self.here() {
            let (labels, samples) = batch.series(at);
            if is_gone(labels)
                && let Some(dropped) = self.dropped.get_mut(at)
            {
                *dropped = true;
                gone += samples.len() as u64;
            }
        }
        gone
    }

    fn samples_dropped(&self, batch: &MetricBatch) -> u64 {
        let samples = |(at, dropped): (usize, &bool)| if *dropped { batch.series(at).1.len() as u64 } else { 0 };
        self.dropped.iter().enumerate().map(samples).sum()
    }

    fn relabel(&mut self, batch: &mut MetricBatch, rules: &[RelabelConfig]) -> bool {
        let (mut encoded, mut changed) = (Vec::new(), false);
        for at in self.here() {
            match relabelled(batch.series(at).0, rules, &mut encoded) {
                Relabelled::Same => {}
                Relabelled::Other => {
                    batch.set_labels(at, LabelsRef::from_encoded(&encoded));
                    changed = true;
                }
                Relabelled::Dropped => {
                    if let Some(dropped) = self.dropped.get_mut(at) {
                        *dropped = true;
                    }
                }
            }
        }
        changed
    }
}

/// What rules make of a label set.
pub(super) enum Relabelled {
    Same,
    /// Its encoding is in `out`.
    Other,
    Dropped,
}

/// Runs relabelling rules over an encoded label set. As for Prometheus' scraped series, what is left without any label is
/// dropped.
pub(super) fn relabelled(labels: LabelsRef<'_>, rules: &[RelabelConfig], out: &mut Vec<u8>) -> Relabelled {
    let mut pairs: LabelPairs = labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    if !relabel(&mut pairs, rules) || pairs.is_empty() {
        return Relabelled::Dropped;
    }
    // Temporary labels go, as they do when a target is relabelled.
    pairs.retain(|(name, _)| !name.starts_with("__tmp"));
    pairs.sort_unstable();
    out.clear();
    encode_sorted(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())), out);
    if out.as_slice() == labels.as_bytes() { Relabelled::Same } else { Relabelled::Other }
}

/// The batch without some of its series.
fn without(batch: &MetricBatch, dropped: &[bool]) -> MetricBatch {
    let mut out = MetricBatch::new();
    out.metadata.clone_from(&batch.metadata);
    out.backfill = batch.backfill;
    for at in (0..batch.series_count()).filter(|&at| !dropped.get(at).copied().unwrap_or(false)) {
        let (labels, samples) = batch.series(at);
        out.start_series_encoded(labels);
        out.set_start(batch.start_ms(at));
        for &sample in samples {
            out.push_sample_of(batch, sample);
        }
        out.push_exemplars_of(batch, at);
    }
    out
}
