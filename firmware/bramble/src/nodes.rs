//! A hub's nodes: where they are kept, which doors they use, what administrators see of them.

use anyhow::Context;
use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use bramble_catalog::{Place, State};
use bramble_collect::receivers::{self, NodeAddress, NodeOptions, NodeRegistry, NodeStore, NodeView, ReceiverState};
use bramble_runtime::Clock;
use bramble_serve::Peer;
use bramble_serve::api::bramble::nodes::{self as api, NodeAdmin};
use prometheus::Registry;
use std::sync::Arc;
use std::time::Duration;

/// `state.db`, as nodes use it.
struct Kept(Arc<State>);

impl NodeStore for Kept {
    fn load(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, String> {
        let mut loaded = Vec::new();
        for key in self.0.keys(prefix).map_err(|error| error.to_string())? {
            match self.0.get(&key) {
                Ok(Some(value)) => loaded.push((key, value)),
                Ok(None) => {}
                // One damaged entry must not keep a hub from its other nodes.
                Err(error) => tracing::error!(%key, %error, "an entry of state.db cannot be read"),
            }
        }
        Ok(loaded)
    }

    fn put(&self, key: &str, value: &[u8]) -> Result<(), String> {
        self.0.put(key, value).map_err(|error| error.to_string())
    }

    fn delete(&self, key: &str) -> Result<(), String> {
        self.0.delete(key).map_err(|error| error.to_string())
    }

    fn note(&self, key: &str, number: u64) -> Result<(), String> {
        self.0.checkpoint(key, number).map_err(|error| error.to_string())
    }

    fn noted(&self, key: &str) -> Result<Option<u64>, String> {
        self.0.position(key).map_err(|error| error.to_string())
    }
}

/// Opens the registry of a hub's nodes, and registers their series. `state` is `state.db` where something else has it open.
///
/// # Errors
/// The file cannot be opened or read.
pub(crate) fn open(
    (place, state): (&Place, Option<Arc<State>>),
    clock: Arc<dyn Clock>,
    (hub_name, nodes_max): (String, usize),
    metrics: &Registry,
) -> anyhow::Result<Arc<NodeRegistry>> {
    let state = match state {
        Some(state) => state,
        None => Arc::new(State::open(place).context("state.db")?.0),
    };
    let options = NodeOptions {
        hub_name,
        hub_version: env!("CARGO_PKG_VERSION").to_owned(),
        nodes_max,
        ..NodeOptions::default()
    };
    let registry = Arc::new(NodeRegistry::open(Arc::new(Kept(state)), clock, options)?);
    receivers::register_nodes(registry.clone(), metrics)?;
    Ok(registry)
}

/// What nodes speak, for the doors of OTLP over gRPC.
pub(crate) fn receiver(state: ReceiverState, registry: Arc<NodeRegistry>) -> Router {
    receivers::node(state, registry).layer(from_fn(tell_address))
}

async fn tell_address(mut request: Request, next: Next) -> Response {
    if let Some(&Peer(address)) = request.extensions().get::<Peer>() {
        request.extensions_mut().insert(NodeAddress(address.to_canonical()));
    }
    next.run(request).await
}

/// The API of nodes and tokens, for the main door. `port` is that of the door nodes use, 0 when it is closed.
pub(crate) fn api(registry: Arc<NodeRegistry>, port: u16, announced: bool) -> Router {
    api::router(Arc::new(Admin { registry, port, announced }))
}

struct Admin {
    registry: Arc<NodeRegistry>,
    port: u16,
    announced: bool,
}

impl NodeAdmin for Admin {
    fn hub(&self) -> api::HubView {
        let options = self.registry.options();
        api::HubView {
            id: self.registry.hub_id().to_owned(),
            name: options.hub_name.clone(),
            version: options.hub_version.clone(),
            port: self.port,
            announced: self.announced,
            heartbeat_seconds: options.heartbeat.as_secs_f64(),
        }
    }

    fn nodes(&self) -> Vec<api::NodeView> {
        self.registry.nodes().into_iter().map(view).collect()
    }

    fn remove(&self, id: &str) -> Result<bool, String> {
        self.registry.remove(id).map_err(|error| error.to_string())
    }

    fn tokens(&self) -> Vec<api::TokenView> {
        let view = |token: receivers::TokenView| api::TokenView {
            id: token.id,
            created_ms: token.created_ms,
            expires_ms: token.expires_ms,
            used_by: token.used_by,
        };
        self.registry.tokens().into_iter().map(view).collect()
    }

    fn create_token(&self, lifetime: Duration) -> Result<api::NewTokenView, String> {
        let made = self.registry.create_token(lifetime).map_err(|error| error.to_string())?;
        Ok(api::NewTokenView { id: made.id, token: made.token, expires_ms: made.expires_ms })
    }

    fn revoke_token(&self, id: &str) -> Result<bool, String> {
        self.registry.revoke_token(id).map_err(|error| error.to_string())
    }
}

fn view(node: NodeView) -> api::NodeView {
    let health = match node.is_up {
        true if node.status.problem.is_empty() => "up",
        true => "problem",
        false => "silent",
    };
    let queue = queue(&node);
    let status = node.status;
    // Of a node that was not heard since the hub's start nothing else is known.
    let heard = status.started_ms != 0;
    api::NodeView {
        id: node.id,
        name: node.name,
        role: "node",
        version: node.version,
        address: node.address,
        health,
        problem: status.problem,
        enrolled_ms: node.enrolled_ms,
        last_seen_ms: (node.last_seen_ms > 0).then_some(node.last_seen_ms),
        silent_seconds: node.silent_seconds,
        queue,
        clock_skew_ms: node.clock_skew_ms,
        round_trip_ms: (node.round_trip_ms > 0).then_some(node.round_trip_ms),
        rss_bytes: heard.then_some(status.rss_bytes),
        temperature_celsius: Some(status.temperature_celsius).filter(|celsius| celsius.is_finite()),
        started_ms: heard.then_some(status.started_ms),
        items_accepted: node.items_accepted,
        items_rejected: node.items_rejected,
    }
}

fn queue(node: &NodeView) -> api::QueueView {
    let status = &node.status;
    // When it was told, by the node's own clock.
    let told_ms = node.last_seen_ms as f64 + node.clock_skew_ms.unwrap_or(0.0);
    let age_seconds = match status.queue_oldest_ms {
        0 => 0.0,
        oldest_ms => ((told_ms - oldest_ms as f64) / 1e3).max(0.0),
    };
    let left_bytes = status.queue_bytes_max.saturating_sub(status.queue_bytes);
    let rate = status.queue_rate_bytes_per_second;
    api::QueueView {
        bytes: status.queue_bytes,
        bytes_max: status.queue_bytes_max,
        items: status.queue_items,
        age_seconds,
        rate_bytes_per_second: rate,
        lasts_seconds: (rate > 0).then(|| left_bytes as f64 / rate as f64),
        dropped_items: status.dropped_items,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_runtime::SystemClock;

    #[test]
    fn a_hub_keeps_its_id_and_its_tokens() {
        let directory = std::env::temp_dir().join(format!("bramble-nodes-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let place = Place::Directory(directory.clone());
        let again = || {
            let (clock, metrics) = (Arc::new(SystemClock::new()), Registry::new());
            open((&place, None), clock, ("attic".to_owned(), 256), &metrics).unwrap()
        };
        let first = again();
        let (id, token) = (first.hub_id().to_owned(), first.create_token(Duration::from_secs(60)).unwrap());
        drop(first);
        let second = again();
        assert_eq!((second.hub_id(), second.tokens()[0].id.as_str()), (id.as_str(), token.id.as_str()));
        drop(second);
        std::fs::remove_dir_all(directory).unwrap();
    }
}
