//! What API handlers may ask of the process.

use crate::commands::config_text;
use crate::config::Config;
use crate::derived::Derived;
use crate::machine;
use crate::problems::Watched;
use crate::reload::Reload;
use crate::scraping::Scraping;
use crate::serving::flags;
use bramble_disk::Disk;
use bramble_ingest::{Maintenance, WritePath};
use bramble_runtime::{Budgets, Clock};
use bramble_serve::{ConfigState, DiskStatus, Door, MemoryStatus, Operations, Problems, Status};
use parking_lot::Mutex;
use prometheus::{Registry, TextEncoder};
use std::sync::Arc;

/// Answers for the whole process.
pub(crate) struct Process {
    pub(crate) scraping: Scraping,
    pub(crate) path: WritePath,
    pub(crate) maintenance: Arc<Maintenance>,
    pub(crate) derived: Option<Derived>,
    pub(crate) registry: Registry,
    pub(crate) budgets: Budgets,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) disk_why: String,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) started_ms: i64,
    pub(crate) reload: Reload,
    pub(crate) quit: tokio::sync::Notify,
    pub(crate) doors: Arc<Mutex<Vec<Door>>>,
    pub(crate) watched: Watched,
}

impl Operations for Process {
    fn status(&self) -> Status {
        // Asks about doors too, and must not while they are locked.
        let problems = self.watched.problems().count();
        Status {
            hostname: machine::hostname(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: ((self.clock.wall_ms() - self.started_ms) / 1000).max(0) as u64,
            ready: self.path.is_ready(),
            partial: !self.path.is_ready(),
            role: "hub",
            disk: DiskStatus { kind: self.disk.kind().as_str().to_owned(), why: self.disk_why.clone() },
            memory: MemoryStatus { cap_bytes: self.budgets.cap_bytes(), rss_bytes: machine::resident_bytes() as usize },
            doors: self.doors.lock().clone(),
            problems,
        }
    }

    fn problems(&self) -> Problems {
        self.watched.problems()
    }

    fn is_ready(&self) -> bool {
        self.path.is_ready()
    }

    fn metrics_text(&self) -> String {
        self.scraping.count_targets();
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }

    fn config_text(&self) -> String {
        config_text(&self.reload.config())
    }

    fn default_config_text(&self) -> String {
        config_text(&Config::default())
    }

    fn log_level(&self) -> String {
        self.reload.log_level()
    }

    fn set_log_level(&self, level: &str) -> Result<(), String> {
        self.reload.set_log_level(level)
    }

    fn flags(&self) -> Vec<(&'static str, String)> {
        flags(&self.reload.config())
    }

    fn config_state(&self) -> ConfigState {
        self.reload.state()
    }

    fn lifecycle_enabled(&self) -> bool {
        self.reload.config().prometheus.enable_lifecycle
    }

    fn reload(&self) -> Result<(), String> {
        self.reload.reload(self.clock.wall_ms())
    }

    fn quit(&self) {
        // Kept for the waiter if it does not wait yet.
        self.quit.notify_one();
    }

    fn replay(&self) -> [u64; 3] {
        // What is replayed is not counted: one step, done or not.
        if self.path.is_ready() { [0, 0, 0] } else { [0, 1, 0] }
    }

    fn force_flush(&self) -> Result<(), String> {
        if let Some(derived) = &self.derived {
            derived.write_now();
        }
        self.maintenance.force_flush().map_err(|e| e.to_string())?;
        machine::return_free_memory();
        Ok(())
    }

    fn force_merge(&self) -> Result<(), String> {
        self.maintenance.force_merge().map_err(|e| e.to_string())?;
        machine::return_free_memory();
        Ok(())
    }
}
