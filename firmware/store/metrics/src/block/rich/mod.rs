//! Pages for what does not fit into a column of numbers: histograms, starts and exemplars.
//!
//! A series' values hold a marker where a sample is a histogram; the n-th marker stands for the n-th histogram of that
//! series. Blocks without them have none of these pages.
//!
//! * [`histograms`]: columns over a series' histograms, as a data page of their own;
//! * [`starts`]: from which sample on a series counts since when;
//! * [`exemplars`]: exemplars with their series' labels.

mod exemplars;
mod histograms;
mod starts;
#[cfg(test)]
mod tests;

pub(crate) use exemplars::{decode_exemplars, encode_exemplars};
use histograms::{HistogramPage, HistogramPages};
use starts::{StartPages, StartsPage};

use super::footer::Footer;
use super::reader::Block;
use crate::bytes::{Take, put_varint, put_zigzag};
use crate::samples::{Samples, StartRuns};
use bramble_disk::segment::{PageCodec, PageRef, SegmentWriter};
use bramble_disk::{DiskError, Page};
use bramble_signal::histogram::histogram_at;
use bramble_signal::is_histogram_marker;
use std::ops::Range;

const ZSTD_LEVEL: i32 = 3;

/// A page of histograms or starts.
#[derive(Clone, Copy)]
pub(crate) struct SeriesPage {
    pub(crate) at: PageRef,
    /// Numbers of its first and last series in the block.
    pub(crate) first: u32,
    pub(crate) last: u32,
}

/// A page of exemplars.
#[derive(Clone, Copy)]
pub(crate) struct ExemplarPage {
    pub(crate) at: PageRef,
    pub(crate) min_ms: i64,
    pub(crate) max_ms: i64,
}

/// Where such pages are: a part of the footer.
#[derive(Default)]
pub(crate) struct RichPages {
    pub(crate) histograms: Vec<SeriesPage>,
    pub(crate) starts: Vec<SeriesPage>,
    pub(crate) exemplars: Vec<ExemplarPage>,
}

impl RichPages {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        for pages in [&self.histograms, &self.starts] {
            put_varint(out, pages.len() as u64);
            for page in pages {
                page.at.put(out);
                put_varint(out, u64::from(page.first));
                put_varint(out, u64::from(page.last - page.first));
            }
        }
        put_varint(out, self.exemplars.len() as u64);
        for page in &self.exemplars {
            page.at.put(out);
            put_zigzag(out, page.min_ms);
            put_varint(out, page.max_ms.wrapping_sub(page.min_ms) as u64);
        }
    }

    pub(crate) fn decode(bytes: &mut Take<'_>) -> Option<Self> {
        let mut own = RichPages::default();
        for pages in [&mut own.histograms, &mut own.starts] {
            for _ in 0..bytes.count(bytes.0.len())? {
                let at = PageRef::take(&mut bytes.0)?;
                let first = u32::try_from(bytes.varint()?).ok()?;
                pages.push(SeriesPage { at, first, last: first.checked_add(u32::try_from(bytes.varint()?).ok()?)? });
            }
        }
        for _ in 0..bytes.count(bytes.0.len())? {
            let (at, min_ms) = (PageRef::take(&mut bytes.0)?, bytes.zigzag()?);
            own.exemplars.push(ExemplarPage { at, min_ms, max_ms: min_ms.wrapping_add(bytes.varint()? as i64) });
        }
        Some(own)
    }

    /// Whether series have numbers only, and no starts.
    pub(crate) fn is_plain(&self) -> bool {
        self.histograms.is_empty() && self.starts.is_empty()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        (self.histograms.capacity() + self.starts.capacity()) * size_of::<SeriesPage>()
            + self.exemplars.capacity() * size_of::<ExemplarPage>()
    }
}

/// Gathers and writes these pages of a block.
#[derive(Default)]
pub(crate) struct RichWriter {
    histograms: HistogramPages,
    starts: StartPages,
    scratch: Vec<u8>,
}

impl RichWriter {
    /// Adds what lies beside the samples `within`, which are series `series` of the block.
    pub(crate) fn add(
        &mut self,
        series: u32,
        samples: &Samples,
        within: Range<usize>,
        segment: &mut SegmentWriter,
        pages: &mut RichPages,
    ) -> Result<(), DiskError> {
        let values = samples.values.get(within.clone()).unwrap_or_default();
        let histograms: Vec<_> = values.iter().filter_map(|&v| histogram_at(v, &samples.histograms)).collect();
        let mut rest = histograms.as_slice();
        while !rest.is_empty() {
            rest = self.histograms.push(series, rest);
            if self.histograms.is_full() {
                self.flush_histograms(segment, pages)?;
            }
        }
        self.starts.push(series, &samples.starts, within);
        if self.starts.is_full() {
            self.flush_starts(segment, pages)?;
        }
        Ok(())
    }

    fn flush_histograms(&mut self, segment: &mut SegmentWriter, pages: &mut RichPages) -> Result<(), DiskError> {
        let written = self.histograms.finish(&mut self.scratch);
        let written = written.map_err(|what| DiskError::corrupt("metric page", 0, format!("cannot encode: {what}")))?;
        if let Some((first, last)) = written {
            let at = segment.write_page(&self.scratch, PageCodec::Raw)?;
            pages.histograms.push(SeriesPage { at, first, last });
        }
        Ok(())
    }

    fn flush_starts(&mut self, segment: &mut SegmentWriter, pages: &mut RichPages) -> Result<(), DiskError> {
        if let Some((first, last)) = self.starts.finish(&mut self.scratch) {
            let at = segment.write_page(&self.scratch, PageCodec::Zstd(ZSTD_LEVEL))?;
            pages.starts.push(SeriesPage { at, first, last });
        }
        Ok(())
    }

    /// Writes what remains.
    pub(crate) fn finish(&mut self, segment: &mut SegmentWriter, pages: &mut RichPages) -> Result<(), DiskError> {
        self.flush_histograms(segment, pages)?;
        self.flush_starts(segment, pages)
    }
}

/// Reads these pages for ascending series, keeping the last one open.
#[derive(Default)]
pub(crate) struct RichReader {
    histograms: Option<(usize, Page, HistogramPage)>,
    starts: Option<(usize, StartsPage)>,
}

impl RichReader {
    /// Gives back the pages; they are fetched again when needed.
    pub(crate) fn release(&mut self) {
        *self = RichReader::default();
    }

    /// Appends the samples `within` of series `series`, whose columns these are, to `out`.
    pub(crate) fn append(
        &mut self,
        (block, footer): (&Block, &Footer),
        series: u32,
        (times, values): (&[i64], &[f64]),
        within: Range<usize>,
        out: &mut Samples,
    ) -> Result<(), DiskError> {
        let damaged = || block.damaged(0, "samples of a series");
        let inside = values.get(within.clone()).ok_or_else(damaged)?;
        let times = times.get(within.clone()).ok_or_else(damaged)?;
        if footer.rich.histograms.is_empty() && footer.rich.starts.is_empty() {
            out.start_from_here(0);
            out.timestamps_ms.extend_from_slice(times);
            out.values.extend_from_slice(inside);
            return Ok(());
        }
        let markers = |values: &[f64]| values.iter().filter(|v| is_histogram_marker(**v)).count();
        let wanted = markers(inside);
        let histograms = match wanted {
            0 => Vec::new(),
            _ => {
                let from = markers(values.get(..within.start).unwrap_or_default());
                self.histograms(block, footer, series, from..from + wanted)?
            }
        };
        let runs = self.starts(block, footer, series)?;
        if wanted == 0 && runs.is_empty() {
            out.start_from_here(0);
            out.timestamps_ms.extend_from_slice(times);
            out.values.extend_from_slice(inside);
            return Ok(());
        }
        let (mut starts, mut histograms) = (StartRuns::new(runs), histograms.into_iter());
        for (place, (&timestamp_ms, &value)) in times.iter().zip(inside).enumerate() {
            out.start_from_here(starts.at((within.start + place) as u32));
            match is_histogram_marker(value) {
                true => out.push_histogram(timestamp_ms, histograms.next().ok_or_else(damaged)?),
                false => out.push(timestamp_ms, value),
            }
        }
        Ok(())
    }

    /// The histograms `wanted` of a series, by their order in it.
    fn histograms(
        &mut self,
        block: &Block,
        footer: &Footer,
        series: u32,
        wanted: Range<usize>,
    ) -> Result<Vec<bramble_signal::NativeHistogram>, DiskError> {
        let pages = &footer.rich.histograms;
        let from = pages.partition_point(|p| p.last < series);
        let (mut all, mut passed) = (Vec::new(), 0);
        for (at, entry) in pages.iter().enumerate().skip(from).take_while(|(_, p)| p.first <= series) {
            let damaged = || block.damaged(entry.at.offset, "page of histograms");
            if self.histograms.as_ref().is_none_or(|(open, _, _)| *open != at) {
                let page = block.page(entry.at)?;
                let opened = HistogramPage::open(&page).ok_or_else(damaged)?;
                self.histograms = Some((at, page, opened));
            }
            let Some((_, page, open)) = &mut self.histograms else { break };
            open.read(page, series, &wanted, &mut passed, &mut all).ok_or_else(damaged)?;
            if passed >= wanted.end {
                break;
            }
        }
        if all.len() == wanted.len() { Ok(all) } else { Err(block.damaged(0, "histograms of a series")) }
    }

    fn starts(&mut self, block: &Block, footer: &Footer, series: u32) -> Result<&[(u32, i64)], DiskError> {
        let at = footer.rich.starts.partition_point(|p| p.last < series);
        let Some(entry) = footer.rich.starts.get(at).filter(|p| p.first <= series) else { return Ok(&[]) };
        if self.starts.as_ref().is_none_or(|(open, _)| *open != at) {
            let page = block.page(entry.at)?;
            let opened = StartsPage::open(&page, entry.first);
            self.starts = Some((at, opened.ok_or_else(|| block.damaged(entry.at.offset, "page of starts"))?));
        }
        Ok(self.starts.as_ref().map_or(&[], |(_, page)| page.runs(series)))
    }
}
