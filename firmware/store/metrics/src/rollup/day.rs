//! Rolling up a day.

use super::{Columns, Row, Tiers, bucket_of};
use crate::block::{BlockKind, PAGE_VALUES, store_error};
use crate::blocks::{Outputs, no_exemplars};
use crate::read::{BlockSeries, Cursor, Gathered, Origin, Reading};
use crate::samples::Samples;
use crate::store::MetricStore;
use crate::tombstones::cut;
use bramble_signal::{NativeHistogram, ResetHint, histogram_at};
use bramble_storage::{BlockId, BlockMeta, ReadError, RetentionClass, StoreError};
use std::cell::RefCell;
use std::sync::Arc;

const DAY_MS: i64 = 86_400_000;

impl MetricStore {
    /// As [`BlockStore::roll_up`](bramble_storage::BlockStore::roll_up). From full resolution while it is there, else
    /// from the rows there are and what came later.
    pub(crate) fn roll_up_day(
        &self,
        day: i32,
        target_bytes: u64,
        next_id: &mut dyn FnMut() -> BlockId,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<Vec<BlockMeta>, StoreError> {
        let deletions = self.deletions();
        let all = self.tip.read().blocks.clone();
        let of_day = || all.iter().filter(|b| b.meta.day == day);
        let tiers = Tiers::of(&all);
        // What came later than full resolution went goes with its rollup, in one transaction: alone it would pass for the
        // whole day.
        let from_rows = tiers.cold_days.contains(&day);
        let old = of_day().filter(|b| from_rows || b.meta.class == RetentionClass::Cold);
        let replaces: Vec<BlockId> = old.map(|b| b.id()).collect();
        let newest = of_day().filter(|b| b.meta.class != RetentionClass::Cold).map(|b| b.rank).max();
        let Some(rank) = newest.max(tiers.rank(day)) else { return Ok(Vec::new()) };
        let blocks: Vec<_> = of_day().filter(|b| tiers.serves(b)).cloned().collect();
        let metadata = self.merge_metadata(&blocks).unwrap_or_default();
        let mut streams = Vec::with_capacity(blocks.len());
        for block in &blocks {
            let opened = block.footer().and_then(|footer| {
                let mut series = (0..footer.series).collect();
                let cuts = cut(&deletions, block, &footer, &mut series)?;
                Ok(BlockSeries::new(block.clone(), footer, series.iter().collect()).cutting(cuts))
            });
            match opened {
                Ok(series) => streams.push(Origin::Block(Box::new(series))),
                Err(error) if error.is_damage() => {
                    tracing::error!(block = block.id().0, %error, "block is missing in its day's rollups");
                }
                Err(error) => return Err(store_error(block.id(), error)),
            }
        }
        let ids = RefCell::new(next_id);
        let (mut id_of_rows, mut id_of_samples) = (|| (ids.borrow_mut())(), || (ids.borrow_mut())());
        let outputs = |kind, next_id| Outputs {
            store: self,
            next_id,
            class: RetentionClass::Cold,
            day,
            journal: (0, 0),
            replaces: replaces.clone(),
            rank,
            rank_from: rank,
            kind,
            page_values: PAGE_VALUES,
            target_bytes,
            metadata: metadata.clone(),
            exemplars: no_exemplars(),
            writer: None,
            done: Vec::new(),
        };
        let mut written = Written {
            rows: outputs(BlockKind::Rollups, &mut id_of_rows),
            histograms: outputs(BlockKind::Samples, &mut id_of_samples),
            columns: Columns::default(),
        };
        let reading = Reading { context: None, keep_going: Some(keep_going), damage: None, counters: &self.counters };
        let mut cursor = Cursor::new(reading, streams, i64::MIN, i64::MAX).folding(Arc::from([day]));
        loop {
            match cursor.next_series() {
                Ok(Some(series)) => written.add(series)?,
                Ok(None) => break,
                Err(ReadError::Storage(what)) => return Err(StoreError::Disk(what)),
                Err(_) => return Err(StoreError::Stopped),
            }
        }
        written.rows.close()?;
        written.histograms.close()?;
        let mut done = written.rows.done;
        done.append(&mut written.histograms.done);
        Ok(done)
    }

    /// Where full resolution begins.
    pub(crate) fn cold_before_ms(&self) -> i64 {
        let newest = Tiers::of(&self.tip.read().blocks).cold_days.last().copied();
        newest.map_or(i64::MIN, |day| (i64::from(day) + 1) * DAY_MS)
    }
}

/// What a rollup writes.
struct Written<'a> {
    rows: Outputs<'a>,
    histograms: Outputs<'a>,
    columns: Columns,
}

impl Written<'_> {
    fn add(&mut self, series: &mut Gathered) -> Result<(), StoreError> {
        if !series.rows.is_empty() {
            self.columns.fill(&series.rows);
            for part in 0..self.columns.parts() {
                let (times, values) = self.columns.part(part);
                self.rows.put(&series.labels, times, values)?;
            }
            self.rows.close_if_full()?;
        }
        let kept = thinned(&series.samples);
        if kept.is_empty() { Ok(()) } else { self.histograms.add(&series.labels, &kept) }
    }
}

/// Of histograms the last of each bucket and each before a reset. One that follows dropped resets says so.
fn thinned(samples: &Samples) -> Samples {
    let mut kept = Samples::default();
    let mut reset_since = false;
    for (at, (&timestamp_ms, &value)) in samples.timestamps_ms.iter().zip(&samples.values).enumerate() {
        let Some(histogram) = histogram_at(value, &samples.histograms) else { continue };
        let before = at.checked_sub(1).and_then(|at| histogram_at(*samples.values.get(at)?, &samples.histograms));
        let next = samples.timestamps_ms.get(at + 1).zip(samples.values.get(at + 1));
        reset_since |= before.is_some_and(|before| is_reset(before, histogram));
        let is_last = next.is_none_or(|(t, _)| bucket_of(*t) != bucket_of(timestamp_ms));
        let next = next.and_then(|(_, value)| histogram_at(*value, &samples.histograms));
        if is_last || next.is_some_and(|next| is_reset(histogram, next)) {
            let mut histogram = histogram.clone();
            if reset_since {
                histogram.reset_hint = ResetHint::Reset;
            }
            kept.push_histogram(timestamp_ms, histogram);
            reset_since = false;
        }
    }
    kept
}

/// Whether `next` counts anew. What its hint says is of the sample before it, which is the one asked about.
fn is_reset(before: &NativeHistogram, next: &NativeHistogram) -> bool {
    match next.reset_hint {
        ResetHint::Gauge | ResetHint::NotReset => false,
        ResetHint::Reset => true,
        ResetHint::Unknown => next.detect_reset(before),
    }
}

/// Moves float samples of the given days, ascending, into rows.
pub(crate) fn fold_days(days: &[i32], series: &mut Gathered) {
    let samples = &mut series.samples;
    let (Some(first), Some(last)) = (samples.timestamps_ms.first().copied(), samples.timestamps_ms.last().copied())
    else {
        return;
    };
    let (mut times, mut values): (Vec<i64>, Vec<f64>) = (Vec::new(), Vec::new());
    for &day in days {
        let (start_ms, end_ms) = (i64::from(day) * DAY_MS, (i64::from(day) + 1) * DAY_MS);
        if end_ms <= first || start_ms > last {
            continue;
        }
        let from = samples.timestamps_ms.partition_point(|t| *t < start_ms);
        let to = samples.timestamps_ms.partition_point(|t| *t < end_ms);
        samples.move_numbers(from, to, &mut times, &mut values);
        super::roll(&times, &values, &mut series.rows);
        times.clear();
        values.clear();
    }
    super::fold(&mut series.rows);
}

/// The rollups of rows within a range, resets against the row before included.
pub(crate) fn rollups_of(rows: &[Row]) -> impl Iterator<Item = bramble_signal::Rollup> + '_ {
    let mut before = None::<f64>;
    rows.iter().map(move |row| {
        let mut rollup = row.rollup;
        if rollup.count > 0 {
            rollup.resets += u32::from(before.is_some_and(|value| rollup.first.value < value));
            before = Some(rollup.last.value);
        }
        rollup
    })
}
