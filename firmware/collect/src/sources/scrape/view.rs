//! What is scraped, for `/targets` and people.

use super::Scraper;
use super::live::ScrapeStatus;
use super::target;
use crate::discovery::MechanismStatus;
use crate::relabel::LabelPairs;
use bramble_signal::{Labels, MetricMetadata};
use std::sync::Arc;

/// A target that is scraped.
#[derive(Clone, Debug)]
pub struct ScrapedTarget {
    /// Labels before relabelling, by name.
    pub discovered: LabelPairs,
    /// Labels of its series.
    pub labels: Labels,
    /// What is asked.
    pub url: String,
    /// As configured: `15s`.
    pub interval: String,
    /// Likewise.
    pub timeout: String,
    /// How the last scrape went.
    pub status: ScrapeStatus,
}

/// A target that rules drop.
#[derive(Clone, Debug)]
pub struct DroppedTarget {
    /// Labels before relabelling, by name.
    pub discovered: LabelPairs,
}

/// A pool: the targets of one scrape configuration.
#[derive(Clone, Debug)]
pub struct PoolTargets {
    /// Name of the job.
    pub name: String,
    /// What is scraped, by URL and labels.
    pub active: Vec<ScrapedTarget>,
    /// What is not; not all of them when there are very many.
    pub dropped: Vec<DroppedTarget>,
    /// How many there are.
    pub dropped_count: usize,
    /// How discovery goes.
    pub mechanisms: Vec<MechanismStatus>,
    /// Why the last target that could not be made could not.
    pub problem: Option<String>,
}

/// What a target says of a metric family.
#[derive(Clone, Debug)]
pub struct TargetFamily {
    /// The target's labels.
    pub target: Labels,
    /// The family.
    pub family: Arc<MetricMetadata>,
}

impl Scraper {
    /// Names of pools, in the order of the file.
    pub fn pool_names(&self) -> Vec<String> {
        self.pools().iter().map(|pool| pool.config().job_name.clone()).collect()
    }

    /// Pools and their targets; `only`: of one pool alone.
    pub fn targets(&self, only: Option<&str>) -> Vec<PoolTargets> {
        let pools = self.pools().into_iter().map(|pool| pool.view());
        pools.filter(|view| only.is_none_or(|name| view.job.config.job_name == name)).map(pool_targets).collect()
    }

    /// Families that targets of matching labels tell of; `metric`: of one name alone.
    pub fn families(&self, matches: &dyn Fn(&Labels) -> bool, metric: Option<&str>, limit: usize) -> Vec<TargetFamily> {
        let mut found = Vec::new();
        for live in self.pools().iter().flat_map(|pool| pool.view().targets) {
            let target = live.work().target;
            if !matches(&target.labels) {
                continue;
            }
            let families = live.families.lock().list();
            for family in families.into_iter().filter(|family| metric.is_none_or(|name| family.name == name)) {
                if found.len() >= limit {
                    return found;
                }
                found.push(TargetFamily { target: target.labels.clone(), family });
            }
        }
        found
    }

    /// Counts targets by how they are, for `bramble_scrape_targets`.
    pub fn count_targets(&self) {
        let (mut up, mut down, mut unknown, mut dropped) = (0, 0, 0, 0);
        for pool in self.pools() {
            let view = pool.view();
            dropped += view.dropped_count as i64;
            for live in view.targets {
                match live.status.lock().health {
                    super::Health::Up => up += 1,
                    super::Health::Down => down += 1,
                    super::Health::Unknown => unknown += 1,
                }
            }
        }
        for (state, count) in [("up", up), ("down", down), ("unknown", unknown), ("dropped", dropped)] {
            self.shared.counters.targets.with_label_values(&[state]).set(count);
        }
    }
}

fn pool_targets(view: super::pool::PoolView) -> PoolTargets {
    let config = &view.job.config;
    let mut active: Vec<ScrapedTarget> = view
        .targets
        .iter()
        .map(|live| {
            let work = live.work();
            ScrapedTarget {
                discovered: target::discovered(config, &work.target.origin),
                labels: work.target.labels.clone(),
                url: work.target.uri.to_string(),
                interval: work.target.interval.to_string(),
                timeout: work.target.timeout.to_string(),
                status: live.status.lock().clone(),
            }
        })
        .collect();
    active.sort_by(|a, b| a.url.cmp(&b.url).then_with(|| a.labels.cmp(&b.labels)));
    let dropped = view.dropped.iter().map(|origin| DroppedTarget { discovered: target::discovered(config, origin) });
    PoolTargets {
        name: config.job_name.clone(),
        dropped: dropped.collect(),
        active,
        dropped_count: view.dropped_count,
        mechanisms: view.mechanisms,
        problem: view.problem,
    }
}
