//! Adding samples with the labels that all of a source share.

use bramble_signal::{METRIC_NAME, MetricBatch};

/// Labels of a sample beside its name, job and instance: at most so many.
const EXTRA_LABELS_MAX: usize = 16;

/// Adds samples of one moment to a batch.
pub(crate) struct Emitter<'a> {
    batch: &'a mut MetricBatch,
    instance: &'a str,
    now_ms: i64,
}

impl<'a> Emitter<'a> {
    pub(crate) fn new(batch: &'a mut MetricBatch, instance: &'a str, now_ms: i64) -> Self {
        Emitter { batch, instance, now_ms }
    }

    /// Adds one sample. A name or a label that the kernel repeats makes no second one here.
    pub(crate) fn put(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let mut pairs = [("", ""); 3 + EXTRA_LABELS_MAX];
        let fixed = [(METRIC_NAME, name), ("job", "node"), ("instance", self.instance)];
        let mut count = 0;
        for (slot, pair) in pairs.iter_mut().zip(fixed.iter().chain(labels)) {
            *slot = *pair;
            count += 1;
        }
        if let Some(pairs) = pairs.get_mut(..count)
            && self.batch.start_series(pairs).is_ok()
        {
            self.batch.push_sample(self.now_ms, value);
        }
    }

    /// Adds one sample whose labels were given by others, its name among them; theirs that we set are renamed as Prometheus
    /// renames them.
    pub(crate) fn put_all<'b>(&mut self, labels: impl Iterator<Item = (&'b str, &'b str)>, value: f64) {
        let renamed = |name: &'b str| match name {
            "job" => "exported_job",
            "instance" => "exported_instance",
            name => name,
        };
        let mut pairs = vec![("job", "node"), ("instance", self.instance)];
        pairs.extend(labels.map(|(name, value)| (renamed(name), value)));
        if self.batch.start_series(&mut pairs).is_ok() {
            self.batch.push_sample(self.now_ms, value);
        }
    }
}

/// Parses a collector's output in tests: `name{labels} value` per sample.
#[cfg(test)]
pub(crate) fn emitted(collect: impl FnOnce(&mut Emitter<'_>)) -> Vec<String> {
    let mut batch = MetricBatch::new();
    collect(&mut Emitter::new(&mut batch, "", 0));
    let line = |(labels, samples): (bramble_signal::LabelsRef<'_>, &[bramble_signal::Sample])| {
        let shown: Vec<String> = labels
            .iter()
            .filter(|(name, _)| !["__name__", "job"].contains(name))
            .map(|(name, value)| format!("{name}={value:?}"))
            .collect();
        format!("{}{{{}}} {}", labels.get("__name__").unwrap_or(""), shown.join(","), samples[0].value)
    };
    batch.iter().map(line).collect()
}
