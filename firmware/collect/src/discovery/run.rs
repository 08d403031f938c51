//! Running mechanisms.

use super::config::DiscoveryConfig;
use super::group::{Board, Groups};
use super::poll::Sink;
use super::status::{DiscoveryMetrics, MechanismStatus, Statuses};
use super::{dns, docker, file, group::TargetGroup, http, kubernetes};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The mechanisms of one job, at work until this is dropped.
#[derive(Debug)]
pub struct Discovery {
    board: Arc<Board>,
    statuses: Arc<Statuses>,
    _tasks: JoinSet<()>,
}

impl Discovery {
    /// Starts one task per mechanism of `config`. Must be called inside a tokio runtime. What is static is there at
    /// once; everything else comes as it is found.
    ///
    /// # Errors
    /// What [`DiscoveryConfig::validate`] refuses, and HTTP settings that cannot be.
    pub fn start(job: &str, config: &DiscoveryConfig, metrics: &DiscoveryMetrics) -> Result<Discovery, String> {
        config.validate()?;
        let each = describe(config);
        let board = Arc::new(Board::new(each.len()));
        let statuses = Statuses::new(job, metrics, each);
        let sink = |slot| Sink { board: Arc::clone(&board), statuses: Arc::clone(&statuses), slot };
        let mut work: Vec<Work> = Vec::new();
        let mut slots = 0..;
        let mut next = || sink(slots.next().unwrap_or_default());
        if !config.static_configs.is_empty() {
            next().replace(static_groups(config));
        }
        for each in &config.file_sd_configs {
            work.push(Box::pin(file::run(each.clone(), next())));
        }
        for each in &config.http_sd_configs {
            work.push(Box::pin(http::Asker::new(each)?.run(next())));
        }
        for each in &config.dns_sd_configs {
            work.push(Box::pin(dns::run(each.clone(), next())));
        }
        for each in &config.docker_sd_configs {
            work.push(Box::pin(docker::Engine::new(each)?.run(next())));
        }
        for each in &config.kubernetes_sd_configs {
            work.push(Box::pin(kubernetes::run(each.clone(), next())));
        }
        let mut tasks = JoinSet::new();
        for each in work {
            tasks.spawn(each);
        }
        Ok(Discovery { board, statuses, _tasks: tasks })
    }

    /// All groups known now, and notice of changes.
    pub fn groups(&self) -> watch::Receiver<Groups> {
        self.board.subscribe()
    }

    /// How the mechanisms do, in the order of the configuration.
    pub fn status(&self) -> Vec<MechanismStatus> {
        self.statuses.all()
    }
}

/// One status per slot, in the order in which slots are given.
fn describe(config: &DiscoveryConfig) -> Vec<MechanismStatus> {
    let status = |mechanism, detail: String| MechanismStatus { mechanism, detail, ..MechanismStatus::default() };
    let mut each = Vec::new();
    if !config.static_configs.is_empty() {
        each.push(status("static", String::new()));
    }
    each.extend(config.file_sd_configs.iter().map(|one| status("file", one.files.join(", "))));
    each.extend(config.http_sd_configs.iter().map(|one| status("http", one.url.clone())));
    each.extend(config.dns_sd_configs.iter().map(|one| status("dns", one.names.join(", "))));
    each.extend(config.docker_sd_configs.iter().map(|one| status("docker", one.host.clone())));
    each.extend(config.kubernetes_sd_configs.iter().map(|one| status("kubernetes", one.describe())));
    each
}

fn static_groups(config: &DiscoveryConfig) -> Vec<TargetGroup> {
    let group = |(index, one): (usize, &super::StaticConfig)| one.group(index.to_string(), None);
    config.static_configs.iter().enumerate().map(group).collect()
}
