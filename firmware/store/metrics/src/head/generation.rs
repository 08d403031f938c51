//! One generation of the head: the samples that arrived between two cuts.

use super::chain::{Chain, Slabs};
use bramble_storage::Sequence;
use roaring::RoaringBitmap;

const CHAINS_PER_PAGE: usize = 64;

/// Samples by series number.
pub(crate) struct Generation {
    base_ms: i64,
    pages: Vec<Option<Box<[Chain; CHAINS_PER_PAGE]>>>,
    page_bytes: usize,
    slabs: Slabs,
    pub(crate) items: u64,
    pub(crate) late: u64,
    pub(crate) first_sequence: Sequence,
    pub(crate) min_ms: i64,
    pub(crate) max_ms: i64,
}

impl Generation {
    /// An empty generation; `base_ms` should be near its timestamps.
    pub(crate) fn new(base_ms: i64) -> Self {
        Generation {
            base_ms,
            pages: Vec::new(),
            page_bytes: 0,
            slabs: Slabs::default(),
            items: 0,
            late: 0,
            first_sequence: 0,
            min_ms: i64::MAX,
            max_ms: i64::MIN,
        }
    }

    /// Adds a sample, unless it equals the series' last one.
    pub(crate) fn push(&mut self, series: u32, timestamp_ms: i64, value: f64) {
        let at = series as usize / CHAINS_PER_PAGE;
        if self.pages.len() <= at {
            self.pages.resize_with(at + 1, || None);
        }
        let base_ms = self.base_ms;
        let Some(slot) = self.pages.get_mut(at) else { return };
        let page = match slot {
            Some(page) => page,
            None => {
                self.page_bytes += CHAINS_PER_PAGE * size_of::<Chain>();
                slot.insert(Box::new([Chain::new(base_ms); CHAINS_PER_PAGE]))
            }
        };
        let chain = &mut page[series as usize % CHAINS_PER_PAGE];
        if chain.push(&mut self.slabs, timestamp_ms, value) {
            self.items += 1;
            self.late += u64::from(timestamp_ms < self.max_ms && chain.is_unsorted());
            self.min_ms = self.min_ms.min(timestamp_ms);
            self.max_ms = self.max_ms.max(timestamp_ms);
        }
    }

    fn chain(&self, series: u32) -> Option<&Chain> {
        let page = self.pages.get(series as usize / CHAINS_PER_PAGE)?.as_ref()?;
        page.get(series as usize % CHAINS_PER_PAGE).filter(|chain| !chain.is_empty())
    }

    /// Appends the samples of `series` within the bounds (inclusive) in arrival order.
    pub(crate) fn read(
        &self,
        series: u32,
        start_ms: i64,
        end_ms: i64,
        scratch: &mut Vec<u8>,
        timestamps_ms: &mut Vec<i64>,
        values: &mut Vec<f64>,
    ) {
        let Some(chain) = self.chain(series) else { return };
        chain.read(&self.slabs, self.base_ms, scratch, |timestamp, value| {
            if (start_ms..=end_ms).contains(&timestamp) {
                timestamps_ms.push(timestamp);
                values.push(value);
            }
        });
    }

    /// Series that have samples.
    pub(crate) fn series(&self) -> RoaringBitmap {
        let mut all = RoaringBitmap::new();
        for (at, page) in self.pages.iter().enumerate() {
            for (within, _) in page.iter().flat_map(|p| p.iter().enumerate()).filter(|(_, chain)| !chain.is_empty()) {
                all.insert((at * CHAINS_PER_PAGE + within) as u32);
            }
        }
        all
    }

    /// Whether any sample may be within the bounds.
    pub(crate) fn overlaps(&self, start_ms: i64, end_ms: i64) -> bool {
        self.items > 0 && self.min_ms <= end_ms && self.max_ms >= start_ms
    }

    /// Memory in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.page_bytes + self.pages.capacity() * 8 + self.slabs.bytes()
    }
}
