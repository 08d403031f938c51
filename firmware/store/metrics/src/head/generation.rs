//! One generation of the head: the samples that arrived between two cuts.

use super::chain::{Chain, Slabs};
use super::directory::Directory;
use super::side::{Side, SideReader};
use crate::exemplars::Exemplars;
use crate::samples::{Samples, StartRuns};
use bramble_signal::{MetricBatch, NativeHistogram, Sample, histogram_marker, is_histogram_marker};
use bramble_storage::Sequence;
use roaring::RoaringBitmap;
use std::collections::HashMap;

const CHAINS_PER_PAGE: usize = 64;

/// Samples by series number.
pub(crate) struct Generation {
    base_ms: i64,
    pages: Directory<[Chain; CHAINS_PER_PAGE]>,
    slabs: Slabs,
    side: Side,
    /// Newest timestamp of series whose last sample is not the newest.
    newest: HashMap<u32, i64, foldhash::fast::FixedState>,
    pub(crate) exemplars: Exemplars<u32>,
    pub(crate) items: u64,
    pub(crate) late: u64,
    pub(crate) first_sequence: Sequence,
    pub(crate) min_ms: i64,
    pub(crate) max_ms: i64,
}

impl Generation {
    /// An empty generation; `base_ms` should be near its timestamps. It keeps at most `exemplar_bytes_max` of exemplars.
    pub(crate) fn new(base_ms: i64, exemplar_bytes_max: usize) -> Self {
        Generation {
            base_ms,
            pages: Directory::default(),
            slabs: Slabs::default(),
            side: Side::default(),
            newest: HashMap::default(),
            exemplars: Exemplars::new(exemplar_bytes_max),
            items: 0,
            late: 0,
            first_sequence: 0,
            min_ms: i64::MAX,
            max_ms: i64::MIN,
        }
    }

    /// Adds what entry `entry` of `batch` has as being of `series`.
    pub(crate) fn push_entry(&mut self, series: u32, batch: &MetricBatch, entry: usize) {
        let (samples, start_ms) = (batch.series(entry).1, batch.start_ms(entry));
        if batch.exemplar_count() > 0 {
            batch.exemplars(entry).for_each(|exemplar| self.exemplars.push(&series, exemplar));
        }
        let follows_starts = start_ms != 0 || self.side.has_starts(series);
        if !follows_starts && batch.histogram_count() == 0 {
            for sample in samples {
                self.push(series, sample.timestamp_ms, sample.value);
            }
            return;
        }
        for &sample in samples {
            let added = match batch.histogram(sample.value) {
                Some(histogram) => self.push_histogram(series, sample.timestamp_ms, histogram),
                None => self.push(series, sample.timestamp_ms, sample.value),
            };
            if added && follows_starts {
                let Generation { side, pages, slabs, base_ms, .. } = self;
                side.push_start(series, start_ms, || {
                    let (mut samples, chain) = (0u32, chain_of(pages, series));
                    if let Some(chain) = chain {
                        chain.read(slabs, *base_ms, &mut Vec::new(), |_, _| samples += 1);
                    }
                    samples.saturating_sub(1)
                });
            }
        }
    }

    /// Adds a histogram, unless it is the series' last sample.
    fn push_histogram(&mut self, series: u32, timestamp_ms: i64, histogram: &NativeHistogram) -> bool {
        let marker = histogram_marker(0);
        let ends = |chain: &Chain| chain.ends_with(Sample { timestamp_ms, value: marker });
        if self.chain(series).is_some_and(ends) && self.side.ends_with(series, histogram) {
            return false;
        }
        self.side.push_histogram(series, histogram);
        self.push(series, timestamp_ms, marker)
    }

    /// Adds a sample, unless it equals the series' last one; whether it did.
    fn push(&mut self, series: u32, timestamp_ms: i64, value: f64) -> bool {
        let base_ms = self.base_ms;
        let at = series as usize / CHAINS_PER_PAGE;
        let page = self.pages.get_or_insert(at, || [Chain::new(base_ms); CHAINS_PER_PAGE]);
        let chain = &mut page[series as usize % CHAINS_PER_PAGE];
        let last_ms = chain.last_ms();
        let added = chain.push(&mut self.slabs, timestamp_ms, value);
        if added {
            if chain.is_unsorted() {
                let newest = self.newest.entry(series).or_insert(last_ms);
                *newest = timestamp_ms.max(*newest);
            }
            self.items += 1;
            self.late += u64::from(timestamp_ms < self.max_ms && chain.is_unsorted());
            self.min_ms = self.min_ms.min(timestamp_ms);
            self.max_ms = self.max_ms.max(timestamp_ms);
        }
        added
    }

    fn chain(&self, series: u32) -> Option<&Chain> {
        chain_of(&self.pages, series)
    }

    /// Appends the samples of `series` within the bounds (inclusive) in arrival order.
    pub(crate) fn read(&self, series: u32, bounds_ms: (i64, i64), scratch: &mut Vec<u8>, out: &mut Samples) {
        let Some(chain) = self.chain(series) else { return };
        if let Some(side) = self.side.reader(series) {
            return self.read_side(chain, side, bounds_ms, scratch, out);
        }
        out.start_from_here(0);
        chain.read(&self.slabs, self.base_ms, scratch, |timestamp, value| {
            if (bounds_ms.0..=bounds_ms.1).contains(&timestamp) {
                out.push(timestamp, value);
            }
        });
    }

    fn read_side(
        &self,
        chain: &Chain,
        mut side: SideReader<'_>,
        bounds_ms: (i64, i64),
        scratch: &mut Vec<u8>,
        out: &mut Samples,
    ) {
        let runs = std::mem::take(&mut side.starts);
        let (mut starts, mut at) = (StartRuns::new(&runs), 0);
        chain.read(&self.slabs, self.base_ms, scratch, |timestamp, value| {
            let start_ms = starts.at(at);
            at += 1;
            let inside = (bounds_ms.0..=bounds_ms.1).contains(&timestamp);
            if inside {
                out.start_from_here(start_ms);
            }
            if !is_histogram_marker(value) {
                if inside {
                    out.push(timestamp, value);
                }
            } else if let Some(histogram) = side.next_histogram()
                && inside
            {
                out.push_histogram(timestamp, histogram.clone());
            }
        });
    }

    /// Timestamp of the newest sample of `series`.
    pub(crate) fn newest_ms(&self, series: u32) -> Option<i64> {
        let chain = self.chain(series)?;
        if chain.is_unsorted() { self.newest.get(&series).copied() } else { Some(chain.last_ms()) }
    }

    /// Timestamps of `series` in arrival order.
    pub(crate) fn read_times(&self, series: u32, scratch: &mut Vec<u8>, mut each: impl FnMut(i64)) {
        if let Some(chain) = self.chain(series) {
            chain.read(&self.slabs, self.base_ms, scratch, |timestamp, _| each(timestamp));
        }
    }

    /// Series that have samples.
    pub(crate) fn series(&self) -> RoaringBitmap {
        let mut all = RoaringBitmap::new();
        for (at, page) in self.pages.iter() {
            for (within, _) in page.iter().enumerate().filter(|(_, chain)| !chain.is_empty()) {
                all.insert((at * CHAINS_PER_PAGE + within) as u32);
            }
        }
        all
    }

    /// Series that it has anything of.
    pub(crate) fn known_series(&self) -> RoaringBitmap {
        let mut all = self.series();
        all.extend(self.exemplars.iter().map(|(series, _)| *series));
        all
    }

    /// Whether any sample may be within the bounds.
    pub(crate) fn overlaps(&self, start_ms: i64, end_ms: i64) -> bool {
        self.items > 0 && self.min_ms <= end_ms && self.max_ms >= start_ms
    }

    /// Memory in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let chains = self.pages.bytes() + self.slabs.bytes();
        let newest = self.newest.capacity() * (size_of::<(u32, i64)>() + 1);
        chains + newest + self.side.bytes() + self.exemplars.bytes()
    }
}

fn chain_of(pages: &Directory<[Chain; CHAINS_PER_PAGE]>, series: u32) -> Option<&Chain> {
    let page = pages.get(series as usize / CHAINS_PER_PAGE)?;
    page.get(series as usize % CHAINS_PER_PAGE).filter(|chain| !chain.is_empty())
}
