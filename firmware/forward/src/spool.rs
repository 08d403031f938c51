//! A queue on disk: the journal's ring, with a place from which it is read.
//!
//! * Items are appended in commits that survive a power cut together; [`append`](Spool::append) returns after the sync.
//! * [`next`](Spool::next) reads the oldest that was not read; [`settle`](Spool::settle) says that everything up to an item
//!   is delivered. How far that is goes into the ring as a record of its own every so often: a power cut brings back at
//!   most what was settled since, so a delivery may be repeated but none is forgotten.
//! * Past its bound of bytes, or of age, the oldest extent is given up as a whole, and its items are counted.

use crate::item::{Item, Record};
use bramble_disk::Disk;
use bramble_disk::journal::{Cursor, Journal, JournalError, JournalOptions, Step};
use bramble_signal::Signal;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// Settled records after which the place is written down.
const SETTLED_UNMARKED_MAX: u64 = 256;
/// Time after which it is, in milliseconds.
const UNMARKED_MS_MAX: i64 = 30_000;
/// A commit holds this much less than an extent's half: length prefixes and the frame's own bytes.
const COMMIT_SPARE_BYTES: usize = 8 << 10;

/// How large and how old it may become.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpoolOptions {
    pub(crate) bytes_max: u64,
    pub(crate) age_max_ms: i64,
}

impl SpoolOptions {
    /// Extents are a hundredth of the whole, so that giving one up loses little; neither so small that compression has
    /// nothing to go on, nor so large that reading one at a start takes the memory of a node.
    fn journal(&self) -> JournalOptions {
        let extent_bytes = (self.bytes_max / 128).next_multiple_of(4096).clamp(256 << 10, 8 << 20);
        let extents_max = (self.bytes_max / extent_bytes).clamp(2, 1 << 16) as u32;
        JournalOptions { extent_bytes: extent_bytes as u32, extents_min: 1, extents_max }
    }
}

/// Counts by signal.
pub(crate) type BySignal = [u64; Signal::ALL.len()];

/// What an extent still holds.
#[derive(Default, Debug)]
struct Tally {
    first_sequence: u64,
    last_sequence: u64,
    items: BySignal,
    records: u64,
    oldest_ms: i64,
    newest_ms: i64,
    /// Items by the lane they belong to.
    lanes: HashMap<Arc<str>, u32>,
    /// Its first item, if that began in the extent before.
    straddling: Option<Straddling>,
}

/// An item in two extents: it is gone with the first.
#[derive(Debug)]
struct Straddling {
    begin: u64,
    end: u64,
    signal: Signal,
    items: u64,
    lane: Option<Arc<str>>,
}

/// What was given up.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Dropped {
    /// For want of room.
    pub(crate) full: BySignal,
    /// For age.
    pub(crate) expired: BySignal,
    /// The disk lost them.
    pub(crate) damaged: u64,
}

/// An item that was read, to be settled.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) sequence: u64,
    pub(crate) item: Item,
}

pub(crate) struct Spool {
    journal: Journal,
    options: SpoolOptions,
    cursor: Cursor,
    /// Read from disk, not handed out.
    read: VecDeque<Waiting>,
    /// Parts of an item whose last record was not read yet.
    parts: Parts,
    tallies: BTreeMap<u64, Tally>,
    settled: u64,
    /// The last that was handed out.
    handed_out: u64,
    marked: u64,
    marked_ms: i64,
    dropped: Dropped,
    raw_bytes: u64,
    /// At the start: newest positions and sequence per lane, as items tell.
    pub(crate) found: BTreeMap<Arc<str>, Found>,
}

/// What a start finds of a lane.
#[derive(Default, Debug, Clone)]
pub(crate) struct Found {
    pub(crate) sequence: u64,
    /// Key: the sequence that set it, and the value.
    pub(crate) positions: BTreeMap<String, (u64, String)>,
}

impl Spool {
    /// Opens the queue on its disk, reading all of it once.
    ///
    /// # Errors
    /// When the disk cannot be read or holds a newer version's ring.
    pub(crate) fn open(disk: Arc<dyn Disk>, options: SpoolOptions, now_ms: i64) -> Result<Spool, JournalError> {
        let mut parts = Parts::default();
        let mut tallies: BTreeMap<u64, Tally> = BTreeMap::new();
        let mut found: BTreeMap<Arc<str>, Found> = BTreeMap::new();
        let mut settled = 0;
        let (mut journal, report) = Journal::open(disk, options.journal(), 0, &mut |replayed| match parts
            .join(replayed.record)
            .and_then(|bytes| Record::decode(&bytes))
        {
            Some(Record::Settled(through)) => settled = settled.max(through),
            Some(Record::Item(item)) => {
                tallies.entry(replayed.epoch).or_default().add(replayed.sequence, parts.count, &item);
                let Some(origin) = item.origin else { return };
                let of_lane = found.entry(origin.lane).or_default();
                of_lane.sequence = of_lane.sequence.max(origin.sequence);
                for (key, value) in origin.positions {
                    of_lane.positions.insert(key, (origin.sequence, value));
                }
            }
            None => {}
        })?;
        for damage in report.damaged.iter().filter(|damage| damage.offset > 0) {
            tracing::warn!(extent = damage.extent, offset = damage.offset, "spool: {}", damage.what);
        }
        journal.release(settled);
        tallies.retain(|_, tally| tally.last_sequence > settled);
        // Of one extent a part may be settled: its items are counted again.
        if let Some(mut entry) = tallies.first_entry().filter(|entry| entry.get().first_sequence <= settled) {
            let last = entry.get().last_sequence;
            let (mut again, mut cursor, mut parts) = (Tally::default(), Cursor::new(settled), Parts::default());
            while cursor.position() < last {
                let step = journal.step(&mut cursor, &mut |replayed| {
                    let record = parts.join(replayed.record).and_then(|bytes| Record::decode(&bytes));
                    if let Some(Record::Item(item)) = record.filter(|_| replayed.sequence <= last) {
                        again.add(replayed.sequence, parts.count, &item);
                    }
                })?;
                if step == Step::End {
                    break;
                }
            }
            *entry.get_mut() = again;
        }
        tallies.retain(|_, tally| tally.records > 0);
        let cursor = Cursor::new(settled);
        let mut spool = Spool {
            journal,
            options,
            cursor,
            read: VecDeque::new(),
            parts: Parts::default(),
            tallies,
            settled,
            handed_out: settled,
            marked: settled,
            marked_ms: now_ms,
            dropped: Dropped::default(),
            raw_bytes: 0,
            found,
        };
        spool.expire(now_ms);
        Ok(spool)
    }

    /// Makes items durable, in order, dropping the oldest where there is no room for them.
    ///
    /// # Errors
    /// When the disk fails; then none, or the first few of them, are durable, and all may be appended again: an item that
    /// is there twice is delivered twice.
    pub(crate) fn append(&mut self, items: &[Arc<Item>], now_ms: i64) -> Result<(), JournalError> {
        self.expire(now_ms);
        let mut commit = Commit::default();
        let part_max = (self.options.journal().extent_bytes as usize / 2)
            .min(bramble_disk::journal::COMMIT_RAW_BYTES_MAX)
            - COMMIT_SPARE_BYTES;
        for item in items {
            let mut bytes = Vec::with_capacity(item.payload.len() + 256);
            item.encode(&mut bytes);
            self.raw_bytes += bytes.len() as u64;
            let mut parts = bytes.chunks(part_max).enumerate().peekable();
            while let Some((number, part)) = parts.next() {
                if commit.bytes + part.len() > part_max || commit.records.len() >= 512 {
                    self.commit(&mut commit)?;
                }
                let more = parts.peek().is_some();
                let record = [&[Parts::mark(number == 0, !more)], part].concat();
                commit.bytes += record.len();
                commit.records.push(record);
                if !more {
                    commit.ends.push((commit.records.len() as u64, number as u64 + 1, item.clone()));
                }
            }
        }
        self.commit(&mut commit)
    }

    fn commit(&mut self, commit: &mut Commit) -> Result<(), JournalError> {
        if commit.records.is_empty() {
            return Ok(());
        }
        let epoch = loop {
            match self.journal.prepare_commit(commit.bytes + commit.records.len() * 5) {
                Ok(epoch) => break epoch,
                Err(error @ JournalError::Full { .. }) => self.give_up_oldest().ok_or(error)?,
                Err(error) => return Err(error),
            }
        };
        let first = self.journal.next_sequence();
        let records: Vec<&[u8]> = commit.records.iter().map(Vec::as_slice).collect();
        self.journal.append(&records)?;
        for (at, parts, item) in commit.ends.drain(..) {
            self.tallies.entry(epoch).or_default().add(first + at - 1, parts, &item);
        }
        commit.records.clear();
        commit.bytes = 0;
        Ok(())
    }

    /// Releases the oldest extent although it was not delivered.
    fn give_up_oldest(&mut self) -> Option<()> {
        let (_, last) = self.journal.oldest_extent()?;
        let dropped = self.forget_through(last);
        add(&mut self.dropped.full, &dropped);
        Some(())
    }

    /// Gives up extents whose newest item is too old.
    fn expire(&mut self, now_ms: i64) {
        let oldest_ms = now_ms.saturating_sub(self.options.age_max_ms);
        loop {
            let old = self.tallies.first_key_value().filter(|(_, t)| t.records > 0 && t.newest_ms < oldest_ms);
            let Some(last) = old.map(|(_, tally)| tally.last_sequence) else { return };
            let dropped = self.forget_through(last);
            add(&mut self.dropped.expired, &dropped);
        }
    }

    /// Everything up to `through` is gone; what of it was still waiting.
    fn forget_through(&mut self, through: u64) -> BySignal {
        let mut gone = BySignal::default();
        while let Some(entry) = self.tallies.first_entry().filter(|entry| entry.get().last_sequence <= through) {
            add(&mut gone, &entry.remove().items);
        }
        if let Some(mut entry) = self.tallies.first_entry() {
            let tally = entry.get_mut();
            if let Some(first) = tally.straddling.take_if(|first| first.begin <= through) {
                gone[first.signal as usize] += first.items;
                tally.remove(first.signal, first.items, first.lane.as_ref());
                if tally.records == 0 {
                    entry.remove();
                }
            }
        }
        self.read.retain(|waiting| waiting.sequence > through);
        if self.cursor.position() < through {
            self.parts = Parts::default();
        }
        self.settled = self.settled.max(through);
        self.journal.release(self.settled);
        gone
    }

    /// The oldest item that was not handed out since the start, if there is one.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub(crate) fn next(&mut self, now_ms: i64) -> Result<Option<Waiting>, JournalError> {
        loop {
            if let Some(waiting) = self.read.pop_front() {
                self.handed_out = waiting.sequence;
                if waiting.item.since_ms >= now_ms.saturating_sub(self.options.age_max_ms) {
                    return Ok(Some(waiting));
                }
                self.dropped.expired[waiting.item.signal as usize] += waiting.item.items;
                self.settle(&waiting);
                continue;
            }
            let Spool { journal, cursor, read, parts, .. } = self;
            let step = journal.step(cursor, &mut |replayed| {
                let record = parts.join(replayed.record).and_then(|bytes| Record::decode(&bytes));
                if let Some(Record::Item(item)) = record {
                    read.push_back(Waiting { sequence: replayed.sequence, item });
                }
            })?;
            match step {
                Step::Read => {}
                Step::End => {
                    // An item that began in an extent that was given up never comes.
                    if self.handed_out <= self.settled && !self.tallies.is_empty() {
                        self.dropped.damaged += self.items().iter().sum::<u64>();
                        self.tallies.clear();
                    }
                    return Ok(None);
                }
                Step::Lost(from, through) => {
                    tracing::warn!(from, through, "spool: records cannot be read and are lost");
                    let lost: u64 = self.forget_through(through).iter().sum();
                    self.dropped.damaged += lost;
                }
            }
        }
    }

    /// An item is delivered, or given up for good. Items are settled in the order in which they were handed out.
    pub(crate) fn settle(&mut self, waiting: &Waiting) {
        // Given up meanwhile.
        if waiting.sequence <= self.settled {
            return;
        }
        self.settled = waiting.sequence;
        let item = &waiting.item;
        if let Some(mut entry) = self.tallies.first_entry() {
            let tally = entry.get_mut();
            tally.remove(item.signal, item.items, item.origin.as_ref().map(|origin| &origin.lane));
            tally.oldest_ms = item.since_ms;
            if tally.straddling.as_ref().is_some_and(|first| first.end <= waiting.sequence) {
                tally.straddling = None;
            }
            if tally.records == 0 {
                entry.remove();
            }
        }
        self.journal.release(self.settled);
    }

    /// Hands out again what was not settled, from the oldest on.
    #[cfg(test)]
    pub(crate) fn rewind(&mut self) {
        self.read.clear();
        self.parts = Parts::default();
        self.cursor = Cursor::new(self.settled);
        self.handed_out = self.settled;
    }

    /// Writes down how far it is settled when that is due, or when told to; gives room back when it is empty.
    ///
    /// # Errors
    /// When the disk fails; the place is then written later.
    pub(crate) fn mark(&mut self, now_ms: i64, now: bool) -> Result<(), JournalError> {
        let ahead = self.settled - self.marked;
        if ahead == 0 {
            self.marked_ms = now_ms;
            return Ok(());
        }
        let due = ahead >= SETTLED_UNMARKED_MAX || now_ms - self.marked_ms >= UNMARKED_MS_MAX || self.is_empty();
        if !due && !now {
            return Ok(());
        }
        let record = [&[Parts::mark(true, true)], Record::mark(self.settled).as_slice()].concat();
        match self.journal.prepare_commit(record.len() + 5) {
            // What comes back is delivered again.
            Err(JournalError::Full { .. }) => return Ok(()),
            other => other?,
        };
        self.journal.append(&[&record])?;
        (self.marked, self.marked_ms) = (self.settled, now_ms);
        if self.is_empty() {
            self.journal.shrink(1)?;
        }
        Ok(())
    }

    /// Lanes of which items wait.
    pub(crate) fn lanes(&self) -> std::collections::HashSet<Arc<str>> {
        let held = self.tallies.values().flat_map(|tally| tally.lanes.iter().filter(|(_, count)| **count > 0));
        held.map(|(lane, _)| lane.clone()).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tallies.is_empty()
    }

    /// Items that wait, by signal.
    pub(crate) fn items(&self) -> BySignal {
        let mut sum = BySignal::default();
        self.tallies.values().for_each(|tally| add(&mut sum, &tally.items));
        sum
    }

    /// Bytes on disk that wait.
    pub(crate) fn bytes(&self) -> u64 {
        if self.is_empty() { 0 } else { self.journal.needed_bytes() }
    }

    /// When the oldest that waits was handed over.
    pub(crate) fn oldest_ms(&self) -> Option<i64> {
        self.tallies.first_key_value().map(|(_, tally)| tally.oldest_ms)
    }

    /// What was given up since the last call.
    pub(crate) fn take_dropped(&mut self) -> Dropped {
        std::mem::take(&mut self.dropped)
    }

    /// Bytes on disk per byte that was appended, as far as it is known.
    pub(crate) fn shrinkage(&self) -> Option<f64> {
        (self.raw_bytes > 64 << 10).then(|| self.journal.bytes_written() as f64 / self.raw_bytes as f64)
    }
}

/// Records of a commit in the making.
#[derive(Default)]
struct Commit {
    records: Vec<Vec<u8>>,
    bytes: usize,
    /// Items that end in it: how many records with their last one, of how many parts they are, and the item.
    ends: Vec<(u64, u64, Arc<Item>)>,
}

impl Tally {
    fn add(&mut self, sequence: u64, parts: u64, item: &Item) {
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
}

impl Tally {
    /// One of its items is no longer waiting.
    fn remove(&mut self, signal: Signal, items: u64, lane: Option<&Arc<str>>) {
        self.records = self.records.saturating_sub(1);
        let left = &mut self.items[signal as usize];
        *left = left.saturating_sub(items);
        if let Some(count) = lane.and_then(|lane| self.lanes.get_mut(lane)) {
            *count = count.saturating_sub(1);
        }
    }
}

fn add(sum: &mut BySignal, more: &BySignal) {
    sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

/// Puts the parts of an item together. An item whose last part never came was never acknowledged.
#[derive(Default)]
struct Parts {
    bytes: Vec<u8>,
    open: bool,
    /// Of the item at hand.
    count: u64,
}

impl Parts {
    /// The first byte of a record: bit 0: an item begins here, bit 1: an item ends here.
    fn mark(first: bool, last: bool) -> u8 {
        u8::from(first) | u8::from(last) << 1
    }

    /// The whole item, when this is its last part.
    fn join(&mut self, record: &[u8]) -> Option<Vec<u8>> {
        let (&mark, part) = record.split_first()?;
        let (first, last) = (mark & 1 != 0, mark & 2 != 0);
        if first {
            self.bytes.clear();
            self.count = 0;
        } else if !self.open {
            return None;
        }
        self.count += 1;
        self.open = !last;
        self.bytes.extend_from_slice(part);
        last.then(|| std::mem::take(&mut self.bytes))
    }
}

#[cfg(test)]
mod tests;
