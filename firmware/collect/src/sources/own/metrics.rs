//! Own metrics: a registry to a batch.

use super::SERVICE;
use crate::sources::Outlet;
use bramble_runtime::{Cancel, Clock};
use bramble_signal::{METRIC_NAME, MetricBatch, MetricKind, MetricMetadata};
use bramble_storage::Urgency;
use prometheus::Registry;
use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};
use std::sync::Arc;
use std::time::Duration;

/// Gathers `registry` every `interval` until `cancel` is raised. Series carry `job="bramble"` and `instance`.
pub async fn run_metrics(
    registry: Registry,
    instance: String,
    interval: Duration,
    outlet: Outlet,
    clock: Arc<dyn Clock>,
    cancel: Cancel,
) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut first = true;
    loop {
        ticks.tick().await;
        if cancel.is_cancelled() {
            return;
        }
        let mut batch = gather(&registry, &instance, clock.wall_ms());
        // Help texts and types do not change while we run.
        if !std::mem::take(&mut first) {
            batch.metadata.clear();
        }
        outlet.metrics("own_metrics", batch, Urgency::OwnTelemetry);
    }
}

/// All metrics of `registry` at `now_ms`, histograms and summaries as the series of their text form.
pub fn gather(registry: &Registry, instance: &str, now_ms: i64) -> MetricBatch {
    let mut out = Gathered { batch: MetricBatch::new(), instance, now_ms };
    out.put("up", &[], None, 1.0);
    for family in registry.gather() {
        out.family(&family);
    }
    out.batch
}

struct Gathered<'a> {
    batch: MetricBatch,
    instance: &'a str,
    now_ms: i64,
}

impl Gathered<'_> {
    fn family(&mut self, family: &MetricFamily) {
        let (name, kind) = (family.name(), family.get_field_type());
        for metric in family.get_metric() {
            let labels = metric.get_label();
            match kind {
                MetricType::COUNTER => self.put(name, labels, None, metric.get_counter().get_value()),
                MetricType::GAUGE => self.put(name, labels, None, metric.get_gauge().get_value()),
                MetricType::HISTOGRAM => self.histogram(name, metric),
                MetricType::SUMMARY => self.summary(name, metric),
                _ => {}
            }
        }
        let kind = match kind {
            MetricType::COUNTER => MetricKind::Counter,
            MetricType::GAUGE => MetricKind::Gauge,
            MetricType::HISTOGRAM => MetricKind::Histogram,
            MetricType::SUMMARY => MetricKind::Summary,
            _ => MetricKind::Unknown,
        };
        let (name, help) = (name.to_owned(), family.help().to_owned());
        self.batch.metadata.push(MetricMetadata { name, kind, help, unit: String::new() });
    }

    fn histogram(&mut self, name: &str, metric: &Metric) {
        let (labels, histogram) = (metric.get_label(), metric.get_histogram());
        let bucket_name = format!("{name}_bucket");
        let mut ends_at_infinity = false;
        for bucket in histogram.get_bucket() {
            let bound = bucket.upper_bound();
            ends_at_infinity |= bound == f64::INFINITY;
            self.put(&bucket_name, labels, Some(("le", &number(bound))), bucket.cumulative_count() as f64);
        }
        let count = histogram.get_sample_count() as f64;
        if !ends_at_infinity {
            self.put(&bucket_name, labels, Some(("le", "+Inf")), count);
        }
        self.put(&format!("{name}_sum"), labels, None, histogram.get_sample_sum());
        self.put(&format!("{name}_count"), labels, None, count);
    }

    fn summary(&mut self, name: &str, metric: &Metric) {
        let (labels, summary) = (metric.get_label(), metric.get_summary());
        for quantile in summary.get_quantile() {
            self.put(name, labels, Some(("quantile", &number(quantile.quantile()))), quantile.value());
        }
        self.put(&format!("{name}_sum"), labels, None, summary.sample_sum());
        self.put(&format!("{name}_count"), labels, None, summary.sample_count() as f64);
    }

    fn put(&mut self, name: &str, labels: &[LabelPair], extra: Option<(&str, &str)>, value: f64) {
        let fixed = [(METRIC_NAME, name), ("job", SERVICE), ("instance", self.instance)];
        let own = labels.iter().map(|label| (label.name(), label.value()));
        let mut pairs: Vec<(&str, &str)> = fixed.into_iter().chain(own).chain(extra).collect();
        // A label of ours called `job` or `instance` would make the set invalid; such a sample is left out.
        if self.batch.start_series(&mut pairs).is_ok() {
            self.batch.push_sample(self.now_ms, value);
        }
    }
}

/// A bound as Prometheus writes it.
fn number(value: f64) -> String {
    if value == f64::INFINITY { "+Inf".to_owned() } else { value.to_string() }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::outlet;
    use super::*;
    use bramble_runtime::SystemClock;
    use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntGauge};

    fn registry() -> Registry {
        let registry = Registry::new();
        let counter = IntCounter::new("a_total", "counts a").unwrap();
        counter.inc_by(3);
        let gauge = IntGauge::new("b", "b now").unwrap();
        gauge.set(-2);
        let options = HistogramOpts::new("c_seconds", "time of c").buckets(vec![0.5, 1.0]);
        let histogram = HistogramVec::new(options, &["kind"]).unwrap();
        histogram.with_label_values(&["x"]).observe(0.75);
        registry.register(Box::new(counter)).unwrap();
        registry.register(Box::new(gauge)).unwrap();
        registry.register(Box::new(histogram)).unwrap();
        registry
    }

    #[test]
    fn a_registry_becomes_the_series_of_a_scrape() {
        let batch = gather(&registry(), "pi", 7);
        let lines: Vec<String> =
            batch.iter().map(|(labels, samples)| format!("{labels} {}", samples[0].value)).collect();
        let with = |name: &str, rest: &str| format!("{{__name__=\"{name}\", instance=\"pi\", job=\"bramble\"{rest}}}");
        let bucket = |le: &str| {
            format!("{{__name__=\"c_seconds_bucket\", instance=\"pi\", job=\"bramble\", kind=\"x\", le=\"{le}\"}}")
        };
        let expected = [
            with("up", "") + " 1",
            with("a_total", "") + " 3",
            with("b", "") + " -2",
            bucket("0.5") + " 0",
            bucket("1") + " 1",
            bucket("+Inf") + " 1",
            with("c_seconds_sum", ", kind=\"x\"") + " 0.75",
            with("c_seconds_count", ", kind=\"x\"") + " 1",
        ];
        assert_eq!(lines, expected);
        assert_eq!(batch.metadata[0].help, "counts a");
    }

    #[tokio::test(start_paused = true)]
    async fn metadata_goes_once_and_nothing_forces_a_commit() {
        let (writer, outlet, _) = outlet(1 << 20);
        let (cancel, clock) = (Cancel::new(), Arc::new(SystemClock::new()));
        let second = Duration::from_secs(1);
        let task = tokio::spawn(run_metrics(registry(), "pi".into(), second, outlet, clock, cancel.clone()));
        while writer.metrics.lock().len() < 2 {
            tokio::time::sleep(second).await;
        }
        cancel.cancel();
        task.await.unwrap();
        let batches = writer.metrics.lock();
        assert!(!batches[0].metadata.is_empty() && batches[1].metadata.is_empty());
        assert!(writer.urgencies.lock().iter().all(|&urgency| urgency == Urgency::OwnTelemetry));
    }

    #[test]
    fn a_full_budget_drops_the_round_and_counts_it() {
        let (writer, outlet, counters) = outlet(10);
        outlet.metrics("own_metrics", gather(&registry(), "pi", 7), Urgency::OwnTelemetry);
        assert!(writer.metrics.lock().is_empty());
        let families = counters.gather();
        assert_eq!(families[0].get_metric()[0].get_label()[0].value(), "over_budget");
    }
}
