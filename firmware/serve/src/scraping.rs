//! What handlers may ask of what is scraped. Implemented by the binary.

use bramble_signal::{Labels, MetricMetadata};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Labels as JSON shows them.
pub type LabelMap = BTreeMap<String, String>;

/// A target that is scraped; the field names are Prometheus'.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ActiveTarget {
    /// Labels before relabelling.
    pub discovered_labels: LabelMap,
    /// Labels of its series.
    pub labels: LabelMap,
    /// The job.
    pub scrape_pool: String,
    /// What is asked.
    pub scrape_url: String,
    /// The same as others would reach it.
    pub global_url: String,
    /// Why the last scrape failed; empty when it did not.
    pub last_error: String,
    /// When it began, RFC 3339; Go's zero time before the first.
    pub last_scrape: String,
    /// Its time, in seconds.
    pub last_scrape_duration: f64,
    /// `up`, `down` or `unknown`.
    pub health: &'static str,
    /// As configured.
    pub scrape_interval: String,
    /// As configured.
    pub scrape_timeout: String,
}

/// A target that rules drop.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DroppedTarget {
    /// Labels before relabelling.
    pub discovered_labels: LabelMap,
    /// The job.
    pub scrape_pool: String,
}

/// What is scraped and what is not.
#[derive(Clone, Debug, Default)]
pub struct TargetLists {
    /// Scraped.
    pub active: Vec<ActiveTarget>,
    /// Dropped by rules.
    pub dropped: Vec<DroppedTarget>,
    /// How many each pool drops.
    pub dropped_counts: BTreeMap<String, usize>,
}

/// What one rule makes of labels.
#[derive(Clone, Debug, Serialize)]
pub struct RelabelStep {
    /// The rule's fields, by the names that Prometheus' API has for them.
    pub rule: serde_json::Value,
    /// The labels behind it; none when it drops them.
    pub output: LabelMap,
    /// Whether it keeps them.
    pub keep: bool,
}

/// Asks for the targets that discovery and rules make, and for the configuration behind them.
pub trait Scraping: Send + Sync + 'static {
    /// Names of pools.
    fn pools(&self) -> Vec<String> {
        Vec::new()
    }

    /// Targets; `pool`: active and dropped ones of that pool alone.
    fn targets(&self, pool: Option<&str>) -> TargetLists {
        let _ = pool;
        TargetLists::default()
    }

    /// What targets tell of their metric families, for those whose labels match; `metric`: one family alone; at most
    /// `limit`.
    fn families(
        &self,
        matches: &dyn Fn(&Labels) -> bool,
        metric: Option<&str>,
        limit: usize,
    ) -> Vec<(Labels, Arc<MetricMetadata>)> {
        let _ = (matches, metric, limit);
        Vec::new()
    }

    /// What a pool's rules make of labels, rule by rule.
    ///
    /// # Errors
    /// When there is no such pool.
    fn relabel_steps(&self, pool: &str, labels: LabelMap) -> Result<Vec<RelabelStep>, String> {
        let _ = labels;
        Err(format!("scrape pool {pool:?} not found"))
    }

    /// `prometheus.yml` in force, with secrets hidden; `None` without one.
    fn config_yaml(&self) -> Option<String> {
        None
    }

    /// Labels for who reads from outside, ascending by name.
    fn external_labels(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// Nothing is scraped.
#[derive(Clone, Copy, Default, Debug)]
pub struct NothingScraped;

impl Scraping for NothingScraped {}
