//! The targets of one scrape configuration, kept as discovery finds them.

use super::Shared;
use super::config::ScrapeConfig;
use super::live::{Job, LiveTarget, Stop, Work};
use super::rounds;
use super::target::{self, Origin, Target};
use crate::discovery::{Discovery, MechanismStatus, TargetGroup};
use bramble_client::Client;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Pause between two looks at what discovery found, for mechanisms that tell each small change.
const PAUSE: Duration = Duration::from_millis(500);

/// Dropped targets that are remembered where the configuration sets no limit.
const DROPPED_KEPT_MAX: usize = 10_000;

/// One scrape configuration at work.
pub(super) struct Pool {
    shared: Arc<Shared>,
    inner: Mutex<Inner>,
}

struct Inner {
    job: Arc<Job>,
    discovery: Arc<Discovery>,
    follower: Option<JoinHandle<()>>,
    groups: Arc<Vec<Arc<TargetGroup>>>,
    /// By identity.
    targets: HashMap<u64, Arc<LiveTarget>>,
    dropped: Vec<Origin>,
    dropped_count: usize,
    /// The last target that could not be made, and why.
    problem: Option<String>,
}

/// What is known of a pool, for people.
pub(super) struct PoolView {
    pub(super) job: Arc<Job>,
    pub(super) targets: Vec<Arc<LiveTarget>>,
    pub(super) dropped: Vec<Origin>,
    pub(super) dropped_count: usize,
    pub(super) mechanisms: Vec<MechanismStatus>,
    pub(super) problem: Option<String>,
}

fn open(config: Arc<ScrapeConfig>) -> Result<Arc<Job>, String> {
    let client = Client::new(&config.http).map_err(|error| error.to_string())?;
    Ok(Arc::new(Job { config, client }))
}

impl Pool {
    /// Starts discovery and scraping. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// What is wrong with the configuration's client or discovery.
    pub(super) fn start(config: Arc<ScrapeConfig>, shared: Arc<Shared>) -> Result<Arc<Self>, String> {
        let job = open(config.clone())?;
        let discovery = Arc::new(Discovery::start(&config.job_name, &config.discovery, &shared.discovery)?);
        let inner = Inner {
            job,
            discovery: discovery.clone(),
            follower: None,
            groups: Arc::default(),
            targets: HashMap::new(),
            dropped: Vec::new(),
            dropped_count: 0,
            problem: None,
        };
        let pool = Arc::new(Pool { shared, inner: Mutex::new(inner) });
        pool.follow(&discovery);
        Ok(pool)
    }

    /// Keeps targets as `discovery` finds them.
    fn follow(self: &Arc<Self>, discovery: &Discovery) {
        let (pool, mut groups) = (Arc::downgrade(self), discovery.groups());
        let task = tokio::spawn(async move {
            groups.mark_changed();
            while groups.changed().await.is_ok() {
                let Some(pool) = pool.upgrade() else { return };
                let found = groups.borrow_and_update().clone();
                // Targets of before stay until somebody has answered.
                if !(found.is_empty() && pool.is_waiting()) {
                    pool.sync(Some(found));
                }
                drop(pool);
                tokio::time::sleep(PAUSE).await;
            }
        });
        if let Some(before) = self.inner.lock().follower.replace(task) {
            before.abort();
        }
    }

    /// Whether a mechanism has not answered yet.
    fn is_waiting(&self) -> bool {
        let discovery = self.inner.lock().discovery.clone();
        discovery.status().iter().any(|mechanism| mechanism.last_success_ms.is_none())
    }

    /// The configuration in force.
    pub(super) fn config(&self) -> Arc<ScrapeConfig> {
        self.inner.lock().job.config.clone()
    }

    /// Goes on with another configuration: targets that are in both keep their place and their memory.
    ///
    /// # Errors
    /// As [`start`](Self::start); the old configuration stays in force then.
    pub(super) fn replace(self: &Arc<Self>, config: Arc<ScrapeConfig>) -> Result<(), String> {
        let job = open(config.clone())?;
        let same_discovery = self.config().discovery == config.discovery;
        if !same_discovery {
            let discovery = Arc::new(Discovery::start(&config.job_name, &config.discovery, &self.shared.discovery)?);
            {
                let mut inner = self.inner.lock();
                inner.job = job;
                inner.discovery = discovery.clone();
            }
            // Targets stay until the new mechanisms have answered.
            self.follow(&discovery);
            return Ok(());
        }
        self.inner.lock().job = job;
        self.sync(None);
        Ok(())
    }

    /// Makes targets of what was found, keeps those there are, stops those that are gone.
    fn sync(&self, found: Option<Arc<Vec<Arc<TargetGroup>>>>) {
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        if let Some(found) = found {
            inner.groups = found;
        }
        let job = inner.job.clone();
        let mut made: HashMap<u64, Target> = HashMap::new();
        let kept_max = match job.config.limits.kept_dropped_targets {
            0 => DROPPED_KEPT_MAX,
            limit => usize::try_from(limit).unwrap_or(DROPPED_KEPT_MAX).min(DROPPED_KEPT_MAX),
        };
        (inner.dropped, inner.dropped_count, inner.problem) = (Vec::new(), 0, None);
        for group in inner.groups.iter() {
            for index in 0..group.targets.len() {
                match target::build(&job.config, Origin { group: group.clone(), index }) {
                    Ok(Some(target)) => drop(made.entry(target.identity()).or_insert(target)),
                    Ok(None) => {
                        inner.dropped_count += 1;
                        if inner.dropped.len() < kept_max {
                            inner.dropped.push(Origin { group: group.clone(), index });
                        }
                    }
                    Err(error) => {
                        tracing::error!(job = job.config.job_name, source = group.source, %error, "creating a target failed");
                        inner.problem = Some(error);
                    }
                }
            }
        }
        self.set_targets(inner, made);
    }

    fn set_targets(&self, inner: &mut Inner, made: HashMap<u64, Target>) {
        let limit = inner.job.config.limits.targets;
        let count = made.len();
        let forced_error = (limit > 0 && count as u64 > limit)
            .then(|| format!("target_limit exceeded (number of targets: {count}, limit: {limit})"));
        inner.targets.retain(|identity, live| {
            let stays = made.contains_key(identity);
            if !stays {
                live.stop.send_replace(Stop::Lost);
            }
            stays
        });
        for (identity, target) in made {
            let work = Work { job: inner.job.clone(), target: Arc::new(target), forced_error: forced_error.clone() };
            match inner.targets.get(&identity) {
                Some(live) => live.set_work(work),
                None => {
                    let live = Arc::new(LiveTarget::new(work));
                    tokio::spawn(rounds::run(live.clone(), identity, self.shared.clone()));
                    inner.targets.insert(identity, live);
                }
            }
        }
    }

    /// Stops all targets; `stop` says whether their series end.
    pub(super) fn stop(&self, stop: Stop) {
        let mut inner = self.inner.lock();
        if let Some(follower) = inner.follower.take() {
            follower.abort();
        }
        for (_, live) in inner.targets.drain() {
            live.stop.send_replace(stop);
        }
        (inner.groups, inner.dropped, inner.dropped_count) = (Arc::default(), Vec::new(), 0);
    }

    /// What it does now.
    pub(super) fn view(&self) -> PoolView {
        let inner = self.inner.lock();
        PoolView {
            job: inner.job.clone(),
            targets: inner.targets.values().cloned().collect(),
            dropped: inner.dropped.clone(),
            dropped_count: inner.dropped_count,
            mechanisms: inner.discovery.status(),
            problem: inner.problem.clone(),
        }
    }
}
