//! Histogram pages: the numbers of histograms as columns, one per bucket.
//!
//! ```text
//! page    := n raw length, bytes zstd(unit*), data page of all columns
//! unit    := series - the one before, n histograms, flags, [layout], hints
//! flags   := bit 0: layout as the unit before; bit 1: count is the sum of zero bucket and buckets
//! layout  := schema (i8), n bounds, bound (8 bytes)*, n runs, run*
//! run     := n histograms, zero threshold (8 bytes), spans positive, spans negative
//! spans   := n, (z offset, n length)*
//! hints   := n runs, (n histograms * 4 + hint)*
//! columns := sum, zero count, [count], each positive bucket, each negative bucket
//! ```
//! A unit is a run of histograms of one series with the same schema and bounds. Its columns are the buckets that any of
//! them has, ascending; where a histogram has none of them, 0. So a histogram that grows a bucket costs its new spans
//! and no column is cut. The first series is relative to 0.

use super::super::page::{OpenPage, PAGE_VALUES, PAGE_VALUES_MAX, PageBuilder};
use crate::bytes::{Take, put_varint, put_zigzag};
use bramble_signal::histogram::BUCKETS_MAX;
use bramble_signal::{BucketSpan, NativeHistogram, ResetHint};
use std::ops::Range;

const ZSTD_LEVEL: i32 = 3;
const SAME_LAYOUT: u8 = 1;
const COUNT_IS_SUM: u8 = 2;
/// Head bytes of a page at most, raw.
const HEAD_BYTES_MAX: usize = 64 << 20;
const HINTS: [ResetHint; 4] = [ResetHint::Unknown, ResetHint::Reset, ResetHint::NotReset, ResetHint::Gauge];

/// Numbers of buckets that spans describe, ascending.
fn indexes(spans: &[BucketSpan]) -> impl Iterator<Item = i64> + '_ {
    let mut at = 0i64;
    spans.iter().flat_map(move |span| {
        let from = at + i64::from(span.offset);
        at = from + i64::from(span.length);
        from..at
    })
}

/// Adds the buckets of spans to a sorted list of them.
fn unite(all: &mut Vec<i64>, spans: &[BucketSpan]) {
    let before = all.len();
    let (mut place, mut fresh) = (0, Vec::new());
    for index in indexes(spans) {
        while place < before && all[place] < index {
            place += 1;
        }
        if place == before || all[place] != index {
            fresh.push(index);
        }
    }
    if !fresh.is_empty() {
        all.extend(fresh);
        all.sort_unstable();
        all.dedup();
    }
}

fn same_bits(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.to_bits() == y.to_bits())
}

fn same_spans(a: &NativeHistogram, b: &NativeHistogram) -> bool {
    a.zero_threshold.to_bits() == b.zero_threshold.to_bits()
        && a.positive_spans == b.positive_spans
        && a.negative_spans == b.negative_spans
}

/// What `count` is if it counts nothing else than the buckets.
fn bucket_sum(zero: f64, positive: &[f64], negative: &[f64]) -> f64 {
    positive.iter().chain(negative).fold(zero, |sum, count| sum + count)
}

/// Buckets of a unit: positive and negative ones.
#[derive(Default, Clone)]
struct Union {
    positive: Vec<i64>,
    negative: Vec<i64>,
}

impl Union {
    fn add(&mut self, positive: &[BucketSpan], negative: &[BucketSpan]) {
        unite(&mut self.positive, positive);
        unite(&mut self.negative, negative);
    }

    fn len(&self) -> usize {
        self.positive.len() + self.negative.len()
    }
}

/// Gathers a page.
#[derive(Default)]
pub(super) struct HistogramPages {
    head: Vec<u8>,
    last_layout: Vec<u8>,
    values: PageBuilder,
    range: Option<(u32, u32)>,
    column: Vec<f64>,
}

impl HistogramPages {
    pub(super) fn is_full(&self) -> bool {
        self.values.values() >= PAGE_VALUES
    }

    /// Adds the first of these histograms of a series as one unit; returns the others.
    pub(super) fn push<'a>(&mut self, series: u32, histograms: &'a [&'a NativeHistogram]) -> &'a [&'a NativeHistogram] {
        let (union, count) = unit_of(histograms);
        let (unit, rest) = histograms.split_at(count);
        let (_, last) = self.range.unwrap_or((0, 0));
        self.range = Some((self.range.map_or(series, |(first, _)| first), series));
        put_varint(&mut self.head, u64::from(series - last));
        put_varint(&mut self.head, count as u64);
        let layout = layout_of(unit);
        let is_sum = |h: &&NativeHistogram| {
            bucket_sum(h.zero_count, &h.positive_counts, &h.negative_counts).to_bits() == h.count.to_bits()
        };
        let sums = unit.iter().all(is_sum);
        let same = layout == self.last_layout;
        self.head.push((u8::from(same) * SAME_LAYOUT) | (u8::from(sums) * COUNT_IS_SUM));
        if !same {
            self.head.extend_from_slice(&layout);
            self.last_layout = layout;
        }
        put_hints(&mut self.head, unit);
        self.column(unit, |h| h.sum);
        self.column(unit, |h| h.zero_count);
        if !sums {
            self.column(unit, |h| h.count);
        }
        self.buckets(unit, &union.positive, |h| (&h.positive_spans, &h.positive_counts));
        self.buckets(unit, &union.negative, |h| (&h.negative_spans, &h.negative_counts));
        rest
    }

    fn column(&mut self, unit: &[&NativeHistogram], of: impl Fn(&NativeHistogram) -> f64) {
        self.column.clear();
        self.column.extend(unit.iter().map(|h| of(h)));
        self.values.push(0, &self.column, None);
    }

    fn buckets(
        &mut self,
        unit: &[&NativeHistogram],
        union: &[i64],
        of: impl Fn(&NativeHistogram) -> (&[BucketSpan], &[f64]),
    ) {
        let mut all = vec![0.0; union.len() * unit.len()];
        for (at, histogram) in unit.iter().enumerate() {
            let (spans, counts) = of(histogram);
            let mut place = 0;
            for (index, count) in indexes(spans).zip(counts) {
                place += union.get(place..).unwrap_or_default().partition_point(|i| *i < index);
                if let Some(slot) = all.get_mut(place * unit.len() + at) {
                    *slot = *count;
                }
            }
        }
        for column in all.chunks(unit.len().max(1)) {
            self.values.push(0, column, None);
        }
    }

    /// Writes the page to `out` (cleared first); its first and last series, if there are any.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Result<Option<(u32, u32)>, String> {
        out.clear();
        let Some(range) = self.range.take() else { return Ok(None) };
        put_varint(out, self.head.len() as u64);
        let packed = zstd::bulk::compress(&self.head, ZSTD_LEVEL).map_err(|e| e.to_string())?;
        crate::bytes::put_bytes(out, &packed);
        self.head.clear();
        self.last_layout.clear();
        let mut values = Vec::new();
        self.values.finish(&mut values)?;
        out.extend_from_slice(&values);
        Ok(Some(range))
    }
}

/// How many of the histograms are one unit, and its buckets.
fn unit_of(histograms: &[&NativeHistogram]) -> (Union, usize) {
    let Some(first) = histograms.first() else { return (Union::default(), 0) };
    let mut union = Union::default();
    union.add(&first.positive_spans, &first.negative_spans);
    let (mut before, mut widest) = (*first, union.len());
    for (count, &histogram) in histograms.iter().enumerate().skip(1) {
        let alike = histogram.schema == first.schema && same_bits(&histogram.custom_bounds, &first.custom_bounds);
        if !alike || (count + 1) * (union.len() + 3) > PAGE_VALUES {
            return (union, count);
        }
        if !same_spans(histogram, before) {
            let mut wider = union.clone();
            wider.add(&histogram.positive_spans, &histogram.negative_spans);
            widest = widest.max(histogram.positive_counts.len() + histogram.negative_counts.len());
            // Histograms with few buckets in common stand in units of their own.
            if wider.len() > 2 * widest + 32 || (count + 1) * (wider.len() + 3) > PAGE_VALUES {
                return (union, count);
            }
            union = wider;
        }
        before = histogram;
    }
    (union, histograms.len())
}

fn layout_of(unit: &[&NativeHistogram]) -> Vec<u8> {
    let mut out = Vec::new();
    let Some(first) = unit.first() else { return out };
    out.push(first.schema as u8);
    put_varint(&mut out, first.custom_bounds.len() as u64);
    first.custom_bounds.iter().for_each(|b| out.extend_from_slice(&b.to_bits().to_le_bytes()));
    let runs: Vec<_> = unit.chunk_by(|a, b| same_spans(a, b)).collect();
    put_varint(&mut out, runs.len() as u64);
    for run in runs {
        let Some(histogram) = run.first() else { continue };
        put_varint(&mut out, run.len() as u64);
        out.extend_from_slice(&histogram.zero_threshold.to_bits().to_le_bytes());
        for spans in [&histogram.positive_spans, &histogram.negative_spans] {
            put_varint(&mut out, spans.len() as u64);
            for span in spans {
                put_zigzag(&mut out, span.offset.into());
                put_varint(&mut out, span.length.into());
            }
        }
    }
    out
}

fn put_hints(out: &mut Vec<u8>, unit: &[&NativeHistogram]) {
    let runs: Vec<_> = unit.chunk_by(|a, b| a.reset_hint == b.reset_hint).collect();
    put_varint(out, runs.len() as u64);
    for run in runs {
        let hint = run.first().and_then(|h| HINTS.iter().position(|x| *x == h.reset_hint)).unwrap_or(0);
        put_varint(out, run.len() as u64 * 4 + hint as u64);
    }
}

/// A run of histograms with the same spans.
struct Run {
    count: usize,
    zero_threshold: f64,
    positive: Vec<BucketSpan>,
    negative: Vec<BucketSpan>,
}

/// A layout, read.
struct Layout {
    schema: i8,
    bounds: Vec<f64>,
    runs: Vec<Run>,
    union: Union,
}

struct Unit {
    series: u32,
    count: usize,
    sums: bool,
    layout: usize,
    hints: Vec<(usize, ResetHint)>,
    /// Number of its first column.
    column: usize,
}

/// A page opened for reading.
pub(super) struct HistogramPage {
    layouts: Vec<Layout>,
    units: Vec<Unit>,
    values: OpenPage,
    /// Where the columns' page begins.
    from: usize,
}

impl HistogramPage {
    /// Reads everything but the columns; `None` when the page is damaged.
    pub(super) fn open(page: &[u8]) -> Option<Self> {
        let mut bytes = Take(page);
        let length = bytes.count(HEAD_BYTES_MAX)?;
        let head = zstd::bulk::decompress(bytes.bytes()?, length).ok().filter(|h| h.len() == length)?;
        let from = page.len() - bytes.0.len();
        let values = OpenPage::open(page.get(from..)?)?;
        let mut own = HistogramPage { layouts: Vec::new(), units: Vec::new(), values, from };
        let (mut head, mut series, mut column) = (Take(&head), 0u32, 0usize);
        while !head.is_empty() {
            series = series.checked_add(u32::try_from(head.varint()?).ok()?)?;
            let count = head.count(PAGE_VALUES_MAX).filter(|count| *count > 0)?;
            let flags = head.u8()?;
            if flags & SAME_LAYOUT == 0 {
                own.layouts.push(Layout::take(&mut head, count)?);
            }
            let layout = own.layouts.len().checked_sub(1)?;
            let sums = flags & COUNT_IS_SUM != 0;
            let hints = take_hints(&mut head, count)?;
            let known = own.layouts.get(layout).filter(|l| l.runs.iter().map(|r| r.count).sum::<usize>() == count)?;
            own.units.push(Unit { series, count, sums, layout, hints, column });
            column += known.union.len() + if sums { 2 } else { 3 };
        }
        Some(own)
    }

    /// Appends the histograms of a series whose place among all of the series is `wanted`; `passed` counts those of the
    /// series that were passed. `page` as given to [`open`](Self::open).
    pub(super) fn read(
        &mut self,
        page: &[u8],
        series: u32,
        wanted: &Range<usize>,
        passed: &mut usize,
        out: &mut Vec<NativeHistogram>,
    ) -> Option<()> {
        let first = self.units.partition_point(|u| u.series < series);
        for at in first..self.units.len() {
            let unit = self.units.get(at).filter(|u| u.series == series);
            let Some(unit) = unit else { break };
            let (from, to) = (*passed, *passed + unit.count);
            if from < wanted.end && to > wanted.start {
                let within = wanted.start.max(from) - from..wanted.end.min(to) - from;
                self.read_unit(page.get(self.from..)?, at, within, out)?;
            }
            *passed = to;
        }
        Some(())
    }

    fn read_unit(
        &mut self,
        page: &[u8],
        at: usize,
        within: Range<usize>,
        out: &mut Vec<NativeHistogram>,
    ) -> Option<()> {
        let unit = self.units.get(at)?;
        let layout = self.layouts.get(unit.layout)?;
        let many = layout.union.len() + if unit.sums { 2 } else { 3 };
        let mut columns = Vec::with_capacity(many);
        for column in unit.column..unit.column + many {
            // Counts are checked before anything is allocated by them.
            self.values.times(column).filter(|(_, count)| *count == unit.count)?;
            let mut values = Vec::new();
            self.values.values(page, column, &mut values)?;
            columns.push(values.get(within.clone())?.to_vec());
        }
        let fixed = many - layout.union.len();
        let number = |column: usize, place: usize| columns.get(column).and_then(|c| c.get(place)).copied();
        let mut start = 0;
        for run in &layout.runs {
            let inside = start.max(within.start)..(start + run.count).min(within.end);
            start += run.count;
            let positive = places(&layout.union.positive, &run.positive, fixed)?;
            let negative = places(&layout.union.negative, &run.negative, fixed + layout.union.positive.len())?;
            for place in inside {
                let within_column = place - within.start;
                let counts = |places: &[usize]| {
                    places.iter().map(|&column| number(column, within_column)).collect::<Option<Vec<f64>>>()
                };
                let (positive_counts, negative_counts) = (counts(&positive)?, counts(&negative)?);
                let zero_count = number(1, within_column)?;
                let count = match unit.sums {
                    true => bucket_sum(zero_count, &positive_counts, &negative_counts),
                    false => number(2, within_column)?,
                };
                out.push(NativeHistogram {
                    schema: layout.schema,
                    reset_hint: hint_at(&unit.hints, place),
                    zero_threshold: run.zero_threshold,
                    zero_count,
                    count,
                    sum: number(0, within_column)?,
                    positive_spans: run.positive.clone(),
                    positive_counts,
                    negative_spans: run.negative.clone(),
                    negative_counts,
                    custom_bounds: layout.bounds.clone(),
                });
            }
        }
        Some(())
    }
}

/// The columns of a run's buckets.
fn places(union: &[i64], spans: &[BucketSpan], first: usize) -> Option<Vec<usize>> {
    indexes(spans).map(|index| union.binary_search(&index).ok().map(|place| first + place)).collect()
}

fn hint_at(hints: &[(usize, ResetHint)], place: usize) -> ResetHint {
    let at = hints.partition_point(|(end, _)| *end <= place);
    hints.get(at).map_or(ResetHint::Unknown, |(_, hint)| *hint)
}

fn take_hints(head: &mut Take<'_>, count: usize) -> Option<Vec<(usize, ResetHint)>> {
    let (mut hints, mut end) = (Vec::new(), 0usize);
    for _ in 0..head.count(count)? {
        let run = head.varint()?;
        end = end.checked_add(usize::try_from(run / 4).ok()?).filter(|end| *end <= count)?;
        hints.push((end, *HINTS.get((run % 4) as usize)?));
    }
    (end == count).then_some(hints)
}

fn take_double(bytes: &mut Take<'_>) -> Option<f64> {
    Some(f64::from_bits(u64::from_le_bytes(bytes.run(8)?.try_into().ok()?)))
}

fn take_spans(bytes: &mut Take<'_>) -> Option<Vec<BucketSpan>> {
    let (mut spans, mut buckets) = (Vec::new(), 0u64);
    for at in 0..bytes.count(BUCKETS_MAX)? {
        let offset = i32::try_from(bytes.zigzag()?).ok().filter(|offset| at == 0 || *offset >= 0)?;
        let length = u32::try_from(bytes.varint()?).ok()?;
        buckets += u64::from(length);
        spans.push(BucketSpan { offset, length });
    }
    (buckets <= BUCKETS_MAX as u64).then_some(spans)
}

impl Layout {
    fn take(bytes: &mut Take<'_>, count: usize) -> Option<Self> {
        let schema = bytes.u8()? as i8;
        let bounds = (0..bytes.count(BUCKETS_MAX)?).map(|_| take_double(bytes)).collect::<Option<Vec<f64>>>()?;
        let (mut runs, mut union) = (Vec::new(), Union::default());
        for _ in 0..bytes.count(count)? {
            let count = bytes.count(count)?;
            let zero_threshold = take_double(bytes)?;
            let (positive, negative) = (take_spans(bytes)?, take_spans(bytes)?);
            union.add(&positive, &negative);
            // What a writer unites fits into a page.
            if union.len() > PAGE_VALUES + 2 * BUCKETS_MAX {
                return None;
            }
            runs.push(Run { count, zero_threshold, positive, negative });
        }
        Some(Layout { schema, bounds, runs, union })
    }
}
