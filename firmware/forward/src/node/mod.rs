//! The write path of a node: what its doors and sources hand over goes to one or two hubs.
//!
//! * A batch is done when every hub has it or it is synced in that hub's queue on disk, which is where it goes while the hub
//!   is away. While hubs answer, nothing is written here but a checkpoint of positions every few minutes.
//! * Deliveries of sources pass on as they are: source, sequence and positions are journalled by the hub with the batch.
//!   Where a source reads on is what the hubs say of it, or what waits in a queue for them, whichever is newer; without a hub
//!   for [`NodeOptions::wait_max`], the checkpoint and the queues.
//! * What is pushed by others is gathered into few deliveries of sources of the node's own (`push-metrics`, `push-logs`,
//!   `push-traces`), numbered across starts, so that a hub drops what is sent twice.

mod files;
mod gather;
mod hub;
mod keeping;
mod sources;
#[cfg(test)]
mod tests;

pub(crate) use files::LocalFiles;
pub use hub::HubState;
pub(crate) use hub::HubTask;

use crate::config::{DestinationConfig, validate_all};
use crate::destination::{Destination, DestinationStatus, Settings, Settled};
use crate::forwarder::{Outstanding, Route, route_batch, routes};
use crate::halves::cut_batch;
use crate::item::{Item, Origin, PAYLOAD_BYTES_TARGET, encode_batch, shown};
use crate::metrics::Families;
use crate::send::HubSender;
use crate::spool::SpoolOptions;
use crate::{Environment, ForwardError};
use bramble_runtime::{OverBudget, Reservation};
use bramble_signal::{LogBatch, MetricBatch, Signal, SpanBatch};
use bramble_storage::{Batch, Delivered, Delivery, Done, Urgency, WriteError, Writer, Written};
use files::Checkpoint;
use gather::{GATHERED_BYTES_MAX, Gathered};
use hub::HubView;
use parking_lot::{Mutex, RwLock};
use sources::Sources;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;

/// Name of the first hub's queue and metrics; the second is `hub-2`.
pub(crate) const FIRST_HUB: &str = "hub";
const SECOND_HUB: &str = "hub-2";
/// Failures after which a hub counts as away.
const PATIENCE: Duration = Duration::from_secs(4);
/// How many times as long a hub is waited for that the node is enrolled with.
const ENROLLED_WAITS: u32 = 6;
/// Batches of a start are numbered from here times the number of the start.
const SEQUENCES_PER_START: u32 = 40;

/// What a node needs to know.
pub struct NodeOptions {
    /// Its name; empty: the host's.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The one-time token to enrol with.
    pub token: Option<String>,
    /// Addresses of its hubs, one or two, such as `http://hub.local:4317`; changes are followed. None: batches wait on disk.
    pub hubs: watch::Receiver<Vec<String>>,
    /// Most bytes that wait on disk for each hub.
    pub queue_max_bytes: u64,
    /// How old what waits may become.
    pub queue_max_age: Duration,
    /// Most bytes that wait in memory for each hub.
    pub memory_max: u64,
    /// How long a source waits for a hub's word on how far it was read; of one that the node is enrolled with six times that.
    pub wait_max: Duration,
    /// Most time for one request.
    pub timeout: Duration,
    /// Where else everything goes.
    pub destinations: Vec<DestinationConfig>,
    /// What is wrong here at present, told with each heartbeat; empty for nothing.
    pub problem: watch::Receiver<String>,
}

/// One hub, or the place of one.
struct Slot {
    sender: Arc<HubSender>,
    destination: Arc<Destination>,
    view: Arc<HubView>,
    state: watch::Receiver<HubState>,
    /// Its address is another one.
    moved: Arc<Notify>,
    task: tokio::task::AbortHandle,
}

struct Shared {
    environment: Environment,
    families: Families,
    files: LocalFiles,
    options: NodeOptions,
    slots: RwLock<Vec<Arc<Slot>>>,
    sources: Arc<Sources>,
    checkpoint: BTreeMap<String, Checkpoint>,
    routes: Vec<Route>,
    outstanding: Arc<Outstanding>,
    gathered: [Mutex<Gathered>; Signal::ALL.len()],
    wake: [Notify; Signal::ALL.len()],
    sequences: [AtomicU64; Signal::ALL.len()],
    pushing: AtomicUsize,
    stopping: AtomicBool,
    started: Instant,
    hubs: watch::Sender<Vec<HubState>>,
}

/// The writer of a node.
pub struct NodeWriter {
    shared: Arc<Shared>,
    tasks: Vec<tokio::task::AbortHandle>,
}

impl NodeWriter {
    /// Starts sending. To be called inside a tokio runtime.
    ///
    /// # Errors
    /// A table of `destinations` that cannot be used, a metric that is there twice, files of the node's identity that cannot
    /// be read or written.
    pub fn start(environment: &Environment, mut options: NodeOptions) -> Result<Arc<NodeWriter>, ForwardError> {
        validate_all(&options.destinations)?;
        let families = Families::new(&environment.registry)?;
        let files = LocalFiles::open(&environment.data_dir, environment.seed)?;
        let mut hub_tasks = Vec::new();
        let routes = routes(environment, &families, &options.destinations, &mut hub_tasks)?;
        let first = files.next_generation()? << SEQUENCES_PER_START;
        let addresses = options.hubs.borrow_and_update().clone();
        let shared = Arc::new(Shared {
            checkpoint: files.checkpoint(),
            environment: environment.clone(),
            families,
            files,
            options,
            slots: RwLock::default(),
            sources: Arc::default(),
            routes,
            outstanding: Arc::default(),
            gathered: Signal::ALL.map(|signal| Mutex::new(Gathered::new(signal))),
            wake: Signal::ALL.map(|_| Notify::new()),
            sequences: Signal::ALL.map(|_| AtomicU64::new(first)),
            pushing: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
            started: Instant::now(),
            hubs: watch::Sender::new(Vec::new()),
        });
        shared.add_slot(FIRST_HUB)?;
        if addresses.len() > 1 || environment.data_dir.join("spool").join(SECOND_HUB).join("journal").is_dir() {
            shared.add_slot(SECOND_HUB)?;
        }
        shared.point(&addresses);
        let mut tasks = hub_tasks;
        for signal in Signal::ALL {
            tasks.push(tokio::spawn(shared.clone().push(signal)).abort_handle());
        }
        tasks.push(tokio::spawn(shared.clone().follow()).abort_handle());
        tasks.push(tokio::spawn(shared.clone().tell()).abort_handle());
        tasks.push(tokio::spawn(shared.clone().keep_positions()).abort_handle());
        Ok(Arc::new(NodeWriter { shared, tasks }))
    }

    /// The node's id: 32 hexadecimal digits.
    pub fn node_id(&self) -> &str {
        &self.shared.files.node_id
    }

    /// What is known of the hubs; changes within a second.
    pub fn hubs(&self) -> watch::Receiver<Vec<HubState>> {
        self.shared.hubs.subscribe()
    }

    /// What is told of each queue.
    pub fn status(&self) -> Vec<DestinationStatus> {
        let slots = self.shared.slots.read();
        let hubs = slots.iter().map(|slot| slot.destination.status());
        hubs.chain(self.shared.routes.iter().map(|route| route.destination.status())).collect()
    }

    /// What is told of the queues of `destinations`, without those of hubs.
    pub fn forwards(&self) -> Vec<DestinationStatus> {
        self.shared.routes.iter().map(|route| route.destination.status()).collect()
    }

    /// Takes nothing more, sends what can be sent within `grace`, puts the rest on disk with the sources' positions, and stops.
    pub async fn finish(&self, grace: Duration) {
        let shared = &self.shared;
        shared.stopping.store(true, Ordering::Release);
        shared.wake.iter().for_each(Notify::notify_one);
        let until = Instant::now() + grace;
        while shared.pushing.load(Ordering::Acquire) > 0 && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let slots = shared.slots.read().clone();
        let destinations = slots.iter().map(|slot| slot.destination.clone());
        let destinations = destinations.chain(shared.routes.iter().map(|route| route.destination.clone()));
        let left = until.saturating_duration_since(Instant::now());
        let finishing: Vec<_> = destinations.map(|d| tokio::spawn(async move { d.finish(left).await })).collect();
        for task in finishing {
            _ = task.await;
        }
        shared.keep_positions_now();
        slots.iter().for_each(|slot| slot.task.abort());
        self.tasks.iter().for_each(tokio::task::AbortHandle::abort);
    }
}

impl Shared {
    fn add_slot(&self, name: &str) -> Result<(), ForwardError> {
        let Shared { environment, options, .. } = self;
        let sender = Arc::new(HubSender::new(self.files.identity(name)?, options.timeout));
        let settings = Settings {
            name: name.to_owned(),
            in_order: false,
            is_watched: true,
            hands_over_again: true,
            spool: SpoolOptions {
                bytes_max: options.queue_max_bytes,
                age_max_ms: i64::try_from(options.queue_max_age.as_millis()).unwrap_or(i64::MAX),
            },
            spool_directory: environment.data_dir.join("spool").join(name),
            memory_max: usize::try_from(options.memory_max).unwrap_or(usize::MAX),
            retry_min: Duration::from_millis(250),
            retry_max: Duration::from_secs(15),
            patience: PATIENCE,
            seed: environment.seed.wrapping_add(name.len() as u64 * 7919),
        };
        let (clock, memory) = (environment.clock.clone(), environment.memory.clone());
        let positions = Some(self.sources.clone() as Arc<dyn crate::destination::Positions>);
        let metrics = self.families.of(name);
        let destination = Destination::start(settings, sender.clone(), positions, clock, memory, metrics);
        let (token, families) = (options.token.clone(), &self.families);
        let task = HubTask::new(environment, sender.clone(), self.files.clone(), destination.clone(), families, token)
            .named(&options.name, &options.version)
            .telling(options.problem.clone());
        let (view, state, moved) = (task.view.clone(), task.state.subscribe(), task.moved.clone());
        let task = tokio::spawn(task.run()).abort_handle();
        self.slots.write().push(Arc::new(Slot { sender, destination, view, state, moved, task }));
        Ok(())
    }

    /// Gives each hub its address: who had one of these keeps it.
    fn point(&self, addresses: &[String]) {
        let slots = self.slots.read();
        let kept: Vec<String> =
            slots.iter().filter_map(|slot| slot.sender.address()).filter(|old| addresses.contains(old)).collect();
        let mut new = addresses.iter().filter(|address| !kept.contains(address));
        for slot in slots.iter() {
            if slot.sender.address().is_some_and(|old| kept.contains(&old)) {
                continue;
            }
            match slot.sender.set_address(new.next().map(String::as_str)) {
                Ok(()) => slot.moved.notify_one(),
                Err(error) => tracing::error!("the hub's address cannot be used: {error}"),
            }
        }
    }

    /// Follows changes of the hubs' addresses.
    async fn follow(self: Arc<Self>) {
        let mut hubs = self.options.hubs.clone();
        while hubs.changed().await.is_ok() {
            let addresses = hubs.borrow_and_update().clone();
            let slots = self.slots.read().len();
            if addresses.len() > slots
                && slots < 2
                && let Err(error) = self.add_slot(SECOND_HUB)
            {
                tracing::error!("a second hub cannot be used: {error}");
            }
            self.point(&addresses);
        }
    }

    /// Tells what is known of the hubs.
    async fn tell(self: Arc<Self>) {
        loop {
            let states: Vec<HubState> = self.slots.read().iter().map(|slot| slot.state.borrow().clone()).collect();
            self.hubs.send_if_modified(|before| {
                let changed = *before != states;
                *before = states;
                changed
            });
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Hands an encoded batch to every hub; `done` when each has it, or it is on disk for it.
    fn hand_over(
        &self,
        origin: Origin,
        batch: &Batch,
        payload: Vec<u8>,
        is_patient: bool,
        done: impl FnOnce(Result<(), WriteError>) + Send + 'static,
    ) {
        let slots = self.slots.read().clone();
        let now_ms = self.environment.clock.wall_ms();
        let source = origin.lane.clone();
        self.sources.advance(&source, origin.sequence, &origin.positions);
        let durable = (self.sources.clone(), origin.clone());
        let done = move |result: Result<(), WriteError>| {
            let (sources, origin) = durable;
            if result.is_ok() {
                sources.stored(&origin.lane, origin.sequence, &origin.positions);
            }
            done(result);
        };
        let waiting = Arc::new(Mutex::new((slots.len(), Ok(()), Some(done))));
        let (signal, items, origin) = (batch.signal(), batch.item_count() as u64, Some(origin));
        let item = Item { signal, items, since_ms: now_ms, observed: 0, origin, payload: payload.into() };
        // Whoever waits for one hub's disk keeps what comes next from the other.
        let is_patient = is_patient && !slots.iter().any(|slot| slot.destination.is_connected());
        for slot in &slots {
            let waiting = waiting.clone();
            let settle = Box::new(move |settled| {
                let mut guard = waiting.lock();
                guard.0 -= 1;
                if let Settled::Failed(why) = settled {
                    guard.1 = Err(WriteError::Journal(why));
                }
                if guard.0 == 0
                    && let Some(done) = guard.2.take()
                {
                    let result = guard.1.clone();
                    drop(guard);
                    done(result);
                }
            });
            slot.destination.submit(item.clone(), source.clone(), is_patient, Some(settle));
        }
        if !self.routes.is_empty() && !batch.is_empty() {
            route_batch(batch, 0, &self.routes, &self.outstanding, now_ms);
        }
    }

    /// Sends what is gathered of a signal, one delivery at a time.
    async fn push(self: Arc<Self>, signal: Signal) {
        let source: Arc<str> = format!("push-{signal}").into();
        loop {
            let due = self.gathered[signal as usize].lock().due();
            let stopping = self.stopping.load(Ordering::Acquire);
            match due {
                Some(due) if due > Instant::now() && !stopping => {
                    _ = tokio::time::timeout_at(due, self.wake[signal as usize].notified()).await;
                    continue;
                }
                None => {
                    self.wake[signal as usize].notified().await;
                    continue;
                }
                Some(_) => {}
            }
            let Some(taken) = self.gathered[signal as usize].lock().take() else { continue };
            let mut result = Ok(());
            for (batch, payload) in pieces(&taken.batch) {
                let sequence = self.sequences[signal as usize].fetch_add(1, Ordering::AcqRel) + 1;
                let origin = Origin { lane: source.clone(), sequence, positions: Vec::new() };
                let (sender, settled) = oneshot::channel();
                let batch = batch.as_ref().unwrap_or(&taken.batch);
                self.hand_over(origin, batch, payload, taken.is_patient, move |result| _ = sender.send(result));
                result = settled.await.unwrap_or(Err(WriteError::ShuttingDown));
                if result.is_err() {
                    break;
                }
            }
            let waited = taken.len();
            taken.answer(result);
            self.pushing.fetch_sub(waited, Ordering::AcqRel);
            // On disk there is a commit now and then. Half of the senders would else always just miss one.
            if !self.slots.read().iter().any(|slot| slot.destination.is_connected()) {
                self.gathered[signal as usize].lock().postpone(Instant::now());
            }
        }
    }

    fn gather(&self, batch: Batch, held: Reservation, urgency: Urgency, done: Done) {
        if self.stopping.load(Ordering::Acquire) {
            return done(Err(WriteError::ShuttingDown));
        }
        if batch.is_empty() {
            return done(Ok(Written::default()));
        }
        let signal = batch.signal();
        let mut gathered = self.gathered[signal as usize].lock();
        if gathered.bytes() > GATHERED_BYTES_MAX {
            drop(gathered);
            let budget = self.environment.memory.name();
            let (wanted_bytes, limit_bytes) = (batch.memory_bytes(), GATHERED_BYTES_MAX);
            return done(Err(OverBudget { budget, wanted_bytes, limit_bytes }.into()));
        }
        self.pushing.fetch_add(1, Ordering::AcqRel);
        let earlier = gathered.add(batch, held, urgency, done, Instant::now());
        drop(gathered);
        if earlier {
            self.wake[signal as usize].notify_one();
        }
    }
}

/// A batch as payloads of a size that a hub takes, each with its batch if that is not the whole.
fn pieces(batch: &Batch) -> Vec<(Option<Batch>, Vec<u8>)> {
    let payload = encode_batch(shown(batch));
    if payload.len() > PAYLOAD_BYTES_TARGET
        && let Some((first, second)) = cut_batch(batch)
    {
        let mut all = Vec::new();
        for half in [first, second] {
            let of_half = pieces(&half);
            match of_half.len() {
                1 => all.extend(of_half.into_iter().map(|(_, payload)| (Some(half.clone()), payload))),
                _ => all.extend(of_half),
            }
        }
        return all;
    }
    vec![(None, payload)]
}

impl Writer for NodeWriter {
    fn write_metrics(&self, batch: MetricBatch, held: Reservation, urgency: Urgency, done: Done) {
        self.shared.gather(Batch::Metrics(batch), held, urgency, done);
    }

    fn write_logs(&self, batch: LogBatch, held: Reservation, urgency: Urgency, done: Done) {
        self.shared.gather(Batch::Logs(batch), held, urgency, done);
    }

    fn write_spans(&self, batch: SpanBatch, held: Reservation, urgency: Urgency, done: Done) {
        self.shared.gather(Batch::Spans(batch), held, urgency, done);
    }

    fn deliver(&self, delivery: Delivery, batch: Batch, held: Reservation, urgency: Urgency, done: Done) {
        if self.shared.stopping.load(Ordering::Acquire) {
            return done(Err(WriteError::ShuttingDown));
        }
        let Delivery { source, sequence, positions } = delivery;
        let payload = encode_batch(shown(&batch));
        let accepted = batch.item_count() as u64;
        let origin = Origin { lane: source, sequence, positions };
        let is_patient = urgency != Urgency::SenderWaits;
        self.shared.hand_over(origin, &batch, payload, is_patient, move |result| {
            drop(held);
            done(result.map(|()| Written { accepted, ..Written::default() }));
        });
    }

    fn delivered(&self, source: &str) -> Option<Delivered> {
        let shared = &self.shared;
        // Asked again while it runs: nobody knows better than who handed it over.
        if let Some(known) = shared.sources.of(source) {
            return Some(known);
        }
        let waited = shared.started.elapsed();
        let checkpoint = shared.checkpoint.get(source);
        let mut sides = Vec::new();
        for slot in shared.slots.read().iter() {
            // The queue on disk is still being read.
            let found = slot.destination.found()?;
            let said = slot.view.of(source);
            let is_enrolled = !slot.sender.credential().is_empty();
            // Who may have something is worth a longer wait: what is not known is sent twice.
            let patience = shared.options.wait_max * if is_enrolled { ENROLLED_WAITS } else { 1 };
            if said.is_none() && waited < patience {
                return None;
            }
            sides.push(sources::of_hub(source, said, is_enrolled, checkpoint, &found));
        }
        let delivered = sources::of_all(sides);
        shared.sources.begin(source, &delivered);
        Some(delivered)
    }

    fn has_room(&self, signal: Signal, _memory_bytes: usize) -> bool {
        self.shared.gathered[signal as usize].lock().bytes() <= GATHERED_BYTES_MAX
    }
}
