//! The series that tell of a scrape: `up` and its relatives.

use super::config::{PromDuration, ScrapeConfig};
use super::page::Counts;
use bramble_signal::{Labels, LabelsRef, METRIC_NAME, MetricBatch, stale_marker};

/// More than what the series of a report take in a batch.
pub(super) const REPORT_BYTES: usize = 8 << 10;

/// How a scrape went.
#[derive(Default)]
pub(super) struct Report {
    pub(super) error: Option<String>,
    pub(super) counts: Counts,
    pub(super) duration_seconds: f64,
    /// Bytes of the uncompressed page; -1 when it was too long.
    pub(super) body_bytes: f64,
}

impl Report {
    /// Adds its series to a batch.
    pub(super) fn write(
        &self,
        labels: &Labels,
        config: &ScrapeConfig,
        timeout: PromDuration,
        time_ms: i64,
        batch: &mut MetricBatch,
    ) {
        let up = if self.error.is_none() { 1.0 } else { 0.0 };
        let mut put = |name: &str, value: f64| push(name, labels, time_ms, value, batch);
        put("up", up);
        put("scrape_duration_seconds", self.duration_seconds);
        put("scrape_samples_scraped", self.counts.scraped as f64);
        put("scrape_samples_post_metric_relabeling", self.counts.kept as f64);
        put("scrape_series_added", self.counts.added as f64);
        if config.extra_metrics {
            put("scrape_timeout_seconds", timeout.ms() as f64 / 1000.0);
            put("scrape_sample_limit", config.limits.samples as f64);
            put("scrape_body_size_bytes", self.body_bytes);
        }
    }
}

/// Ends the series of a report.
pub(super) fn end(labels: &Labels, config: &ScrapeConfig, time_ms: i64, batch: &mut MetricBatch) {
    let first = batch.series_count();
    Report::default().write(labels, config, PromDuration::default(), time_ms, batch);
    let mut ended = MetricBatch::new();
    for (at, (labels, samples)) in batch.iter().enumerate() {
        ended.start_series_encoded(labels);
        for sample in samples {
            ended.push_sample(sample.timestamp_ms, if at < first { sample.value } else { stale_marker() });
        }
    }
    *batch = ended;
}

fn push(name: &str, labels: &Labels, time_ms: i64, value: f64, batch: &mut MetricBatch) {
    let mut encoded = Vec::with_capacity(labels.as_bytes().len() + name.len() + 12);
    labels.as_ref().encode_with(METRIC_NAME, name, &mut encoded);
    batch.start_series_encoded(LabelsRef::from_encoded(&encoded));
    batch.push_sample(time_ms, value);
}
