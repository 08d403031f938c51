//! Data pages that stay open from query to query.
//!
//! Opening a page and decoding its streams takes many times as long as taking the last hour of a series from it, and
//! dashboards ask for the same pages every few seconds. A query takes a page out, reads from it and puts it back, with
//! all that it decoded; a second query that wants the page meanwhile opens it anew. The memory is lent by the page
//! cache, at most half of it. What was asked for lately stays and a newcomer goes, so that one long scan does not
//! throw out what everybody else uses.

use crate::block::OpenPage;
use bramble_disk::{Page, PageCache};
use bramble_runtime::Reservation;
use bramble_storage::BlockId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// A page that nobody asked for while so many times the number of kept pages were asked for may be replaced.
const PATIENCE: u64 = 4;

/// A page's block and its number among the block's data pages.
pub(crate) type PageNumber = (BlockId, usize);

/// An open page and, as long as something of it is not decoded, its bytes.
pub(crate) struct Opened {
    page: Option<Page>,
    pub(crate) open: OpenPage,
}

impl Opened {
    pub(crate) fn new(page: Page, open: OpenPage) -> Self {
        Opened { page: Some(page), open }
    }

    /// The page, and what it is to be read with.
    pub(crate) fn parts(&mut self) -> (&[u8], &mut OpenPage) {
        (self.page.as_deref().unwrap_or_default(), &mut self.open)
    }

    /// Makes itself small; its memory in bytes.
    fn rest(&mut self) -> usize {
        let bytes = size_of::<Slot>() + 64 + self.open.rest();
        if self.open.is_decoded() {
            self.page = None;
        }
        bytes + self.page.as_ref().map_or(0, |page| page.len())
    }
}

struct Slot {
    opened: Opened,
    bytes: usize,
    asked: u64,
    _space: Reservation,
}

#[derive(Default)]
struct Kept {
    pages: HashMap<PageNumber, Slot, foldhash::fast::FixedState>,
    bytes: usize,
    /// How often pages were asked for.
    asked: u64,
}

impl Kept {
    fn remove(&mut self, number: PageNumber) -> Option<Slot> {
        let slot = self.pages.remove(&number)?;
        self.bytes -= slot.bytes;
        Some(slot)
    }

    /// Removes the page that was not asked for longest, if that is long; `false` when there is none.
    fn remove_stale(&mut self) -> bool {
        let oldest = self.pages.iter().min_by_key(|(_, slot)| slot.asked);
        let patience = PATIENCE * self.pages.len() as u64;
        let Some(number) = oldest.filter(|(_, slot)| self.asked - slot.asked > patience).map(|(n, _)| *n) else {
            return false;
        };
        self.remove(number).is_some()
    }
}

/// The pages.
pub(crate) struct OpenPages {
    cache: Arc<PageCache>,
    kept: Mutex<Kept>,
}

impl OpenPages {
    pub(crate) fn new(cache: Arc<PageCache>) -> Self {
        OpenPages { cache, kept: Mutex::default() }
    }

    /// Takes a page out.
    pub(crate) fn take(&self, number: PageNumber) -> Option<Opened> {
        let mut kept = self.kept.lock();
        kept.asked += 1;
        kept.remove(number).map(|slot| slot.opened)
    }

    /// Whether the page is there.
    pub(crate) fn has(&self, number: PageNumber) -> bool {
        self.kept.lock().pages.contains_key(&number)
    }

    /// Keeps a page, if there is room.
    pub(crate) fn put(&self, number: PageNumber, mut opened: Opened) {
        let bytes = opened.rest();
        let mut kept = self.kept.lock();
        drop(kept.remove(number));
        while kept.bytes + bytes > self.cache.limit_bytes() / 2 {
            if !kept.remove_stale() {
                return;
            }
        }
        if let Some(space) = self.cache.lend(bytes) {
            kept.bytes += bytes;
            let asked = kept.asked;
            kept.pages.insert(number, Slot { opened, bytes, asked, _space: space });
        }
    }

    /// Forgets the pages of a block.
    pub(crate) fn forget(&self, block: BlockId) {
        let mut kept = self.kept.lock();
        let of_block: Vec<PageNumber> = kept.pages.keys().filter(|(id, _)| *id == block).copied().collect();
        of_block.into_iter().for_each(|number| drop(kept.remove(number)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::PageBuilder;
    use bramble_runtime::{Budget, BudgetName};

    fn opened() -> Opened {
        let (mut builder, mut bytes) = (PageBuilder::default(), Vec::new());
        let values: Vec<f64> = (0..1000).map(|i| f64::from(i * i % 977)).collect();
        builder.push(0, &values, None);
        builder.finish(&mut bytes).unwrap();
        let mut open = OpenPage::open(&bytes).unwrap();
        open.values(&bytes, 0, &mut Vec::new()).unwrap();
        Opened { page: None, open }
    }

    #[test]
    fn it_keeps_within_half_of_the_cache_and_gives_all_back() {
        let bytes = opened().rest();
        let budget = Budget::standalone(BudgetName::PageCache, bytes * 20 + 100);
        let pages = OpenPages::new(Arc::new(PageCache::new(budget.clone())));
        (0..30).for_each(|at| pages.put((BlockId(1), at), opened()));
        assert_eq!(budget.used_bytes(), bytes * 10);
        assert!((0..10).all(|at| pages.has((BlockId(1), at))), "the first ones stay");
        (0..100).for_each(|_| assert!(pages.take((BlockId(2), 0)).is_none()));
        pages.put((BlockId(1), 77), opened());
        assert!(pages.has((BlockId(1), 77)), "nobody asked for the others");
        assert!(pages.take((BlockId(1), 77)).is_some() && !pages.has((BlockId(1), 77)));
        pages.forget(BlockId(1));
        assert_eq!(budget.used_bytes(), 0);
    }

    #[test]
    fn a_page_that_is_decoded_needs_its_bytes_no_more() {
        let mut page = opened();
        let mut read = Vec::new();
        page.rest();
        let (bytes, open) = page.parts();
        assert!(bytes.is_empty());
        open.append(bytes, 0, 600..700, &mut read).unwrap();
        assert!(read.iter().zip(600i32..).all(|(v, i)| *v == f64::from(i * i % 977)) && read.len() == 100);
    }
}
