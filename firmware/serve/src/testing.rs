//! What tests of handlers share: a state over stores in memory.

use crate::api::correlate::CorrelationFeed;
use crate::api::loki::LokiLimits;
use crate::api::loki::tail::Tails;
use crate::api::tempo::TempoLimits;
use crate::gate::QueryGate;
use crate::scraping::NothingScraped;
use crate::state::{ApiState, BuildInfo, ConfigState, DiskStatus, Door, MemoryStatus, Operations, Status};
use bramble_query_promql::{Engine, EngineOptions};
use bramble_runtime::{Budget, BudgetName, ManualClock};
use bramble_storage::LogTaps;
use bramble_storage::memory::{MemoryLogs, MemoryMetrics, MemoryTraces};
use std::sync::Arc;
use std::time::Duration;

/// The time of every test's clock.
pub(crate) const NOW_MS: i64 = 1_795_000_000_000;

/// A process in which nothing happens; ready or not.
pub(crate) struct Quiet(pub(crate) bool);

impl Operations for Quiet {
    fn status(&self) -> Status {
        let disk = DiskStatus { kind: String::new(), why: String::new() };
        Status {
            hostname: String::new(),
            version: String::new(),
            uptime_seconds: 0,
            ready: true,
            partial: false,
            role: "hub",
            disk,
            memory: MemoryStatus { cap_bytes: 0, rss_bytes: 0 },
            doors: vec![Door { name: "main".to_owned(), address: "0.0.0.0:3000".to_owned(), state: "open".to_owned() }],
            problems: 0,
        }
    }
    fn is_ready(&self) -> bool {
        self.0
    }
    fn metrics_text(&self) -> String {
        String::new()
    }
    fn config_text(&self) -> String {
        String::new()
    }
    fn default_config_text(&self) -> String {
        String::new()
    }
    fn log_level(&self) -> String {
        "info".to_owned()
    }
    fn set_log_level(&self, level: &str) -> Result<(), String> {
        if level == "debug" { Ok(()) } else { Err(format!("no level {level}")) }
    }
    fn flags(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
    fn config_state(&self) -> ConfigState {
        ConfigState { read_ms: 0, ok: true }
    }
    fn lifecycle_enabled(&self) -> bool {
        false
    }
    fn reload(&self) -> Result<(), String> {
        Ok(())
    }
    fn quit(&self) {}
    fn replay(&self) -> [u64; 3] {
        [0; 3]
    }
    fn force_flush(&self) -> Result<(), String> {
        Ok(())
    }
    fn force_merge(&self) -> Result<(), String> {
        Ok(())
    }
}

/// A state over stores in memory, with a query budget of `budget_bytes`, which queues of tails are counted against too.
pub(crate) fn state(metrics: Arc<MemoryMetrics>, logs: Arc<MemoryLogs>, budget_bytes: usize) -> ApiState {
    let query_budget = Budget::standalone(BudgetName::Query, budget_bytes);
    ApiState {
        metric_admin: None,
        log_admin: None,
        promql: Engine::new(metrics.clone(), EngineOptions::default()),
        metrics,
        logs,
        loki_limits: LokiLimits::default(),
        tempo_limits: TempoLimits::default(),
        tails: Tails::new(Arc::new(LogTaps::new(query_budget.clone())), 10, Duration::from_secs(3600)),
        traces: Arc::new(MemoryTraces::default()),
        correlations: None,
        correlation_feed: CorrelationFeed::new(
            2,
            &Budget::standalone(BudgetName::Correlate, 1 << 20),
            &prometheus::Registry::new(),
        )
        .unwrap(),
        clock: Arc::new(ManualClock::new(NOW_MS * 1_000_000)),
        query_budget,
        query_gate: QueryGate::new(2, &prometheus::Registry::new()).unwrap(),
        query_timeout: Duration::from_secs(60),
        scraping: Arc::new(NothingScraped),
        operations: Arc::new(Quiet(true)),
        build: BuildInfo { version: "", revision: "" },
        started_ms: 0,
    }
}
