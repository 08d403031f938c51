//! How long and how much: whole days go, by age and by bytes, so that ingest never meets a full disk.

use crate::commit::Shared;
use crate::options::RetentionOptions;
use bramble_disk::DataUsage;
use bramble_signal::Signal;
use bramble_storage::{BlockMeta, RetentionClass, day_of_ns};

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

/// The blocks to remove next, with the reason; `None` when everything fits or nothing can go. One partition at a time.
/// `now_ns`: the time to decide by, if there is one that may be believed.
pub(crate) fn choose(
    retention: &RetentionOptions,
    now_ns: Option<i64>,
    blocks: &[BlockMeta],
    space: &Measured,
) -> Option<(&'static str, Vec<BlockMeta>)> {
    if let Some(now_ns) = now_ns {
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
    if space.used_bytes <= space.budget_bytes && space.available_bytes >= retention.reserve_bytes {
        return None;
    }
    let newest_day = blocks.iter().map(|b| b.day).max();
    // Oldest day of the lowest tier first, but never the running day while an older one of a higher tier is left.
    let oldest = blocks.iter().filter(|b| Some(b.day) != newest_day).min_by_key(|b| (b.class, b.day));
    match oldest {
        Some(first) => Some(("bytes", whole_day(blocks, first))),
        // Only the running day is left: its oldest block goes, else ingest would stop on a small card's first day.
        None if blocks.len() > 1 => {
            blocks.iter().min_by_key(|b| (b.class, b.max_time_ns)).map(|first| ("bytes", vec![first.clone()]))
        }
        None => None,
    }
}

/// Whether writes must wait: the reserve is being eaten and nothing is left to remove.
pub(crate) fn is_full(retention: &RetentionOptions, space: &Measured) -> bool {
    space.available_bytes < retention.reserve_bytes / 2
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Retained;
    use bramble_storage::BlockId;

    const DAY_NS: i64 = 86_400_000_000_000;
    const ROOM: Measured =
        Measured { used_bytes: 0, journal_bytes: 0, catalog_bytes: 0, budget_bytes: 1 << 40, available_bytes: 1 << 40 };

    fn block(id: u64, signal: Signal, class: RetentionClass, day: i32) -> BlockMeta {
        BlockMeta {
            id: BlockId(id),
            signal,
            class,
            day,
            min_time_ns: i64::from(day) * DAY_NS,
            max_time_ns: i64::from(day) * DAY_NS + id as i64,
            items: 1,
            file_bytes: 100,
            journal_from: 1,
            journal_to: 1,
            replaces: Vec::new(),
        }
    }

    fn ids(chosen: Option<(&'static str, Vec<BlockMeta>)>) -> Option<(&'static str, Vec<u64>)> {
        chosen.map(|(reason, blocks)| (reason, blocks.iter().map(|b| b.id.0).collect()))
    }

    #[test]
    fn whole_days_go_by_age_per_tier() {
        use RetentionClass::{Hot, Warm};
        let options = RetentionOptions::default();
        let blocks = [
            block(1, Signal::Metrics, Hot, 84),
            block(2, Signal::Metrics, Hot, 84),
            block(3, Signal::Metrics, Hot, 85),
            block(4, Signal::Logs, Warm, 84),
        ];
        let now = Some(100 * DAY_NS);
        assert_eq!(ids(choose(&options, now, &blocks, &ROOM)), Some(("age", vec![1, 2])), "16 days old, and whole");
        assert_eq!(ids(choose(&options, now, &blocks[2..], &ROOM)), None, "15 days old stays; logs stay for 30");
        assert_eq!(ids(choose(&options, None, &blocks, &ROOM)), None, "no believable time, no expiry");
    }

    #[test]
    fn bytes_take_the_oldest_day_of_the_lowest_tier_and_the_running_day_last() {
        use RetentionClass::{Hot, Warm};
        let options = RetentionOptions::default();
        let full = Measured { used_bytes: 10, budget_bytes: 9, ..ROOM };
        let blocks = [
            block(1, Signal::Logs, Warm, 90),
            block(2, Signal::Traces, Hot, 95),
            block(3, Signal::Metrics, Hot, 100),
            block(4, Signal::Metrics, Hot, 100),
        ];
        assert_eq!(ids(choose(&options, None, &blocks, &full)), Some(("bytes", vec![2])));
        let later = [blocks[0].clone(), blocks[2].clone(), blocks[3].clone()];
        assert_eq!(ids(choose(&options, None, &later, &full)), Some(("bytes", vec![1])));
        assert_eq!(ids(choose(&options, None, &blocks[2..], &full)), Some(("bytes", vec![3])), "its oldest block only");
        assert_eq!(ids(choose(&options, None, &blocks[3..], &full)), None);
        let eaten = Measured { available_bytes: options.reserve_bytes / 2 - 1, ..ROOM };
        assert!(is_full(&options, &eaten) && !is_full(&options, &ROOM));
    }

    #[test]
    fn a_limit_of_one_signal_and_tier_touches_nothing_else() {
        use RetentionClass::Warm;
        let limits = vec![Retained { signal: Signal::Logs, class: Warm, bytes: 150 }];
        let options = RetentionOptions { limits, ..RetentionOptions::default() };
        let blocks =
            [block(1, Signal::Traces, Warm, 1), block(2, Signal::Logs, Warm, 2), block(3, Signal::Logs, Warm, 3)];
        assert_eq!(ids(choose(&options, None, &blocks, &ROOM)), Some(("bytes", vec![2])));
        assert_eq!(ids(choose(&options, None, &blocks[..2], &ROOM)), None);
    }

    #[test]
    fn correlations_go_by_days_and_bytes_of_their_own() {
        use RetentionClass::{Cold, Warm};
        let limits = vec![Retained { signal: Signal::Logs, class: Cold, bytes: 250 }];
        let options = RetentionOptions { limits, ..RetentionOptions::default() };
        let blocks = [
            block(1, Signal::Logs, Warm, 70),
            block(2, Signal::Logs, Cold, 9),
            block(3, Signal::Logs, Cold, 10),
            block(4, Signal::Logs, Cold, 70),
        ];
        let now = Some(100 * DAY_NS);
        assert_eq!(ids(choose(&options, now, &blocks, &ROOM)), Some(("age", vec![2])), "91 days old");
        assert_eq!(ids(choose(&options, now, &blocks[2..], &ROOM)), None, "90 days old stays");
        assert_eq!(ids(choose(&options, None, &blocks, &ROOM)), Some(("bytes", vec![2])), "300 bytes of 250");
        assert_eq!(ids(choose(&options, None, &blocks[1..3], &ROOM)), None);
    }
}
