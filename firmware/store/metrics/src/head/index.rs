//! The series of the head: labels as tuples of pair numbers, found by hash or by guess.
//!
//! A series costs 12 bytes here, 4 per label, about 6 in the hash table and a few in the lists of its pairs.
//! Senders repeat their series in the same order, and numbers are given in order of arrival, so the guess "the one
//! after the last" is nearly always right and saves hashing; a guess or a hash counts only after the
//! labels compared equal.

use crate::bytes::{compare_sets, hash, pairs};
use crate::pairs::{PairLookup, PairSet};
use hashbrown::HashTable;
use roaring::RoaringBitmap;
use std::cmp::Ordering;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU8, Ordering as Atomic};

/// Most labels of one series.
pub(crate) const LABELS_MAX: usize = 512;
const ENTRIES_PER_PAGE: usize = 256;
const SLOTS_PER_CHUNK: usize = 256;

/// A label set of more than [`LABELS_MAX`] labels is cut: `prepare` refuses it before.
#[derive(Default)]
struct Entry {
    slot: u32,
    hash: u32,
    /// 0: dead.
    labels: u16,
    /// The trim during which it was last written to.
    touched: AtomicU8,
}

struct EntryPage {
    live: u16,
    entries: [Entry; ENTRIES_PER_PAGE],
}

/// Tuples of one length; slots are reused.
#[derive(Default)]
struct TuplePool {
    chunks: Vec<Box<[u32]>>,
    used: u32,
    free: Vec<u32>,
}

/// Series by number, labels and label pairs.
#[derive(Default)]
pub(crate) struct SeriesIndex {
    pub(crate) pairs: PairSet,
    pages: Vec<Option<Box<EntryPage>>>,
    next: u32,
    live: usize,
    tuples: Vec<TuplePool>,
    tuple_bytes: usize,
    page_bytes: usize,
    table: HashTable<u32>,
    empty: Option<u32>,
    epoch: u8,
}

fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl SeriesIndex {
    fn entry(&self, series: u32) -> Option<&Entry> {
        let page = self.pages.get(series as usize / ENTRIES_PER_PAGE)?.as_ref()?;
        page.entries.get(series as usize % ENTRIES_PER_PAGE).filter(|entry| entry.labels > 0)
    }

    fn tuple_of(&self, entry: &Entry) -> &[u32] {
        let width = usize::from(entry.labels);
        let from = entry.slot as usize % SLOTS_PER_CHUNK * width;
        self.tuples
            .get(width)
            .and_then(|pool| pool.chunks.get(entry.slot as usize / SLOTS_PER_CHUNK))
            .and_then(|chunk| chunk.get(from..from + width))
            .unwrap_or_default()
    }

    /// Pair numbers of a living series, in the order of its labels.
    pub(crate) fn tuple(&self, series: u32) -> &[u32] {
        self.entry(series).map_or(&[], |entry| self.tuple_of(entry))
    }

    fn has_labels(&self, series: u32, labels: &[u8]) -> bool {
        let Some(entry) = self.entry(series) else { return self.empty == Some(series) && labels.is_empty() };
        let mut rest = labels;
        for &pair in self.tuple_of(entry) {
            match rest.strip_prefix(self.pairs.encoded(pair)) {
                Some(after) => rest = after,
                None => return false,
            }
        }
        rest.is_empty() && !labels.is_empty()
    }

    /// Whether the series still exists.
    pub(crate) fn is_live(&self, series: u32) -> bool {
        self.entry(series).is_some() || self.empty == Some(series)
    }

    /// The series of these labels, tried at `guess` first; marks it as in use.
    pub(crate) fn find(&self, labels: &[u8], guess: u32) -> Option<u32> {
        let found = if self.has_labels(guess, labels) {
            guess
        } else if labels.is_empty() {
            self.empty?
        } else {
            let short = hash(labels) as u32;
            *self.table.find(spread(short), |&series| {
                self.entry(series).is_some_and(|entry| entry.hash == short) && self.has_labels(series, labels)
            })?
        };
        if let Some(entry) = self.entry(found)
            && entry.touched.load(Atomic::Relaxed) != self.epoch
        {
            entry.touched.store(self.epoch, Atomic::Relaxed);
        }
        Some(found)
    }

    /// The series of these labels, which is created if need be.
    pub(crate) fn resolve(&mut self, labels: &[u8]) -> u32 {
        if let Some(found) = self.find(labels, self.next) {
            return found;
        }
        let series = self.next;
        self.next += 1;
        if labels.is_empty() {
            self.empty = Some(series);
            self.live += 1;
            return series;
        }
        let tuple: Vec<u32> = pairs(labels).take(usize::from(u16::MAX)).map(|pair| self.pairs.intern(pair)).collect();
        for &pair in &tuple {
            self.pairs.post(pair, series);
        }
        let slot = self.store_tuple(&tuple);
        let hash = hash(labels) as u32;
        let (at, within) = (series as usize / ENTRIES_PER_PAGE, series as usize % ENTRIES_PER_PAGE);
        if self.pages.len() <= at {
            self.pages.resize_with(at + 1, || None);
        }
        if self.pages[at].is_none() {
            self.page_bytes += size_of::<EntryPage>();
        }
        let page = self.pages[at]
            .get_or_insert_with(|| Box::new(EntryPage { live: 0, entries: std::array::from_fn(|_| Entry::default()) }));
        page.live += 1;
        page.entries[within] = Entry { slot, hash, labels: tuple.len() as u16, touched: AtomicU8::new(self.epoch) };
        self.live += 1;
        let pages = &self.pages;
        self.table.insert_unique(spread(hash), series, |&other| {
            let page = pages.get(other as usize / ENTRIES_PER_PAGE).and_then(Option::as_ref);
            spread(page.map_or(0, |page| page.entries[other as usize % ENTRIES_PER_PAGE].hash))
        });
        series
    }

    fn store_tuple(&mut self, tuple: &[u32]) -> u32 {
        let width = tuple.len();
        if self.tuples.len() <= width {
            self.tuples.resize_with(width + 1, TuplePool::default);
        }
        let pool = &mut self.tuples[width];
        let slot = pool.free.pop().unwrap_or_else(|| {
            pool.used += 1;
            pool.used - 1
        });
        if slot as usize / SLOTS_PER_CHUNK == pool.chunks.len() {
            pool.chunks.push(vec![0; SLOTS_PER_CHUNK * width].into_boxed_slice());
            self.tuple_bytes += SLOTS_PER_CHUNK * width * 4 + 16;
        }
        let from = slot as usize % SLOTS_PER_CHUNK * width;
        pool.chunks[slot as usize / SLOTS_PER_CHUNK][from..from + width].copy_from_slice(tuple);
        slot
    }

    /// Appends the encoded labels of a living series to `out`.
    pub(crate) fn labels(&self, series: u32, out: &mut Vec<u8>) {
        for &pair in self.tuple(series) {
            out.extend_from_slice(self.pairs.encoded(pair));
        }
    }

    /// Length of [`labels`](Self::labels).
    pub(crate) fn labels_len(&self, series: u32) -> usize {
        self.tuple(series).iter().map(|&pair| self.pairs.encoded(pair).len()).sum()
    }

    /// The order of two living series' labels.
    pub(crate) fn compare(&self, a: u32, b: u32) -> Ordering {
        let (a, b) = (self.tuple(a), self.tuple(b));
        let same = a.iter().zip(b).take_while(|(x, y)| x == y).count();
        match (a.get(same), b.get(same)) {
            (Some(&x), Some(&y)) => compare_sets(self.pairs.encoded(x), self.pairs.encoded(y)),
            (x, y) => x.is_some().cmp(&y.is_some()),
        }
    }

    /// Number of living series.
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// One past the highest number given.
    pub(crate) fn end(&self) -> u32 {
        self.next
    }

    /// Forgets series that are not in `used` and were not written to since the trim before the last.
    pub(crate) fn trim(&mut self, used: &RoaringBitmap) {
        let (now, before) = (self.epoch, self.epoch.wrapping_sub(1));
        let (mut live, mut touched_pairs, mut dead) = (RoaringBitmap::new(), RoaringBitmap::new(), Vec::new());
        for (at, page) in self.pages.iter().enumerate() {
            for (within, entry) in page.iter().flat_map(|page| page.entries.iter().enumerate()) {
                let series = (at * ENTRIES_PER_PAGE + within) as u32;
                let touched = entry.touched.load(Atomic::Relaxed);
                if entry.labels == 0 {
                } else if touched == now || touched == before || used.contains(series) {
                    live.insert(series);
                } else {
                    touched_pairs.extend(self.tuple_of(entry));
                    dead.push(series);
                }
            }
        }
        for series in dead {
            self.remove(series);
        }
        if !touched_pairs.is_empty() {
            self.pairs.keep(&touched_pairs, &live);
        }
        self.epoch = self.epoch.wrapping_add(1);
        // A number that comes round again must not look fresh: what is alive and old is at most two behind.
        for page in self.pages.iter_mut().flatten() {
            for entry in page.entries.iter_mut().filter(|entry| entry.labels > 0) {
                let age = self.epoch.wrapping_sub(*entry.touched.get_mut());
                if age > 2 {
                    *entry.touched.get_mut() = self.epoch.wrapping_sub(2);
                }
            }
        }
    }

    fn remove(&mut self, series: u32) {
        let Some(Some(page)) = self.pages.get_mut(series as usize / ENTRIES_PER_PAGE) else { return };
        let entry = std::mem::take(&mut page.entries[series as usize % ENTRIES_PER_PAGE]);
        page.live -= 1;
        // The page being filled stays: its series are still to come.
        if page.live == 0 && (series as usize / ENTRIES_PER_PAGE + 1) * ENTRIES_PER_PAGE <= self.next as usize {
            self.pages[series as usize / ENTRIES_PER_PAGE] = None;
            self.page_bytes -= size_of::<EntryPage>();
        }
        if let Some(pool) = self.tuples.get_mut(usize::from(entry.labels)) {
            pool.free.push(entry.slot);
        }
        if let Ok(found) = self.table.find_entry(spread(entry.hash), |&other| other == series) {
            found.remove();
        }
        self.live -= 1;
    }

    /// All living series.
    pub(crate) fn all(&self) -> RoaringBitmap {
        let mut all = RoaringBitmap::new();
        for (at, page) in self.pages.iter().enumerate() {
            for (within, _) in page.iter().flat_map(|p| p.entries.iter().enumerate()).filter(|(_, e)| e.labels > 0) {
                all.insert((at * ENTRIES_PER_PAGE + within) as u32);
            }
        }
        all.extend(self.empty);
        all
    }

    /// Heap memory in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.pairs.heap_bytes()
            + self.page_bytes
            + self.pages.capacity() * 8
            + self.tuple_bytes
            + self.table.capacity() * 6
    }
}

impl PairLookup for SeriesIndex {
    type Error = Infallible;

    fn series_with(&self, name: &str, value: &str, set: &mut RoaringBitmap) -> Result<(), Infallible> {
        let Some(ids) = self.pairs.values(name.as_bytes()) else { return Ok(()) };
        let mut encoded = Vec::with_capacity(name.len() + value.len() + 4);
        bramble_signal::labels::encode_sorted([(name, value)], &mut encoded);
        if let Some(id) = self.pairs.id(&encoded)
            && ids.contains(id)
            && let Some(postings) = self.pairs.postings(id)
        {
            postings.add_to(set);
        }
        Ok(())
    }

    fn series_where(
        &self,
        name: &str,
        accept: &mut dyn FnMut(&str) -> bool,
        set: &mut RoaringBitmap,
    ) -> Result<(), Infallible> {
        for id in self.pairs.values(name.as_bytes()).into_iter().flatten() {
            if std::str::from_utf8(self.pairs.name_value(id).1).is_ok_and(&mut *accept)
                && let Some(postings) = self.pairs.postings(id)
            {
                postings.add_to(set);
            }
        }
        Ok(())
    }

    fn all_series(&self) -> Result<RoaringBitmap, Infallible> {
        Ok(self.all())
    }
}
