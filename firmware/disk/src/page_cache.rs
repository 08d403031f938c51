//! Pages read from segments, shared by all readers and bounded by a memory budget.
//!
//! Replacement is CLOCK: a hit sets a bit, the hand clears bits and evicts the first page without one. It needs
//! no list surgery on a hit and keeps what is asked for repeatedly (indexes) through a long scan.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bramble_runtime::{Budget, Reservation};
use parking_lot::Mutex;

/// The decoded bytes of one page. Cheap to clone; stays valid after the cache evicted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page(pub(crate) Arc<[u8]>);

impl Deref for Page {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Page {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Which page: the segment's identity (the checksums of its header and trailer and its block id, so that
/// closing and reopening a segment keeps its pages) and the page's offset.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct PageKey {
    pub(crate) segment: SegmentIdentity,
    pub(crate) offset: u64,
}

/// See [`PageKey`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct SegmentIdentity {
    pub(crate) block: u64,
    pub(crate) header_crc: u32,
    pub(crate) trailer_crc: u32,
}

struct Slot {
    key: PageKey,
    page: Page,
    asked_again: bool,
}

struct Clock {
    slots: Vec<Slot>,
    index: HashMap<PageKey, usize>,
    hand: usize,
    held: Option<Reservation>,
}

/// A page cache. Its budget's used bytes are what it holds; pages larger than a quarter of the budget are
/// not kept.
pub struct PageCache {
    budget: Budget,
    clock: Mutex<Clock>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// What a cached page costs beyond its bytes: slot, index entry and the Arc's counters, rounded up.
const ENTRY_OVERHEAD_BYTES: usize = 160;

impl PageCache {
    /// An empty cache that never holds more than `budget` allows.
    pub fn new(budget: Budget) -> Self {
        let clock = Clock { slots: Vec::new(), index: HashMap::new(), hand: 0, held: None };
        PageCache { budget, clock: Mutex::new(clock), hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    /// Pages found here since start.
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Pages that had to be read since start.
    pub fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }

    /// The budget's size in bytes.
    pub fn limit_bytes(&self) -> usize {
        self.budget.limit_bytes()
    }

    /// Room in the budget for what a reader keeps of pages in a form of its own: pages make way for it. `None` when it
    /// is more than a quarter of the budget, or others hold too much of it.
    pub fn lend(&self, bytes: usize) -> Option<Reservation> {
        if bytes > self.budget.limit_bytes() / 4 {
            return None;
        }
        let mut clock = self.clock.lock();
        while !clock.reserve(&self.budget, bytes) {
            if !clock.evict_one() {
                return None;
            }
        }
        clock.held.as_mut().map(|held| held.split(bytes))
    }

    /// Drops every page.
    pub fn clear(&self) {
        let mut clock = self.clock.lock();
        *clock = Clock { slots: Vec::new(), index: HashMap::new(), hand: 0, held: None };
    }

    pub(crate) fn get(&self, key: PageKey) -> Option<Page> {
        let mut clock = self.clock.lock();
        let found = clock.index.get(&key).copied().and_then(|at| clock.slots.get_mut(at)).map(|slot| {
            slot.asked_again = true;
            slot.page.clone()
        });
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    pub(crate) fn insert(&self, key: PageKey, page: &Page) {
        let cost = page.len() + ENTRY_OVERHEAD_BYTES;
        if cost > self.budget.limit_bytes() / 4 {
            return;
        }
        let mut clock = self.clock.lock();
        if clock.index.contains_key(&key) {
            return;
        }
        while !clock.reserve(&self.budget, cost) {
            if !clock.evict_one() {
                return;
            }
        }
        let at = clock.slots.len();
        clock.index.insert(key, at);
        clock.slots.push(Slot { key, page: page.clone(), asked_again: false });
    }
}

impl Clock {
    fn reserve(&mut self, budget: &Budget, bytes: usize) -> bool {
        match &mut self.held {
            Some(held) => held.grow(bytes).is_ok(),
            None => {
                self.held = budget.reserve(bytes).ok();
                self.held.is_some()
            }
        }
    }

    /// Evicts the next page that was not asked for since the hand last passed. False when empty.
    fn evict_one(&mut self) -> bool {
        loop {
            if self.hand >= self.slots.len() {
                self.hand = 0;
            }
            let Some(slot) = self.slots.get_mut(self.hand) else { return false };
            if std::mem::take(&mut slot.asked_again) {
                self.hand += 1;
                continue;
            }
            let gone = self.slots.swap_remove(self.hand);
            self.index.remove(&gone.key);
            if let Some(moved) = self.slots.get(self.hand) {
                self.index.insert(moved.key, self.hand);
            }
            if let Some(held) = &mut self.held {
                drop(held.split(gone.page.len() + ENTRY_OVERHEAD_BYTES));
            }
            return true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_runtime::BudgetName;

    fn key(offset: u64) -> PageKey {
        PageKey { segment: SegmentIdentity { block: 1, header_crc: 2, trailer_crc: 3 }, offset }
    }

    fn page(len: usize) -> Page {
        Page(std::iter::repeat_n(1u8, len).collect())
    }

    #[test]
    fn stays_within_its_budget_and_keeps_what_is_used() {
        let budget = Budget::standalone(BudgetName::PageCache, 20 * (1000 + ENTRY_OVERHEAD_BYTES));
        let cache = PageCache::new(budget.clone());
        for offset in 0..1000 {
            cache.insert(key(offset), &page(1000));
            assert!(cache.get(key(0)).is_some(), "page 0 is asked for all the time");
            assert!(budget.used_bytes() <= budget.limit_bytes());
        }
        assert_eq!(budget.used_bytes(), budget.limit_bytes(), "twenty pages fit");
        assert!((1..1000).filter(|&offset| cache.get(key(offset)).is_some()).count() == 19);
        cache.clear();
        assert_eq!(budget.used_bytes(), 0);
    }

    #[test]
    fn a_page_too_large_is_not_kept() {
        let cache = PageCache::new(Budget::standalone(BudgetName::PageCache, 4000));
        cache.insert(key(0), &page(1001));
        assert_eq!((cache.get(key(0)), cache.misses(), cache.hits()), (None, 1, 0));
    }

    #[test]
    fn pages_make_way_for_what_is_lent() {
        let budget = Budget::standalone(BudgetName::PageCache, 10 * (1000 + ENTRY_OVERHEAD_BYTES));
        let cache = PageCache::new(budget.clone());
        (0..10).for_each(|offset| cache.insert(key(offset), &page(1000)));
        let lent = cache.lend(2000).unwrap();
        assert!(budget.used_bytes() <= budget.limit_bytes());
        assert_eq!((0..10).filter(|&offset| cache.get(key(offset)).is_some()).count(), 8);
        assert!(cache.lend(budget.limit_bytes() / 4 + 1).is_none());
        cache.clear();
        assert_eq!(budget.used_bytes(), 2000);
        drop(lent);
        assert_eq!(budget.used_bytes(), 0);
    }

    #[test]
    fn a_budget_used_by_others_means_no_caching() {
        let budget = Budget::standalone(BudgetName::PageCache, 100_000);
        let cache = PageCache::new(budget.clone());
        cache.insert(key(0), &page(10_000));
        let room = budget.limit_bytes() - budget.used_bytes();
        let _other = budget.reserve(room).unwrap();
        cache.insert(key(1), &page(10_000));
        assert!(cache.get(key(1)).is_some() && cache.get(key(0)).is_none(), "the older page made room");
        cache.insert(key(2), &page(20_000));
        assert!(cache.get(key(2)).is_none());
        assert_eq!(budget.used_bytes(), room, "the cache gave all of its own back and kept nothing");
    }
}
