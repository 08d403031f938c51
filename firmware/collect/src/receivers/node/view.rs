//! What is told of nodes and tokens.

use bramble_wire::delivery::NodeStatus;

/// A token as its maker sees it, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// For lists and to take it back.
    pub id: String,
    /// What a node is given.
    pub token: String,
    /// Milliseconds since the Unix epoch.
    pub expires_ms: i64,
}

/// A token that waits to be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenView {
    /// To take it back.
    pub id: String,
    /// Milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// Milliseconds since the Unix epoch.
    pub expires_ms: i64,
    /// The node that it enrolled and that has not come back with its credential yet.
    pub used_by: Option<String>,
}

/// A node as the hub sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeView {
    /// Its id.
    pub id: String,
    /// As it calls itself.
    pub name: String,
    /// Of its software.
    pub version: String,
    /// Where it came from last.
    pub address: String,
    /// When it was enrolled, milliseconds since the Unix epoch.
    pub enrolled_ms: i64,
    /// When it was last heard, milliseconds since the Unix epoch; 0 for never.
    pub last_seen_ms: i64,
    /// How long ago that is, seconds; `None` for never.
    pub silent_seconds: Option<f64>,
    /// Whether it was heard within three heartbeats.
    pub is_up: bool,
    /// As it says of itself.
    pub status: NodeStatus,
    /// How far its clock is ahead of the hub's, milliseconds; `None` when not measured since the hub's start.
    pub clock_skew_ms: Option<f64>,
    /// Round trip of its Hellos, milliseconds; 0 when not known.
    pub round_trip_ms: u64,
    /// Items taken since the hub's start.
    pub items_accepted: u64,
    /// Items refused for good since then.
    pub items_rejected: u64,
    /// Batches since then.
    pub deliveries: u64,
    /// Sources that ever delivered.
    pub sources: Vec<String>,
}
