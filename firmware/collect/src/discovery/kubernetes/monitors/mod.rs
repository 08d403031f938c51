//! Scrape configurations that a cluster itself asks for: ServiceMonitor and PodMonitor objects
//! (`monitoring.coreos.com/v1`), and the `prometheus.io/…` annotations.
//!
//! [`Monitors`] follows the objects and publishes one scrape configuration per endpoint of each, in the form of an entry
//! of `scrape_configs` in `prometheus.yml`, with the relabelling rules that the prometheus operator makes for it. Secrets
//! and ConfigMaps that an object names are read from the cluster and put in their place; an object whose secret cannot
//! be read is left out and said in [`Monitors::status`].

mod annotations;
mod objects;
mod rules;
mod secrets;
#[cfg(test)]
mod tests;
mod translate;

use super::api::Api;
use super::watch::{Change, Resource, follow};
use crate::discovery::group::Board;
use crate::discovery::poll::{Backoff, Sink};
use crate::discovery::status::{DiscoveryMetrics, MechanismStatus, Statuses};
use objects::{PodMonitor, ServiceMonitor};
use secrets::Secrets;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

const GROUP: &str = "/apis/monitoring.coreos.com/v1";
const RETRY_MAX: Duration = Duration::from_secs(60);
/// Changes that come within this become one publication.
const GATHER: Duration = Duration::from_millis(500);
/// Secrets are read again this often, since they are not watched.
const SECRETS_INTERVAL: Duration = Duration::from_secs(300);

/// What a cluster may ask for, and where it is.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct MonitorOptions {
    /// Whether ServiceMonitor and PodMonitor objects are followed.
    pub monitors: bool,
    /// Whether pods and services annotated with `prometheus.io/scrape: "true"` are scraped.
    pub annotations: bool,
    /// The API's address; empty inside a pod.
    pub api_server: String,
    /// How to reach the cluster from outside, as `/etc/rancher/k3s/k3s.yaml` on a k3s server.
    pub kubeconfig_file: Option<PathBuf>,
}

/// Published configurations: each an entry of `scrape_configs`, with a `job_name` of its own.
pub type GeneratedConfigs = Arc<Vec<Value>>;

/// Follows a cluster's monitors until it is dropped.
#[derive(Debug)]
pub struct Monitors {
    published: watch::Receiver<GeneratedConfigs>,
    statuses: Arc<Statuses>,
    _tasks: JoinSet<()>,
}

impl Monitors {
    /// Starts following. Must be called inside a tokio runtime. What annotations ask for is published at once; the rest
    /// once it is read.
    pub fn start(options: MonitorOptions, metrics: &DiscoveryMetrics) -> Monitors {
        let status = MechanismStatus { mechanism: "monitors", ..MechanismStatus::default() };
        let each = if options.monitors { vec![status] } else { Vec::new() };
        let statuses = Statuses::new("kubernetes", metrics, each);
        let fixed = if options.annotations { annotations::scrape_configs(&options) } else { Vec::new() };
        let (publish, published) = watch::channel(Arc::new(fixed.clone()));
        let mut tasks = JoinSet::new();
        if options.monitors {
            let sink = Sink { board: Arc::new(Board::new(1)), statuses: Arc::clone(&statuses), slot: 0 };
            tasks.spawn(run(options, fixed, sink, publish));
        }
        Monitors { published, statuses, _tasks: tasks }
    }

    /// The configurations asked for now, and notice of changes.
    pub fn scrape_configs(&self) -> watch::Receiver<GeneratedConfigs> {
        self.published.clone()
    }

    /// Whether the objects can be read.
    pub fn status(&self) -> Vec<MechanismStatus> {
        self.statuses.all()
    }
}

/// The part of generated configurations that says where the cluster is.
fn place(options: &MonitorOptions) -> serde_json::Map<String, Value> {
    let mut place = serde_json::Map::new();
    if let Some(file) = &options.kubeconfig_file {
        place.insert("kubeconfig_file".to_owned(), Value::from(file.to_string_lossy().into_owned()));
    } else if !options.api_server.is_empty() {
        place.insert("api_server".to_owned(), Value::from(options.api_server.as_str()));
    }
    place
}

/// What is known of the objects; keys are namespace and name.
#[derive(Default)]
struct Known {
    services: Kind<ServiceMonitor>,
    pods: Kind<PodMonitor>,
}

struct Kind<T> {
    objects: BTreeMap<(String, String), T>,
    error: Option<String>,
}

impl<T> Default for Kind<T> {
    fn default() -> Self {
        Kind { objects: BTreeMap::new(), error: None }
    }
}

impl<T: super::objects::Object> Kind<T> {
    fn apply(&mut self, change: Change<T>) {
        let key = |object: &T| (object.metadata().namespace.clone(), object.metadata().name.clone());
        match change {
            Change::Reset(all) => self.objects = all.into_iter().map(|object| (key(&object), object)).collect(),
            Change::Applied(object) => _ = self.objects.insert(key(&object), object),
            Change::Deleted(object) => _ = self.objects.remove(&key(&object)),
            Change::Recovered => self.error = None,
            Change::Failed(error) => self.error = Some(error),
        }
    }
}

type Update = Box<dyn FnOnce(&mut Known) + Send>;

async fn run(options: MonitorOptions, fixed: Vec<Value>, sink: Sink, publish: watch::Sender<GeneratedConfigs>) {
    let mut backoff = Backoff::new(RETRY_MAX);
    let api = loop {
        match Api::find(&options.api_server, options.kubeconfig_file.as_deref()) {
            Ok(api) => break api,
            Err(error) => sink.failed(&error),
        }
        tokio::time::sleep(backoff.wait()).await;
    };
    let (send, mut receive) = mpsc::channel::<Update>(64);
    let mut tasks = JoinSet::new();
    let resource = |name| Resource::new(GROUP, "", name);
    tasks.spawn(follow(api.clone(), resource("servicemonitors"), send.clone(), |change| -> Update {
        Box::new(move |known| known.services.apply(change))
    }));
    tasks.spawn(follow(api.clone(), resource("podmonitors"), send, |change| -> Update {
        Box::new(move |known| known.pods.apply(change))
    }));
    let mut known = Known::default();
    let mut secrets = Secrets::new(api);
    loop {
        match tokio::time::timeout(SECRETS_INTERVAL, receive.recv()).await {
            Ok(None) => return,
            Ok(Some(update)) => {
                update(&mut known);
                let gathered = tokio::time::Instant::now() + GATHER;
                while let Ok(Some(update)) = tokio::time::timeout_at(gathered, receive.recv()).await {
                    update(&mut known);
                }
            }
            Err(_) => secrets.forget(),
        }
        let (generated, refused) = generate(&known, &options, &mut secrets).await;
        let count = generated.len();
        let all: Vec<Value> = fixed.iter().cloned().chain(generated).collect();
        publish.send_if_modified(|current| {
            let changed = **current != all;
            *current = Arc::new(all);
            changed
        });
        match known.services.error.as_ref().or(known.pods.error.as_ref()).or(refused.as_ref()) {
            None => sink.statuses.succeeded(sink.slot, count),
            Some(error) => {
                sink.statuses.found(sink.slot, count);
                sink.failed(error);
            }
        }
    }
}

/// All configurations, and why one of them could not be made.
async fn generate(known: &Known, options: &MonitorOptions, secrets: &mut Secrets) -> (Vec<Value>, Option<String>) {
    let mut generated = Vec::new();
    let mut refused = None;
    let place = place(options);
    for monitor in known.services.objects.values() {
        secrets.read_all(&monitor.metadata.namespace, monitor.spec.endpoints.iter().flatten()).await;
        match translate::service_monitor(monitor, &place, secrets) {
            Ok(configs) => generated.extend(configs),
            Err(error) => refused = Some(error),
        }
    }
    for monitor in known.pods.objects.values() {
        secrets.read_all(&monitor.metadata.namespace, monitor.spec.pod_metrics_endpoints.iter().flatten()).await;
        match translate::pod_monitor(monitor, &place, secrets) {
            Ok(configs) => generated.extend(configs),
            Err(error) => refused = Some(error),
        }
    }
    (generated, refused)
}
