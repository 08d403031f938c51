//! The spool behind a destination: opened when it is needed, used from threads that may block.

use crate::item::Item;
use crate::spool::{BySignal, Dropped, Found, Spool, SpoolOptions, Waiting};
use bramble_disk::{Disk, ThreadsDisk};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) type AllFound = Arc<BTreeMap<Arc<str>, Found>>;

/// What the spool holds.
#[derive(Clone, Default, Debug)]
pub(super) struct Held {
    pub(super) bytes: u64,
    pub(super) items: BySignal,
    pub(super) oldest_ms: Option<i64>,
    pub(super) lanes: HashSet<Arc<str>>,
    pub(super) is_empty: bool,
    pub(super) shrinkage: Option<f64>,
    pub(super) dropped: Dropped,
}

#[derive(Default)]
struct Known {
    held: Held,
    found: Option<AllFound>,
}

#[derive(Clone)]
pub(super) struct Store(Arc<Inner>);

struct Inner {
    directory: PathBuf,
    options: SpoolOptions,
    spool: Mutex<Option<Spool>>,
    known: Mutex<Known>,
    exists: AtomicBool,
}

impl Store {
    /// Nothing is opened; without a ring on disk there is nothing to be found either.
    pub(super) fn new(directory: PathBuf, options: SpoolOptions) -> Store {
        let exists = std::fs::read_dir(directory.join("journal")).is_ok_and(|mut files| files.next().is_some());
        let held = Held { is_empty: !exists, ..Held::default() };
        let known = Known { held, found: (!exists).then(AllFound::default) };
        let (spool, known) = (Mutex::new(None), Mutex::new(known));
        Store(Arc::new(Inner { directory, options, spool, known, exists: AtomicBool::new(exists) }))
    }

    /// Whether there is a ring, which may hold something.
    pub(super) fn may_hold_items(&self) -> bool {
        self.0.exists.load(Ordering::Relaxed)
    }

    pub(super) fn held(&self) -> Held {
        self.0.known.lock().held.clone()
    }

    pub(super) fn found(&self) -> Option<AllFound> {
        self.0.known.lock().found.clone()
    }

    /// Works on the spool, which is opened (and made) when it is not yet, and tells what it then holds.
    async fn with<T: Send + 'static>(
        &self,
        now_ms: i64,
        work: impl FnOnce(&mut Spool) -> Result<T, String> + Send + 'static,
    ) -> Result<(T, Held), String> {
        let inner = self.0.clone();
        let worked = tokio::task::spawn_blocking(move || {
            let mut guard = inner.spool.lock();
            let spool = match &mut *guard {
                Some(spool) => spool,
                None => {
                    let disk = ThreadsDisk::new(&inner.directory).map_err(|error| error.to_string())?;
                    let disk: Arc<dyn Disk> = Arc::new(disk);
                    let spool = Spool::open(disk, inner.options, now_ms).map_err(|error| error.to_string())?;
                    inner.exists.store(true, Ordering::Relaxed);
                    let mut known = inner.known.lock();
                    if known.found.is_none() {
                        known.found = Some(Arc::new(spool.found.clone()));
                    }
                    guard.insert(spool)
                }
            };
            spool.found.clear();
            let result = work(spool);
            let held = Held {
                bytes: spool.bytes(),
                items: spool.items(),
                oldest_ms: spool.oldest_ms(),
                lanes: spool.lanes(),
                is_empty: spool.is_empty(),
                shrinkage: spool.shrinkage(),
                dropped: spool.take_dropped(),
            };
            inner.known.lock().held = held.clone();
            result.map(|result| (result, held))
        });
        worked.await.map_err(|error| error.to_string())?
    }

    pub(super) async fn append(&self, items: Vec<Arc<Item>>, now_ms: i64) -> Result<Held, String> {
        let work = move |spool: &mut Spool| spool.append(&items, now_ms).map_err(|error| error.to_string());
        self.with(now_ms, work).await.map(|((), held)| held)
    }

    /// The oldest item that was not handed out; and what was settled before is written down when that is due.
    pub(super) async fn next(&self, settled: Option<Waiting>, now_ms: i64) -> Result<(Option<Waiting>, Held), String> {
        let work = move |spool: &mut Spool| {
            if let Some(settled) = settled {
                spool.settle(&settled);
            }
            spool.mark(now_ms, false).map_err(|error| error.to_string())?;
            spool.next(now_ms).map_err(|error| error.to_string())
        };
        self.with(now_ms, work).await
    }

    /// Opens it, for what it tells.
    pub(super) async fn look(&self, now_ms: i64) -> Result<((), Held), String> {
        self.with(now_ms, |_| Ok(())).await
    }

    /// Writes down how far it is settled, if it was ever opened.
    pub(super) async fn mark_now(&self, now_ms: i64) {
        if self.0.spool.lock().is_none() {
            return;
        }
        let work = move |spool: &mut Spool| spool.mark(now_ms, true).map_err(|error| error.to_string());
        if let Err(error) = self.with(now_ms, work).await {
            tracing::warn!("spool: {error}");
        }
    }

    /// Gives up what is too old.
    pub(super) async fn expire(&self, now_ms: i64) -> Option<Held> {
        if self.0.spool.lock().is_none() {
            return None;
        }
        self.append(Vec::new(), now_ms).await.ok()
    }
}
