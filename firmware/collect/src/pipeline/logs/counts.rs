//! What is counted per stage: each instance counts for itself and adds it to what is shared now and then.

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, LabelPair, Metric, MetricFamily, MetricType};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counted by one instance, not yet told.
#[derive(Default, Debug)]
pub(super) struct Counts {
    pub(super) lines_in: u64,
    pub(super) lines_out: u64,
    pub(super) dropped: u64,
    pub(super) errors: u64,
}

/// Counted by all instances of a stage.
#[derive(Default, Debug)]
pub(super) struct Told {
    /// Place: `2`, or `2.0` inside a `match`.
    pub(super) place: String,
    pub(super) stage: &'static str,
    /// Why it drops lines, if it does.
    pub(super) reason: String,
    lines_in: AtomicU64,
    lines_out: AtomicU64,
    dropped: AtomicU64,
    errors: AtomicU64,
}

impl Told {
    pub(super) fn new(place: String, stage: &'static str, reason: &str) -> Self {
        Told { place, stage, reason: reason.to_owned(), ..Told::default() }
    }

    pub(super) fn add(&self, counts: &mut Counts) {
        let counts = std::mem::take(counts);
        for (told, count) in [
            (&self.lines_in, counts.lines_in),
            (&self.lines_out, counts.lines_out),
            (&self.dropped, counts.dropped),
            (&self.errors, counts.errors),
        ] {
            if count > 0 {
                told.fetch_add(count, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn count(&self) -> StageCount {
        StageCount {
            place: self.place.clone(),
            stage: self.stage,
            lines_in: self.lines_in.load(Ordering::Relaxed),
            lines_out: self.lines_out.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            reason: self.reason.clone(),
            errors: self.errors.load(Ordering::Relaxed),
        }
    }
}

/// What a stage has done in all instances of its pipeline, up to their last `tick`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StageCount {
    /// Place: `2`, or `2.0` inside a `match`.
    pub place: String,
    /// The stage's name.
    pub stage: &'static str,
    /// Lines that came.
    pub lines_in: u64,
    /// Lines that went on; joined lines count as one.
    pub lines_out: u64,
    /// Lines that it dropped.
    pub dropped: u64,
    /// Why; empty for stages that drop none.
    pub reason: String,
    /// Lines that it could not work on: not JSON, no time, no match of a runtime's format.
    pub errors: u64,
}

/// `bramble_pipeline_stage_*` of one pipeline, and the series of its `metrics` stages.
pub(super) struct StageCollector {
    pub(super) pipeline: String,
    pub(super) stages: Vec<Arc<Told>>,
    pub(super) series: Vec<Arc<super::stages::metrics::Family>>,
    descriptions: Vec<Desc>,
}

const NAMES: [(&str, &str); 3] = [
    ("bramble_pipeline_stage_lines_total", "Lines that came to a stage of a log pipeline, and that went on from it."),
    ("bramble_pipeline_stage_dropped_lines_total", "Lines that a stage of a log pipeline dropped."),
    ("bramble_pipeline_stage_errors_total", "Lines that a stage of a log pipeline could not work on."),
];

impl StageCollector {
    pub(super) fn new(
        pipeline: &str,
        stages: Vec<Arc<Told>>,
        series: Vec<Arc<super::stages::metrics::Family>>,
    ) -> Self {
        // The pipeline is part of the identity, so that several may be registered.
        let constant = HashMap::from([("pipeline".to_owned(), pipeline.to_owned())]);
        let labels = vec!["stage".to_owned(), "place".to_owned()];
        let describe = |(name, help): &(&str, &str)| {
            Desc::new((*name).to_owned(), (*help).to_owned(), labels.clone(), constant.clone()).ok()
        };
        let mut descriptions: Vec<Desc> = NAMES.iter().filter_map(describe).collect();
        descriptions.extend(series.iter().filter_map(|family| family.describe(pipeline)));
        StageCollector { pipeline: pipeline.to_owned(), stages, series, descriptions }
    }
}

/// A label of a series.
pub(super) fn label(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

impl Collector for StageCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families: Vec<MetricFamily> = NAMES
            .iter()
            .map(|(name, help)| {
                let mut family = MetricFamily::default();
                family.set_name((*name).to_owned());
                family.set_help((*help).to_owned());
                family.set_field_type(MetricType::COUNTER);
                family
            })
            .collect();
        for stage in &self.stages {
            let count = stage.count();
            let told = [
                (0, "direction", "in", count.lines_in),
                (0, "direction", "out", count.lines_out),
                (1, "reason", count.reason.as_str(), count.dropped),
                (2, "", "", count.errors),
            ];
            for (family, by, of, value) in told {
                if family == 1 && count.reason.is_empty() {
                    continue;
                }
                let mut labels =
                    vec![label("pipeline", &self.pipeline), label("place", &count.place), label("stage", count.stage)];
                if !by.is_empty() {
                    labels.push(label(by, of));
                }
                labels.sort_by(|a, b| a.name().cmp(b.name()));
                let mut counter = Counter::default();
                counter.set_value(value as f64);
                let mut metric = Metric::default();
                metric.set_label(labels);
                metric.set_counter(counter);
                if let Some(family) = families.get_mut(family) {
                    family.mut_metric().push(metric);
                }
            }
        }
        families.retain(|family| !family.get_metric().is_empty());
        families.extend(self.series.iter().filter_map(|family| family.collect()));
        families
    }
}
