//! Nodes of a hub: who is enrolled, who may enrol, how they are.

use super::live::{Lane, Live};
use super::secret::{hash, is_secret, new_secret, random_hex};
use super::store::{HUB_ID, NODES, NodeRecord, NodeStore, SEEN, TOKENS, TokenRecord};
use super::view::{NewToken, NodeView, TokenView};
use bramble_runtime::Clock;
use bramble_wire::delivery::{Hello, is_node_id, is_source};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Longest name or version of a node that is kept, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// So many removed nodes are remembered for each that may be enrolled.
const REMOVED_PER_NODE: usize = 4;
/// Most tokens that wait to be used.
const TOKENS_MAX: usize = 256;
/// How often it is noted on disk when a node was last heard.
const NOTE_EVERY_MS: i64 = 10 * 60_000;
/// A node is silent after so many heartbeats without one.
const HEARTBEATS_MISSED: u32 = 3;

/// What a hub is to its nodes.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// For people.
    pub hub_name: String,
    /// Of this software.
    pub hub_version: String,
    /// Most nodes that are enrolled. Default 256.
    pub nodes_max: usize,
    /// Most sources of one node. Default 256.
    pub sources_max: usize,
    /// How often a node says that it is there. Default 15 s.
    pub heartbeat: Duration,
}

impl Default for NodeOptions {
    fn default() -> Self {
        NodeOptions {
            hub_name: String::new(),
            hub_version: String::new(),
            nodes_max: 256,
            sources_max: 256,
            heartbeat: Duration::from_secs(15),
        }
    }
}

/// Why a node or a token is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// Neither a credential nor a token that is good.
    #[error("{0}")]
    Unknown(&'static str),
    /// It says what cannot be.
    #[error("{0}")]
    Invalid(String),
    /// A bound is reached.
    #[error("{0}")]
    Full(String),
    /// What must be kept cannot be.
    #[error("nodes cannot be kept: {0}")]
    Store(String),
}

struct Node {
    record: NodeRecord,
    live: Live,
}

#[derive(Default)]
struct Inner {
    nodes: BTreeMap<String, Node>,
    tokens: BTreeMap<String, TokenRecord>,
}

/// A node that has shown who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Admitted {
    /// What it is to show from now on, when it was enrolled just now.
    pub(crate) credential: String,
    /// All its sources.
    pub(crate) sources: Vec<String>,
}

/// The nodes of a hub. Callable from any thread; what is kept is written before an answer depends on it.
pub struct NodeRegistry {
    inner: Mutex<Inner>,
    /// Held while something is written that must not change meanwhile: one write at a time, `inner` stays free for readers.
    writing: Mutex<()>,
    store: Arc<dyn NodeStore>,
    clock: Arc<dyn Clock>,
    options: NodeOptions,
    hub_id: String,
}

impl NodeRegistry {
    /// Reads what is kept. A record that cannot be read is left out, and said.
    ///
    /// # Errors
    /// [`NodeError::Store`].
    pub fn open(store: Arc<dyn NodeStore>, clock: Arc<dyn Clock>, options: NodeOptions) -> Result<Self, NodeError> {
        let hub_id = hub_id(store.as_ref()).map_err(NodeError::Store)?;
        let mut inner = Inner::default();
        for (key, value) in store.load(NODES).map_err(NodeError::Store)? {
            let id = key.strip_prefix(NODES).unwrap_or_default().to_owned();
            match serde_json::from_slice::<NodeRecord>(&value) {
                Ok(record) => {
                    let last_seen_ms = store.noted(&format!("{SEEN}{id}")).map_err(NodeError::Store)?;
                    let last_seen_ms = last_seen_ms.and_then(|ms| i64::try_from(ms).ok()).unwrap_or(0);
                    let live = Live { last_seen_ms, noted_ms: last_seen_ms, ..Live::default() };
                    inner.nodes.insert(id, Node { record, live });
                }
                Err(error) => {
                    tracing::error!(%key, %error, "a node's record cannot be read; it must be enrolled again")
                }
            }
        }
        for (key, value) in store.load(TOKENS).map_err(NodeError::Store)? {
            match serde_json::from_slice::<TokenRecord>(&value) {
                Ok(record) => _ = inner.tokens.insert(key.strip_prefix(TOKENS).unwrap_or_default().to_owned(), record),
                Err(error) => tracing::warn!(%key, %error, "an enrolment token cannot be read"),
            }
        }
        let (inner, writing) = (Mutex::new(inner), Mutex::new(()));
        Ok(NodeRegistry { inner, writing, store, clock, options, hub_id })
    }

    /// This hub's id: made once and kept.
    pub fn hub_id(&self) -> &str {
        &self.hub_id
    }

    /// What the hub is to its nodes.
    pub fn options(&self) -> &NodeOptions {
        &self.options
    }

    /// Enrols or recognizes the node that says `hello`, and remembers how it is. Writes to disk only when it enrols, and
    /// every ten minutes; may block then.
    ///
    /// # Errors
    /// [`NodeError`]; nothing is remembered then.
    pub(crate) fn admit(&self, hello: &Hello, address: &str) -> Result<Admitted, NodeError> {
        if !is_node_id(&hello.node_id) {
            return Err(NodeError::Invalid(format!("{:?} is no node id", hello.node_id)));
        }
        let known = self.check(&hello.node_id, &hello.credential);
        let credential = match known {
            Ok(()) => {
                self.confirm(&hello.node_id)?;
                String::new()
            }
            Err(error) if hello.token.is_empty() => return Err(error),
            Err(_) => self.enrol(hello, address)?,
        };
        let (now_ms, now_ns) = (self.clock.wall_ms(), self.clock.monotonic_ns());
        let (note, sources) = {
            let mut inner = self.inner.lock();
            let Some(Node { record, live }) = inner.nodes.get_mut(&hello.node_id) else {
                return Err(NodeError::Unknown("this node was removed"));
            };
            live.measure(hello.now_ms, now_ms, hello.round_trip_ms);
            (live.last_seen_ms, live.last_seen_ns) = (now_ms, Some(now_ns));
            (live.name, live.version) = (cut(&hello.name), cut(&hello.version));
            (live.address, live.status) = (address.to_owned(), hello.status.clone());
            live.status.problem = cut(&live.status.problem);
            let note = now_ms.abs_diff(live.noted_ms) >= NOTE_EVERY_MS.unsigned_abs();
            if note {
                live.noted_ms = now_ms;
            }
            (note, record.sources.clone())
        };
        if note && let Err(error) = self.store.note(&format!("{SEEN}{}", hello.node_id), now_ms.max(0).unsigned_abs()) {
            tracing::warn!(%error, "when a node was last heard is not noted");
        }
        Ok(Admitted { credential, sources })
    }

    /// Whether `credential` is the node's.
    ///
    /// # Errors
    /// [`NodeError::Unknown`].
    pub(crate) fn check(&self, node_id: &str, credential: &str) -> Result<(), NodeError> {
        let inner = self.inner.lock();
        match inner.nodes.get(node_id) {
            Some(node) if node.record.removed => Err(NodeError::Unknown("this node was removed")),
            Some(node) if is_secret(credential, &node.record.credential_sha256) => Ok(()),
            Some(_) => Err(NodeError::Unknown("the credential is not this node's: enrol it again with a token")),
            None => Err(NodeError::Unknown("this node is not enrolled: give it a token (bramble token create)")),
        }
    }

    /// Uses up the token that enrolled a node which now shows its credential.
    fn confirm(&self, node_id: &str) -> Result<(), NodeError> {
        let used = |inner: &Inner| {
            let mut tokens = inner.tokens.iter();
            tokens.find(|(_, token)| token.used_by.as_deref() == Some(node_id)).map(|(id, _)| id.clone())
        };
        let Some(id) = used(&self.inner.lock()) else { return Ok(()) };
        self.drop_token(&id)
    }

    fn drop_token(&self, id: &str) -> Result<(), NodeError> {
        let _writing = self.writing.lock();
        self.store.delete(&format!("{TOKENS}{id}")).map_err(NodeError::Store)?;
        self.inner.lock().tokens.remove(id);
        Ok(())
    }

    /// Enrols with a token; the new credential.
    fn enrol(&self, hello: &Hello, address: &str) -> Result<String, NodeError> {
        let _writing = self.writing.lock();
        let now_ms = self.clock.wall_ms();
        let (id, mut token) = self.good_token(hello, now_ms)?;
        let credential = new_secret().map_err(NodeError::Store)?;
        let sources = {
            let inner = self.inner.lock();
            let known = inner.nodes.get(&hello.node_id);
            let enrolled = inner.nodes.values().filter(|node| !node.record.removed).count();
            if known.is_none_or(|node| node.record.removed) && enrolled >= self.options.nodes_max {
                let most = self.options.nodes_max;
                return Err(NodeError::Full(format!("this hub has {most} nodes, and may have no more: remove one")));
            }
            // What a node delivered stays known when it is enrolled again: the journal knows how far its sources were.
            known.map(|node| node.record.sources.clone()).unwrap_or_default()
        };
        let record = NodeRecord {
            name: cut(&hello.name),
            version: cut(&hello.version),
            address: address.to_owned(),
            credential_sha256: hash(&credential),
            enrolled_ms: now_ms,
            sources,
            removed: false,
        };
        token.used_by = Some(hello.node_id.clone());
        // The token first: a cut between the two must not leave it good for another.
        self.put(TOKENS, &id, &token)?;
        self.put(NODES, &hello.node_id, &record)?;
        tracing::info!(node = %record.name, id = %hello.node_id, %address, "node enrolled");
        let mut inner = self.inner.lock();
        inner.tokens.insert(id, token);
        let live = inner.nodes.remove(&hello.node_id).map(|node| node.live).unwrap_or_default();
        inner.nodes.insert(hello.node_id.clone(), Node { record, live });
        Ok(credential)
    }

    fn good_token(&self, hello: &Hello, now_ms: i64) -> Result<(String, TokenRecord), NodeError> {
        let refused = NodeError::Unknown("the token is not known, was used, or is too old");
        let (id, secret) = hello.token.trim().split_once('.').ok_or(refused.clone())?;
        let inner = self.inner.lock();
        let token = inner.tokens.get(id).ok_or(refused.clone())?;
        let free = token.used_by.as_ref().is_none_or(|node| *node == hello.node_id);
        match is_secret(secret, &token.secret_sha256) && free && now_ms < token.expires_ms {
            true => Ok((id.to_owned(), token.clone())),
            false => Err(refused),
        }
    }

    fn put(&self, prefix: &str, id: &str, record: &impl serde::Serialize) -> Result<(), NodeError> {
        let bytes = serde_json::to_vec(record).map_err(|error| NodeError::Store(error.to_string()))?;
        self.store.put(&format!("{prefix}{id}"), &bytes).map_err(NodeError::Store)
    }

    /// The lock of one source of a node, `None` when the source must be noted first.
    pub(crate) fn lane(&self, node_id: &str, source: &str) -> Option<Lane> {
        let mut inner = self.inner.lock();
        let node = inner.nodes.get_mut(node_id)?;
        if !node.record.sources.iter().any(|known| known == source) {
            return None;
        }
        Some(node.live.lanes.entry(source.to_owned()).or_default().clone())
    }

    /// Keeps the name of a source that delivers for the first time; blocks.
    ///
    /// # Errors
    /// [`NodeError`]: the node is gone, the name is none, or it has too many.
    pub(crate) fn note_source(&self, node_id: &str, source: &str) -> Result<(), NodeError> {
        if !is_source(source) {
            return Err(NodeError::Invalid(format!("{source:?} is no name of a source")));
        }
        let _writing = self.writing.lock();
        let mut record = match self.inner.lock().nodes.get(node_id) {
            Some(node) if !node.record.removed => node.record.clone(),
            _ => return Err(NodeError::Unknown("this node was removed")),
        };
        if record.sources.iter().any(|known| known == source) {
            return Ok(());
        }
        if record.sources.len() >= self.options.sources_max {
            let most = self.options.sources_max;
            return Err(NodeError::Full(format!("a node may have {most} sources, and no more")));
        }
        record.sources.push(source.to_owned());
        self.put(NODES, node_id, &record)?;
        if let Some(node) = self.inner.lock().nodes.get_mut(node_id) {
            node.record = record;
        }
        Ok(())
    }

    /// Counts a delivery that was taken.
    pub(crate) fn delivered(&self, node_id: &str, accepted: u64, rejected: u64) {
        let (now_ms, now_ns) = (self.clock.wall_ms(), self.clock.monotonic_ns());
        if let Some(node) = self.inner.lock().nodes.get_mut(node_id) {
            (node.live.last_seen_ms, node.live.last_seen_ns) = (now_ms, Some(now_ns));
            node.live.deliveries += 1;
            node.live.items_accepted += accepted;
            node.live.items_rejected += rejected;
        }
    }

    /// All enrolled nodes, by name, then id.
    pub fn nodes(&self) -> Vec<NodeView> {
        let (now_ms, now_ns) = (self.clock.wall_ms(), self.clock.monotonic_ns());
        let inner = self.inner.lock();
        let view = |(id, node): (&String, &Node)| self.view(id, node, now_ms, now_ns);
        let enrolled = inner.nodes.iter().filter(|(_, node)| !node.record.removed);
        let mut nodes: Vec<NodeView> = enrolled.map(view).collect();
        nodes.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        nodes
    }

    fn view(&self, id: &str, Node { record, live }: &Node, now_ms: i64, now_ns: u64) -> NodeView {
        let silent = match live.last_seen_ns {
            Some(seen_ns) => Some(now_ns.saturating_sub(seen_ns) as f64 / 1e9),
            None if live.last_seen_ms > 0 => Some(now_ms.saturating_sub(live.last_seen_ms).max(0) as f64 / 1e3),
            None => None,
        };
        let patience = (self.options.heartbeat * HEARTBEATS_MISSED).as_secs_f64();
        let either = |live: &String, kept: &String| if live.is_empty() { kept.clone() } else { live.clone() };
        NodeView {
            id: id.to_owned(),
            name: either(&live.name, &record.name),
            version: either(&live.version, &record.version),
            address: either(&live.address, &record.address),
            enrolled_ms: record.enrolled_ms,
            last_seen_ms: live.last_seen_ms,
            silent_seconds: silent,
            is_up: live.last_seen_ns.is_some() && silent.is_some_and(|silent| silent <= patience),
            status: live.status.clone(),
            clock_skew_ms: live.skew_ms,
            round_trip_ms: live.round_trip_ms,
            items_accepted: live.items_accepted,
            items_rejected: live.items_rejected,
            deliveries: live.deliveries,
            sources: record.sources.clone(),
        }
    }

    /// Takes a node's credential away; it is told at its next word. Whether there was such a node. What is known of its sources
    /// stays, for the case that it is enrolled again; of removed nodes four times as many are remembered as may be enrolled.
    ///
    /// # Errors
    /// [`NodeError::Store`].
    pub fn remove(&self, node_id: &str) -> Result<bool, NodeError> {
        let _writing = self.writing.lock();
        let mut record = match self.inner.lock().nodes.get(node_id) {
            Some(node) if !node.record.removed => node.record.clone(),
            _ => return Ok(false),
        };
        (record.removed, record.credential_sha256) = (true, String::new());
        self.put(NODES, node_id, &record)?;
        self.inner.lock().nodes.insert(node_id.to_owned(), Node { record, live: Live::default() });
        self.forget_oldest()?;
        tracing::info!(id = %node_id, "node removed");
        Ok(true)
    }

    /// Forgets the removed node that was enrolled longest ago, when too many are remembered.
    fn forget_oldest(&self) -> Result<(), NodeError> {
        let oldest = {
            let inner = self.inner.lock();
            let removed = inner.nodes.iter().filter(|(_, node)| node.record.removed);
            match removed.clone().count() > self.options.nodes_max.saturating_mul(REMOVED_PER_NODE) {
                true => removed.min_by_key(|(_, node)| node.record.enrolled_ms).map(|(id, _)| id.clone()),
                false => None,
            }
        };
        let Some(id) = oldest else { return Ok(()) };
        self.store.delete(&format!("{NODES}{id}")).map_err(NodeError::Store)?;
        self.inner.lock().nodes.remove(&id);
        Ok(())
    }

    /// Makes a token that enrols one node within `lifetime`. Tokens that are too old are forgotten on the way.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn create_token(&self, lifetime: Duration) -> Result<NewToken, NodeError> {
        let now_ms = self.clock.wall_ms();
        let is_old = |(_, token): &(&String, &TokenRecord)| now_ms >= token.expires_ms;
        let old: Vec<String> = self.inner.lock().tokens.iter().filter(is_old).map(|(id, _)| id.clone()).collect();
        for id in old {
            self.drop_token(&id)?;
        }
        let _writing = self.writing.lock();
        if self.inner.lock().tokens.len() >= TOKENS_MAX {
            return Err(NodeError::Full(format!("{TOKENS_MAX} tokens wait to be used already: revoke some")));
        }
        let (id, secret) = (random_hex(4).map_err(NodeError::Store)?, new_secret().map_err(NodeError::Store)?);
        let expires_ms = now_ms.saturating_add(i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX));
        let secret_sha256 = hash(&secret);
        let record = TokenRecord { secret_sha256, created_ms: now_ms, expires_ms, used_by: None };
        self.put(TOKENS, &id, &record)?;
        self.inner.lock().tokens.insert(id.clone(), record);
        Ok(NewToken { token: format!("{id}.{secret}"), id, expires_ms })
    }

    /// Tokens that are still good, oldest first.
    pub fn tokens(&self) -> Vec<TokenView> {
        let now_ms = self.clock.wall_ms();
        let inner = self.inner.lock();
        let good = inner.tokens.iter().filter(|(_, token)| now_ms < token.expires_ms);
        let view = |(id, token): (&String, &TokenRecord)| TokenView {
            id: id.clone(),
            created_ms: token.created_ms,
            expires_ms: token.expires_ms,
            used_by: token.used_by.clone(),
        };
        let mut tokens: Vec<TokenView> = good.map(view).collect();
        tokens.sort_by_key(|token| token.created_ms);
        tokens
    }

    /// Takes a token back. Whether there was such a token.
    ///
    /// # Errors
    /// [`NodeError::Store`].
    pub fn revoke_token(&self, id: &str) -> Result<bool, NodeError> {
        let known = self.inner.lock().tokens.contains_key(id);
        if known {
            self.drop_token(id)?;
        }
        Ok(known)
    }
}

fn hub_id(store: &dyn NodeStore) -> Result<String, String> {
    let kept = store.load(HUB_ID)?.into_iter().next().and_then(|(_, value)| String::from_utf8(value).ok());
    if let Some(id) = kept.filter(|id| is_node_id(id)) {
        return Ok(id);
    }
    let id = random_hex(16)?;
    store.put(HUB_ID, id.as_bytes())?;
    Ok(id)
}

/// The beginning of a text that a node made up.
fn cut(text: &str) -> String {
    let end = (0..=NAME_BYTES_MAX.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.get(..end).unwrap_or_default().chars().filter(|c| !c.is_control()).collect()
}
