//! What handlers share.

use crate::api::correlate::CorrelationFeed;
use crate::api::loki::LokiLimits;
use crate::api::loki::tail::Tails;
use crate::api::tempo::TempoLimits;
use crate::gate::QueryGate;
use crate::problem::Problems;
use crate::scraping::Scraping;
use bramble_correlate::CorrelationSource;
use bramble_query_promql::Engine;
use bramble_runtime::{Budget, Clock};
use bramble_storage::{LogAdmin, LogSource, MetricAdmin, MetricSource, TraceSource};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// What this program is.
#[derive(Clone, Debug)]
pub struct BuildInfo {
    /// Version of Bramble.
    pub version: &'static str,
    /// Commit, if known.
    pub revision: &'static str,
}

/// A port, for the status page.
#[derive(Clone, Debug, Serialize)]
pub struct Door {
    /// What it speaks.
    pub name: String,
    /// Address and port; empty when off.
    pub address: String,
    /// "open", "off" or why it is closed.
    pub state: String,
}

/// The state of the process, for the status page. The field names are the UI's.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Name of the machine.
    pub hostname: String,
    /// Version of Bramble.
    pub version: String,
    /// Seconds since start.
    pub uptime_seconds: u64,
    /// Whether recovery has ended.
    pub ready: bool,
    /// Whether answers may miss data that is still being recovered.
    pub partial: bool,
    /// "hub" or "node".
    pub role: &'static str,
    /// How files are written, and why.
    pub disk: DiskStatus,
    /// Memory.
    pub memory: MemoryStatus,
    /// Ports.
    pub doors: Vec<Door>,
    /// Things that do not work at present.
    pub problems: usize,
}

/// How files are written.
#[derive(Clone, Debug, Serialize)]
pub struct DiskStatus {
    /// Implementation.
    pub kind: String,
    /// Why this one.
    pub why: String,
}

/// Memory.
#[derive(Clone, Debug, Serialize)]
pub struct MemoryStatus {
    /// The cap.
    pub cap_bytes: usize,
    /// Resident set.
    pub rss_bytes: usize,
}

/// What became of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct ConfigState {
    /// When it was read successfully, milliseconds since the epoch.
    pub read_ms: i64,
    /// Whether the newest attempt succeeded.
    pub ok: bool,
}

/// What handlers may ask of the rest of the process. Implemented by the binary.
pub trait Operations: Send + Sync + 'static {
    /// State of the process.
    fn status(&self) -> Status;
    /// What does not work at present.
    fn problems(&self) -> Problems {
        Problems::default()
    }
    /// Whether recovery has ended.
    fn is_ready(&self) -> bool;
    /// Text of `/metrics`.
    fn metrics_text(&self) -> String;
    /// Effective configuration, as TOML.
    fn config_text(&self) -> String;
    /// All settings with their defaults, likewise.
    fn default_config_text(&self) -> String;
    /// The least severe level that is logged.
    fn log_level(&self) -> String;
    /// Logs from another level on, until the configuration is read again.
    ///
    /// # Errors
    /// When there is no such level.
    fn set_log_level(&self, level: &str) -> Result<(), String>;
    /// Settings that Prometheus has as command line flags, by their names there, and their values.
    fn flags(&self) -> Vec<(&'static str, String)>;
    /// What became of the configuration: when it was read last and whether that succeeded.
    fn config_state(&self) -> ConfigState;
    /// Whether [`reload`](Self::reload) and [`quit`](Self::quit) may be asked for over HTTP.
    fn lifecycle_enabled(&self) -> bool;
    /// Reads the configuration again and applies what can be applied to a running process.
    ///
    /// # Errors
    /// What is wrong with it; nothing is changed then.
    fn reload(&self) -> Result<(), String>;
    /// Begins to stop the process.
    fn quit(&self);
    /// Where recovery is: first, last and current place. All equal when it has ended.
    fn replay(&self) -> [u64; 3];
    /// Writes all heads as blocks; blocks until done.
    ///
    /// # Errors
    /// What went wrong.
    fn force_flush(&self) -> Result<(), String>;
    /// Merges all partitions; blocks until done.
    ///
    /// # Errors
    /// What went wrong.
    fn force_merge(&self) -> Result<(), String>;
}

/// What handlers share. Cheap to clone behind its `Arc`.
pub struct ApiState {
    /// What an administrator may do to metrics; absent unless enabled.
    pub metric_admin: Option<Arc<dyn MetricAdmin>>,
    /// What an administrator may do to logs; absent unless enabled.
    pub log_admin: Option<Arc<dyn LogAdmin>>,
    /// Metrics to read.
    pub metrics: Arc<dyn MetricSource>,
    /// Logs to read.
    pub logs: Arc<dyn LogSource>,
    /// Limits of Loki's API.
    pub loki_limits: LokiLimits,
    /// Live tails of logs.
    pub tails: Tails,
    /// Limits of Tempo's API.
    pub tempo_limits: TempoLimits,
    /// Traces to read.
    pub traces: Arc<dyn TraceSource>,
    /// Correlations to read; absent when nothing is correlated.
    pub correlations: Option<Arc<dyn CorrelationSource>>,
    /// New correlations, for who listens.
    pub correlation_feed: CorrelationFeed,
    /// The PromQL engine over `metrics`.
    pub promql: Engine,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Memory of queries.
    pub query_budget: Budget,
    /// Whose query runs when.
    pub query_gate: QueryGate,
    /// Default and longest time of one query.
    pub query_timeout: Duration,
    /// What is scraped.
    pub scraping: Arc<dyn Scraping>,
    /// The rest of the process.
    pub operations: Arc<dyn Operations>,
    /// What this program is.
    pub build: BuildInfo,
    /// When it started, milliseconds since the epoch.
    pub started_ms: i64,
}
