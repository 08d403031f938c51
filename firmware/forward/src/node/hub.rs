//! The heartbeat to one hub: who we are, how we are, and what it has of us.

use super::files::LocalFiles;
use crate::Environment;
use crate::backoff::Backoff;
use crate::destination::Destination;
use crate::metrics::Families;
use crate::send::HubSender;
use bramble_runtime::Clock;
use bramble_wire::delivery::{Hello, HelloAnswer, NodeStatus, SourceDelivered};
use parking_lot::Mutex;
use prometheus::{Gauge, IntGauge};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// Silence after which it is told as something that somebody should look at.
const SILENCE_MAX: Duration = Duration::from_secs(60);
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(15);
/// The longest pause between two tries in the first [`WAITED_FOR`] of a start.
const RETRY_AT_START_MAX: Duration = Duration::from_secs(2);
const WAITED_FOR: Duration = Duration::from_secs(90);
/// A source that no node has: a heartbeat asks for nothing, where an empty list would ask for all.
const NOTHING: &str = ".";

/// What a node knows of one of its hubs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HubState {
    /// Its address; empty while none is known.
    pub address: String,
    /// Its id, once it answered.
    pub hub_id: String,
    /// Its name, once it answered.
    pub hub_name: String,
    /// Whether it answers.
    pub connected: bool,
    /// Since when that is so, milliseconds since the Unix epoch.
    pub since_ms: i64,
    /// The last error; empty for none.
    pub last_error: String,
    /// How far its clock is ahead of ours, in milliseconds, as of the last heartbeat.
    pub clock_skew_ms: i64,
    /// Bytes that wait on disk for it.
    pub queue_bytes: u64,
    /// When the oldest batch that waits for it was handed over, milliseconds since the Unix epoch.
    pub queue_oldest_ms: Option<i64>,
    /// How long the queue lasts at the present rate, in seconds.
    pub forecast_seconds: Option<f64>,
}

/// What a hub said that it has, once it did.
#[derive(Default)]
pub(crate) struct HubView(Mutex<Option<Vec<SourceDelivered>>>);

impl HubView {
    /// What it has of a source and its lanes: the one with the highest sequence. `None` while it did not answer.
    pub(crate) fn of(&self, source: &str) -> Option<Option<SourceDelivered>> {
        let known = self.0.lock();
        let lanes = known.as_ref()?.iter().filter(|of| is_lane(&of.source, source));
        Some(lanes.max_by_key(|of| of.sequence).cloned())
    }
}

/// Whether a lane is one of a source.
pub(crate) fn is_lane(lane: &str, source: &str) -> bool {
    match lane.strip_prefix(source) {
        Some("") => true,
        Some(rest) => rest.strip_prefix('/').is_some_and(|number| number.parse::<u32>().is_ok()),
        None => false,
    }
}

/// Says hello to one hub for as long as it runs.
pub(crate) struct HubTask {
    sender: Arc<HubSender>,
    files: LocalFiles,
    destination: Arc<Destination>,
    clock: Arc<dyn Clock>,
    token: Option<String>,
    name: String,
    version: String,
    pub(crate) view: Arc<HubView>,
    pub(crate) state: watch::Sender<HubState>,
    /// Told when the hub's address becomes another one: it is asked at once.
    pub(crate) moved: Arc<Notify>,
    up: IntGauge,
    silent: Gauge,
    problem: watch::Receiver<String>,
    seed: u64,
    started_ms: i64,
}

impl HubTask {
    pub(crate) fn new(
        environment: &Environment,
        sender: Arc<HubSender>,
        files: LocalFiles,
        destination: Arc<Destination>,
        families: &Families,
        token: Option<String>,
    ) -> HubTask {
        let name = destination.settings.name.clone();
        let now_ms = environment.clock.wall_ms();
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        HubTask {
            up: families.hub_up.with_label_values(&[name.as_str()]),
            silent: families.hub_silent.with_label_values(&[name.as_str()]),
            seed: environment.seed ^ destination.settings.seed,
            sender,
            files,
            destination,
            clock: environment.clock.clone(),
            token: token.filter(|token| !token.is_empty()),
            name: host,
            version: env!("CARGO_PKG_VERSION").into(),
            view: Arc::default(),
            state: watch::Sender::new(HubState { since_ms: now_ms, ..HubState::default() }),
            moved: Arc::default(),
            problem: watch::channel(String::new()).1,
            started_ms: now_ms,
        }
    }

    /// Under which name and as what version it says hello.
    pub(crate) fn named(mut self, name: &str, version: &str) -> HubTask {
        if !name.is_empty() {
            self.name = name.to_owned();
        }
        self.version = version.to_owned();
        self
    }

    /// What it says of our own problems.
    pub(crate) fn telling(mut self, problem: watch::Receiver<String>) -> HubTask {
        self.problem = problem;
        self
    }

    pub(crate) async fn run(self) {
        let mut backoff = Backoff::new(RETRY_MIN, RETRY_MAX, self.seed);
        let mut connection = self.destination.connection();
        let (mut round_trip, mut answered) = (Duration::ZERO, Instant::now());
        let (mut silence_told, mut refused) = (false, false);
        let started = Instant::now();
        loop {
            let began = Instant::now();
            let hello = self.hello(round_trip, refused);
            let pause = match self.sender.hello(&hello).await {
                Ok(answer) => {
                    round_trip = began.elapsed();
                    answered = Instant::now();
                    (silence_told, refused) = (false, false);
                    backoff.succeeded();
                    let pause = Duration::from_millis(answer.heartbeat_ms.clamp(1000, 60_000));
                    self.heard(answer, round_trip);
                    pause
                }
                Err((why, is_there)) => {
                    refused = is_there;
                    let silence = answered.elapsed();
                    self.silent.set(silence.as_secs_f64());
                    if silence > SILENCE_MAX && !silence_told {
                        silence_told = true;
                        let (hub, seconds) = (&self.destination.settings.name, silence.as_secs());
                        let address = self.sender.address().unwrap_or_default();
                        tracing::error!(hub, address, "the hub has been silent for {seconds} s: {why}");
                    }
                    self.missed(why);
                    let pause = backoff.failed(None).max(Duration::from_millis(200));
                    // Sources wait for its first word.
                    let is_waited_for = self.view.0.lock().is_none() && started.elapsed() < WAITED_FOR;
                    if is_waited_for { pause.min(RETRY_AT_START_MAX) } else { pause }
                }
            };
            _ = connection.borrow_and_update();
            // A delivery that failed is a reason to look at once whether it is there.
            let lost = async {
                while connection.changed().await.is_ok() {
                    if !*connection.borrow_and_update() && answered.elapsed() < pause {
                        return;
                    }
                }
                std::future::pending::<()>().await;
            };
            let woken = async {
                tokio::select! {
                    () = lost => (),
                    () = self.moved.notified() => (),
                }
            };
            _ = tokio::time::timeout(pause, woken).await;
        }
    }

    fn hello(&self, round_trip: Duration, refused: bool) -> Hello {
        let status = self.destination.status();
        let credential = self.sender.credential();
        let rate = status
            .forecast_seconds
            .map_or(0.0, |seconds| status.disk_bytes_max.saturating_sub(status.disk_bytes) as f64 / seconds.max(1.0));
        let token = self.token.clone().filter(|_| credential.is_empty() || refused);
        Hello {
            node_id: self.files.node_id.to_string(),
            name: self.name.clone(),
            version: self.version.clone(),
            token: token.unwrap_or_default(),
            credential,
            now_ms: self.clock.wall_ms(),
            round_trip_ms: round_trip.as_millis() as u64,
            status: NodeStatus {
                queue_bytes: status.disk_bytes,
                queue_bytes_max: status.disk_bytes_max,
                queue_items: status.items,
                queue_oldest_ms: status.oldest_ms.unwrap_or(0),
                dropped_items: status.dropped_items,
                queue_rate_bytes_per_second: rate as u64,
                rss_bytes: rss_bytes(),
                started_ms: self.started_ms,
                temperature_celsius: temperature_celsius(),
                problem: self.problem.borrow().clone(),
            },
            sources: if self.view.0.lock().is_some() { vec![NOTHING.into()] } else { Vec::new() },
        }
    }

    fn heard(&self, answer: HelloAnswer, round_trip: Duration) {
        if !answer.credential.is_empty() {
            let hub = &self.destination.settings.name;
            self.sender.set_credential(&answer.credential);
            match self.files.keep_credential(hub, &answer.credential) {
                Ok(()) => tracing::info!(hub, "enrolled"),
                Err(error) => tracing::error!(hub, "enrolled, but the credential cannot be kept: {error}"),
            }
        }
        self.view.0.lock().get_or_insert(answer.delivered);
        let now_ms = self.clock.wall_ms();
        // The hub's clock was read about half a round trip ago.
        let skew = answer.now_ms - (now_ms - round_trip.as_millis() as i64 / 2);
        self.up.set(1);
        self.silent.set(0.0);
        self.destination.set_connected(true, None);
        let status = self.destination.status();
        self.state.send_modify(|state| {
            if !state.connected {
                state.since_ms = now_ms;
            }
            state.connected = true;
            state.last_error.clear();
            (state.hub_id, state.hub_name, state.clock_skew_ms) = (answer.hub_id, answer.hub_name, skew);
            self.fill(state, &status);
        });
    }

    fn missed(&self, why: String) {
        self.up.set(0);
        self.destination.set_connected(false, Some(why.clone()));
        let (now_ms, status) = (self.clock.wall_ms(), self.destination.status());
        self.state.send_modify(|state| {
            if state.connected {
                state.since_ms = now_ms;
            }
            state.connected = false;
            state.last_error = why;
            self.fill(state, &status);
        });
    }

    fn fill(&self, state: &mut HubState, status: &crate::DestinationStatus) {
        state.address = self.sender.address().unwrap_or_default();
        state.queue_bytes = status.disk_bytes;
        state.queue_oldest_ms = status.oldest_ms;
        state.forecast_seconds = status.forecast_seconds;
    }
}

/// Memory of this process, from `/proc`; 0 when it cannot be read.
fn rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|text| text.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// The processor's temperature; NaN when there is none to be read.
fn temperature_celsius() -> f64 {
    let text = std::fs::read_to_string("/sys/class/thermal/thermal_zone0/temp").unwrap_or_default();
    text.trim().parse::<f64>().map_or(f64::NAN, |millidegrees| millidegrees / 1000.0)
}
