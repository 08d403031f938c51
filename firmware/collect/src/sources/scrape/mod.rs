//! Scraping as Prometheus does, with its configuration file.
//!
//! [`PrometheusConfig`] is `prometheus.yml` read; a [`Scraper`] follows it: a pool per scrape configuration, kept as
//! [`discovery`](crate::discovery) finds targets, and a task per target:
//!
//! ```text
//! discovery ─ groups ─ pool ─ targets ─ (wait ─ fetch ─ page ─ report ─ write) per target and interval
//! ```
//!
//! * A page is read whole into memory that is reserved from the budget `receive` as it arrives, limited by
//!   `body_size_limit` and by half of that budget; the reservation then becomes that of the batch.
//! * A page is stored whole or not at all, with the series `up`, `scrape_duration_seconds`, `scrape_samples_scraped`,
//!   `scrape_samples_post_metric_relabeling` and `scrape_series_added`. What a page no longer shows, and everything when a
//!   scrape fails or the target is gone, ends with a staleness marker. When the process stops, nothing ends.
//! * A steady scrape looks each series up by how the page writes it and makes no labels anew.
//! * Reloading keeps targets that stay, with what is remembered of them.

mod cache;
pub mod config;
mod counters;
mod families;
mod fetch;
mod labels;
mod live;
mod page;
mod pool;
mod report;
mod rounds;
mod target;
#[cfg(test)]
mod tests;
mod view;

pub use config::{ConfigError, PrometheusConfig, ScrapeConfig};
pub use live::{Health, ScrapeStatus};
pub use target::relabel_steps;
pub use view::{DroppedTarget, PoolTargets, ScrapedTarget, TargetFamily};

use crate::discovery::DiscoveryMetrics;
use bramble_runtime::{Budget, Clock, Reservation};
use bramble_signal::MetricBatch;
use bramble_signal::hash::xxhash64;
use bramble_storage::{Urgency, Writer};
use counters::Counters;
use families::SharedFamilies;
use live::Stop;
use parking_lot::Mutex;
use pool::Pool;
use prometheus::Registry;
use std::sync::Arc;

/// Memory of what is remembered of targets' series, as a multiple of the budget `receive`. A series takes some 200 bytes:
/// with a cap of 256 MiB, 43 MB are some 200,000 of them.
const SERIES_MEMORY_FACTOR: usize = 4;

/// What all targets share.
struct Shared {
    writer: Arc<dyn Writer>,
    receive: Budget,
    clock: Arc<dyn Clock>,
    counters: Counters,
    discovery: DiscoveryMetrics,
    families: SharedFamilies,
    /// Of this machine: two that scrape the same do so at different times.
    seed: u64,
}

impl Shared {
    fn write(&self, batch: MetricBatch, held: Reservation, urgency: Urgency) {
        let dropped = self.counters.dropped_batches.clone();
        let done = move |result: Result<_, bramble_storage::WriteError>| {
            if let Err(error) = result {
                dropped.with_label_values(&[error.reason()]).inc();
            }
        };
        self.writer.write_metrics(batch, held, urgency, Box::new(done));
    }

    /// What a target may take in all that takes `own_bytes` now.
    fn cache_bytes_left(&self, own_bytes: usize) -> usize {
        let all = usize::try_from(self.counters.memory.get()).unwrap_or(0);
        let max = self.receive.limit_bytes().saturating_mul(SERIES_MEMORY_FACTOR);
        max.saturating_sub(all.saturating_sub(own_bytes))
    }
}

/// What is scraped now.
#[derive(Default)]
struct InForce {
    config: Arc<PrometheusConfig>,
    /// Jobs that the cluster's monitors ask for.
    monitored: Vec<Arc<ScrapeConfig>>,
    pools: Vec<Arc<Pool>>,
    has_file: bool,
}

/// Scrapes as a configuration says. Cheap to clone.
#[derive(Clone)]
pub struct Scraper {
    shared: Arc<Shared>,
    in_force: Arc<Mutex<InForce>>,
}

impl Scraper {
    /// A scraper of nothing. `receive` is the budget of that name; `hostname` tells this machine from others that scrape
    /// the same. Registers `bramble_scrape_*`.
    ///
    /// # Errors
    /// [`prometheus::Error::AlreadyReg`] when called twice with one registry.
    pub fn new(
        writer: Arc<dyn Writer>,
        receive: Budget,
        clock: Arc<dyn Clock>,
        discovery: DiscoveryMetrics,
        hostname: &str,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let counters = Counters::register(registry)?;
        let seed = xxhash64(hostname.as_bytes(), 0);
        let families = SharedFamilies::default();
        let shared = Arc::new(Shared { writer, receive, clock, counters, discovery, families, seed });
        Ok(Scraper { shared, in_force: Arc::default() })
    }

    /// Makes a configuration the one in force: pools of jobs that are new start, those that are gone stop and their series
    /// end, others go on. Must be called inside a tokio runtime. Says in the log what the file asks and is not done.
    ///
    /// # Errors
    /// Why one of the jobs cannot start, with its place in the file; nothing is changed then.
    pub fn apply(&self, config: PrometheusConfig) -> Result<(), String> {
        let mut in_force = self.in_force.lock();
        let jobs: Vec<Arc<ScrapeConfig>> = config.jobs.iter().chain(&in_force.monitored).cloned().collect();
        in_force.pools = self.pools_of(&in_force.pools, &jobs)?;
        for note in &config.notes {
            tracing::warn!(note, "prometheus.yml");
        }
        tracing::info!(jobs = config.jobs.len(), "scrape configuration in force");
        (in_force.config, in_force.has_file) = (Arc::new(config), true);
        self.shared.counters.reload_ok.set(1);
        Ok(())
    }

    /// Scrapes what a cluster's monitors ask for too, beside the file's jobs: each value is an entry of `scrape_configs`.
    /// What cannot be is named in the log and left out. Must be called inside a tokio runtime.
    pub fn set_monitored(&self, entries: &[serde_json::Value]) {
        let mut in_force = self.in_force.lock();
        let file = in_force.config.clone();
        let mut monitored: Vec<Arc<ScrapeConfig>> = Vec::new();
        for entry in entries {
            match file.job_of(entry.clone()) {
                Ok(job) if file.jobs.iter().chain(&monitored).any(|known| known.job_name == job.job_name) => {
                    tracing::warn!(job = job.job_name, "a monitor has the name of another job; it is left out");
                }
                Ok(job) => monitored.push(Arc::new(job)),
                Err(error) => tracing::warn!(%error, "a monitor cannot be scraped"),
            }
        }
        let jobs: Vec<Arc<ScrapeConfig>> = file.jobs.iter().chain(&monitored).cloned().collect();
        match self.pools_of(&in_force.pools, &jobs) {
            Ok(pools) => (in_force.pools, in_force.monitored) = (pools, monitored),
            Err(error) => tracing::warn!(error, "monitors cannot be scraped; those before stay in force"),
        }
    }

    /// Pools of jobs: those there are go on with their new configuration, others start, and what is left over stops.
    fn pools_of(&self, before: &[Arc<Pool>], jobs: &[Arc<ScrapeConfig>]) -> Result<Vec<Arc<Pool>>, String> {
        let of_name = |pools: &[Arc<Pool>], name: &str| pools.iter().find(|p| p.config().job_name == name).cloned();
        let mut pools = Vec::with_capacity(jobs.len());
        let mut started: Vec<Arc<Pool>> = Vec::new();
        let mut replaced = Vec::new();
        for job in jobs {
            let place = |error: String| format!("{}:{}: {error}", job.file, job.line);
            match of_name(before, &job.job_name) {
                Some(pool) => {
                    replaced.push((pool.clone(), job.clone()));
                    pools.push(pool);
                }
                None => match Pool::start(job.clone(), self.shared.clone()) {
                    Ok(pool) => {
                        started.push(pool.clone());
                        pools.push(pool);
                    }
                    Err(error) => {
                        started.iter().for_each(|pool| pool.stop(Stop::Shutdown));
                        return Err(place(error));
                    }
                },
            }
        }
        for (pool, job) in replaced {
            if *pool.config() != *job
                && let Err(error) = pool.replace(job.clone())
            {
                tracing::error!(job = job.job_name, %error, "the job's old configuration stays in force");
            }
        }
        for gone in before {
            if !pools.iter().any(|pool| Arc::ptr_eq(pool, gone)) {
                gone.stop(Stop::Lost);
            }
        }
        Ok(pools)
    }

    /// Counts that the file could not be read again: what is in force stays so.
    pub fn reload_failed(&self) {
        self.shared.counters.reload_ok.set(0);
    }

    /// Stops scraping; nothing ends, since somebody goes on later. Scrapes that are under way are given up.
    pub fn stop(&self) {
        self.in_force.lock().pools.drain(..).for_each(|pool| pool.stop(Stop::Shutdown));
    }

    /// The configuration in force; `None` before the first [`apply`](Self::apply).
    pub fn config(&self) -> Option<Arc<PrometheusConfig>> {
        let in_force = self.in_force.lock();
        in_force.has_file.then(|| in_force.config.clone())
    }

    /// A job that is scraped, of the file or of a monitor.
    pub fn job(&self, name: &str) -> Option<Arc<ScrapeConfig>> {
        self.pools().iter().map(|pool| pool.config()).find(|job| job.job_name == name)
    }

    fn pools(&self) -> Vec<Arc<Pool>> {
        self.in_force.lock().pools.clone()
    }
}
