//! What discovery tells about itself.

use parking_lot::Mutex;
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// One mechanism as it stands.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MechanismStatus {
    /// `static`, `file`, `http`, `dns`, `docker` or `kubernetes`.
    pub mechanism: &'static str,
    /// What it asks: files, a URL, names, a role.
    pub detail: String,
    /// When it last had an answer, in milliseconds since the Unix epoch.
    pub last_success_ms: Option<i64>,
    /// Why it fails now; `None` while it works.
    pub last_error: Option<String>,
    /// How often it failed since its start.
    pub failures: u64,
    /// Targets it knows.
    pub targets: usize,
}

/// Metrics of discovery; one per process, clones share them.
///
/// * `bramble_discovery_targets{job,mechanism}`: targets found, before relabelling;
/// * `bramble_discovery_failures_total{job,mechanism}`: attempts that failed; the groups stayed as they were;
/// * `bramble_discovery_updates_total{job,mechanism}`: answers taken;
/// * `bramble_discovery_failing{job,mechanism}`: mechanisms whose last attempt failed.
#[derive(Clone, Debug)]
pub struct DiscoveryMetrics {
    targets: IntGaugeVec,
    failures: IntCounterVec,
    updates: IntCounterVec,
    failing: IntGaugeVec,
}

impl DiscoveryMetrics {
    /// Registers them.
    ///
    /// # Errors
    /// If the registry has them already.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let labels = ["job", "mechanism"];
        let gauge = |name, help| IntGaugeVec::new(Opts::new(name, help), &labels);
        let counter = |name, help| IntCounterVec::new(Opts::new(name, help), &labels);
        let metrics = DiscoveryMetrics {
            targets: gauge("bramble_discovery_targets", "Targets found, before relabelling.")?,
            failures: counter("bramble_discovery_failures_total", "Attempts to discover targets that failed.")?,
            updates: counter("bramble_discovery_updates_total", "Answers of discovery mechanisms taken.")?,
            failing: gauge("bramble_discovery_failing", "Discovery mechanisms whose last attempt failed.")?,
        };
        registry.register(Box::new(metrics.targets.clone()))?;
        registry.register(Box::new(metrics.failures.clone()))?;
        registry.register(Box::new(metrics.updates.clone()))?;
        registry.register(Box::new(metrics.failing.clone()))?;
        Ok(metrics)
    }
}

/// The statuses of one job's mechanisms, kept in step with the metrics.
#[derive(Debug)]
pub(crate) struct Statuses {
    job: String,
    metrics: DiscoveryMetrics,
    each: Mutex<Vec<MechanismStatus>>,
}

impl Statuses {
    pub(crate) fn new(job: &str, metrics: &DiscoveryMetrics, each: Vec<MechanismStatus>) -> Arc<Self> {
        Arc::new(Statuses { job: job.to_owned(), metrics: metrics.clone(), each: Mutex::new(each) })
    }

    pub(crate) fn all(&self) -> Vec<MechanismStatus> {
        self.each.lock().clone()
    }

    pub(crate) fn succeeded(&self, slot: usize, targets: usize) {
        self.change(slot, |status| {
            let recovered = status.last_error.take().is_some();
            status.last_success_ms = Some(now_ms());
            status.targets = targets;
            if recovered {
                tracing::info!(job = %self.job, mechanism = status.mechanism, detail = %status.detail, "discovery works again");
            }
            self.metrics.updates.with_label_values(&[&self.job, status.mechanism]).inc();
        });
    }

    /// Part of an answer is missing. Said once per text in the log, counted every time.
    pub(crate) fn failed(&self, slot: usize, error: &str) {
        self.change(slot, |status| {
            if status.last_error.as_deref() != Some(error) {
                tracing::warn!(job = %self.job, mechanism = status.mechanism, detail = %status.detail, error, "discovery fails");
            }
            status.last_error = Some(error.to_owned());
            status.failures += 1;
            self.metrics.failures.with_label_values(&[&self.job, status.mechanism]).inc();
        });
    }

    pub(crate) fn found(&self, slot: usize, targets: usize) {
        self.change(slot, |status| status.targets = targets);
    }

    fn change(&self, slot: usize, change: impl FnOnce(&mut MechanismStatus)) {
        let mut each = self.each.lock();
        let Some(status) = each.get_mut(slot) else { return };
        change(status);
        let mechanism = status.mechanism;
        let same = each.iter().filter(|status| status.mechanism == mechanism);
        let (targets, failing) = same.fold((0, 0), |(targets, failing), status| {
            (targets + status.targets as i64, failing + i64::from(status.last_error.is_some()))
        });
        self.metrics.targets.with_label_values(&[self.job.as_str(), mechanism]).set(targets);
        self.metrics.failing.with_label_values(&[self.job.as_str(), mechanism]).set(failing);
    }
}

impl Drop for Statuses {
    fn drop(&mut self) {
        for status in self.each.lock().iter() {
            let labels = [self.job.as_str(), status.mechanism];
            // Not there when nothing was ever counted.
            _ = self.metrics.targets.remove_label_values(&labels);
            _ = self.metrics.failures.remove_label_values(&labels);
            _ = self.metrics.updates.remove_label_values(&labels);
            _ = self.metrics.failing.remove_label_values(&labels);
        }
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
