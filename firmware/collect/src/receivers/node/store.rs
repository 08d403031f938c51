//! What is kept of nodes and tokens, and where.

use serde::{Deserialize, Serialize};

/// Keeps named values over restarts: `state.db` on a hub.
pub trait NodeStore: Send + Sync + 'static {
    /// Keys that begin with `prefix`, with their values.
    ///
    /// # Errors
    /// What is wrong with the file.
    fn load(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, String>;
    /// Sets a value; durable on return.
    ///
    /// # Errors
    /// What is wrong with the file; the value may or may not be there.
    fn put(&self, key: &str, value: &[u8]) -> Result<(), String>;
    /// Removes a value; durable on return, an absent one is fine.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    fn delete(&self, key: &str) -> Result<(), String>;
    /// Notes a number that may be lost: written with less effort than a value.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    fn note(&self, key: &str, number: u64) -> Result<(), String>;
    /// The number noted.
    ///
    /// # Errors
    /// What is wrong with the file.
    fn noted(&self, key: &str) -> Result<Option<u64>, String>;
}

/// Key of a hub's own id.
pub(super) const HUB_ID: &str = "hub/id";
/// Before a node's id: its [`NodeRecord`] in JSON.
pub(super) const NODES: &str = "nodes/enrolled/";
/// Before a node's id: when it was last heard.
pub(super) const SEEN: &str = "nodes/seen/";
/// Before a token's id: its [`TokenRecord`] in JSON.
pub(super) const TOKENS: &str = "nodes/tokens/";

/// An enrolled node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct NodeRecord {
    /// As it calls itself.
    pub(super) name: String,
    /// Of its software, when it was written last.
    pub(super) version: String,
    /// Where it came from then.
    pub(super) address: String,
    /// SHA-256 of its credential, in hexadecimal digits.
    pub(super) credential_sha256: String,
    /// Milliseconds since the Unix epoch.
    pub(super) enrolled_ms: i64,
    /// Names of the sources that ever delivered.
    pub(super) sources: Vec<String>,
    /// Removed, and remembered for its sources: the journal knows how far they were, and the node goes on there when it is
    /// enrolled again.
    pub(super) removed: bool,
}

/// A token that has not done its work.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct TokenRecord {
    /// SHA-256 of its secret part, in hexadecimal digits.
    pub(super) secret_sha256: String,
    /// Milliseconds since the Unix epoch.
    pub(super) created_ms: i64,
    /// When it stops to be good, milliseconds since the Unix epoch.
    pub(super) expires_ms: i64,
    /// The node that it enrolled, as long as that has not shown its credential: the answer to its first Hello may have been
    /// lost, and it asks again. No other node can use it.
    pub(super) used_by: Option<String>,
}
