//! Numbers of series within an epoch.

use bramble_storage::SeriesRef;

const PAGE: usize = 256;
const NONE: u32 = u32::MAX;

/// Numbers from 0 by first use. References are never used again while the process lives and grow for ever where series
/// come and go; what is remembered of an epoch's series must not.
#[derive(Default)]
pub(super) struct Numbering {
    pages: Vec<Option<Box<[u32; PAGE]>>>,
    used_pages: usize,
    next: u32,
}

impl Numbering {
    pub(super) fn clear(&mut self) {
        *self = Numbering::default();
    }

    /// How many were given.
    pub(super) fn len(&self) -> usize {
        self.next as usize
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.pages.capacity() * 8 + self.used_pages * PAGE * 4
    }

    /// Whether `series` has a number.
    pub(super) fn knows(&self, series: SeriesRef) -> bool {
        let page = self.pages.get(series.0 as usize / PAGE).and_then(Option::as_ref);
        page.is_some_and(|page| page[series.0 as usize % PAGE] != NONE)
    }

    /// The number of `series`, and whether it is new.
    pub(super) fn number(&mut self, series: SeriesRef) -> (u32, bool) {
        let at = series.0 as usize / PAGE;
        if self.pages.len() <= at {
            self.pages.resize_with(at + 1, || None);
        }
        let used_pages = &mut self.used_pages;
        let page = self.pages[at].get_or_insert_with(|| {
            *used_pages += 1;
            Box::new([NONE; PAGE])
        });
        let number = &mut page[series.0 as usize % PAGE];
        let is_new = *number == NONE;
        if is_new {
            *number = self.next;
            self.next += 1;
        }
        (*number, is_new)
    }
}
