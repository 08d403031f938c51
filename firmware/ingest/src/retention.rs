//! How long and how much: whole days go, by age and by bytes, so that ingest never meets a full disk.

use crate::commit::Shared;
use bramble_disk::DataUsage;
use bramble_signal::Signal;
use bramble_storage::{BlockMeta, RetentionClass, day_of_ns};
use std::sync::atomic::Ordering;

/// Space now.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measured {
    /// Everything of ours: blocks, journal, catalog.
    pub(crate) used_bytes: u64,
    pub(crate) journal_bytes: u64,
    pub(crate) catalog_bytes: u64,
    /// What we may take.
    pub(crate) budget_bytes: u64,
    /// Free on the file system.
    pub(crate) available_bytes: u64,
}

/// What people see of storage.
#[derive(Clone, Debug, Default)]
pub struct StorageReport {
    /// Bytes of blocks per signal and class.
    pub blocks: Vec<(Signal, RetentionClass, u64)>,
    /// Everything of ours.
    pub used_bytes: u64,
    /// What we may take.
    pub budget_bytes: u64,
    /// Free on the file system.
    pub available_bytes: u64,
    /// Forecast: seconds until retention by bytes begins.
    pub full_seconds: Option<f64>,
}

/// How fast storage grows: bytes per second, averaged over about an hour.
#[derive(Default)]
pub(crate) struct Growth {
    last: Option<(u64, u64)>,
    bytes_per_second: Option<f64>,
}

impl Growth {
    const WINDOW_S: f64 = 3600.0;

    pub(crate) fn observe(&mut self, now_ns: u64, used_bytes: u64) {
        let Some((then_ns, then_bytes)) = self.last else {
            self.last = Some((now_ns, used_bytes));
            return;
        };
        let seconds = (now_ns - then_ns) as f64 / 1e9;
        if seconds < 60.0 {
            return;
        }
        self.last = Some((now_ns, used_bytes));
        // Removal is not growth.
        if used_bytes >= then_bytes {
            let rate = (used_bytes - then_bytes) as f64 / seconds;
            let weight = (seconds / Self::WINDOW_S).min(1.0);
            self.bytes_per_second = Some(self.bytes_per_second.map_or(rate, |old| old + (rate - old) * weight));
        }
    }

    fn seconds_until(&self, bytes: u64) -> Option<f64> {
        self.bytes_per_second.filter(|rate| *rate > 0.0).map(|rate| bytes as f64 / rate)
    }
}

pub(crate) fn measure(shared: &Shared, blocks: &[BlockMeta]) -> Measured {
    let block_bytes: u64 = blocks.iter().map(|b| b.file_bytes).sum();
    let usage = DataUsage::measure(&*shared.disk, |_| None).unwrap_or_default();
    let (journal_bytes, catalog_bytes) = (usage.journal.bytes, usage.catalog.bytes);
    let used_bytes = block_bytes + journal_bytes + catalog_bytes;
    let space = shared.disk.space().ok();
    let available_bytes = space.as_ref().map_or(u64::MAX / 4, |s| s.available_bytes);
    let retention = &shared.options.retention;
    let card_bytes = (used_bytes + available_bytes).saturating_sub(retention.reserve_bytes);
    let budget_bytes = retention.total_bytes.map_or(card_bytes, |total| total.min(card_bytes));
    Measured { used_bytes, journal_bytes, catalog_bytes, budget_bytes, available_bytes }
}

/// The blocks to remove next, with the reason; `None` when everything fits. One partition at a time.
pub(crate) fn choose(
    shared: &Shared,
    blocks: &[BlockMeta],
    space: &Measured,
) -> Option<(&'static str, Vec<BlockMeta>)> {
    let retention = &shared.options.retention;
    if let Some(now_ns) = shared.time.decision_ns() {
        let today = day_of_ns(now_ns);
        let expired =
            |b: &&BlockMeta| i64::from(today) - i64::from(b.day) > i64::from(retention.days[b.class as usize]);
        if let Some(first) = blocks.iter().filter(expired).min_by_key(|b| b.day) {
            return Some(("age", whole_day(blocks, first)));
        }
    }
    for limit in &retention.limits {
        let theirs: Vec<&BlockMeta> =
            blocks.iter().filter(|b| b.signal == limit.signal && b.class == limit.class).collect();
        if theirs.iter().map(|b| b.file_bytes).sum::<u64>() > limit.bytes {
            let first = theirs.iter().min_by_key(|b| b.day)?;
            return Some(("bytes", whole_day(blocks, first)));
        }
    }
    let over = space.used_bytes > space.budget_bytes || space.available_bytes < retention.reserve_bytes;
    if !over {
        shared.storage_full.store(false, Ordering::Relaxed);
        return None;
    }
    let newest_day = blocks.iter().map(|b| b.day).max();
    // Oldest day of the lowest tier first, but never the running day while an older one of a higher tier is left.
    let oldest = blocks.iter().filter(|b| Some(b.day) != newest_day).min_by_key(|b| (b.class, b.day));
    match oldest {
        Some(first) => Some(("bytes", whole_day(blocks, first))),
        // Only the running day is left: its oldest block goes, else ingest would stop on a small card's first day.
        None => match blocks.iter().min_by_key(|b| (b.class, b.max_time_ns)) {
            Some(first) if blocks.len() > 1 => Some(("bytes", vec![first.clone()])),
            _ => {
                shared.storage_full.store(space.available_bytes < retention.reserve_bytes / 2, Ordering::Relaxed);
                None
            }
        },
    }
}

fn whole_day(blocks: &[BlockMeta], of: &BlockMeta) -> Vec<BlockMeta> {
    let same = |b: &&BlockMeta| (b.signal, b.class, b.day) == (of.signal, of.class, of.day);
    blocks.iter().filter(same).cloned().collect()
}

pub(crate) fn report(shared: &Shared, blocks: &[BlockMeta], growth: &Growth) -> StorageReport {
    let space = measure(shared, blocks);
    let bytes_of = |signal: Signal, class: RetentionClass| {
        blocks.iter().filter(|b| b.signal == signal && b.class == class).map(|b| b.file_bytes).sum::<u64>()
    };
    let pairs = Signal::ALL.into_iter().flat_map(|s| RetentionClass::ALL.map(|c| (s, c, bytes_of(s, c))));
    StorageReport {
        blocks: pairs.collect(),
        used_bytes: space.used_bytes,
        budget_bytes: space.budget_bytes,
        available_bytes: space.available_bytes,
        full_seconds: growth.seconds_until(space.budget_bytes.saturating_sub(space.used_bytes)),
    }
}

/// Puts space on `/metrics`.
pub(crate) fn show(shared: &Shared, blocks: &[BlockMeta], space: &Measured, growth: &Growth) {
    let metrics = &shared.metrics;
    for signal in Signal::ALL {
        for class in RetentionClass::ALL {
            let theirs = || blocks.iter().filter(|b| b.signal == signal && b.class == class);
            let labels = [signal.as_str(), class.as_str()];
            metrics.blocks.with_label_values(&labels).set(theirs().count() as i64);
            metrics.storage_bytes.with_label_values(&labels).set(theirs().map(|b| b.file_bytes).sum::<u64>() as i64);
        }
    }
    let block_bytes = blocks.iter().map(|b| b.file_bytes).sum::<u64>();
    for (kind, bytes) in [("blocks", block_bytes), ("journal", space.journal_bytes), ("catalog", space.catalog_bytes)] {
        metrics.kind_bytes.with_label_values(&[kind]).set(bytes as i64);
    }
    metrics.budget_bytes.set(space.budget_bytes as i64);
    metrics.available_bytes.set(space.available_bytes as i64);
    metrics.reserve_bytes.set(shared.options.retention.reserve_bytes as i64);
    metrics
        .full_seconds
        .set(growth.seconds_until(space.budget_bytes.saturating_sub(space.used_bytes)).unwrap_or(f64::INFINITY));
    metrics.time_synchronised.set(i64::from(shared.time.is_synchronised()));
}
