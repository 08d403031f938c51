//! From discovered targets to files: rules are applied, and `__path__` says which files a target has.

use super::plan::FileJob;
use crate::discovery::TargetGroup;
use crate::relabel::{LabelPairs, get, relabel, set};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Files of a target.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct TargetFiles {
    /// Glob.
    pub(super) include: String,
    /// Glob of what is left out, or empty.
    pub(super) exclude: String,
    /// Labels of the lines.
    pub(super) labels: BTreeMap<String, String>,
    /// Whether Docker's json-file driver wrote them.
    pub(super) docker: bool,
}

/// Where Docker keeps a container's lines.
const DOCKER_CONTAINERS: &str = "/var/lib/docker/containers";

/// The files of all targets, each once; how many targets have none.
pub(super) fn target_files(job: &FileJob, groups: &[Arc<TargetGroup>], host: &str) -> (Vec<TargetFiles>, usize) {
    let (mut found, mut without) = (Vec::new(), 0);
    for group in job.groups.iter().chain(groups) {
        for target in &group.targets {
            match of_target(job, group, target, host) {
                Some(files) => found.push(files),
                None => without += 1,
            }
        }
    }
    // A container with two ports is two targets of the same files.
    found.sort();
    found.dedup();
    (found, without)
}

fn of_target(job: &FileJob, group: &TargetGroup, target: &LabelPairs, host: &str) -> Option<TargetFiles> {
    let mut labels: LabelPairs = group.labels.clone();
    for (name, value) in target {
        set(&mut labels, name, value);
    }
    if !relabel(&mut labels, &job.relabel) {
        return None;
    }
    // What runs on another node is read there.
    let wanted = get(&labels, "__host__");
    if !wanted.is_empty() && wanted != host {
        return None;
    }
    let (mut include, container) = (get(&labels, "__path__").to_owned(), get(&labels, "__meta_docker_container_id"));
    let docker = include.is_empty() && is_container_id(container);
    if docker {
        include = format!("{DOCKER_CONTAINERS}/{container}/{container}-json.log");
    }
    if include.is_empty() {
        return None;
    }
    let exclude = get(&labels, "__path_exclude__").to_owned();
    let own = labels.iter().filter(|(name, _)| !name.starts_with("__")).cloned();
    let mut kept: BTreeMap<String, String> = own.collect();
    for (name, value) in &job.external_labels {
        kept.entry(name.clone()).or_insert_with(|| value.clone());
    }
    Some(TargetFiles { include, exclude, labels: kept, docker })
}

/// Only what Docker gives out, so that no label leads elsewhere.
fn is_container_id(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}
