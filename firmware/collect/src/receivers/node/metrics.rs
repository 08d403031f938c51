//! Nodes as series, so that a rule can say that one is silent, fills its queue, or runs by another clock.

use super::registry::NodeRegistry;
use super::view::NodeView;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, Opts, Registry};
use std::sync::Arc;

/// Name, help, and how a node's value is found; a node without one has no sample.
type Series = (&'static str, &'static str, fn(&NodeView) -> Option<f64>);

const SERIES: [Series; 14] = [
    ("bramble_node_up", "Whether a node was heard within three heartbeats.", |n| Some(f64::from(u8::from(n.is_up)))),
    ("bramble_node_last_seen_seconds", "How long ago a node was heard, in seconds.", |n| n.silent_seconds),
    ("bramble_node_queue_bytes", "Bytes that wait on a node for this hub.", |n| heard(n, n.status.queue_bytes as f64)),
    ("bramble_node_queue_limit_bytes", "Bytes that may wait on a node; the oldest are dropped beyond.", |n| {
        heard(n, n.status.queue_bytes_max as f64)
    }),
    ("bramble_node_queue_items", "Samples, entries and spans that wait on a node.", |n| {
        heard(n, n.status.queue_items as f64)
    }),
    ("bramble_node_queue_age_seconds", "How old the oldest batch is that waits on a node, by the node's clock.", |n| {
        heard(n, queue_age_seconds(n))
    }),
    ("bramble_node_queue_rate_bytes_per_second", "Bytes a second that a node would queue at its present rate.", |n| {
        heard(n, n.status.queue_rate_bytes_per_second as f64)
    }),
    ("bramble_node_dropped_items", "Samples, entries and spans that a node dropped since its start.", |n| {
        heard(n, n.status.dropped_items as f64)
    }),
    ("bramble_node_clock_skew_seconds", "How far a node's clock is ahead of this hub's, in seconds.", |n| {
        n.clock_skew_ms.map(|ms| ms / 1e3)
    }),
    ("bramble_node_resident_bytes", "Resident memory of a node's process.", |n| heard(n, n.status.rss_bytes as f64)),
    ("bramble_node_temperature_celsius", "Temperature of a node's processor.", |n| {
        Some(n.status.temperature_celsius).filter(|celsius| !celsius.is_nan())
    }),
    ("bramble_node_healthy", "Whether a node is up and names no problem of its own.", |n| {
        Some(f64::from(u8::from(n.is_up && n.status.problem.is_empty())))
    }),
    ("bramble_node_accepted_items", "Samples, entries and spans of a node taken since the hub's start.", |n| {
        Some(n.items_accepted as f64)
    }),
    (
        "bramble_node_rejected_items",
        "Samples, entries and spans of a node refused for good since the hub's start.",
        |n| Some(n.items_rejected as f64),
    ),
];

/// A node that was not heard since the hub's start has said nothing of itself.
fn heard(node: &NodeView, value: f64) -> Option<f64> {
    (node.status.queue_bytes_max > 0 || node.status.started_ms != 0).then_some(value)
}

fn queue_age_seconds(node: &NodeView) -> f64 {
    let theirs_ms = node.last_seen_ms as f64 + node.clock_skew_ms.unwrap_or(0.0);
    match node.status.queue_oldest_ms {
        0 => 0.0,
        oldest_ms => ((theirs_ms - oldest_ms as f64) / 1e3).max(0.0),
    }
}

/// Reads the registry when it is asked.
struct Nodes {
    registry: Arc<NodeRegistry>,
    gauges: Vec<GaugeVec>,
    info: GaugeVec,
}

impl Collector for Nodes {
    fn desc(&self) -> Vec<&Desc> {
        self.gauges.iter().chain([&self.info]).flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let nodes = self.registry.nodes();
        for (gauge, (_, _, value)) in self.gauges.iter().zip(SERIES) {
            gauge.reset();
            for node in &nodes {
                if let Some(value) = value(node) {
                    gauge.with_label_values(&[node.name.as_str(), node.id.as_str()]).set(value);
                }
            }
        }
        self.info.reset();
        for node in &nodes {
            let labels = [node.name.as_str(), node.id.as_str(), node.version.as_str(), node.address.as_str()];
            self.info.with_label_values(&labels).set(1.0);
        }
        let families = self.gauges.iter().chain([&self.info]).flat_map(Collector::collect);
        families.filter(|family| !family.get_metric().is_empty()).collect()
    }
}

/// Registers the series of nodes, `bramble_node_…{node,node_id}` and `bramble_node_info{node,node_id,version,address}`.
///
/// # Errors
/// [`prometheus::Error::AlreadyReg`] when called twice with one `metrics`.
pub fn register_nodes(registry: Arc<NodeRegistry>, metrics: &Registry) -> Result<(), prometheus::Error> {
    let labels = ["node", "node_id"];
    let gauge = |(name, help, _): &Series| GaugeVec::new(Opts::new(*name, *help), &labels);
    let gauges = SERIES.iter().map(gauge).collect::<Result<_, _>>()?;
    let info = Opts::new("bramble_node_info", "A node, its version and where it came from last.");
    let info = GaugeVec::new(info, &["node", "node_id", "version", "address"])?;
    metrics.register(Box::new(Nodes { registry, gauges, info }))
}
