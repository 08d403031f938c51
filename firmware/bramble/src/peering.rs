//! Other hubs: queries here are answered from them too, and theirs from here.

use crate::config::Config;
use crate::problems::Found;
use anyhow::Context;
use bramble_collect::receivers::NodeRegistry;
use bramble_peers::{MergedLogs, MergedMetrics, MergedTraces, PeerOptions, Peers};
use bramble_runtime::{Budget, Cancel, Clock};
use bramble_serve::api::bramble::peers::OwnStores;
use bramble_storage::{LogSource, MetricSource, TraceSource};
use prometheus::Registry;
use std::sync::Arc;

/// This hub's own stores.
pub(crate) type Own = (Arc<dyn MetricSource>, Arc<dyn LogSource>, Arc<dyn TraceSource>);

/// The other hubs, if any are named. A hub alone pays nothing for them.
pub(crate) struct Peering(Option<Arc<Peers>>);

impl Peering {
    /// Hubs that the configuration names. `query` is the memory of queries.
    ///
    /// # Errors
    /// An address that is none.
    pub(crate) fn open(config: &Config, hub_id: &str, query: Budget, registry: &Registry) -> anyhow::Result<Self> {
        let addresses = config.cluster.peers.0.clone();
        if addresses.is_empty() {
            return Ok(Peering(None));
        }
        let (timeout, hub_id) = (config.cluster.peer_timeout.0, hub_id.to_owned());
        let token = config.cluster.peer_token.0.clone();
        let options = PeerOptions { addresses, token, timeout, hub_id, budget: query };
        Peers::new(options, registry).map(|peers| Peering(Some(peers))).context("other hubs")
    }

    /// Looks from now on whether they are there.
    pub(crate) fn watch(&self, cancel: &Cancel) {
        if let Some(peers) = self.0.clone() {
            tokio::spawn(peers.watch(cancel.clone()));
        }
    }

    /// Tells of those that do not answer.
    pub(crate) fn look(&self) -> impl Fn(&mut Found) + Send + Sync + 'static {
        let peers = self.0.clone();
        move |found| {
            for (peer, why) in peers.iter().flat_map(|peers| peers.troubles()) {
                let hint = "is that hub on, and cluster.peers its main door? Until it answers, queries here lack what only it has";
                found.add("peers", peer, why, hint);
            }
        }
    }

    /// What queries are answered from.
    pub(crate) fn sources(&self, (metrics, logs, traces): Own, clock: &Arc<dyn Clock>) -> Own {
        let Some(peers) = &self.0 else { return (metrics, logs, traces) };
        let metrics = Arc::new(MergedMetrics::new(metrics, peers.clone()));
        let logs = Arc::new(MergedLogs::new(logs, peers.clone()));
        let traces = Arc::new(MergedTraces::new(traces, peers.clone(), clock.clone()));
        (metrics, logs, traces)
    }
}

/// What other hubs are answered from.
pub(crate) fn own_stores((metrics, logs, traces): Own, nodes: &NodeRegistry) -> OwnStores {
    let (hub_id, hub_name) = (nodes.hub_id().to_owned(), nodes.options().hub_name.clone());
    OwnStores { metrics, logs, traces, hub_id, hub_name }
}
