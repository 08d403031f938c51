//! What a node and its hub say to each other: the messages of the gRPC service `bramble.node.v1.Node`, and batches as the
//! bytes that travel in them.
//!
//! A node says [`Hello`] at its start and every few seconds after: it enrols with a token or shows its credential, says how
//! it is, and hears what the hub has of each of its sources. Each batch is then a [`Deliver`] of its own, whose payload is
//! *exact*: what the node's write path was given is what the hub's is given, bit by bit and in the same order, so that a
//! scraped staleness marker, a histogram's reset hint, a line that is no UTF-8 or an attribute's type come through.
//!
//! Payloads have the shape of well-known messages with what these leave out: metrics that of remote write 2.0
//! ([`put_metrics`]), logs that of Loki's push request ([`put_logs`]), spans are an `ExportTraceServiceRequest` of OTLP as it
//! is ([`put_spans`]). Fields: docs/formats.md, "Node deliveries".
//!
//! Anything that a peer may have made up is decoded under a limit, and no bytes make it panic; unknown fields are skipped, so
//! that newer nodes talk to older hubs.

mod logs;
#[cfg(test)]
mod message_tests;
mod messages;
mod metrics;
mod spans;
#[cfg(test)]
mod tests;

pub use logs::{put_logs, read_logs};
pub use messages::{Deliver, DeliverAnswer, Hello, HelloAnswer, NodeStatus, SourceDelivered};
pub(crate) use metrics::put_histogram;
pub use metrics::{put_metrics, read_metrics};
pub use spans::{put_spans, read_spans};

/// The gRPC service.
pub const SERVICE: &str = "bramble.node.v1.Node";
/// Path of the method that takes a [`Hello`] and gives a [`HelloAnswer`].
pub const HELLO_PATH: &str = "/bramble.node.v1.Node/Hello";
/// Path of the method that takes a [`Deliver`] and gives a [`DeliverAnswer`].
pub const DELIVER_PATH: &str = "/bramble.node.v1.Node/Deliver";

/// Longest id of a node, in bytes.
pub const NODE_ID_BYTES_MAX: usize = 64;
/// Longest name of a source, in bytes.
pub const SOURCE_BYTES_MAX: usize = 64;

/// Whether `id` can be a node's: 1 to 64 ASCII letters, digits, `.`, `_`, `-`.
pub fn is_node_id(id: &str) -> bool {
    (1..=NODE_ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(is_plain)
}

/// Whether `source` can be a source's name: as a node's id, with `/` as well.
pub fn is_source(source: &str) -> bool {
    (1..=SOURCE_BYTES_MAX).contains(&source.len()) && source.bytes().all(|b| is_plain(b) || b == b'/')
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}
