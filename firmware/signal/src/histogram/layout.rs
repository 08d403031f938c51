//! Spans, read as indices of buckets, and written from them.
//!
//! Indices are 64 bits wide here: the spans of a hostile histogram may add up to more than 32 bits. Nothing here takes
//! memory or time for the gaps between spans.

use super::amount::Amount;
use super::{BucketSpan, NativeHistogram};

/// Walks the buckets that spans describe, from either end: index of the bucket, and place of its count.
///
/// Ends when `counts` places are given, or the spans are over.
#[derive(Clone, Debug)]
pub(super) struct Positions<'a> {
    spans: &'a [BucketSpan],
    front: Cursor,
    /// `left` buckets of the span are not given yet.
    back: Cursor,
    at: usize,
    end: usize,
}

#[derive(Clone, Copy, Debug)]
struct Cursor {
    span: usize,
    left: u32,
    index: i64,
}

impl<'a> Positions<'a> {
    pub(super) fn new(spans: &'a [BucketSpan], counts: usize) -> Self {
        let after =
            spans.iter().fold(0, |at: i64, s| at.saturating_add(s.offset.into()).saturating_add(s.length.into()));
        let first = spans.first().copied().unwrap_or_default();
        let last = spans.last().map_or(0, |s| s.length);
        Self {
            spans,
            front: Cursor { span: 0, left: first.length, index: first.offset.into() },
            back: Cursor { span: spans.len().saturating_sub(1), left: last, index: after },
            at: 0,
            end: counts,
        }
    }
}

impl Iterator for Positions<'_> {
    type Item = (i64, usize);

    fn next(&mut self) -> Option<(i64, usize)> {
        if self.at >= self.end {
            return None;
        }
        while self.front.left == 0 {
            self.front.span += 1;
            let span = self.spans.get(self.front.span)?;
            self.front.left = span.length;
            self.front.index = self.front.index.saturating_add(span.offset.into());
        }
        let found = (self.front.index, self.at);
        self.front.left -= 1;
        self.front.index = self.front.index.saturating_add(1);
        self.at += 1;
        Some(found)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.end.saturating_sub(self.at)))
    }
}

impl DoubleEndedIterator for Positions<'_> {
    fn next_back(&mut self) -> Option<(i64, usize)> {
        if self.at >= self.end {
            return None;
        }
        while self.back.left == 0 {
            let offset = self.spans.get(self.back.span).map_or(0, |s| s.offset);
            self.back.index = self.back.index.saturating_sub(offset.into());
            self.back.span = self.back.span.checked_sub(1)?;
            self.back.left = self.spans.get(self.back.span).map_or(0, |s| s.length);
        }
        self.back.left -= 1;
        self.back.index = self.back.index.saturating_sub(1);
        self.end -= 1;
        Some((self.back.index, self.end))
    }
}

/// One side of a histogram: its spans, their counts, and what rounding lost of these (or nothing).
#[derive(Clone, Copy, Debug)]
pub(super) struct Side<'a> {
    pub(super) spans: &'a [BucketSpan],
    pub(super) counts: &'a [f64],
    pub(super) lost: &'a [f64],
}

impl<'a> Side<'a> {
    /// Index and amount of every bucket, ascending.
    pub(super) fn cells<V: Amount>(self) -> impl Iterator<Item = (i64, V)> + Clone + 'a {
        let number = |from: &[f64], at: usize| from.get(at).copied().unwrap_or(0.0);
        Positions::new(self.spans, self.counts.len())
            .map(move |(index, at)| (index, V::of(number(self.counts, at), number(self.lost, at))))
    }
}

/// Buckets that move to other indices, those that meet added up. Places must not descend.
#[derive(Clone)]
pub(super) struct Moved<I: Iterator, F>
where
    I::Item: Clone,
{
    cells: std::iter::Peekable<I>,
    place: F,
}

impl<V: Amount, I: Iterator<Item = (i64, V)>, F: FnMut(i64) -> i64> Moved<I, F> {
    pub(super) fn new(cells: I, place: F) -> Self {
        Self { cells: cells.peekable(), place }
    }
}

impl<V: Amount, I: Iterator<Item = (i64, V)>, F: FnMut(i64) -> i64> Iterator for Moved<I, F> {
    type Item = (i64, V);

    fn next(&mut self) -> Option<(i64, V)> {
        let (index, mut amount) = self.cells.next()?;
        let place = (self.place)(index);
        while let Some((_, more)) = self.cells.next_if(|(next, _)| (self.place)(*next) == place) {
            amount = amount.plus(more);
        }
        Some((place, amount))
    }
}

/// Where bucket `index` goes when the schema goes down by `steps`.
pub(super) fn coarser(index: i64, steps: u32) -> i64 {
    (index.saturating_sub(1) >> steps.min(63)).saturating_add(1)
}

/// Spans and counts being written, index by index.
#[derive(Default, Debug)]
pub(super) struct Runs {
    pub(super) spans: Vec<BucketSpan>,
    pub(super) counts: Vec<f64>,
    /// As many as counts when amounts are compensated, else none.
    pub(super) lost: Vec<f64>,
    /// The index after the last bucket.
    end: i64,
}

impl Runs {
    pub(super) fn with_capacity<V: Amount>(buckets: usize) -> Self {
        let lost = if V::COMPENSATED { Vec::with_capacity(buckets) } else { Vec::new() };
        Self { counts: Vec::with_capacity(buckets), lost, ..Self::default() }
    }

    pub(super) fn collect<V: Amount>(buckets: usize, cells: impl Iterator<Item = (i64, V)>) -> Self {
        let mut runs = Self::with_capacity::<V>(buckets);
        cells.for_each(|(index, amount)| runs.push(index, amount));
        runs
    }

    pub(super) fn gap(&self, index: i64) -> i64 {
        index.saturating_sub(self.end)
    }

    /// `index` is above all before. (One that is not, of spans that run backwards, goes into the bucket before.)
    pub(super) fn push<V: Amount>(&mut self, index: i64, amount: V) {
        let gap = self.gap(index);
        match (self.spans.last_mut(), self.counts.last_mut()) {
            (Some(_), Some(last)) if gap < 0 => {
                *last += amount.sum();
                return;
            }
            (Some(span), Some(_)) if gap == 0 && span.length < u32::MAX => span.length += 1,
            _ => self.open(gap),
        }
        self.counts.push(amount.sum());
        if V::COMPENSATED {
            self.lost.push(amount.lost());
        }
        self.end = index.saturating_add(1);
    }

    /// Begins a span of one bucket. A gap that no offset can say is bridged by spans of no buckets.
    fn open(&mut self, mut gap: i64) {
        loop {
            let offset = gap.clamp(i32::MIN.into(), i32::MAX.into());
            gap -= offset;
            let length = u32::from(gap == 0);
            self.spans.push(BucketSpan { offset: offset as i32, length });
            if gap == 0 {
                return;
            }
        }
    }

    pub(super) fn fill<V: Amount>(&mut self, until: i64) {
        while self.end < until {
            self.push(self.end, V::of(0.0, 0.0));
        }
    }
}

/// Adds up two sides whose buckets have the same bounds, ascending.
pub(super) fn merge<V: Amount>(
    buckets: usize,
    a: impl Iterator<Item = (i64, V)>,
    b: impl Iterator<Item = (i64, V)>,
) -> Runs {
    let mut runs = Runs::with_capacity::<V>(buckets);
    let mut b = b.peekable();
    for (index, amount) in a {
        while let Some((before, other)) = b.next_if(|(i, _)| *i < index) {
            runs.push(before, other);
        }
        match b.next_if(|(i, _)| *i == index) {
            Some((_, other)) => runs.push(index, amount.plus(other)),
            None => runs.push(index, amount),
        }
    }
    b.for_each(|(index, amount)| runs.push(index, amount));
    runs
}

/// Adds `b` where spans have a bucket for each of its cells; `false`, with nothing changed, when they have not.
pub(super) fn add_within<V: Amount>(
    spans: &[BucketSpan],
    counts: &mut [f64],
    lost: &mut [f64],
    b: impl Iterator<Item = (i64, V)> + Clone,
) -> bool {
    if V::COMPENSATED && lost.len() != counts.len() {
        return false;
    }
    let places = Positions::new(spans, counts.len());
    let mut free = places.clone();
    if !b.clone().all(|(index, _)| free.find(|(i, _)| *i >= index).is_some_and(|(i, _)| i == index)) {
        return false;
    }
    let mut places = places;
    for (index, amount) in b {
        let Some((_, at)) = places.find(|(i, _)| *i == index) else { continue };
        let Some(count) = counts.get_mut(at) else { continue };
        let total = V::of(*count, lost.get(at).copied().unwrap_or(0.0)).plus(amount);
        *count = total.sum();
        if let Some(lost) = lost.get_mut(at) {
            *lost = total.lost();
        }
    }
    true
}

impl NativeHistogram {
    pub(super) fn positive(&self) -> Side<'_> {
        Side { spans: &self.positive_spans, counts: &self.positive_counts, lost: &[] }
    }

    pub(super) fn negative(&self) -> Side<'_> {
        Side { spans: &self.negative_spans, counts: &self.negative_counts, lost: &[] }
    }

    pub(super) fn set_positive(&mut self, runs: Runs) {
        (self.positive_spans, self.positive_counts) = (runs.spans, runs.counts);
    }

    pub(super) fn set_negative(&mut self, runs: Runs) {
        (self.negative_spans, self.negative_counts) = (runs.spans, runs.counts);
    }
}
