//! The other hubs: whether they are there, what is known of them, and how they are asked.

use crate::asked::{Asked, missing};
use crate::link::{HttpLink, Link};
use crate::request::Question;
use bramble_client::{Authorization, Client, HttpConfig, Limits, Secret};
use bramble_runtime::{Budget, Cancel};
use bramble_storage::QueryContext;
use bytes::Bytes;
use parking_lot::Mutex;
use prometheus::{CounterVec, GaugeVec, IntCounterVec, Opts, Registry};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Notify;

/// Path of the call that asks.
pub const READ_PATH: &str = "/api/peer/v1/read";
/// Path of the call that says who is there.
pub const HELLO_PATH: &str = "/api/peer/v1/hello";

/// Pause between two looks whether a hub is there, and while it is not.
const HELLO_EVERY: Duration = Duration::from_secs(10);
const HELLO_EVERY_WHILE_DOWN: Duration = Duration::from_secs(2);
/// Longest answer to a hello.
const HELLO_BYTES_MAX: usize = 1 << 20;

/// What a hub says of itself.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// Made once at random.
    pub hub_id: String,
    /// For people.
    pub name: String,
    /// Before when its metrics may be rollups, milliseconds.
    pub rolled_up_before_ms: i64,
    /// Names of labels that it has seen and keeps out of streams.
    pub floating_names: Vec<String>,
}

/// Whether a hub is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// It is; nothing is known against it.
    Up,
    /// It did not answer; why.
    Down(String),
    /// It is this hub.
    Own,
}

/// Counters of one hub, or of all.
#[derive(Clone)]
pub(crate) struct Counters {
    requests: IntCounterVec,
    errors: IntCounterVec,
    received_bytes: IntCounterVec,
    seconds: CounterVec,
    up: GaugeVec,
}

impl Counters {
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let labels = &["peer"];
        let of = |name: &str, help: &str| Opts::new(name, help);
        let counters = Counters {
            requests: IntCounterVec::new(of("bramble_peer_requests_total", "Questions to another hub."), labels)?,
            errors: IntCounterVec::new(
                of("bramble_peer_errors_total", "Answers of another hub that are missing or not whole."),
                labels,
            )?,
            received_bytes: IntCounterVec::new(
                of("bramble_peer_received_bytes_total", "Bytes of answers of another hub, as they travelled."),
                labels,
            )?,
            seconds: CounterVec::new(
                of("bramble_peer_wait_seconds_total", "Time that queries have waited for another hub."),
                labels,
            )?,
            up: GaugeVec::new(of("bramble_peer_up", "Whether another hub answers."), labels)?,
        };
        registry.register(Box::new(counters.requests.clone()))?;
        registry.register(Box::new(counters.errors.clone()))?;
        registry.register(Box::new(counters.received_bytes.clone()))?;
        registry.register(Box::new(counters.seconds.clone()))?;
        registry.register(Box::new(counters.up.clone()))?;
        Ok(counters)
    }
}

/// Another hub.
pub(crate) struct Peer {
    /// As it is named to people and in series.
    pub(crate) name: String,
    link: Box<dyn Link>,
    state: Mutex<State>,
    known: Mutex<Hello>,
    /// Told when it was found to be gone, so that it is looked for at once.
    lost: Notify,
    counters: Counters,
}

impl Peer {
    pub(crate) fn new(name: String, link: Box<dyn Link>, counters: Counters) -> Self {
        counters.requests.with_label_values(&[&name]);
        counters.errors.with_label_values(&[&name]);
        counters.seconds.with_label_values(&[&name]);
        counters.up.with_label_values(&[&name]);
        Peer { name, link, state: Mutex::new(State::Up), known: Mutex::default(), lost: Notify::new(), counters }
    }

    pub(crate) fn state(&self) -> State {
        self.state.lock().clone()
    }

    pub(crate) fn set_state(&self, state: State) {
        self.counters.up.with_label_values(&[&self.name]).set(f64::from(state == State::Up));
        let before = std::mem::replace(&mut *self.state.lock(), state.clone());
        match (before, state) {
            (State::Up, State::Down(why)) => {
                tracing::warn!(peer = self.name, why, "another hub is gone; queries answer without it");
                self.lost.notify_one();
            }
            (State::Down(_), State::Up) => tracing::info!(peer = self.name, "another hub is there again"),
            (before, State::Own) if before != State::Own => {
                tracing::error!(peer = self.name, "cluster.peers names this hub itself; it is not asked");
            }
            _ => {}
        }
    }

    pub(crate) fn count_error(&self) {
        self.counters.errors.with_label_values(&[&self.name]).inc();
    }

    pub(crate) fn count_wait(&self, waited: Duration) {
        self.counters.seconds.with_label_values(&[&self.name]).inc_by(waited.as_secs_f64());
    }

    fn open(self: &Arc<Self>, body: Bytes) -> Result<Asked, String> {
        self.counters.requests.with_label_values(&[&self.name]).inc();
        Asked::new(self.clone(), self.link.open(body))
    }
}

/// How other hubs are asked.
pub struct PeerOptions {
    /// Their main doors: `http://host:port`, or `host:port`.
    pub addresses: Vec<String>,
    /// What they are shown: a token of theirs, or empty for none.
    pub token: String,
    /// Longest wait for a connection and for each sign of life.
    pub timeout: Duration,
    /// This hub's id.
    pub hub_id: String,
    /// Memory of queries.
    pub budget: Budget,
}

/// Why hubs cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum PeersError {
    /// An address is none.
    #[error("cluster.peers: {address:?} is no address of a hub: {why}")]
    Address {
        /// As it was given.
        address: String,
        /// What is wrong.
        why: String,
    },
    /// The client cannot be made.
    #[error(transparent)]
    Client(#[from] bramble_client::ClientError),
    /// Series of these names are there already.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
}

/// The other hubs.
pub struct Peers {
    list: Vec<Arc<Peer>>,
    hellos: Vec<http::Uri>,
    client: Client,
    timeout: Duration,
    hub_id: String,
    budget: Budget,
}

/// The base of a hub's addresses.
fn base(address: &str) -> Result<String, PeersError> {
    let wrong = |why: String| PeersError::Address { address: address.to_owned(), why };
    let text = address.trim();
    let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let text = text.trim_end_matches('/').to_owned();
    let uri: http::Uri = text.parse().map_err(|error: http::uri::InvalidUri| wrong(error.to_string()))?;
    match (uri.scheme_str(), uri.host(), uri.query()) {
        (Some("http" | "https"), Some(_), None) => Ok(text),
        (Some("http" | "https"), ..) => Err(wrong("it has a query or no host".to_owned())),
        _ => Err(wrong("only http and https are spoken".to_owned())),
    }
}

/// The full address of a call.
fn call(address: &str, path: &str) -> Result<http::Uri, PeersError> {
    let wrong =
        |error: http::uri::InvalidUri| PeersError::Address { address: address.to_owned(), why: error.to_string() };
    format!("{}{path}", base(address)?).parse().map_err(wrong)
}

impl Peers {
    /// Hubs to ask; must be called within the runtime that is to carry the answers. Opens no connection.
    ///
    /// # Errors
    /// [`PeersError`].
    pub fn new(options: PeerOptions, registry: &Registry) -> Result<Arc<Self>, PeersError> {
        let (counters, client) = (Counters::new(registry)?, Client::new(&showing(&options.token))?);
        let (mut list, mut hellos) = (Vec::new(), Vec::new());
        for address in &options.addresses {
            let name = base(address)?;
            let link = HttpLink {
                client: client.clone(),
                uri: call(address, READ_PATH)?,
                timeout: options.timeout,
                runtime: Handle::current(),
                received_bytes: counters.received_bytes.with_label_values(&[&name]),
            };
            list.push(Arc::new(Peer::new(name, Box::new(link), counters.clone())));
            hellos.push(call(address, HELLO_PATH)?);
        }
        let PeerOptions { timeout, hub_id, budget, .. } = options;
        Ok(Arc::new(Peers { list, hellos, client, timeout, hub_id, budget }))
    }

    /// Hubs behind links of another kind.
    #[cfg(test)]
    pub(crate) fn of_links(links: Vec<Box<dyn Link>>) -> Arc<Self> {
        let counters = Counters::new(&Registry::new()).unwrap();
        let peer = |(at, link)| Arc::new(Peer::new(format!("http://peer-{at}"), link, counters.clone()));
        Arc::new(Peers {
            list: links.into_iter().enumerate().map(peer).collect(),
            hellos: Vec::new(),
            client: Client::new(&HttpConfig::default()).unwrap(),
            timeout: Duration::from_secs(5),
            hub_id: String::new(),
            budget: Budget::standalone(bramble_runtime::BudgetName::Query, usize::MAX / 2),
        })
    }

    #[cfg(test)]
    pub(crate) fn first(&self) -> &Peer {
        &self.list[0]
    }

    /// Looks whether they are there, every few seconds, until `cancel` is raised.
    pub async fn watch(self: Arc<Self>, cancel: Cancel) {
        let mut looks = tokio::task::JoinSet::new();
        for (peer, uri) in self.list.iter().cloned().zip(self.hellos.iter().cloned()) {
            let (all, cancel) = (self.clone(), cancel.clone());
            looks.spawn(async move {
                while !cancel.is_cancelled() {
                    all.look(&peer, &uri).await;
                    let is_down = matches!(peer.state(), State::Down(_));
                    let pause = if is_down { HELLO_EVERY_WHILE_DOWN } else { HELLO_EVERY };
                    // One connection that broke need not mean that a hub is gone.
                    let _ = tokio::time::timeout(pause, peer.lost.notified()).await;
                }
            });
        }
        while looks.join_next().await.is_some() {}
    }

    async fn look(&self, peer: &Peer, uri: &http::Uri) {
        match hello(&self.client, uri.clone(), self.timeout).await {
            Ok(hello) => {
                let own = hello.hub_id == self.hub_id;
                *peer.known.lock() = hello;
                peer.set_state(if own { State::Own } else { State::Up });
            }
            Err(why) => peer.set_state(State::Down(why)),
        }
    }

    /// Asks those that are there; of the others, the query is warned.
    pub(crate) fn ask(&self, question: &Question, context: &QueryContext) -> Vec<Asked> {
        let Ok(body) = serde_json::to_vec(question).map(Bytes::from) else { return Vec::new() };
        let mut asked = Vec::with_capacity(self.list.len());
        for peer in &self.list {
            match peer.state() {
                State::Own => {}
                State::Down(why) => context.warn(missing(&peer.name, &why)),
                State::Up => match peer.open(body.clone()) {
                    Ok(answer) => asked.push(answer),
                    Err(why) => context.warn(missing(&peer.name, &why)),
                },
            }
        }
        asked
    }

    /// Asks one again, if it is still there.
    pub(crate) fn ask_one(&self, peer: &Arc<Peer>, question: &Question, context: &QueryContext) -> Option<Asked> {
        let body = serde_json::to_vec(question).ok()?;
        match peer.state() {
            State::Own => None,
            State::Down(why) => {
                context.warn(missing(&peer.name, &why));
                None
            }
            State::Up => peer.open(body.into()).map_err(|why| context.warn(missing(&peer.name, &why))).ok(),
        }
    }

    /// Whether none of them is there, of which the query is then warned.
    pub(crate) fn all_gone(&self, context: &QueryContext) -> bool {
        let states: Vec<State> = self.list.iter().map(|peer| peer.state()).collect();
        let gone = !states.contains(&State::Up);
        for (peer, state) in self.list.iter().zip(states) {
            if let State::Down(why) = state
                && gone
            {
                context.warn(missing(&peer.name, &why));
            }
        }
        gone
    }

    /// What those that are asked have said of themselves.
    pub(crate) fn known(&self) -> Vec<Hello> {
        let asked = self.list.iter().filter(|peer| peer.state() != State::Own);
        asked.map(|peer| peer.known.lock().clone()).collect()
    }

    /// Those that cannot be asked at present, and why, for people.
    pub fn troubles(&self) -> Vec<(String, String)> {
        let trouble = |peer: &Arc<Peer>| match peer.state() {
            State::Up => None,
            State::Down(why) => Some((peer.name.clone(), why)),
            State::Own => Some((peer.name.clone(), "it is this hub itself, which is not asked twice".to_owned())),
        };
        self.list.iter().filter_map(trouble).collect()
    }

    /// A context for a question that nobody's query stands behind.
    pub(crate) fn own_context(&self) -> Option<QueryContext> {
        let deadline = std::time::Instant::now() + self.timeout;
        QueryContext::new(&self.budget, Some(deadline), Cancel::new()).ok()
    }
}

async fn hello(client: &Client, uri: http::Uri, timeout: Duration) -> Result<Hello, String> {
    let request = http::Request::get(uri).body(Bytes::new()).map_err(|error| error.to_string())?;
    let limits = Limits { timeout, body_bytes_max: HELLO_BYTES_MAX };
    let answer = client.send(request, limits).await.map_err(|error| error.to_string())?;
    match serde_json::from_slice(answer.body()) {
        Ok(hello) if answer.status().is_success() => Ok(hello),
        _ => Err(format!("it answered {} and no hub's word; is it one, of this version?", answer.status())),
    }
}

/// How other hubs are asked: with their token, if there is one.
fn showing(token: &str) -> HttpConfig {
    let authorization = Authorization { credentials: Secret(token.to_owned()), ..Authorization::default() };
    HttpConfig { authorization: (!token.is_empty()).then_some(authorization), ..HttpConfig::default() }
}

/// Asks the hub at `address` who it is; `token` as in [`PeerOptions`].
///
/// # Errors
/// Why it does not say, for people.
pub async fn who_is(address: &str, token: &str, timeout: Duration) -> Result<Hello, String> {
    let uri = call(address, HELLO_PATH).map_err(|error| error.to_string())?;
    let client = Client::new(&showing(token)).map_err(|error| error.to_string())?;
    hello(&client, uri, timeout).await
}
