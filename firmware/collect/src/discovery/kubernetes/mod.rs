//! Objects of a Kubernetes cluster as targets, by its plain API.
//!
//! [`Api`] knows where the cluster is and who we are (service account, `kubeconfig`, or plain settings); `watch` keeps
//! lists of objects current; `world` holds what is known of them; `roles` makes groups of it, with Prometheus' labels.
//! Objects are decoded field by field as far as labels need them, and lists are read in pages: memory is a few KiB per
//! object that the role needs, whatever else objects carry.

mod api;
mod endpoints;
mod endpointslice;
mod ingress;
mod kubeconfig;
mod labels;
mod meta;
pub mod monitors;
mod objects;
mod pod;
#[cfg(test)]
mod tests;
mod watch;
mod world;

pub use api::{Api, ApiError};
pub(crate) use objects::{Metadata, Object};
pub(crate) use watch::{Change, Resource, follow};

use super::config::{KubernetesRole, KubernetesSdConfig};
use super::poll::{Backoff, Sink};
use objects::{EndpointSlice, Endpoints, Ingress, Namespace, Node, Pod, Service};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use world::{Kept, Update, World};

/// Changes that come within this become one publication.
const GATHER: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(60);
const UPDATES_WAITING_MAX: usize = 64;

pub(super) async fn run(config: KubernetesSdConfig, sink: Sink) {
    let mut backoff = Backoff::new(RETRY_MAX);
    let (api, namespaces) = loop {
        // Files that are not there yet may come: a token is mounted late, a kubeconfig is written by k3s at its start.
        match Api::new(&config).and_then(|api| scope(&config, &api).map(|namespaces| (api, namespaces))) {
            Ok(found) => break found,
            Err(error) => sink.failed(&error),
        }
        tokio::time::sleep(backoff.wait()).await;
    };
    let (send, mut receive) = mpsc::channel(UPDATES_WAITING_MAX);
    let mut world = World::new(config.role, config.attach_metadata);
    let mut followers = Followers { api, config: &config, send, tasks: JoinSet::new() };
    for namespace in &namespaces {
        match config.role {
            KubernetesRole::Node => {}
            KubernetesRole::Pod => followers.follow::<Pod>(&mut world, namespace),
            KubernetesRole::Service => followers.follow::<Service>(&mut world, namespace),
            KubernetesRole::Ingress => followers.follow::<Ingress>(&mut world, namespace),
            KubernetesRole::Endpoints => followers.follow::<Endpoints>(&mut world, namespace),
            KubernetesRole::EndpointSlice => followers.follow::<EndpointSlice>(&mut world, namespace),
        }
        if matches!(config.role, KubernetesRole::Endpoints | KubernetesRole::EndpointSlice) {
            followers.follow::<Service>(&mut world, namespace);
            followers.follow::<Pod>(&mut world, namespace);
        }
    }
    if config.role == KubernetesRole::Node || (config.attach_metadata.node && config.role.has_nodes()) {
        followers.follow::<Node>(&mut world, "");
    }
    if config.attach_metadata.namespace && config.role != KubernetesRole::Node {
        followers.follow::<Namespace>(&mut world, "");
    }
    // Followers live as long as this future: when it is dropped, they stop.
    let _tasks = followers.tasks;
    while let Some(update) = receive.recv().await {
        update(&mut world);
        let gathered = tokio::time::Instant::now() + GATHER;
        while let Ok(Some(update)) = tokio::time::timeout_at(gathered, receive.recv()).await {
            update(&mut world);
        }
        publish(&mut world, &sink);
    }
}

fn publish(world: &mut World, sink: &Sink) {
    let error = world.error();
    if !world.is_ready() {
        if let Some(error) = error.filter(|_| world.take_new_failures()) {
            sink.failed(&error);
        }
        return;
    }
    let groups = world.groups();
    match error {
        None => sink.replace(groups),
        Some(error) if world.take_new_failures() => sink.replace_partly(groups, &error),
        Some(_) => _ = sink.board.replace(sink.slot, groups),
    }
}

/// Where to look: names, or one empty name for everywhere.
fn scope(config: &KubernetesSdConfig, api: &Api) -> Result<Vec<String>, String> {
    let mut names = config.namespaces.names.clone();
    if config.namespaces.own_namespace {
        let own = api.own_namespace().ok_or("could not determine the pod's own namespace")?;
        names.push(own.to_owned());
    }
    names.sort();
    names.dedup();
    if names.is_empty() {
        names.push(String::new());
    }
    Ok(names)
}

impl KubernetesRole {
    fn has_nodes(self) -> bool {
        matches!(self, KubernetesRole::Pod | KubernetesRole::Endpoints | KubernetesRole::EndpointSlice)
    }
}

/// Starts the tasks that read lists.
struct Followers<'a> {
    api: Api,
    config: &'a KubernetesSdConfig,
    send: mpsc::Sender<Update>,
    tasks: JoinSet<()>,
}

impl Followers<'_> {
    fn follow<T: Kept>(&mut self, world: &mut World, namespace: &str) {
        let scope = T::store(world).open();
        let mut resource = Resource::new(T::GROUP, namespace, T::NAME);
        if let Some(selector) = self.config.selectors.iter().find(|selector| Some(selector.role) == T::ROLE) {
            resource.label_selector.clone_from(&selector.label);
            resource.field_selector.clone_from(&selector.field);
        }
        let wrap = move |change: Change<T>| -> Update { Box::new(move |world| world.apply(scope, change)) };
        self.tasks.spawn(follow(self.api.clone(), resource, self.send.clone(), wrap));
    }
}
