//! Dual-write: each durable batch of a hub, to each destination that wants it.
//!
//! The commit thread only copies a batch into a bounded channel; a thread of its own selects, encodes and hands over. If that
//! thread falls behind by more than its share of memory, the commit thread waits for it a moment, and then the batch is
//! given up and counted: ingest is never held up by what is beside it.
//!
//! [`durable_through`](Observer::durable_through) is the sequence below which every batch was sent, spooled or given up by
//! every destination, so the journal keeps what only memory holds. Metrics are not shown again after a power cut: those of
//! the last moments may be missing at a destination, never here.

use crate::config::{DestinationConfig, Kind, validate_all};
use crate::destination::{Destination, DestinationStatus, Settings};
use crate::halves::cut_batch;
use crate::item::{Item, Origin, PAYLOAD_BYTES_TARGET, encode_batch, shown};
use crate::metrics::Families;
use crate::node::{HubTask, LocalFiles};
use crate::selection::Selection;
use crate::send::{HubSender, Transport, transport};
use crate::spool::SpoolOptions;
use crate::{ConfigError, Environment, ForwardError};
use bramble_runtime::{Budget, Clock, Reservation};
use bramble_signal::Signal;
use bramble_storage::{Batch, Durable, Observer, Sequence};
use parking_lot::Mutex;
use prometheus::{IntCounterVec, Opts};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

/// Batches between the commit thread and the encoder.
const CHANNEL_BATCHES: usize = 256;
/// How long the commit thread waits for the encoder.
const WAIT_MAX: Duration = Duration::from_millis(100);
/// Longest failures before what waits goes to disk.
const PATIENCE: Duration = Duration::from_secs(5);

/// A destination with what it wants.
pub(crate) struct Route {
    pub(crate) selection: Selection,
    pub(crate) destination: Arc<Destination>,
    /// Another hub: what it is sent has a sequence per signal.
    pub(crate) sequences: Option<[AtomicU64; Signal::ALL.len()]>,
}

/// Sequences that are not yet settled everywhere.
#[derive(Default)]
pub(crate) struct Outstanding {
    open: Mutex<BTreeMap<Sequence, usize>>,
    /// The last that was shown.
    shown: AtomicU64,
}

impl Outstanding {
    fn begin(&self, sequence: Sequence, count: usize) {
        *self.open.lock().entry(sequence).or_default() += count;
        self.shown.fetch_max(sequence, Ordering::AcqRel);
    }

    fn end(&self, sequence: Sequence) {
        let mut open = self.open.lock();
        if let Some(count) = open.get_mut(&sequence) {
            *count -= 1;
            if *count == 0 {
                open.remove(&sequence);
            }
        }
    }

    fn durable_through(&self) -> Sequence {
        let open = self.open.lock();
        open.first_key_value().map_or(self.shown.load(Ordering::Acquire), |(first, _)| first - 1)
    }
}

struct Job {
    batch: Batch,
    sequence: Sequence,
    _held: Reservation,
}

/// Sends what becomes durable on a hub to other places.
pub struct Forwarder {
    routes: Arc<Vec<Route>>,
    outstanding: Arc<Outstanding>,
    jobs: Mutex<Option<SyncSender<Job>>>,
    memory: Budget,
    overrun: IntCounterVec,
    hubs: Vec<tokio::task::AbortHandle>,
}

impl Forwarder {
    /// Starts sending to the enabled destinations. To be called inside a tokio runtime.
    ///
    /// # Errors
    /// A table that cannot be used, a metric that is there twice, files of an identity towards another hub.
    pub fn start(environment: &Environment, configs: Vec<DestinationConfig>) -> Result<Arc<Forwarder>, ForwardError> {
        validate_all(&configs)?;
        let families = Families::new(&environment.registry)?;
        let overrun = IntCounterVec::new(
            Opts::new(
                "bramble_forward_overrun_items_total",
                "Items that no destination was offered, because encoding did not keep up.",
            ),
            &["signal"],
        )?;
        environment.registry.register(Box::new(overrun.clone()))?;
        let mut hubs = Vec::new();
        let routes = routes(environment, &families, &configs, &mut hubs)?;
        let (routes, outstanding) = (Arc::new(routes), Arc::new(Outstanding::default()));
        let (sender, receiver) = sync_channel(CHANNEL_BATCHES);
        let (own_routes, own_outstanding) = (routes.clone(), outstanding.clone());
        let (clock, handle) = (environment.clock.clone(), tokio::runtime::Handle::current());
        let work = move || encode_jobs(&receiver, &own_routes, &own_outstanding, clock.as_ref(), &handle);
        let started = std::thread::Builder::new().name("forward".into()).spawn(work);
        started.map_err(|error| ForwardError::File { path: PathBuf::from("thread"), error })?;
        let (memory, jobs) = (environment.memory.clone(), Mutex::new(Some(sender)));
        Ok(Arc::new(Forwarder { routes, outstanding, jobs, memory, overrun, hubs }))
    }

    /// What is told of each destination.
    pub fn status(&self) -> Vec<DestinationStatus> {
        self.routes.iter().map(|route| route.destination.status()).collect()
    }

    /// Sends what can be sent within `grace`, puts the rest on disk, and stops.
    pub async fn finish(&self, grace: Duration) {
        drop(self.jobs.lock().take());
        let finishing = self.routes.iter().map(|route| route.destination.clone());
        let tasks: Vec<_> = finishing.map(|d| tokio::spawn(async move { d.finish(grace).await })).collect();
        for task in tasks {
            _ = task.await;
        }
        self.hubs.iter().for_each(tokio::task::AbortHandle::abort);
    }

    fn overran(&self, signal: Signal, items: usize) {
        self.overrun.with_label_values(&[signal.as_str()]).inc_by(items as u64);
    }
}

impl Observer for Forwarder {
    fn wants(&self, signal: Signal) -> bool {
        self.routes.iter().any(|route| route.selection.wants(signal))
    }

    fn observe(&self, batch: Durable<'_>, sequence: Sequence) {
        let signal = batch.signal();
        let batch = match batch {
            Durable::Metrics(batch) => Batch::Metrics(batch.clone()),
            Durable::Logs(batch) => Batch::Logs(batch.clone()),
            Durable::Spans(batch) => Batch::Spans(batch.clone()),
        };
        let items = batch.item_count();
        let Some(sender) = self.jobs.lock().clone() else { return };
        let begun = std::time::Instant::now();
        let mut held = self.memory.reserve(batch.memory_bytes());
        while held.is_err() && begun.elapsed() < WAIT_MAX {
            std::thread::sleep(Duration::from_millis(5));
            held = self.memory.reserve(batch.memory_bytes());
        }
        let Ok(held) = held else { return self.overran(signal, items) };
        self.outstanding.begin(sequence, 1);
        let mut job = Job { batch, sequence, _held: held };
        loop {
            job = match sender.try_send(job) {
                Ok(()) => return,
                Err(TrySendError::Full(job)) if begun.elapsed() < WAIT_MAX => job,
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                    self.outstanding.end(sequence);
                    return self.overran(signal, items);
                }
            };
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn counted_through(&self) -> Sequence {
        0
    }

    fn durable_through(&self) -> Sequence {
        self.outstanding.durable_through()
    }
}

fn encode_jobs(
    jobs: &Receiver<Job>,
    routes: &[Route],
    outstanding: &Arc<Outstanding>,
    clock: &dyn Clock,
    handle: &tokio::runtime::Handle,
) {
    let _entered = handle.enter();
    while let Ok(Job { batch, sequence, _held }) = jobs.recv() {
        route_batch(&batch, sequence, routes, outstanding, clock.wall_ms());
        outstanding.end(sequence);
    }
}

/// Encodes a batch, once for all that take it whole, and hands it over.
pub(crate) fn route_batch(
    batch: &Batch,
    sequence: Sequence,
    routes: &[Route],
    outstanding: &Arc<Outstanding>,
    now_ms: i64,
) {
    let signal = batch.signal();
    let mut whole: Option<Vec<Item>> = None;
    for route in routes.iter().filter(|route| route.selection.wants(signal)) {
        let items = match route.selection.is_whole(signal) {
            true => whole.get_or_insert_with(|| items_of(batch, sequence, now_ms)).clone(),
            false => match route.selection.select(shown(batch)) {
                Some(selected) => items_of(&selected, sequence, now_ms),
                None => continue,
            },
        };
        for mut item in items {
            if let Some(sequences) = &route.sequences {
                let sequence = sequences[signal as usize].fetch_add(1, Ordering::AcqRel) + 1;
                let lane = format!("forward-{signal}").into();
                item.origin = Some(Origin { lane, sequence, positions: Vec::new() });
            }
            outstanding.begin(sequence, 1);
            let outstanding = outstanding.clone();
            let settle = Box::new(move |_| outstanding.end(sequence));
            route.destination.submit(item, signal.as_str().into(), true, Some(settle));
        }
    }
}

/// A batch as items, cut until each is of a size that destinations take.
pub(crate) fn items_of(batch: &Batch, observed: Sequence, since_ms: i64) -> Vec<Item> {
    let payload = encode_batch(shown(batch));
    if payload.len() > PAYLOAD_BYTES_TARGET
        && let Some((first, second)) = cut_batch(batch)
    {
        drop(payload);
        let mut items = items_of(&first, observed, since_ms);
        items.append(&mut items_of(&second, observed, since_ms));
        return items;
    }
    let (signal, items) = (batch.signal(), batch.item_count() as u64);
    vec![Item { signal, items, since_ms, observed, origin: None, payload: payload.into() }]
}

/// Starts the enabled destinations.
pub(crate) fn routes(
    environment: &Environment,
    families: &Families,
    configs: &[DestinationConfig],
    hubs: &mut Vec<tokio::task::AbortHandle>,
) -> Result<Vec<Route>, ForwardError> {
    let mut routes = Vec::new();
    for (at, config) in configs.iter().filter(|config| config.enabled).enumerate() {
        let wrong = |what: String| ConfigError { name: config.name.clone(), what };
        let is_hub = config.kind == Some(Kind::Hub);
        let selection = Selection::new(config).map_err(wrong)?;
        let seed = environment.seed.wrapping_add(at as u64 + 1);
        let hub = match is_hub {
            true => {
                let files = LocalFiles::open(&environment.data_dir, seed)?;
                let sender = Arc::new(HubSender::new(files.identity(&config.name)?, config.timeout.0));
                sender.set_address(Some(&config.endpoint)).map_err(wrong)?;
                Some((sender, files))
            }
            false => None,
        };
        let way: Arc<dyn Transport> = match &hub {
            Some((sender, _)) => sender.clone(),
            None => transport(config, environment.clock.clone()).map_err(wrong)?,
        };
        let settings = Settings {
            name: config.name.clone(),
            in_order: config.kind.is_some_and(Kind::in_order),
            is_watched: is_hub,
            hands_over_again: false,
            spool: SpoolOptions {
                bytes_max: config.queue_max_bytes.0,
                age_max_ms: i64::try_from(config.queue_max_age.0.as_millis()).unwrap_or(i64::MAX),
            },
            spool_directory: environment.data_dir.join("spool").join(&config.name),
            memory_max: usize::try_from(config.memory_max.0).unwrap_or(usize::MAX),
            retry_min: config.retry_min.0,
            retry_max: config.retry_max.0,
            patience: PATIENCE,
            seed,
        };
        let (clock, budget) = (environment.clock.clone(), environment.memory.clone());
        let destination = Destination::start(settings, way, None, clock, budget, families.of(&config.name));
        let first = match &hub {
            Some((_, files)) => files.next_generation()? << 40,
            None => 0,
        };
        let sequences = is_hub.then(|| Signal::ALL.map(|_| AtomicU64::new(first)));
        if let Some((sender, files)) = hub {
            let token = config.token.as_ref().map(|token| token.expose().to_owned());
            let task = HubTask::new(environment, sender, files, destination.clone(), families, token);
            hubs.push(tokio::spawn(task.run()).abort_handle());
        }
        routes.push(Route { selection, destination, sequences });
    }
    Ok(routes)
}

#[cfg(test)]
mod tests;
