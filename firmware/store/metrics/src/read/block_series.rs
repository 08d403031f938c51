//! The matching series of one block: finds their pages, opens them or takes them from those that stayed open, and reads
//! what is in range.

use super::Reading;
use super::cursor::Gathered;
use super::open_pages::{OpenPages, Opened};
use crate::block::{Block, DataPage, Footer, LabelReader, RichReader, TimesReader};
use crate::rollup::Columns;
use crate::samples::Samples;
use crate::tombstones::Cuts;
use bramble_disk::{DiskError, Page};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// Pages read together, and their bytes in the file at most: on a card a request costs as much as some tens of KiB.
const AHEAD_PAGES: usize = 8;
const AHEAD_BYTES: usize = 256 << 10;

/// Matching series of a block, ascending by number.
pub(crate) struct BlockSeries {
    pub(super) block: Arc<Block>,
    pub(super) footer: Arc<Footer>,
    pub(super) series: Vec<u32>,
    pub(super) labels: LabelReader,
    open: Option<(usize, Opened)>,
    /// Where pages go that are done with; a merge keeps none.
    keep: Option<Arc<OpenPages>>,
    /// Whether pages that come next are read together. Not by merges, and not with many streams.
    pub(super) reads_ahead: bool,
    /// Pages that come next, read already. The page cache counts them.
    pub(super) ahead: VecDeque<(usize, Page)>,
    pub(super) times: TimesReader,
    /// Number of the timestamps that `column` has.
    column_of: Option<u32>,
    pub(super) rich: RichReader,
    /// What was deleted of these series.
    pub(super) cuts: Cuts,
    column: Vec<i64>,
    values: Vec<f64>,
    columns: Columns,
}

impl BlockSeries {
    pub(crate) fn new(block: Arc<Block>, footer: Arc<Footer>, series: Vec<u32>) -> Self {
        let (labels, times) = (LabelReader::new(), TimesReader::default());
        BlockSeries {
            block,
            footer,
            series,
            labels,
            open: None,
            keep: None,
            reads_ahead: false,
            ahead: VecDeque::new(),
            times,
            column_of: None,
            rich: RichReader::default(),
            cuts: Cuts::default(),
            column: Vec::new(),
            values: Vec::new(),
            columns: Columns::default(),
        }
    }
}

impl BlockSeries {
    /// Leaves out what was deleted.
    pub(crate) fn cutting(mut self, cuts: Cuts) -> Self {
        self.cuts = cuts;
        self
    }

    /// Takes open pages from `pages` and leaves its own there.
    pub(crate) fn keeping(mut self, pages: Arc<OpenPages>) -> Self {
        (self.keep, self.reads_ahead) = (Some(pages), true);
        self
    }

    /// Done with the open page.
    pub(super) fn close(&mut self) {
        if let (Some(keep), Some((at, opened))) = (&self.keep, self.open.take()) {
            keep.put((self.block.id(), at), opened);
        }
        self.open = None;
    }
}

impl Drop for BlockSeries {
    fn drop(&mut self) {
        self.close();
    }
}

impl BlockSeries {
    /// Appends the samples of `series` in range to `target`. `skip` remembers a page that is damaged.
    pub(super) fn read(
        &mut self,
        series: u32,
        range: (i64, i64),
        reading: &Reading<'_>,
        skip: &mut Option<usize>,
        target: &mut Samples,
    ) -> Result<(), DiskError> {
        if !self.cuts.spare(series) {
            return self.read_around(series, range, reading, skip, target);
        }
        self.append(series, range, reading, skip, target)
    }

    fn append(
        &mut self,
        series: u32,
        range: (i64, i64),
        reading: &Reading<'_>,
        skip: &mut Option<usize>,
        target: &mut Samples,
    ) -> Result<(), DiskError> {
        if !self.footer.rich.is_plain() {
            let within = self.load(series, range, reading, skip)?;
            let columns = (self.column.as_slice(), self.values.as_slice());
            return match within.is_empty() {
                true => Ok(()),
                false => self.rich.append((&self.block, &self.footer), series, columns, within, target),
            };
        }
        let Some((entry, within)) = self.find(series, range, reading, skip)? else { return Ok(()) };
        let Some((_, opened)) = &mut self.open else { return Ok(()) };
        let (page, open) = opened.parts();
        target.start_from_here(0);
        target.timestamps_ms.extend_from_slice(self.column.get(within.clone()).unwrap_or_default());
        let read = open.append(page, (series - entry.first) as usize, within, &mut target.values);
        read.ok_or_else(|| self.block.damaged_values(entry.at))
    }

    /// As [`read`](Self::read), part by part, of a series of which something was deleted.
    fn read_around(
        &mut self,
        series: u32,
        range: (i64, i64),
        reading: &Reading<'_>,
        skip: &mut Option<usize>,
        target: &mut Samples,
    ) -> Result<(), DiskError> {
        let mut parts = Vec::new();
        self.cuts.kept(series, range, |part| parts.push(part));
        for part in parts {
            self.append(series, part, reading, skip, target)?;
        }
        Ok(())
    }

    /// Appends the rows whose parts are these series to `target`.
    pub(super) fn rows(
        &mut self,
        parts: impl Iterator<Item = u32>,
        reading: &Reading<'_>,
        skip: &mut Option<usize>,
        target: &mut Gathered,
    ) -> Result<(), DiskError> {
        self.columns.begin();
        let mut at = None;
        for series in parts {
            let within = self.load(series, (i64::MIN, i64::MAX), reading, skip)?;
            if within.is_empty() {
                // A page that was told to be damaged.
                return Ok(());
            }
            at = self.open.as_ref().map(|(open, _)| *open);
            let taken = self.columns.take(&self.column, &self.values);
            taken.ok_or_else(|| self.damaged_rows(at))?;
        }
        self.columns.rows(&mut target.rows).ok_or_else(|| self.damaged_rows(at))
    }

    fn damaged_rows(&self, page: Option<usize>) -> DiskError {
        match page.and_then(|at| self.footer.data.get(at)) {
            Some(entry) => self.block.damaged_values(entry.at),
            None => DiskError::corrupt("rollups", 0, "not the parts of a series"),
        }
    }

    /// Reads timestamps and values of `series` and says which of them are in range; values only if any are.
    fn load(
        &mut self,
        series: u32,
        range: (i64, i64),
        reading: &Reading<'_>,
        skip: &mut Option<usize>,
    ) -> Result<Range<usize>, DiskError> {
        let Some((entry, within)) = self.find(series, range, reading, skip)? else { return Ok(0..0) };
        let Some((_, opened)) = &mut self.open else { return Ok(0..0) };
        let (page, open) = opened.parts();
        let read = open.values(page, (series - entry.first) as usize, &mut self.values);
        read.ok_or_else(|| self.block.damaged_values(entry.at))?;
        Ok(within)
    }

    /// Opens the page of `series`, reads its timestamps and says which of them are in range; `None` when none are.
    fn find(
        &mut self,
        series: u32,
        range: (i64, i64),
        reading: &Reading<'_>,
        skip: &mut Option<usize>,
    ) -> Result<Option<(DataPage, Range<usize>)>, DiskError> {
        let at = self.page_of(series);
        let Some(entry) = self.footer.data.get(at).copied() else { return Ok(None) };
        if entry.max_ms < range.0 || entry.min_ms > range.1 || *skip == Some(at) {
            return Ok(None);
        }
        if self.open.as_ref().is_none_or(|(open, _)| *open != at) {
            self.close();
            // Told once per page, not once per series of it.
            *skip = Some(at);
            self.open = Some((at, self.open_page(at, entry, series, range, reading)?));
            *skip = None;
        }
        let Some((_, opened)) = &self.open else { return Ok(None) };
        let damaged = || self.block.damaged_values(entry.at);
        let (column, count) = opened.open.times((series - entry.first) as usize).ok_or_else(damaged)?;
        if self.column_of != Some(column) {
            self.column_of = None;
            self.times.column(&self.block, &self.footer, column, &mut self.column)?;
            self.column_of = Some(column);
        }
        if self.column.len() != count {
            return Err(damaged());
        }
        let from = self.column.partition_point(|&t| t < range.0);
        let to = self.column.partition_point(|&t| t <= range.1);
        Ok((from < to).then_some((entry, from..to)))
    }

    fn page_of(&self, series: u32) -> usize {
        self.footer.data.partition_point(|p| p.first <= series).saturating_sub(1)
    }

    fn open_page(
        &mut self,
        at: usize,
        entry: DataPage,
        series: u32,
        range: (i64, i64),
        reading: &Reading<'_>,
    ) -> Result<Opened, DiskError> {
        if let Some(opened) = self.keep.as_ref().and_then(|keep| keep.take((self.block.id(), at))) {
            reading.count(|s| &s.pages, 1);
            return Ok(opened);
        }
        while self.ahead.front().is_some_and(|(number, _)| *number < at) {
            self.ahead.pop_front();
        }
        if self.reads_ahead && self.ahead.front().is_none_or(|(number, _)| *number != at) {
            self.read_ahead(at, entry, series, range);
        }
        let page = match self.ahead.pop_front() {
            Some((number, page)) if number == at => page,
            // Alone, so that damage is told of the page that has it.
            _ => self.block.page(entry.at)?,
        };
        reading.count(|s| &s.pages, 1);
        reading.count(|s| &s.bytes, page.len() as u64);
        let open = self.block.open_page(entry.at, &page)?;
        Ok(Opened::new(page, open))
    }

    /// Reads page `at`, of `series`, together with those that are wanted after it.
    fn read_ahead(&mut self, at: usize, entry: DataPage, series: u32, range: (i64, i64)) {
        self.ahead.clear();
        let (mut numbers, mut refs, mut bytes) = (vec![at], vec![entry.at], entry.at.stored_bytes as usize);
        let mut next = self.series.partition_point(|&s| s <= series);
        while let Some(&wanted) = self.series.get(next).filter(|_| refs.len() < AHEAD_PAGES) {
            let number = self.page_of(wanted);
            let Some(page) = self.footer.data.get(number) else { break };
            next = match self.footer.data.get(number + 1) {
                Some(after) => self.series.partition_point(|&s| s < after.first),
                None => self.series.len(),
            };
            let is_open = || self.keep.as_ref().is_some_and(|keep| keep.has((self.block.id(), number)));
            if number == at || page.max_ms < range.0 || page.min_ms > range.1 || is_open() {
                continue;
            }
            bytes += page.at.stored_bytes as usize;
            if bytes > AHEAD_BYTES {
                break;
            }
            numbers.push(number);
            refs.push(page.at);
        }
        // What cannot be read is read again by itself, and told then.
        if let Ok(pages) = self.block.pages(&refs) {
            self.ahead.extend(numbers.into_iter().zip(pages));
        }
    }
}
