//! Rolling up a day.

use super::{Columns, Row, cold_days, rolled_days};
use crate::block::{BlockKind, PAGE_VALUES, store_error};
use crate::blocks::Outputs;
use crate::read::{BlockSeries, Cursor, Gathered, Origin, Reading};
use crate::store::MetricStore;
use bramble_signal::is_histogram_marker;
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
        let all = self.tip.read().blocks.clone();
        let of_day = || all.iter().filter(|b| b.meta.day == day);
        let old = of_day().filter(|b| b.meta.class == RetentionClass::Cold);
        let replaces: Vec<BlockId> = old.map(|b| b.id()).collect();
        let Some(rank) = of_day().filter(|b| b.meta.class != RetentionClass::Cold).map(|b| b.rank).max() else {
            return Ok(Vec::new());
        };
        let rank = rolled_days(&all).get(&day).map_or(rank, |rolled| rank.max(*rolled));
        let from_rows = cold_days(&all).contains(&day);
        let blocks: Vec<_> = of_day().filter(|b| from_rows || b.meta.class != RetentionClass::Cold).cloned().collect();
        let metadata = self.merge_metadata(&blocks).unwrap_or_default();
        let mut streams = Vec::with_capacity(blocks.len());
        for block in &blocks {
            match block.footer() {
                Ok(footer) => {
                    let series = (0..footer.series).collect();
                    streams.push(Origin::Block(Box::new(BlockSeries::new(block.clone(), footer, series))));
                }
                Err(error) if error.is_damage() => {
                    tracing::error!(block = block.id().0, %error, "block is missing in its day's rollups");
                }
                Err(error) => return Err(store_error(block.id(), error)),
            }
        }
        let ids = RefCell::new(next_id);
        let mut id_of_rows = || (ids.borrow_mut())();
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
            writer: None,
            done: Vec::new(),
        };
        let mut written = Written { rows: outputs(BlockKind::Rollups, &mut id_of_rows), columns: Columns::default() };
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
        Ok(written.rows.done)
    }

    /// Where full resolution begins.
    pub(crate) fn cold_before_ms(&self) -> i64 {
        let newest = cold_days(&self.tip.read().blocks).last().copied();
        newest.map_or(i64::MIN, |day| (i64::from(day) + 1) * DAY_MS)
    }
}

/// What a rollup writes.
struct Written<'a> {
    rows: Outputs<'a>,
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
        Ok(())
    }
}

/// Moves float samples of the given days, ascending, into rows.
pub(crate) fn fold_days(days: &[i32], series: &mut Gathered) {
    let (Some(first), Some(last)) = (series.timestamps_ms.first().copied(), series.timestamps_ms.last().copied())
    else {
        return;
    };
    let (mut times, mut values): (Vec<i64>, Vec<f64>) = (Vec::new(), Vec::new());
    for &day in days {
        let (start_ms, end_ms) = (i64::from(day) * DAY_MS, (i64::from(day) + 1) * DAY_MS);
        if end_ms <= first || start_ms > last {
            continue;
        }
        let from = series.timestamps_ms.partition_point(|t| *t < start_ms);
        let to = series.timestamps_ms.partition_point(|t| *t < end_ms);
        let within = series.timestamps_ms.get(from..to).unwrap_or_default().iter();
        for (t, v) in within.zip(series.values.get(from..to).unwrap_or_default()) {
            if !is_histogram_marker(*v) {
                times.push(*t);
                values.push(*v);
            }
        }
        let mut at = 0;
        series.values.retain(|v| {
            at += 1;
            !(from..to).contains(&(at - 1)) || is_histogram_marker(*v)
        });
        let mut moved = times.iter().peekable();
        series.timestamps_ms.retain(|t| moved.next_if_eq(&t).is_none());
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
