//! What a node says of itself.

use crate::collecting::Collecting;
use crate::machine;
use crate::problems::Watched;
use crate::reload::Reload;
use bramble_forward::{HubState, NodeWriter};
use bramble_runtime::Clock;
use parking_lot::Mutex;
use prometheus::{Registry, TextEncoder};
use serde_json::{Value, json};
use std::sync::Arc;

/// Answers for the whole process.
pub(crate) struct NodeStatus {
    writer: Arc<NodeWriter>,
    registry: Registry,
    clock: Arc<dyn Clock>,
    started_ms: i64,
    sources: Mutex<Option<crate::collecting::Shown>>,
    pub(crate) watched: Watched,
    pub(crate) reload: Reload,
}

impl NodeStatus {
    pub(crate) fn new(
        writer: Arc<NodeWriter>,
        registry: Registry,
        clock: Arc<dyn Clock>,
        started_ms: i64,
        reload: Reload,
    ) -> Self {
        let (sources, watched) = (Mutex::default(), Watched::default());
        NodeStatus { writer, registry, clock, started_ms, sources, watched, reload }
    }

    /// Reads the configuration again. May block for seconds.
    ///
    /// # Errors
    /// What is wrong with it; what runs stays as it is then.
    pub(crate) fn reload(&self) -> Result<(), String> {
        self.reload.reload(self.clock.wall_ms())
    }

    /// From now on sources are shown too.
    pub(crate) fn set_collecting(&self, collecting: &Collecting) {
        let shown = collecting.shown();
        *self.sources.lock() = Some(shown.clone());
        self.watched.add(move |found| shown.look(found));
    }

    pub(crate) fn metrics_text(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }

    /// Role, hubs and what waits for them.
    pub(crate) fn json(&self) -> Value {
        let shown = |hub: &HubState| {
            json!({
                "address": hub.address,
                "hub_id": hub.hub_id,
                "hub_name": hub.hub_name,
                "connected": hub.connected,
                "since_ms": hub.since_ms,
                "last_error": hub.last_error,
                "clock_skew_ms": hub.clock_skew_ms,
                "queue_bytes": hub.queue_bytes,
                "queue_oldest_ms": hub.queue_oldest_ms,
                "forecast_seconds": hub.forecast_seconds,
            })
        };
        let hubs: Vec<Value> = self.writer.hubs().borrow().iter().map(shown).collect();
        json!({
            "role": "node",
            "node_id": self.writer.node_id(),
            "hostname": machine::hostname(),
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_seconds": ((self.clock.wall_ms() - self.started_ms) / 1000).max(0),
            "rss_bytes": machine::resident_bytes(),
            "hubs": hubs,
            "sources": self.sources.lock().as_ref().map(crate::collecting::Shown::json),
        })
    }

    /// Whether any hub takes what we send; without one, everything waits in the queue on disk.
    pub(crate) fn has_hub(&self) -> bool {
        self.writer.hubs().borrow().iter().any(|hub| hub.connected)
    }
}
