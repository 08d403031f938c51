//! What the write path shows on `/metrics`.

use bramble_signal::Signal;
use bramble_storage::{RejectReason, Rejections, WriteError};
use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// All counters and gauges of the write path.
pub(crate) struct IngestMetrics {
    pub(crate) items: IntCounterVec,
    rejected: IntCounterVec,
    refused: IntCounterVec,
    pub(crate) commits: IntCounter,
    pub(crate) commit_records: IntCounter,
    pub(crate) commit_failures: IntCounter,
    pub(crate) commit_seconds: Histogram,
    pub(crate) queue_batches: IntGauge,
    pub(crate) own_dropped: IntCounter,
    pub(crate) tap_dropped: IntCounter,
    pub(crate) replayed_items: IntCounter,
    pub(crate) replay_damage: IntCounter,
    pub(crate) flushes: IntCounterVec,
    pub(crate) flush_failures: IntCounterVec,
    pub(crate) flush_seconds: Histogram,
    pub(crate) merges: IntCounterVec,
    pub(crate) merge_failures: IntCounterVec,
    pub(crate) merge_seconds: Histogram,
    pub(crate) rollups: IntCounter,
    pub(crate) rollup_failures: IntCounter,
    pub(crate) rollup_seconds: Histogram,
    pub(crate) blocks: IntGaugeVec,
    pub(crate) storage_bytes: IntGaugeVec,
    pub(crate) kind_bytes: IntGaugeVec,
    pub(crate) budget_bytes: IntGauge,
    pub(crate) reserve_bytes: IntGauge,
    pub(crate) available_bytes: IntGauge,
    pub(crate) full_seconds: Gauge,
    pub(crate) expired_blocks: IntCounterVec,
    pub(crate) damaged_blocks: IntCounter,
    pub(crate) repeated_deliveries: IntCounter,
    pub(crate) journal_used_ratio: Gauge,
    pub(crate) journal_extents: IntGauge,
    pub(crate) time_synchronised: IntGauge,
    pub(crate) ready: IntGauge,
}

fn counter(registry: &Registry, name: &str, help: &str) -> IntCounter {
    let metric = IntCounter::new(name, help).unwrap_or_else(|e| unreachable!("{name}: {e}"));
    let _ = registry.register(Box::new(metric.clone()));
    metric
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    let metric = IntCounterVec::new(Opts::new(name, help), labels).unwrap_or_else(|e| unreachable!("{name}: {e}"));
    let _ = registry.register(Box::new(metric.clone()));
    metric
}

fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    let metric = IntGauge::new(name, help).unwrap_or_else(|e| unreachable!("{name}: {e}"));
    let _ = registry.register(Box::new(metric.clone()));
    metric
}

fn real_gauge(registry: &Registry, name: &str, help: &str) -> Gauge {
    let metric = Gauge::new(name, help).unwrap_or_else(|e| unreachable!("{name}: {e}"));
    let _ = registry.register(Box::new(metric.clone()));
    metric
}

fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    let metric = IntGaugeVec::new(Opts::new(name, help), labels).unwrap_or_else(|e| unreachable!("{name}: {e}"));
    let _ = registry.register(Box::new(metric.clone()));
    metric
}

fn histogram(registry: &Registry, name: &str, help: &str) -> Histogram {
    let buckets = vec![0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
    let metric = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))
        .unwrap_or_else(|e| unreachable!("{name}: {e}"));
    let _ = registry.register(Box::new(metric.clone()));
    metric
}

impl IngestMetrics {
    pub(crate) fn new(r: &Registry) -> Self {
        let metrics = IngestMetrics {
            items: counters(r, "bramble_ingest_items_total", "Samples, log entries and spans stored.", &["signal"]),
            rejected: counters(r, "bramble_ingest_rejected_total", "Items refused for good.", &["signal", "reason"]),
            refused: counters(
                r,
                "bramble_ingest_refused_total",
                "Batches told to come back later.",
                &["signal", "reason"],
            ),
            commits: counter(r, "bramble_journal_commits_total", "Group commits."),
            commit_records: counter(r, "bramble_journal_records_total", "Records committed."),
            commit_failures: counter(r, "bramble_journal_commit_failures_total", "Group commits that failed."),
            commit_seconds: histogram(
                r,
                "bramble_journal_commit_seconds",
                "Time of a group commit, encoding and sync.",
            ),
            queue_batches: gauge(r, "bramble_ingest_queue_batches", "Batches waiting for a commit."),
            own_dropped: counter(
                r,
                "bramble_ingest_own_telemetry_dropped_total",
                "Own telemetry batches dropped because no commit came.",
            ),
            tap_dropped: counter(r, "bramble_tap_dropped_total", "Log entries that a live tail was too slow for."),
            replayed_items: counter(r, "bramble_journal_replayed_items_total", "Items replayed at start."),
            replay_damage: counter(r, "bramble_journal_damage_total", "Damaged places found in the journal."),
            flushes: counters(r, "bramble_flush_total", "Heads written as blocks.", &["signal"]),
            flush_failures: counters(
                r,
                "bramble_flush_failures_total",
                "Flushes that failed and will be tried again.",
                &["signal"],
            ),
            flush_seconds: histogram(r, "bramble_flush_seconds", "Time of a flush."),
            merges: counters(r, "bramble_merge_total", "Days merged.", &["signal"]),
            merge_failures: counters(
                r,
                "bramble_merge_failures_total",
                "Merges that failed or were stopped.",
                &["signal"],
            ),
            merge_seconds: histogram(r, "bramble_merge_seconds", "Time of a merge."),
            rollups: counter(r, "bramble_rollup_total", "Days of metrics rolled up."),
            rollup_failures: counter(r, "bramble_rollup_failures_total", "Rollups that failed or were stopped."),
            rollup_seconds: histogram(r, "bramble_rollup_seconds", "Time of a day's rollup."),
            blocks: gauges(r, "bramble_storage_blocks", "Blocks on disk.", &["signal", "tier"]),
            storage_bytes: gauges(r, "bramble_storage_bytes", "Bytes of blocks on disk.", &["signal", "tier"]),
            kind_bytes: gauges(r, "bramble_storage_kind_bytes", "Bytes on disk by what they are.", &["kind"]),
            budget_bytes: gauge(r, "bramble_storage_budget_bytes", "Bytes that everything together may take."),
            reserve_bytes: gauge(
                r,
                "bramble_storage_reserve_bytes",
                "Free bytes of the file system that are never used.",
            ),
            available_bytes: gauge(r, "bramble_storage_available_bytes", "Free bytes of the file system."),
            full_seconds: real_gauge(
                r,
                "bramble_storage_full_seconds",
                "Forecast: seconds until retention by bytes begins; +Inf when it will not.",
            ),
            expired_blocks: counters(
                r,
                "bramble_storage_expired_blocks_total",
                "Blocks removed by retention.",
                &["signal", "tier", "reason"],
            ),
            damaged_blocks: counter(
                r,
                "bramble_storage_damaged_blocks_total",
                "Blocks set aside because they are damaged.",
            ),
            repeated_deliveries: counter(
                r,
                "bramble_ingest_repeated_deliveries_total",
                "Deliveries of nodes and own sources that were durable already and were dropped.",
            ),
            journal_used_ratio: real_gauge(
                r,
                "bramble_journal_used_ratio",
                "Part of the journal ring that is still needed.",
            ),
            journal_extents: gauge(r, "bramble_journal_extents", "Extents of the journal ring."),
            time_synchronised: gauge(r, "bramble_time_synchronised", "1 when wall time is trusted for retention."),
            ready: gauge(r, "bramble_ready", "1 when recovery has ended."),
        };
        for signal in Signal::ALL {
            metrics.items.with_label_values(&[signal.as_str()]);
            for reason in RejectReason::ALL {
                metrics.rejected.with_label_values(&[signal.as_str(), reason.as_str()]);
            }
        }
        metrics
    }

    pub(crate) fn count_rejections(&self, signal: Signal, rejections: &Rejections) {
        for (reason, count) in rejections.by_reason() {
            self.rejected.with_label_values(&[signal.as_str(), reason.as_str()]).inc_by(*count);
        }
    }

    pub(crate) fn count_refusal(&self, signal: Signal, error: &WriteError) {
        self.refused.with_label_values(&[signal.as_str(), error.reason()]).inc();
    }
}
