//! One life of the process: everything between power on and power off.

use crate::counter::Counter;
use crate::deletions::{CANCEL_PERIOD_MS, read_query};
use crate::files::SimulatedFiles;
use crate::joined::{Joining, correlator_options};
use bramble_catalog::Place;
use bramble_correlate::Correlator;
use bramble_disk::journal::JournalOptions;
use bramble_disk::{Disk, PageCache, SimulatedDisk};
use bramble_ingest::{
    Admin, IngestOptions, LogDeletions, Maintenance, Observing, OpenError, Rebuilt, RecoverySummary, RetentionOptions,
    Stores, WritePath,
};
use bramble_runtime::{Budget, BudgetName, Budgets, ManualClock};
use bramble_store_logs::{LogBudgets, LogLimits, LogStore};
use bramble_store_metrics::{MetricBudgets, MetricLimits, MetricStore};
use bramble_store_traces::{TraceBudgets, TraceLimits, TraceStore};
use std::sync::Arc;

/// What outlives the process: the card, and settings.
pub(crate) struct Hardware {
    pub(crate) disk: Arc<SimulatedDisk>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) options: IngestOptions,
    pub(crate) memory_bytes: usize,
    /// Whether something is derived from spans.
    pub(crate) observed: bool,
    /// Whether traces are correlated, and how well.
    pub(crate) joining: Option<Joining>,
}

/// Settings with which laps of the ring, flushes and merges come often.
pub(crate) fn options(extent_bytes: u32, extents_max: u32) -> IngestOptions {
    IngestOptions {
        journal: JournalOptions { extent_bytes, extents_min: 2, extents_max },
        merge_target_bytes: 64 << 10,
        merge_quiet_ns: 60_000_000_000,
        // Nothing is removed by age or for room: what is missing was lost. Rollups would be kept longer, so that they
        // are written.
        retention: RetentionOptions {
            days: [100_000, 100_000, 100_001],
            limits: Vec::new(),
            total_bytes: None,
            reserve_bytes: 0,
        },
        ..IngestOptions::default()
    }
}

/// The process, running.
pub(crate) struct Machine {
    pub(crate) metrics: Arc<MetricStore>,
    pub(crate) logs: Arc<LogStore>,
    pub(crate) traces: Arc<TraceStore>,
    pub(crate) path: WritePath,
    pub(crate) maintenance: Arc<Maintenance>,
    pub(crate) admin: Admin,
    pub(crate) log_deletions: LogDeletions,
    pub(crate) receive: Budget,
    pub(crate) counter: Option<Arc<Counter>>,
    pub(crate) correlator: Option<Arc<Correlator>>,
    pub(crate) rebuilt: Rebuilt,
    pub(crate) recovered: RecoverySummary,
}

impl Machine {
    /// Starts the process: opens the catalog and the blocks, replays the journal.
    pub(crate) fn boot(hardware: &Hardware) -> Result<Machine, OpenError> {
        let Hardware { clock, options, .. } = hardware;
        let budgets = Budgets::new(hardware.memory_bytes);
        let get = |name| budgets.get(name);
        let disk: Arc<dyn Disk> = hardware.disk.clone();
        let cache = Arc::new(PageCache::new(get(BudgetName::PageCache)));
        let registry = prometheus::Registry::new();
        let (merge, index) = (get(BudgetName::Merge), get(BudgetName::BlockIndex));
        let of_metrics =
            MetricBudgets { head: get(BudgetName::MetricHead), merge: merge.clone(), index: index.clone() };
        let of_logs = LogBudgets { head: get(BudgetName::LogHead), merge: merge.clone(), index: index.clone() };
        let of_traces = TraceBudgets { head: get(BudgetName::TraceHead), merge, index };
        let (d, c, k) = (|| disk.clone(), || cache.clone(), || clock.clone());
        let metrics = Arc::new(MetricStore::new(d(), c(), k(), of_metrics, MetricLimits::default(), &registry));
        let logs = LogStore::new(d(), c(), k(), of_logs, LogLimits::default(), &registry);
        let logs = Arc::new(logs.map_err(|e| bramble_storage::StoreError::Disk(e.to_string()))?);
        let traces = Arc::new(TraceStore::new(d(), c(), k(), of_traces, TraceLimits::default(), &registry));
        let place = Place::Files(Arc::new(SimulatedFiles(hardware.disk.clone())));
        let stores = Stores::new(metrics.clone(), logs.clone(), traces.clone());
        let (path, rebuilt) =
            WritePath::open(&place, d(), stores, k(), Arc::new(|| true), &budgets, options.clone(), &registry)?;
        let maintenance = Arc::new(Maintenance::new(path.clone()));
        let admin = Admin::open(maintenance.clone(), metrics.clone(), place)?;
        let log_deletions = admin.log_deletions(logs.clone(), Arc::new(read_query), CANCEL_PERIOD_MS)?;
        let counter = hardware.observed.then(|| Arc::new(Counter::new(metrics.clone())));
        if let Some(counter) = &counter {
            path.set_observer(Observing::Derived, counter.clone());
        }
        let correlator = hardware.joining.map(|_| {
            let (budget, source) = (get(BudgetName::Correlate), logs.clone());
            Arc::new(Correlator::new(correlator_options(), k(), &budget, &registry, source).unwrap())
        });
        if let (Some(correlator), Some(joining)) = (&correlator, hardware.joining) {
            path.set_observer(Observing::Correlator, joining.observer(correlator.clone()));
        }
        let recovered = path.recover()?;
        let receive = get(BudgetName::Receive);
        Ok(Machine {
            metrics,
            logs,
            traces,
            path,
            maintenance,
            admin,
            log_deletions,
            receive,
            counter,
            correlator,
            rebuilt,
            recovered,
        })
    }
}
