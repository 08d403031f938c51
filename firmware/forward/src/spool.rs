//! A queue on disk: the journal's ring, with a place from which it is read.
//!
//! * Items are appended in commits that survive a power cut together; [`append`](Spool::append) returns after the sync.
//! * [`next`](Spool::next) reads the oldest that was not read; [`settle`](Spool::settle) says that everything up to an item
//!   is delivered. How far that is goes into the ring as a record of its own every so often: a power cut brings back at
//!   most what was settled since, so a delivery may be repeated but none is forgotten.
//! * Past its bound of bytes, or of age, the oldest extent is given up as a whole, and its items are counted.

mod fits;
mod read;
mod tally;
mod write;

use crate::item::{Item, Record};
use bramble_disk::Disk;
use bramble_disk::journal::{Cursor, Journal, JournalError, JournalOptions, Step};
use bramble_signal::Signal;
use read::{Joined, Reader};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tally::Tally;
use write::{BEGINS, ENDS, Records, Sizes};

/// Settled records after which the place is written down.
const SETTLED_UNMARKED_MAX: u64 = 256;
/// Time after which it is, in milliseconds.
const UNMARKED_MS_MAX: i64 = 30_000;
/// Of the extents that there may be, one of so many is kept when nothing waits.
const EXTENTS_KEPT_SHARE: u32 = 32;
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

    fn sizes(&self) -> Sizes {
        let half_extent = self.journal().extent_bytes as usize / 2;
        Sizes::of(half_extent.min(bramble_disk::journal::COMMIT_RAW_BYTES_MAX) - COMMIT_SPARE_BYTES)
    }
}

/// Counts by signal.
pub(crate) type BySignal = [u64; Signal::ALL.len()];

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

/// What was read and not handed out.
enum Read {
    Item(Waiting),
    /// An item without payload, which does not decode.
    Damaged(Waiting),
}

impl Read {
    fn sequence(&self) -> u64 {
        let (Read::Item(waiting) | Read::Damaged(waiting)) = self;
        waiting.sequence
    }
}

pub(crate) struct Spool {
    journal: Journal,
    options: SpoolOptions,
    cursor: Cursor,
    /// Read from disk, not handed out.
    read: VecDeque<Read>,
    reader: Reader,
    records: Records,
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
        let mut reader = Reader::of_heads();
        let mut tallies: BTreeMap<u64, Tally> = BTreeMap::new();
        let mut found: BTreeMap<Arc<str>, Found> = BTreeMap::new();
        let mut settled = 0;
        let (mut journal, report) =
            Journal::open(disk, options.journal(), 0, &mut |replayed| match reader.take(replayed.record) {
                Some(Joined::Settled(through)) => settled = settled.max(through),
                Some(Joined::Item(item) | Joined::Damaged(item)) => {
                    tallies.entry(replayed.epoch).or_default().add(replayed.sequence, reader.parts, &item);
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
            let (mut again, mut cursor, mut reader) = (Tally::default(), Cursor::new(settled), Reader::of_heads());
            while cursor.position() < last {
                let step = journal.step(&mut cursor, &mut |replayed| {
                    let joined = reader.take(replayed.record);
                    if let (Some(Joined::Item(item)), true) = (joined, replayed.sequence <= last) {
                        again.add(replayed.sequence, reader.parts, &item);
                    }
                })?;
                if step == Step::End {
                    break;
                }
            }
            *entry.get_mut() = again;
        }
        tallies.retain(|_, tally| tally.records > 0);
        let cursor = Cursor::new(journal.extent_begin(settled) - 1);
        let mut spool = Spool {
            journal,
            options,
            cursor,
            read: VecDeque::new(),
            reader: Reader::new(),
            records: Records::new(options.sizes()),
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
        let result = self.append_all(items);
        if result.is_err() {
            self.records.failed();
        }
        result
    }

    fn append_all(&mut self, items: &[Arc<Item>]) -> Result<(), JournalError> {
        self.raw_bytes += items.iter().map(|item| item.payload.len() as u64).sum::<u64>();
        let mut items = items.iter().cloned();
        self.records.take_up(&mut items);
        while !self.records.is_empty() {
            let wanted = self.records.bytes_likely();
            let epoch = self.prepare(wanted)?;
            let mut commit = self.records.encode(epoch);
            // It was a guess. Who moves on to an empty extent encodes anew, and it fits.
            let moved_to = self.prepare(commit.bytes)?;
            if moved_to != epoch {
                commit = self.records.encode(moved_to);
            }
            let first = self.journal.next_sequence();
            self.journal.append(&commit.records())?;
            let tallies = &mut self.tallies;
            self.records.committed(commit, |records, parts, item| {
                tallies.entry(moved_to).or_default().add(first + records - 1, parts, item);
            });
            self.records.take_up(&mut items);
        }
        Ok(())
    }

    /// Makes room for a commit, for the oldest's sake if need be.
    fn prepare(&mut self, bytes: usize) -> Result<u64, JournalError> {
        loop {
            match self.journal.prepare_commit(bytes) {
                Err(error @ JournalError::Full { .. }) => self.give_up_oldest().ok_or(error)?,
                other => return other,
            }
        }
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
        self.read.retain(|read| read.sequence() > through);
        if self.cursor.position() < through {
            self.reader.interrupt();
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
            if let Some(read) = self.read.pop_front() {
                self.handed_out = read.sequence();
                let (waiting, lost) = match read {
                    Read::Item(waiting) if waiting.item.since_ms >= now_ms.saturating_sub(self.options.age_max_ms) => {
                        return Ok(Some(waiting));
                    }
                    Read::Item(waiting) => {
                        let lost = &mut self.dropped.expired[waiting.item.signal as usize];
                        (waiting, lost)
                    }
                    Read::Damaged(waiting) => (waiting, &mut self.dropped.damaged),
                };
                *lost += waiting.item.items;
                self.settle(&waiting);
                continue;
            }
            let Spool { journal, cursor, read, reader, settled, .. } = self;
            let step = journal.step(cursor, &mut |replayed| {
                let sequence = replayed.sequence;
                // What is settled is of interest to the models alone.
                match reader.take(replayed.record).filter(|_| sequence > *settled) {
                    Some(Joined::Item(item)) => read.push_back(Read::Item(Waiting { sequence, item })),
                    Some(Joined::Damaged(item)) => read.push_back(Read::Damaged(Waiting { sequence, item })),
                    Some(Joined::Settled(_)) | None => {}
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
        self.reader = Reader::new();
        self.cursor = Cursor::new(self.journal.extent_begin(self.settled) - 1);
        self.handed_out = self.settled;
    }

    /// Writes down how far it is settled when that is due, or when told to; gives most of the room back when it is empty.
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
        let record = [&[BEGINS | ENDS], Record::mark(self.settled).as_slice()].concat();
        match self.journal.prepare_commit(record.len() + 5) {
            // What comes back is delivered again.
            Err(JournalError::Full { .. }) => return Ok(()),
            other => other?,
        };
        self.journal.append(&[&record])?;
        (self.marked, self.marked_ms) = (self.settled, now_ms);
        if self.is_empty() {
            // Making an extent costs as many bytes as filling it: a few are kept for the next time.
            self.journal.shrink(self.options.journal().extents_max / EXTENTS_KEPT_SHARE)?;
            // Nothing of what they remember is needed, and whoever waits for a hub has use for the memory.
            self.records.forget();
            self.reader = Reader::new();
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

fn add(sum: &mut BySignal, more: &BySignal) {
    sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

#[cfg(test)]
#[cfg(test)]
mod load;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;
