//! Series of heads and blocks merged by labels, a batch at a time.
//!
//! Every stream (the head, each block) names its matching series in label order; a heap merges the names. For a batch
//! of series all streams are then read one after the other, oldest first, so that a page is decoded once
//! for all its series of the batch, and memory is that of the batch, not of the number of blocks.

use super::Reading;
use super::block_series::BlockSeries;
use crate::block::{BlockKind, TimesReader};
use crate::bytes::compare_sets;
use crate::head::Generation;
use crate::rollup::{self, Row};
use crate::samples::Samples;
use bramble_disk::DiskError;
use bramble_signal::{LabelsRef, SeriesSamples};
use bramble_storage::{ReadError, SeriesCursor};
use parking_lot::RwLock;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::Arc;

/// Samples gathered before they are handed on.
const BATCH_SAMPLES: usize = 64 << 10;
const BATCH_SERIES_MAX: usize = 2048;
/// With more streams than this, none keeps its last page open between batches.
const OPEN_PAGES_MAX: usize = 8;

/// Matching series of the head, by labels.
pub(crate) struct HeadSeries {
    pub(crate) generations: Vec<Arc<RwLock<Generation>>>,
    pub(crate) series: Vec<u32>,
    pub(crate) labels: Vec<u8>,
    pub(crate) ends: Vec<u32>,
}

pub(crate) enum Origin {
    Head(HeadSeries),
    Block(Box<BlockSeries>),
}

struct Stream {
    origin: Origin,
    position: usize,
    /// (place in the batch, own series number), ascending in both.
    wanted: Vec<(u32, u32)>,
}

/// The next series of a stream; the heap gives the lowest labels first.
struct Next {
    labels: Vec<u8>,
    stream: usize,
}

impl Ord for Next {
    fn cmp(&self, other: &Self) -> Ordering {
        compare_sets(&other.labels, &self.labels).then_with(|| other.stream.cmp(&self.stream))
    }
}

impl PartialOrd for Next {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Next {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Next {}

/// One series of a batch.
#[derive(Default)]
pub(crate) struct Gathered {
    pub(crate) labels: Vec<u8>,
    pub(crate) samples: Samples,
    /// Where samples are gone, ascending.
    pub(crate) rows: Vec<Row>,
}

impl Gathered {
    fn bytes(&self) -> usize {
        self.rows.capacity() * size_of::<Row>() + self.labels.capacity() + self.samples.bytes() + size_of::<Self>()
    }
}

/// Merges streams.
pub(crate) struct Cursor<'a> {
    reading: Reading<'a>,
    streams: Vec<Stream>,
    heap: BinaryHeap<Next>,
    range: (i64, i64),
    /// Days whose float samples become rows as they are read, ascending.
    folded_days: Arc<[i32]>,
    batch: Vec<Gathered>,
    given: usize,
    batch_series: usize,
    scratch: Vec<u8>,
    reserved: usize,
    started: bool,
}

impl<'a> Cursor<'a> {
    /// A cursor over `streams`, oldest data first.
    pub(crate) fn new(reading: Reading<'a>, streams: Vec<Origin>, start_ms: i64, end_ms: i64) -> Self {
        let streams =
            streams.into_iter().map(|origin| Stream { origin, position: 0, wanted: Vec::new() }).collect::<Vec<_>>();
        Cursor {
            reading,
            streams,
            heap: BinaryHeap::new(),
            range: (start_ms, end_ms),
            folded_days: Arc::from([]),
            batch: Vec::new(),
            given: 0,
            batch_series: 1,
            scratch: Vec::new(),
            reserved: 0,
            started: false,
        }
    }

    /// Folds float samples of these days, ascending, into the rows of their series.
    pub(crate) fn folding(mut self, days: Arc<[i32]>) -> Self {
        self.folded_days = days;
        self
    }

    fn start(&mut self) -> Result<(), ReadError> {
        self.started = true;
        for number in 0..self.streams.len() {
            let mut next = Next { labels: Vec::new(), stream: number };
            if advance(&mut self.streams[number], &self.reading, &mut next.labels)? {
                self.heap.push(next);
            }
        }
        Ok(())
    }

    /// Calls `each` with the labels of every series.
    pub(crate) fn for_each_labels(
        &mut self,
        each: &mut dyn FnMut(&[u8]) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        self.start()?;
        let mut last: Option<Vec<u8>> = None;
        while let Some(mut top) = self.heap.peek_mut() {
            if last.as_ref() != Some(&top.labels) {
                self.reading.check()?;
                each(&top.labels)?;
                let kept = last.get_or_insert_default();
                kept.clear();
                kept.extend_from_slice(&top.labels);
            }
            let number = top.stream;
            if !advance(&mut self.streams[number], &self.reading, &mut top.labels)? {
                PeekMut::pop(top);
            }
        }
        Ok(())
    }

    /// The next series with samples in range; `None` at the end.
    pub(crate) fn next_series(&mut self) -> Result<Option<&mut Gathered>, ReadError> {
        loop {
            while self.given < self.batch.len() {
                self.given += 1;
                let series = &self.batch[self.given - 1];
                if !(series.samples.is_empty() && series.rows.is_empty()) {
                    return Ok(self.batch.get_mut(self.given - 1));
                }
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    fn fill(&mut self) -> Result<bool, ReadError> {
        if !self.started {
            self.start()?;
        }
        self.reading.check()?;
        self.batch.clear();
        self.given = 0;
        self.reading.release(std::mem::take(&mut self.reserved));
        self.choose()?;
        if self.batch.is_empty() {
            return Ok(false);
        }
        let keep_open = self.streams.len() <= OPEN_PAGES_MAX;
        for number in 0..self.streams.len() {
            self.read(number)?;
            if let Origin::Block(block) = &mut self.streams[number].origin
                && !keep_open
            {
                block.close();
                block.ahead.clear();
                block.reads_ahead = false;
                block.labels.release();
                block.times = TimesReader::default();
                block.rich.release();
            }
        }
        let mut samples = 0;
        for series in &mut self.batch {
            series.samples.normalize();
            // What is about to be folded was held too.
            let read = series.samples.weight();
            rollup::fold_days(&self.folded_days, series);
            let kept = series.samples.weight() + series.rows.len() * (size_of::<Row>() / 16);
            samples += read.max(kept);
        }
        self.account()?;
        self.reading.count(|s| &s.series, self.batch.len() as u64);
        // As many series as fill a batch by what was seen, growing carefully.
        let fitting = BATCH_SAMPLES * self.batch.len() / samples.max(1);
        self.batch_series = fitting.clamp(1, (self.batch_series * 8).min(BATCH_SERIES_MAX));
        Ok(true)
    }

    fn choose(&mut self) -> Result<(), ReadError> {
        while let Some(mut top) = self.heap.peek_mut() {
            if self.batch.last().is_none_or(|last| last.labels != top.labels) {
                if self.batch.len() >= self.batch_series {
                    break;
                }
                self.batch.push(Gathered { labels: top.labels.clone(), ..Gathered::default() });
            }
            let stream = &mut self.streams[top.stream];
            // `advance` has moved past the series that is on the heap.
            let own = match &stream.origin {
                Origin::Head(head) => head.series.get(stream.position - 1),
                Origin::Block(block) => block.series.get(stream.position - 1),
            };
            if let Some(&own) = own {
                stream.wanted.push((self.batch.len() as u32 - 1, own));
            }
            if !advance(stream, &self.reading, &mut top.labels)? {
                PeekMut::pop(top);
            }
        }
        Ok(())
    }

    fn account(&mut self) -> Result<(), ReadError> {
        let bytes = self.batch.iter().map(Gathered::bytes).sum::<usize>();
        if bytes > self.reserved {
            self.reading.reserve(bytes - self.reserved)?;
            self.reserved = bytes;
        }
        Ok(())
    }

    fn read(&mut self, number: usize) -> Result<(), ReadError> {
        if matches!(&self.streams[number].origin, Origin::Block(block) if block.block.kind == BlockKind::Rollups) {
            return self.read_rows(number);
        }
        let wanted = std::mem::take(&mut self.streams[number].wanted);
        let (mut page_before, mut samples_since) = (None, 0);
        for &(place, own) in &wanted {
            let Some(target) = self.batch.get_mut(place as usize) else { continue };
            let target = &mut target.samples;
            let (before, weight) = (target.mark(), target.weight());
            match &mut self.streams[number].origin {
                Origin::Head(head) => {
                    for generation in &head.generations {
                        generation.read().read(own, self.range, &mut self.scratch, target);
                    }
                }
                Origin::Block(block) => {
                    if let Err(error) = block.read(own, self.range, &self.reading, &mut page_before, target) {
                        target.truncate(before);
                        self.reading.damaged(block.block.id(), error)?;
                    }
                }
            }
            self.reading.count(|s| &s.items, target.since(before) as u64);
            samples_since += target.weight() - weight;
            if samples_since > BATCH_SAMPLES {
                samples_since = 0;
                self.reading.check()?;
                self.account()?;
            }
        }
        let mut wanted = wanted;
        wanted.clear();
        self.streams[number].wanted = wanted;
        Ok(())
    }
}

impl Cursor<'_> {
    /// As [`read`](Self::read), of a block of rollups: the parts of a series follow each other.
    fn read_rows(&mut self, number: usize) -> Result<(), ReadError> {
        let mut wanted = std::mem::take(&mut self.streams[number].wanted);
        let Origin::Block(block) = &mut self.streams[number].origin else { return Ok(()) };
        let mut skip = None;
        for parts in wanted.chunk_by(|a, b| a.0 == b.0) {
            let Some(target) = parts.first().and_then(|(place, _)| self.batch.get_mut(*place as usize)) else {
                continue;
            };
            let before = target.rows.len();
            let cuts: Vec<_> = parts.first().map_or_else(Vec::new, |(_, own)| block.cuts.of(*own).collect());
            if let Err(error) = block.rows(parts.iter().map(|(_, own)| *own), &self.reading, &mut skip, target) {
                target.rows.truncate(before);
                self.reading.damaged(block.block.id(), error)?;
            }
            let mut at = 0;
            target.rows.retain(|row| {
                at += 1;
                at <= before || (row.overlaps(self.range) && !cuts.iter().any(|cut| row.overlaps(*cut)))
            });
            self.reading.count(|s| &s.items, (target.rows.len() - before) as u64);
        }
        self.reading.check()?;
        wanted.clear();
        self.streams[number].wanted = wanted;
        Ok(())
    }
}

/// Moves to the stream's next series and reads its labels; `false` at its end.
fn advance(stream: &mut Stream, reading: &Reading<'_>, labels: &mut Vec<u8>) -> Result<bool, ReadError> {
    let position = stream.position;
    stream.position += 1;
    match &mut stream.origin {
        Origin::Head(head) => {
            let Some(&end) = head.ends.get(position) else { return Ok(false) };
            let start = if position == 0 { 0 } else { head.ends[position - 1] };
            labels.clear();
            labels.extend_from_slice(&head.labels[start as usize..end as usize]);
            Ok(true)
        }
        Origin::Block(block) => {
            let Some(&series) = block.series.get(position) else { return Ok(false) };
            match block.labels.labels(&block.block, &block.footer, series) {
                // Labels of a damaged block must not break the merge's order or anybody's UTF-8.
                Ok(read) if LabelsRef::parse(read).is_some() => {
                    labels.clear();
                    labels.extend_from_slice(read);
                    Ok(true)
                }
                Ok(_) => {
                    reading.damaged(block.block.id(), DiskError::corrupt("labels", 0, "not a label set"))?;
                    Ok(false)
                }
                Err(error) => {
                    reading.damaged(block.block.id(), error)?;
                    Ok(false)
                }
            }
        }
    }
}

impl SeriesCursor for Cursor<'_> {
    fn next(&mut self, out: &mut SeriesSamples) -> Result<bool, ReadError> {
        out.clear_samples();
        let range = self.range;
        match self.next_series() {
            Ok(Some(series)) => {
                out.labels = LabelsRef::from_encoded(&series.labels).to_labels();
                let samples = &mut series.samples;
                if !series.rows.is_empty() {
                    out.rollups.extend(rollup::rollups_of(&series.rows));
                    samples.start_from_here(0);
                    rollup::tell(&series.rows, range, &mut samples.timestamps_ms, &mut samples.values);
                    samples.normalize();
                }
                samples.start_changes(&mut out.starts);
                std::mem::swap(&mut out.timestamps_ms, &mut samples.timestamps_ms);
                std::mem::swap(&mut out.values, &mut samples.values);
                std::mem::swap(&mut out.histograms, &mut samples.histograms);
                Ok(true)
            }
            Ok(None) => {
                out.labels = bramble_signal::Labels::empty();
                Ok(false)
            }
            Err(error) => {
                self.heap.clear();
                self.batch.clear();
                Err(error)
            }
        }
    }
}

impl Drop for Cursor<'_> {
    fn drop(&mut self) {
        self.reading.release(self.reserved);
    }
}
