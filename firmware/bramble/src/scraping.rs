//! Scraping: from the setting `scrape.config` to who scrapes, and what API handlers may ask of it.

use crate::config::Config;
use crate::machine;
use crate::problems::Found;
use bramble_collect::discovery::DiscoveryMetrics;
use bramble_collect::discovery::monitors::{MonitorOptions, Monitors};
use bramble_collect::relabel::RelabelConfig;
use bramble_collect::sources::scrape::{PrometheusConfig, ScrapedTarget, Scraper, relabel_steps};
use bramble_runtime::{Budget, Clock};
use bramble_serve::{ActiveTarget, DroppedTarget, LabelMap, RelabelStep, TargetLists};
use bramble_signal::{Labels, MetricMetadata};
use bramble_storage::Writer;
use parking_lot::Mutex;
use prometheus::Registry;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch;

/// Go's zero time, which Prometheus shows before the first scrape.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// Who scrapes, and the file that says what. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Scraping {
    scraper: Scraper,
    file: Option<PathBuf>,
    /// Why the file could not be used when it was read last.
    refused: Arc<Mutex<Option<String>>>,
    /// Of a cluster; they are followed as long as somebody holds them.
    monitors: Option<Arc<Monitors>>,
}

/// What `prometheus.yml` asks and Bramble does not do, for `bramble doctor`; nothing without such a file.
///
/// # Errors
/// What is wrong with it, and where.
pub(crate) fn check_file(config: &Config) -> Result<Vec<String>, String> {
    let Some(file) = &config.scrape.config.0 else { return Ok(Vec::new()) };
    PrometheusConfig::read(Path::new(file)).map(|read| read.notes).map_err(|error| error.to_string())
}

/// The cluster's monitors, where the settings want them.
fn open_monitors(config: &Config, discovery: &DiscoveryMetrics) -> Option<Arc<Monitors>> {
    let settings = &config.kubernetes;
    let options = MonitorOptions {
        monitors: settings.monitors,
        annotations: settings.annotations,
        api_server: settings.api_server.0.clone().unwrap_or_default(),
        kubeconfig_file: settings.kubeconfig.0.as_ref().map(PathBuf::from),
    };
    (settings.monitors || settings.annotations).then(|| Arc::new(Monitors::start(options, discovery)))
}

impl Scraping {
    /// Begins to scrape what the file of the setting says; nothing without one. Must be called inside the runtime.
    ///
    /// # Errors
    /// What is wrong with the file, and where.
    pub(crate) fn open(
        config: &Config,
        writer: Arc<dyn Writer>,
        receive: Budget,
        clock: Arc<dyn Clock>,
        discovery: DiscoveryMetrics,
        registry: &Registry,
    ) -> anyhow::Result<Self> {
        let monitors = open_monitors(config, &discovery);
        let scraper = Scraper::new(writer, receive, clock, discovery, &machine::hostname(), registry)?;
        let file = config.scrape.config.0.as_ref().map(PathBuf::from);
        let followed = monitors.as_ref().map(|monitors| monitors.scrape_configs());
        let scraping = Scraping { scraper, file, refused: Arc::default(), monitors };
        scraping.read().map_err(anyhow::Error::msg)?;
        if let Some(entries) = followed {
            tokio::spawn(follow(scraping.scraper.clone(), entries));
        }
        Ok(scraping)
    }

    fn read(&self) -> Result<(), String> {
        let Some(file) = &self.file else { return Ok(()) };
        let config = PrometheusConfig::read(file).map_err(|error| error.to_string())?;
        self.scraper.apply(config)
    }

    /// Reads the file again and goes on with what it says now.
    ///
    /// # Errors
    /// What is wrong with it, and where; what is scraped stays as it is then.
    pub(crate) fn reload(&self) -> Result<(), String> {
        let read = self.read();
        *self.refused.lock() = read.as_ref().err().cloned();
        read.inspect_err(|error| {
            self.scraper.reload_failed();
            tracing::error!(error, "the scrape configuration cannot be used; the old one stays in force");
        })
    }

    /// Stops scraping; series do not end, since somebody goes on later.
    pub(crate) fn stop(&self) {
        self.scraper.stop();
    }

    /// Says which targets, which discovery and which file do not work.
    pub(crate) fn look(&self, found: &mut Found) {
        if let (Some(file), Some(why)) = (&self.file, self.refused.lock().as_ref()) {
            let hint = "correct it and reload; what was in force before stays so";
            found.add("scraping", file.display().to_string(), why, hint);
        }
        for pool in self.scraper.targets(None) {
            found.add_mechanisms(&pool.name, &pool.mechanisms);
            if let Some(why) = &pool.problem {
                found.add("discovery", &pool.name, why, "its other targets are scraped");
            }
            for target in pool.active.iter().filter(|target| !target.status.last_error.is_empty()) {
                let what = format!("{}: {}", pool.name, target.url);
                found.add("scraping", what, &target.status.last_error, "the page #/targets shows all targets");
            }
        }
        if let Some(monitors) = &self.monitors {
            found.add_mechanisms("kubernetes", &monitors.status());
        }
    }

    /// Brings `bramble_scrape_targets` up to date, before metrics are read.
    pub(crate) fn count_targets(&self) {
        self.scraper.count_targets();
    }
}

/// Scrapes what a cluster's monitors ask for, as they change. Ends with them.
async fn follow(scraper: Scraper, mut entries: watch::Receiver<Arc<Vec<Value>>>) {
    entries.mark_changed();
    while entries.changed().await.is_ok() {
        let now = entries.borrow_and_update().clone();
        scraper.set_monitored(&now);
    }
}

fn map_of<N: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> LabelMap {
    pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}

/// A URL as others reach it: a loopback host is this machine by its name.
fn global_url(url: &str) -> String {
    for local in ["://localhost", "://127.0.0.1", "://[::1]"] {
        if let Some((scheme, rest)) = url.split_once(local)
            && (rest.is_empty() || rest.starts_with([':', '/', '?']))
        {
            return format!("{scheme}://{}{rest}", machine::hostname());
        }
    }
    url.to_owned()
}

fn active(pool: &str, target: ScrapedTarget) -> ActiveTarget {
    ActiveTarget {
        discovered_labels: map_of(target.discovered),
        labels: map_of(target.labels.iter()),
        scrape_pool: pool.to_owned(),
        global_url: global_url(&target.url),
        scrape_url: target.url,
        last_error: target.status.last_error,
        last_scrape: target.status.last_scrape_ns.map_or_else(|| NEVER.to_owned(), bramble_serve::rfc3339_of_ns),
        last_scrape_duration: target.status.last_duration_seconds,
        health: target.status.health.as_str(),
        scrape_interval: target.interval,
        scrape_timeout: target.timeout,
    }
}

/// A rule by the names that Prometheus' API has for its fields; empty ones are left out.
fn rule_json(rule: &RelabelConfig) -> Value {
    let rule = rule.rule();
    let mut fields = json!({"separator": rule.separator, "regex": rule.regex, "replacement": rule.replacement, "action": rule.action});
    if let Some(fields) = fields.as_object_mut() {
        if !rule.source_labels.is_empty() {
            fields.insert("sourceLabels".to_owned(), json!(rule.source_labels));
        }
        if rule.modulus > 0 {
            fields.insert("modulus".to_owned(), json!(rule.modulus));
        }
        if !rule.target_label.is_empty() {
            fields.insert("targetLabel".to_owned(), json!(rule.target_label));
        }
    }
    fields
}

impl bramble_serve::Scraping for Scraping {
    fn pools(&self) -> Vec<String> {
        self.scraper.pool_names()
    }

    fn targets(&self, only: Option<&str>) -> TargetLists {
        let mut lists = TargetLists::default();
        for pool in self.scraper.targets(None) {
            lists.dropped_counts.insert(pool.name.clone(), pool.dropped_count);
            if only.is_some_and(|name| name != pool.name) {
                continue;
            }
            lists.active.extend(pool.active.into_iter().map(|target| active(&pool.name, target)));
            lists.dropped.extend(pool.dropped.into_iter().map(|target| DroppedTarget {
                discovered_labels: map_of(target.discovered),
                scrape_pool: pool.name.clone(),
            }));
        }
        lists
    }

    fn families(
        &self,
        matches: &dyn Fn(&Labels) -> bool,
        metric: Option<&str>,
        limit: usize,
    ) -> Vec<(Labels, Arc<MetricMetadata>)> {
        self.scraper.families(matches, metric, limit).into_iter().map(|found| (found.target, found.family)).collect()
    }

    fn relabel_steps(&self, pool: &str, labels: LabelMap) -> Result<Vec<RelabelStep>, String> {
        let job = self.scraper.job(pool).ok_or_else(|| format!("scrape pool {pool:?} not found"))?;
        let mut labels: Vec<(String, String)> = labels.into_iter().collect();
        let steps = relabel_steps(&mut labels, &job.relabel).into_iter();
        Ok(steps
            .map(|(rule, output, keep)| RelabelStep { rule: rule_json(&rule), output: map_of(output), keep })
            .collect())
    }

    fn config_yaml(&self) -> Option<String> {
        self.scraper.config().map(|config| config.shown.clone())
    }

    fn external_labels(&self) -> Vec<(String, String)> {
        let config = self.scraper.config();
        config.map(|config| config.external_labels.clone().into_iter().collect()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_this_machine() {
        let name = machine::hostname();
        assert_eq!(global_url("http://localhost:9100/metrics"), format!("http://{name}:9100/metrics"));
        assert_eq!(global_url("http://127.0.0.1/x"), format!("http://{name}/x"));
        assert_eq!(global_url("http://localhost.lan:1/"), "http://localhost.lan:1/");
        assert_eq!(global_url("https://pi:1/"), "https://pi:1/");
    }
}
