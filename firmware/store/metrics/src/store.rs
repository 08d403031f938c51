//! The store as a whole: what it is made of and what it holds.

use crate::block::Block;
use crate::counters::Counters;
use crate::head::{Generation, SeriesIndex};
use crate::metadata::MetadataMap;
use crate::read::OpenPages;
use crate::tombstones::Deletions;
use bramble_disk::{Disk, PageCache};
use bramble_runtime::{Budget, Clock, Reservation};
use bramble_storage::Sequence;
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

/// Most bytes of a generation's exemplars, some 25,000.
pub(crate) const EXEMPLARS_BYTES_MAX: usize = 4 << 20;
/// And the part of the head's budget that they may take at most.
const EXEMPLARS_SHARE: usize = 16;

/// The budgets that a metric store spends from.
#[derive(Clone, Debug)]
pub struct MetricBudgets {
    /// Series index and samples not yet in a block.
    pub head: Budget,
    /// Working memory of flushes and merges.
    pub merge: Budget,
    /// Footers of open blocks.
    pub index: Budget,
}

/// What a metric store takes.
#[derive(Clone, Debug)]
pub struct MetricLimits {
    /// Most series in the head.
    pub series_max: usize,
    /// Most series of one metric name in the head.
    pub series_per_metric_max: usize,
    /// Oldest sample taken, milliseconds before now; `None` takes any age.
    pub too_old_ms: Option<i64>,
    /// Newest sample taken, milliseconds after now.
    pub future_ms: i64,
    /// How much older than its series' newest sample in the head a sample may be, milliseconds; `None` takes any. A
    /// series without samples there may begin anywhere, and batches that fill in the past
    /// ([`bramble_signal::MetricBatch::backfill`]) are not held to it.
    pub out_of_order_ms: Option<i64>,
}

impl Default for MetricLimits {
    /// A million series, 200,000 of one name, 15 days back, 10 minutes ahead, in any order.
    fn default() -> Self {
        MetricLimits {
            series_max: 1_000_000,
            series_per_metric_max: 200_000,
            too_old_ms: Some(15 * 86_400_000),
            future_ms: 10 * 60_000,
            out_of_order_ms: None,
        }
    }
}

/// A generation that waits to be written.
#[derive(Clone)]
pub(crate) struct Frozen {
    pub(crate) generation: Arc<RwLock<Generation>>,
    pub(crate) journal: (Sequence, Sequence),
}

/// What changes together for readers.
pub(crate) struct Tip {
    pub(crate) active: Arc<RwLock<Generation>>,
    pub(crate) frozen: Option<Frozen>,
    /// Oldest data first.
    pub(crate) blocks: Arc<[Arc<Block>]>,
}

/// Reservations of the head's budget.
pub(crate) struct Accounts {
    pub(crate) index: Reservation,
    pub(crate) active: Reservation,
    pub(crate) frozen: Reservation,
    /// Of the merge budget, empty: what blocks being written account for is split from it, also when more than the
    /// budget is in use.
    pub(crate) merge: Reservation,
}

/// Metrics in memory and in blocks. See the crate's documentation.
///
/// Locks are taken in the order `index`, `tip`, a generation, `accounts`.
pub struct MetricStore {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) cache: Arc<PageCache>,
    pub(crate) open_pages: Arc<OpenPages>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) budgets: MetricBudgets,
    pub(crate) limits: MetricLimits,
    pub(crate) index: RwLock<SeriesIndex>,
    pub(crate) tip: RwLock<Tip>,
    pub(crate) accounts: Mutex<Accounts>,
    pub(crate) metadata: Mutex<MetadataMap>,
    pub(crate) deletions: RwLock<Deletions>,
    pub(crate) counters: Counters,
    /// The newest timestamp that ever came, so that senders of the present need not ask a generation.
    pub(crate) newest_ms: AtomicI64,
}

impl MetricStore {
    /// An empty store. `registry` receives its own metrics.
    pub fn new(
        disk: Arc<dyn Disk>,
        cache: Arc<PageCache>,
        clock: Arc<dyn Clock>,
        budgets: MetricBudgets,
        limits: MetricLimits,
        registry: &prometheus::Registry,
    ) -> Self {
        let nothing = || budgets.head.reserve(0).unwrap_or_else(|_| unreachable!("zero bytes always fit"));
        let merge = budgets.merge.reserve(0).unwrap_or_else(|_| unreachable!("nothing else has begun to use it"));
        let accounts = Accounts { index: nothing(), active: nothing(), frozen: nothing(), merge };
        let active = Arc::new(RwLock::new(Generation::new(clock.wall_ms(), exemplar_bytes_max(&budgets.head))));
        MetricStore {
            disk,
            open_pages: Arc::new(OpenPages::new(cache.clone())),
            cache,
            clock,
            limits,
            index: RwLock::default(),
            tip: RwLock::new(Tip { active, frozen: None, blocks: Arc::from([]) }),
            accounts: Mutex::new(accounts),
            metadata: Mutex::default(),
            deletions: RwLock::new(Arc::from([])),
            counters: Counters::new(registry),
            newest_ms: AtomicI64::new(i64::MIN),
            budgets,
        }
    }

    /// An empty generation that begins now.
    pub(crate) fn fresh_generation(&self) -> Generation {
        Generation::new(self.clock.wall_ms(), exemplar_bytes_max(&self.budgets.head))
    }

    /// Accounts for the index as it is now.
    pub(crate) fn account_index(&self, index: &SeriesIndex) {
        let mut accounts = self.accounts.lock();
        accounts.index.force_resize(index.heap_bytes());
        self.counters.series.set(index.len() as i64);
        self.publish_bytes(&accounts);
    }

    /// Accounts for the active generation as it is now.
    pub(crate) fn account_active(&self, bytes: usize) {
        let mut accounts = self.accounts.lock();
        accounts.active.force_resize(bytes);
        self.publish_bytes(&accounts);
    }

    pub(crate) fn publish_bytes(&self, accounts: &Accounts) {
        let bytes = accounts.index.bytes() + accounts.active.bytes() + accounts.frozen.bytes();
        self.counters.head_bytes.set(bytes as i64);
    }
}

/// What exemplars may take of a head.
fn exemplar_bytes_max(head: &Budget) -> usize {
    (head.limit_bytes() / EXEMPLARS_SHARE).min(EXEMPLARS_BYTES_MAX)
}
