//! What an extent of the queue still holds.

use super::BySignal;
use crate::item::Item;
use bramble_signal::Signal;
use std::collections::HashMap;
use std::sync::Arc;

/// What an extent still holds.
#[derive(Default, Debug)]
pub(super) struct Tally {
    pub(super) first_sequence: u64,
    pub(super) last_sequence: u64,
    pub(super) items: BySignal,
    pub(super) records: u64,
    pub(super) oldest_ms: i64,
    pub(super) newest_ms: i64,
    /// Items by the lane they belong to.
    pub(super) lanes: HashMap<Arc<str>, u32>,
    /// Its first item, if that began in the extent before.
    pub(super) straddling: Option<Straddling>,
}

/// An item in two extents: it is gone with the first.
#[derive(Debug)]
pub(super) struct Straddling {
    pub(super) begin: u64,
    pub(super) end: u64,
    pub(super) signal: Signal,
    pub(super) items: u64,
    pub(super) lane: Option<Arc<str>>,
}

impl Tally {
    /// Enters an item whose last record is `sequence`, the last of `parts`.
    pub(super) fn add(&mut self, sequence: u64, parts: u64, item: &Item) {
        if self.records == 0 {
            let lane = item.origin.as_ref().map(|origin| origin.lane.clone());
            let (begin, signal, items) = ((sequence + 1).saturating_sub(parts), item.signal, item.items);
            self.straddling = (parts > 1).then_some(Straddling { begin, end: sequence, signal, items, lane });
            (self.oldest_ms, self.newest_ms, self.first_sequence) = (item.since_ms, item.since_ms, sequence);
        }
        self.records += 1;
        self.last_sequence = sequence;
        self.newest_ms = self.newest_ms.max(item.since_ms);
        self.items[item.signal as usize] += item.items;
        if let Some(origin) = &item.origin {
            *self.lanes.entry(origin.lane.clone()).or_default() += 1;
        }
    }

    /// One of its items is no longer waiting.
    pub(super) fn remove(&mut self, signal: Signal, items: u64, lane: Option<&Arc<str>>) {
        self.records = self.records.saturating_sub(1);
        let left = &mut self.items[signal as usize];
        *left = left.saturating_sub(items);
        if let Some(count) = lane.and_then(|lane| self.lanes.get_mut(lane)) {
            *count = count.saturating_sub(1);
        }
    }
}
