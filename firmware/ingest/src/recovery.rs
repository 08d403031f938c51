//! Opening a data directory, and replaying the journal.
//!
//! [`WritePath::open`] is quick: it reads the catalog, looks which segments exist, opens them. The process can serve
//! blocks from then on. [`WritePath::recover`] replays the journal; its time is bounded by the ring's size. When heads
//! fill up during the replay they are flushed on the spot, as in normal running.

use crate::catalog_rows::{meta_of_row, meta_of_segment, row_of};
use crate::commit::{JournalSide, OpenError, Parts, Positions, WritePath};
use crate::deliveries::DELIVERIES;
use crate::metrics::IngestMetrics;
use crate::observing::Observing;
use crate::options::IngestOptions;
use crate::record::{Decoder, Head, MetricReplay, RecordError, Targets, kind_of};
use crate::stores::Stores;
use crate::timekeeping::{TimeTrust, TrustedTime};
use bramble_catalog::{BlockRow, Catalog, Change, OpenReport, Place};
use bramble_disk::journal::{Journal, Replayed};
use bramble_disk::{Disk, segment};
use bramble_runtime::{BudgetName, Budgets, Clock};
use bramble_signal::Signal;
use bramble_storage::{BlockId, BlockMeta, LogTaps, Sequence};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What was set right at the opening of a data directory.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// Blocks served.
    pub blocks: usize,
    /// Segments that the catalog did not list and that were taken in.
    pub adopted: usize,
    /// Segments that the catalog did not list and whose items the journal, or other blocks, still have.
    pub deleted: usize,
    /// Listed blocks whose file is gone.
    pub missing: usize,
    /// Blocks that were set aside because they are damaged.
    pub damaged: usize,
    /// Whether the catalog itself was lost and was built anew from the segments.
    pub catalog_lost: bool,
}

/// What the replay of the journal did.
#[derive(Clone, Default, Debug)]
pub struct RecoverySummary {
    /// Items handed to heads.
    pub items: u64,
    /// Records read.
    pub records: u64,
    /// Damaged places that were set aside.
    pub damaged: usize,
    /// Whether the last commit was torn, as a power cut leaves it.
    pub torn_tail: bool,
    /// Last sequence found.
    pub last_sequence: Sequence,
}

impl WritePath {
    /// Opens the catalog and all blocks.
    ///
    /// # Errors
    /// [`OpenError`]: the catalog is from a newer version, or the disk fails.
    #[allow(clippy::too_many_arguments, reason = "the one place where everything meets; each is needed and named")]
    pub fn open(
        place: &Place,
        disk: Arc<dyn Disk>,
        stores: Stores,
        clock: Arc<dyn Clock>,
        trust: Arc<dyn TimeTrust>,
        budgets: &Budgets,
        options: IngestOptions,
        registry: &prometheus::Registry,
    ) -> Result<(WritePath, Rebuilt), OpenError> {
        let metrics = IngestMetrics::new(registry);
        let (catalog, report) = Catalog::open(place)?;
        let mut rebuilt =
            Rebuilt { catalog_lost: !matches!(report, OpenReport::Opened | OpenReport::Fresh), ..Rebuilt::default() };
        let rows = catalog.blocks()?;
        // Numbers that a lost catalog handed out must not be handed out again.
        catalog.skip_block_ids(highest_block(&*disk)?);
        let listed = reconcile(&disk, &catalog, rows, report != OpenReport::Opened, &mut rebuilt)?;
        let time = TrustedTime::new(clock.clone(), trust);
        for signal in Signal::ALL {
            let blocks: Vec<BlockMeta> = listed.iter().filter(|b| b.signal == signal).cloned().collect();
            for (id, error) in stores.keeper(signal).open_blocks(&blocks) {
                set_aside(&disk, &catalog, &blocks, id, &error)?;
                metrics.damaged_blocks.inc();
                rebuilt.damaged += 1;
            }
        }
        if let Some(newest_ns) = listed.iter().map(|b| b.max_time_ns).filter(|t| *t <= clock.wall_ns()).max() {
            time.observe_stored(newest_ns);
        }
        rebuilt.blocks = listed.len() - rebuilt.damaged;
        let taps = Arc::new(LogTaps::new(budgets.get(BudgetName::Query)));
        let (receive, journal_budget) = (budgets.get(BudgetName::Receive), budgets.get(BudgetName::Journal));
        let path = WritePath::new(Parts {
            clock,
            time,
            options,
            stores,
            disk,
            catalog,
            metrics,
            taps,
            receive,
            journal_budget,
        });
        Ok((path, rebuilt))
    }

    /// Replays the journal and begins to commit.
    ///
    /// # Errors
    /// [`OpenError`]: the journal is from a newer version, the disk fails, or a flush that the replay needed failed.
    pub fn recover(&self) -> Result<RecoverySummary, OpenError> {
        let shared = &self.shared;
        let flushed = positions_of(&shared.catalog.flushed()?, |which| shared.observers.is_set(which));
        *shared.recorded.lock() = flushed;
        let after = flushed.iter().copied().min().unwrap_or(0);
        let mut replay = Replay {
            path: self,
            decoder: Decoder::default(),
            flushed,
            last: Default::default(),
            items: 0,
            damaged: 0,
            failed: None,
        };
        let (journal, report) =
            Journal::open(shared.disk.clone(), shared.options.journal, after, &mut |record| replay.record(record))?;
        if let Some(error) = replay.failed.take() {
            return Err(error.into());
        }
        self.observe_again(&journal, replay.last)?;
        let damaged = report.damaged.len() + replay.damaged;
        for place in &report.damaged {
            tracing::error!(damage = ?place, "journal is damaged here; the rest was applied");
        }
        shared.metrics.replayed_items.inc_by(replay.items);
        shared.metrics.replay_damage.inc_by(damaged as u64);
        let newest_flushed = flushed.iter().copied().max().unwrap_or(0);
        let last_sequence = report.last_sequence.max(newest_flushed);
        *shared.applied.lock() = last_sequence;
        let summary = RecoverySummary {
            items: replay.items,
            records: report.records,
            damaged,
            torn_tail: report.torn_tail,
            last_sequence,
        };
        let space = shared.journal_budget.reserve(0).map_err(|e| bramble_storage::StoreError::Disk(e.to_string()))?;
        *shared.journal.lock() = Some(JournalSide::new(journal, shared.sizes, space));
        self.set_ready();
        Ok(summary)
    }
}

/// Positions as the catalog has them. An observer that is not there needs none of the journal; and at its first start it
/// gets what the journal has.
fn positions_of(rows: &[(u8, Sequence)], is_observed: impl Fn(Observing) -> bool) -> Positions {
    let of =
        |index: usize| rows.iter().find(|(code, _)| usize::from(*code) == index + 1).map(|(_, sequence)| *sequence);
    let mut positions: Positions = std::array::from_fn(|index| of(index).unwrap_or(0));
    let signals: Vec<Sequence> = Signal::ALL.iter().map(|&signal| positions[signal as usize]).collect();
    for which in Observing::ALL {
        positions[which.index()] = match of(which.index()) {
            Some(recorded) if is_observed(which) => recorded,
            None if is_observed(which) => signals.iter().copied().min().unwrap_or(0),
            _ => signals.iter().copied().max().unwrap_or(0),
        };
    }
    // Of a data directory that never had deliveries, nothing is needed for them.
    positions[DELIVERIES] = of(DELIVERIES).unwrap_or_else(|| signals.iter().copied().max().unwrap_or(0));
    positions
}

/// State of a running replay.
struct Replay<'a> {
    path: &'a WritePath,
    decoder: Decoder,
    flushed: Positions,
    /// Of each signal, the last record with items of it.
    last: [Sequence; Signal::ALL.len()],
    items: u64,
    damaged: usize,
    failed: Option<bramble_storage::StoreError>,
}

impl Replay<'_> {
    fn record(&mut self, record: Replayed<'_>) {
        if self.failed.is_some() {
            return;
        }
        let shared = &self.path.shared;
        if let Some(signal) = kind_of(record.record) {
            self.last[signal as usize] = record.sequence;
        }
        let wanted = |signal: Signal| record.sequence > self.flushed[signal as usize];
        let head = Head(&*shared.stores.metrics);
        let targets = Targets {
            metrics: wanted(Signal::Metrics).then_some(&head as &dyn MetricReplay),
            logs: wanted(Signal::Logs).then_some(&*shared.stores.logs),
            spans: wanted(Signal::Traces).then_some(&*shared.stores.spans),
        };
        match shared.deliveries.lock().replay(record.sequence, record.record) {
            Ok(false) => {}
            outcome => {
                let mut applied = shared.applied.lock();
                *applied = record.sequence.max(*applied);
                return self.note(record.sequence, outcome.map(|_| 0));
            }
        }
        let outcome = {
            let mut applied = shared.applied.lock();
            let outcome = self.decoder.replay(record.epoch, record.sequence, record.record, &targets);
            *applied = record.sequence.max(*applied);
            outcome
        };
        self.note(record.sequence, outcome);
        // Budgets were divided anew if the cap was lowered; and a replay holds what flushes had not finished.
        for signal in Signal::ALL {
            let head = shared.stores.keeper(signal).head();
            // As in normal running: a head that is full of what a flush cannot free is not flushed with every record.
            if head.total_bytes > head.limit_bytes / 100 * 85
                && head.flushable_bytes >= head.limit_bytes / 10
                && let Err(error) = self.path.flush_signal(signal)
            {
                self.failed = Some(error);
            }
        }
    }
}

impl Replay<'_> {
    fn note(&mut self, sequence: Sequence, outcome: Result<u64, RecordError>) {
        match outcome {
            Ok(items) => self.items += items,
            Err(error) => {
                self.damaged += 1;
                tracing::error!(sequence, %error, "journal record set aside");
            }
        }
    }
}

/// The highest block number of any segment file.
fn highest_block(disk: &dyn Disk) -> Result<u64, OpenError> {
    let number = |name: &str| u64::from_str_radix(name.rsplit('/').next()?.strip_suffix(".seg")?, 16).ok();
    Ok(disk.list("blocks")?.iter().filter_map(|e| number(&e.name)).max().unwrap_or(0))
}

/// Brings catalog and files together: design §4, "Catalog".
fn reconcile(
    disk: &Arc<dyn Disk>,
    catalog: &Catalog,
    rows: Vec<BlockRow>,
    rebuild: bool,
    rebuilt: &mut Rebuilt,
) -> Result<Vec<BlockMeta>, OpenError> {
    bramble_disk::remove_temporary(&**disk)?;
    let mut files: BTreeMap<String, u64> = disk.list("blocks")?.into_iter().map(|e| (e.name, e.bytes)).collect();
    let mut blocks = Vec::with_capacity(rows.len());
    let mut gone = Vec::new();
    for row in &rows {
        match meta_of_row(row) {
            Some(meta) if files.remove(&meta.file_name()).is_some() => blocks.push(meta),
            _ => gone.push(row.id),
        }
    }
    let mut adopted = Vec::new();
    for name in files.into_keys() {
        let unlisted = segment::read_info(disk, &name).ok().and_then(|info| meta_of_segment(&info));
        match unlisted {
            // With its catalog, a segment that is not listed was never committed (the journal or a merge's inputs still
            // have its items) or was removed already. Without, everything that is whole is taken in: equal items are one.
            Some(meta) if rebuild && meta.file_name() == name => adopted.push(meta),
            _ => {
                disk.remove(&name)?;
                rebuilt.deleted += 1;
            }
        }
    }
    rebuilt.missing = gone.len();
    rebuilt.adopted = adopted.len();
    if !gone.is_empty() || !adopted.is_empty() {
        let add: Vec<BlockRow> = adopted.iter().map(row_of).collect();
        catalog.commit(&Change { add: &add, remove: &gone, flushed: &[] })?;
    }
    blocks.extend(adopted);
    Ok(blocks)
}

/// Moves a damaged block out of the way, so that it can be looked at and is not tried again.
fn set_aside(
    disk: &Arc<dyn Disk>,
    catalog: &Catalog,
    blocks: &[BlockMeta],
    id: BlockId,
    error: &bramble_storage::StoreError,
) -> Result<(), OpenError> {
    catalog.commit(&Change { add: &[], remove: &[id.0], flushed: &[] })?;
    if let Some(meta) = blocks.iter().find(|b| b.id == id) {
        let aside = format!("damaged/{}-{:016x}.seg", meta.signal.as_str(), id.0);
        tracing::error!(block = %meta.file_name(), moved_to = %aside, %error, "block is damaged and was set aside; the rest is served");
        disk.publish(&meta.file_name(), &aside)?;
    }
    Ok(())
}
