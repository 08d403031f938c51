//! One destination: what waits in memory, what waits on disk, and the two lanes that empty them.
//!
//! * The **live** lane sends what was just handed over, a few at a time, one at a time per source. While the destination does
//!   not take anything, or memory is full, what waits moves to the spool, in order, in one commit.
//! * The **drain** lane sends what the spool holds, oldest first, one at a time. While the destination is away its attempts
//!   are the probes that notice the return.
//! * Where order matters to the destination ([`Settings::in_order`]) nothing goes live before the spool is empty. Elsewhere
//!   live items overtake it: of a source with items in the spool they travel on another *lane name* (`files/1`), so that a hub
//!   sees ascending sequences on each.

mod drain;
mod lanes;
mod live;
mod store;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use drain::SHRINKAGE;
pub(crate) use lanes::Positions;

use crate::item::Item;
use crate::metrics::Metrics;
use crate::send::Transport;
use crate::spool::SpoolOptions;
use bramble_runtime::{Budget, Clock, Reservation};
use lanes::Lanes;
use parking_lot::Mutex;
use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// How a destination is treated.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) name: String,
    pub(crate) in_order: bool,
    /// Whether somebody else says when it is back (a hub's heartbeat); else the drain lane finds out.
    pub(crate) is_watched: bool,
    /// Whether who hands over does so again when it is told that it failed.
    pub(crate) hands_over_again: bool,
    pub(crate) spool: SpoolOptions,
    pub(crate) spool_directory: PathBuf,
    pub(crate) memory_max: usize,
    pub(crate) retry_min: Duration,
    pub(crate) retry_max: Duration,
    /// How long attempts may fail before what waits goes to disk.
    pub(crate) patience: Duration,
    pub(crate) seed: u64,
}

/// What became of an item that was handed over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Settled {
    /// It is there.
    Sent,
    /// It is durable here.
    Spooled,
    /// It was given up: refused, or no room.
    Dropped,
    /// It was not taken, and is not kept: hand it over again later.
    Failed(String),
}

pub(crate) type Settle = Box<dyn FnOnce(Settled) + Send>;

/// An item in memory.
struct Entry {
    order: u64,
    /// One at a time of these.
    key: Arc<str>,
    item: Arc<Item>,
    settle: Option<Settle>,
    since: Instant,
    /// Whether nobody waits for it.
    is_patient: bool,
    /// `None`: the budget was full, which is a reason to go to disk.
    _reservation: Option<Reservation>,
    in_flight: Option<Instant>,
    /// Whether its lane was chosen.
    is_placed: bool,
}

/// What the lanes share.
struct State {
    entries: VecDeque<Entry>,
    next_order: u64,
    bytes: usize,
    is_over_budget: bool,
    connected: bool,
    since_ms: i64,
    last_error: Option<(i64, String)>,
    failing_since: Option<Instant>,
    retry_at: Option<Instant>,
    /// After an error of the disk.
    store_at: Option<Instant>,
    /// The last commit on disk.
    stored: Option<Instant>,
    /// Until then nobody can know whether one that is watched answers; what comes meanwhile stays in memory.
    unknown_until: Option<Instant>,
    stopping: bool,
    /// Whether anything is, or may be, in the spool.
    spooled: bool,
    spooled_lanes: HashSet<Arc<str>>,
    lanes: Lanes,
    raw_bytes: u64,
    refusal_told: Option<Instant>,
}

pub(crate) struct Destination {
    pub(crate) settings: Settings,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    budget: Budget,
    pub(crate) metrics: Metrics,
    state: Mutex<State>,
    store: Store,
    wake_live: Notify,
    wake_drain: Notify,
    connection: watch::Sender<bool>,
    stop: watch::Sender<bool>,
    /// How many tasks have ended.
    ended: watch::Sender<u32>,
}

/// What is told of a destination.
#[derive(Clone, Debug, PartialEq)]
pub struct DestinationStatus {
    /// Its name.
    pub name: String,
    /// Whether it takes batches.
    pub connected: bool,
    /// Since when that is so, milliseconds since the Unix epoch.
    pub since_ms: i64,
    /// The last error, and when it was (milliseconds since the Unix epoch).
    pub last_error: Option<(i64, String)>,
    /// Bytes that wait in memory.
    pub memory_bytes: u64,
    /// Bytes that wait on disk.
    pub disk_bytes: u64,
    /// Most bytes that may wait on disk.
    pub disk_bytes_max: u64,
    /// Items that wait in memory and on disk.
    pub items: u64,
    /// When the oldest that waits was handed over, milliseconds since the Unix epoch.
    pub oldest_ms: Option<i64>,
    /// Items given up since the start.
    pub dropped_items: u64,
    /// How long the queue on disk lasts at the present rate if nothing is taken, in seconds; `None` while nothing comes.
    pub forecast_seconds: Option<f64>,
}

const TASKS: u32 = 3;

impl Destination {
    /// Starts its tasks; inside a tokio runtime.
    pub(crate) fn start(
        settings: Settings,
        transport: Arc<dyn Transport>,
        positions: Option<Arc<dyn Positions>>,
        clock: Arc<dyn Clock>,
        budget: Budget,
        metrics: Metrics,
    ) -> Arc<Destination> {
        let store = Store::new(settings.spool_directory.clone(), settings.spool);
        let state = State {
            entries: VecDeque::new(),
            next_order: 0,
            bytes: 0,
            is_over_budget: false,
            // Nobody knows before the first attempt; a watched one is away until its heart beats.
            connected: !settings.is_watched,
            since_ms: clock.wall_ms(),
            last_error: None,
            failing_since: None,
            retry_at: None,
            store_at: None,
            stored: None,
            unknown_until: settings.is_watched.then(|| Instant::now() + settings.patience),
            stopping: false,
            spooled: store.may_hold_items(),
            spooled_lanes: HashSet::new(),
            lanes: Lanes::new(positions),
            raw_bytes: 0,
            refusal_told: None,
        };
        metrics.up.set(state.connected.into());
        let connection = watch::Sender::new(state.connected);
        let destination = Arc::new(Destination {
            settings,
            transport,
            clock,
            budget,
            metrics,
            state: Mutex::new(state),
            store,
            wake_live: Notify::new(),
            wake_drain: Notify::new(),
            connection,
            stop: watch::Sender::new(false),
            ended: watch::Sender::new(0),
        });
        tokio::spawn(destination.clone().run_live());
        tokio::spawn(destination.clone().run_drain());
        tokio::spawn(destination.clone().run_measure());
        destination
    }

    /// Hands over an item. Of a `key` one is sent at a time, in order. `settle` is called exactly once. One that is patient is
    /// put on disk some seconds later than others, if that is where it goes.
    pub(crate) fn submit(&self, item: Item, key: Arc<str>, is_patient: bool, settle: Option<Settle>) {
        let bytes = item.memory_bytes();
        let reservation = self.budget.reserve(bytes).ok();
        let mut state = self.state.lock();
        // Far beyond its share the disk is not keeping up either.
        let refused = state.bytes + bytes > self.settings.memory_max.saturating_mul(4) + bytes.min(1 << 20);
        if refused {
            drop(state);
            let again = self.settings.hands_over_again;
            self.metrics.dropped(item.signal, "over_budget", if again { 0 } else { item.items });
            if let Some(settle) = settle {
                settle(match again {
                    true => Settled::Failed("the queue in memory is full".into()),
                    false => Settled::Dropped,
                });
            }
            return;
        }
        let order = state.next_order;
        state.next_order += 1;
        state.bytes += bytes;
        state.raw_bytes += item.payload.len() as u64;
        state.is_over_budget |= reservation.is_none();
        let item = Arc::new(item);
        let entry = Entry {
            order,
            key,
            item,
            settle,
            since: Instant::now(),
            is_patient,
            _reservation: reservation,
            in_flight: None,
            is_placed: false,
        };
        state.entries.push_back(entry);
        drop(state);
        self.wake_live.notify_one();
    }

    /// Bytes that wait in memory.
    #[cfg(test)]
    pub(crate) fn memory_bytes(&self) -> usize {
        self.state.lock().bytes
    }

    /// Said by who watches it: whether it answers.
    pub(crate) fn set_connected(&self, connected: bool, why: Option<String>) {
        let mut state = self.state.lock();
        self.change(&mut state, connected, why);
    }

    fn change(&self, state: &mut State, connected: bool, why: Option<String>) {
        let now_ms = self.clock.wall_ms();
        if let Some(why) = &why {
            self.metrics.last_error.set(now_ms as f64 / 1000.0);
            state.last_error = Some((now_ms, why.clone()));
        }
        if connected {
            state.unknown_until = None;
            state.failing_since = None;
            state.retry_at = None;
        }
        if state.connected != connected {
            state.connected = connected;
            state.since_ms = now_ms;
            self.metrics.up.set(connected.into());
            let name = &self.settings.name;
            match connected {
                true => tracing::info!(destination = name, "takes batches again"),
                false => {
                    let why = why.unwrap_or_default();
                    tracing::warn!(destination = name, "does not take batches, they wait on disk: {why}");
                }
            }
        }
        _ = self.connection.send_replace(connected);
        self.wake_live.notify_one();
        self.wake_drain.notify_one();
    }

    /// Whether it takes batches.
    pub(crate) fn is_connected(&self) -> bool {
        self.state.lock().connected
    }

    /// Changes of whether it takes batches.
    pub(crate) fn connection(&self) -> watch::Receiver<bool> {
        self.connection.subscribe()
    }

    /// What the spool told of lanes when it was opened; `None` while that is not done.
    pub(crate) fn found(&self) -> Option<store::AllFound> {
        self.store.found()
    }

    /// What is told of it.
    pub(crate) fn status(&self) -> DestinationStatus {
        let held = self.store.held();
        let dropped_items = self.metrics.dropped_sum();
        let state = self.state.lock();
        let memory_items: u64 = state.entries.iter().map(|entry| entry.item.items).sum();
        let memory_oldest = state.entries.front().map(|entry| entry.item.since_ms);
        let forecast = self.metrics.forecast_seconds.get();
        DestinationStatus {
            name: self.settings.name.clone(),
            connected: state.connected,
            since_ms: state.since_ms,
            last_error: state.last_error.clone(),
            memory_bytes: state.bytes as u64,
            disk_bytes: held.bytes,
            disk_bytes_max: self.settings.spool.bytes_max,
            items: memory_items + held.items.iter().sum::<u64>(),
            oldest_ms: held.oldest_ms.into_iter().chain(memory_oldest).min(),
            dropped_items,
            forecast_seconds: (forecast > 0.0).then_some(forecast),
        }
    }

    /// A batch that is refused for good is told, but not each of many.
    fn tell_refusal(&self, item: &Item, reason: &'static str, why: &str) {
        self.metrics.dropped(item.signal, reason, item.items);
        let mut state = self.state.lock();
        state.last_error = Some((self.clock.wall_ms(), why.to_owned()));
        let quiet = state.refusal_told.is_some_and(|told| told.elapsed() < Duration::from_secs(60));
        if !quiet {
            state.refusal_told = Some(Instant::now());
            let (name, items, signal) = (&self.settings.name, item.items, item.signal);
            tracing::warn!(destination = name, items, %signal, "a batch is refused for good and dropped: {why}");
        }
    }

    /// Sends what can be sent until then, puts the rest on disk, and ends its tasks.
    pub(crate) async fn finish(&self, grace: Duration) {
        let until = Instant::now() + grace;
        while Instant::now() < until {
            let done = {
                let state = self.state.lock();
                state.entries.is_empty() || !state.connected || state.failing_since.is_some()
            };
            if done {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.state.lock().stopping = true;
        self.stop.send_replace(true);
        self.wake_live.notify_one();
        self.wake_drain.notify_one();
        _ = self.ended.subscribe().wait_for(|ended| *ended >= TASKS).await;
        self.store.mark_now(self.clock.wall_ms()).await;
    }

    fn is_stopping(&self) -> bool {
        self.state.lock().stopping
    }

    fn task_ended(&self) {
        self.ended.send_modify(|ended| *ended += 1);
    }
}
