//! What was decoded of blocks, kept from query to query: indexes and dictionaries.
//!
//! Decoding them takes longer than most queries then need, and pages ask for the same ones every few seconds. Room comes
//! from the budget of indexes, at most half of it, and then from the page cache, at most a quarter. What was asked for
//! lately stays and a newcomer goes, so that one long scan does not throw out what everybody else uses. What is kept of
//! a block goes with it.

use crate::block::index::Index;
use crate::dictionary::Dictionary;
use bramble_disk::PageCache;
use bramble_runtime::{Budget, Reservation};
use bramble_storage::BlockId;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use parking_lot::Mutex;
use std::sync::Arc;

/// What nobody asked for while so many times the number of kept things were asked for may be replaced.
const PATIENCE: u64 = 4;
/// What a kept thing costs besides itself.
const SLOT_BYTES: usize = size_of::<Slot>() + 64;

/// A block and where in it: page and offset of a dictionary.
type Key = (BlockId, u32, u32);

/// The page number that stands for the block's index.
const INDEX: u32 = u32::MAX;

#[derive(Clone)]
enum Decoded {
    Index(Arc<Index>),
    Dictionary(Arc<Dictionary>),
}

struct Slot {
    decoded: Decoded,
    bytes: usize,
    asked: u64,
    _space: Reservation,
}

#[derive(Default)]
struct Slots {
    by_key: HashMap<Key, Slot, FixedState>,
    bytes: usize,
    /// How often something was asked for.
    asked: u64,
}

impl Slots {
    fn remove(&mut self, key: Key) {
        if let Some(slot) = self.by_key.remove(&key) {
            self.bytes -= slot.bytes;
        }
    }

    /// Removes what was not asked for longest, if that is long; `false` when there is nothing.
    fn remove_stale(&mut self) -> bool {
        let oldest = self.by_key.iter().min_by_key(|(_, slot)| slot.asked);
        let patience = PATIENCE * self.by_key.len() as u64;
        let Some(key) = oldest.filter(|(_, slot)| self.asked - slot.asked > patience).map(|(key, _)| *key) else {
            return false;
        };
        self.remove(key);
        true
    }
}

/// What is kept of all blocks of a store.
pub(crate) struct Kept {
    /// Where pages are kept as they are on disk.
    pub(crate) cache: Arc<PageCache>,
    /// Pays for open blocks.
    pub(crate) index: Budget,
    slots: Mutex<Slots>,
}

impl Kept {
    /// Nothing yet.
    pub(crate) fn new(cache: Arc<PageCache>, index: Budget) -> Kept {
        Kept { cache, index, slots: Mutex::default() }
    }

    /// Most bytes of all that is kept.
    fn limit_bytes(&self) -> usize {
        self.index.limit_bytes() / 2 + self.cache.limit_bytes() / 4
    }

    /// Most bytes of one thing that is kept.
    pub(crate) fn most_bytes(&self) -> usize {
        self.limit_bytes() / 8
    }

    fn get(&self, key: Key) -> Option<Decoded> {
        let mut slots = self.slots.lock();
        slots.asked += 1;
        let asked = slots.asked;
        let slot = slots.by_key.get_mut(&key)?;
        slot.asked = asked;
        Some(slot.decoded.clone())
    }

    fn put(&self, key: Key, decoded: Decoded, bytes: usize) {
        let bytes = bytes + SLOT_BYTES;
        if bytes > self.most_bytes() {
            return;
        }
        let mut slots = self.slots.lock();
        slots.remove(key);
        while slots.bytes + bytes > self.limit_bytes() {
            if !slots.remove_stale() {
                return;
            }
        }
        // Metrics' indexes have the first claim on the other half.
        let half = slots.bytes + bytes <= self.index.limit_bytes() / 2;
        let space = if half { self.index.reserve(bytes).ok() } else { None };
        if let Some(space) = space.or_else(|| self.cache.lend(bytes)) {
            slots.bytes += bytes;
            let asked = slots.asked;
            slots.by_key.insert(key, Slot { decoded, bytes, asked, _space: space });
        }
    }

    /// The index of a block.
    pub(crate) fn index_of(&self, block: BlockId) -> Option<Arc<Index>> {
        match self.get((block, INDEX, 0)) {
            Some(Decoded::Index(index)) => Some(index),
            _ => None,
        }
    }

    /// Keeps the whole index of a block, if there is room.
    pub(crate) fn keep_index(&self, block: BlockId, index: &Arc<Index>) {
        self.put((block, INDEX, 0), Decoded::Index(index.clone()), index.memory_bytes());
    }

    /// The dictionary at page and offset of a block.
    pub(crate) fn dictionary_of(&self, block: BlockId, (page, offset): (u32, u32)) -> Option<Arc<Dictionary>> {
        match self.get((block, page, offset)) {
            Some(Decoded::Dictionary(dictionary)) => Some(dictionary),
            _ => None,
        }
    }

    /// Keeps the dictionary at page and offset of a block, if there is room.
    pub(crate) fn keep_dictionary(&self, block: BlockId, (page, offset): (u32, u32), dictionary: &Arc<Dictionary>) {
        self.put((block, page, offset), Decoded::Dictionary(dictionary.clone()), dictionary.memory_bytes());
    }

    /// Forgets what is of a block.
    pub(crate) fn forget(&self, block: BlockId) {
        let mut slots = self.slots.lock();
        let of_block: Vec<Key> = slots.by_key.keys().filter(|key| key.0 == block).copied().collect();
        of_block.into_iter().for_each(|key| slots.remove(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_runtime::BudgetName;

    #[test]
    fn it_keeps_within_its_share_and_gives_all_back() {
        let (cache, index) = (
            Budget::standalone(BudgetName::PageCache, SLOT_BYTES * 80),
            Budget::standalone(BudgetName::BlockIndex, SLOT_BYTES * 40),
        );
        let kept = Kept::new(Arc::new(PageCache::new(cache.clone())), index.clone());
        let dictionary = Arc::new(Dictionary::default());
        assert_eq!(dictionary.memory_bytes(), 0);
        (0..60).for_each(|at| kept.keep_dictionary(BlockId(1), (at, 0), &dictionary));
        assert_eq!((index.used_bytes(), cache.used_bytes()), (SLOT_BYTES * 20, SLOT_BYTES * 20));
        assert!((0..40).all(|at| kept.dictionary_of(BlockId(1), (at, 0)).is_some()), "the first ones stay");
        assert!(kept.dictionary_of(BlockId(1), (40, 0)).is_none());
        (0..200).for_each(|_| assert!(kept.dictionary_of(BlockId(2), (0, 0)).is_none()));
        kept.keep_dictionary(BlockId(2), (0, 0), &dictionary);
        assert!(kept.dictionary_of(BlockId(2), (0, 0)).is_some(), "nobody asked for the others");
        kept.forget(BlockId(1));
        assert!(kept.dictionary_of(BlockId(1), (5, 0)).is_none() && kept.dictionary_of(BlockId(2), (0, 0)).is_some());
        kept.forget(BlockId(2));
        assert_eq!((index.used_bytes(), cache.used_bytes()), (0, 0));
    }
}
