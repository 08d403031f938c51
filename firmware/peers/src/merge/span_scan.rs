//! Single spans of all hubs.
//!
//! A long range is read slice by slice, newest first: equal spans begin at the same time, hence in the same slice. This hub's
//! spans of a slice are given as they are found. Others send digests of its stretches, and then the spans of those that are
//! not the same here; only for these it must be remembered which spans were given.

use crate::asked::Asked;
use crate::digest::Digests;
use crate::frame::SPANS;
use crate::peer::Peers;
use crate::request::{Question, Spans};
use crate::spans::{self, fingerprint};
use bramble_signal::SpanBatch;
use bramble_storage::{QueryContext, ReadError, SpanCursor, SpanFields, SpanPredicate, SpanScan, TraceSource};
use std::collections::HashSet;

/// Slices: how wide, and how many of them. What is older is read in one go.
const SLICES: [(u64, usize); 2] = [(HOUR_NS, 24), (24 * HOUR_NS, 30)];
const HOUR_NS: u64 = 3_600_000_000_000;
/// Memory of what is remembered of a span, with what the set leaves free.
const REMEMBERED_BYTES: usize = 16;

/// Stretches of a slice that are compared with others.
const STRETCHES: u64 = 60;
/// How many ranges of a slice are asked for one by one; where more differ, what lies between is sent too.
const RANGES_MAX: usize = 8;

/// A slice that is being read.
struct Slice<'a> {
    local: Option<Box<dyn SpanCursor + 'a>>,
    /// From where on, and how wide its stretches are.
    start_ns: u64,
    width_ns: u64,
    end_ns: u64,
    /// Digests of others, until they are compared with what is here.
    digests: Vec<Asked>,
    ours: Digests,
    /// Ranges of which others have spans that are not here.
    left: Vec<(u64, u64)>,
    asked: Vec<Asked>,
    /// Whether several hubs are asked, which may come with the same.
    several: bool,
    /// Spans of the range that were given.
    given: HashSet<u64>,
    /// What the query is charged for `given`.
    held: usize,
}

/// Ranges of stretches, inclusive at both ends, neighbours as one.
fn ranges(stretches: &[u64], (start_ns, end_ns): (u64, u64), width_ns: u64) -> Vec<(u64, u64)> {
    let mut found: Vec<(u64, u64)> = Vec::new();
    for stretch in stretches {
        let from = start_ns.saturating_add(stretch.saturating_mul(width_ns)).min(end_ns);
        let to = from.saturating_add(width_ns - 1).min(end_ns);
        match found.last_mut() {
            Some(last) if last.1.saturating_add(1) >= from => last.1 = to,
            _ => found.push((from, to)),
        }
    }
    match (found.first(), found.last()) {
        (Some(first), Some(last)) if found.len() > RANGES_MAX => vec![(first.0, last.1)],
        _ => found,
    }
}

/// The merge.
pub(super) struct SpanMerge<'a> {
    local: &'a dyn TraceSource,
    peers: &'a Peers,
    predicates: Vec<SpanPredicate>,
    fields: SpanFields,
    /// Ranges still to be read, the next one last.
    left: Vec<(u64, u64)>,
    slice: Option<Slice<'a>>,
    context: &'a QueryContext,
}

/// Cuts a range, inclusive at both ends, into slices; the newest last.
fn slices(start_ns: u64, end_ns: u64, now_ns: i64) -> Vec<(u64, u64)> {
    if start_ns > end_ns {
        return Vec::new();
    }
    // Ranges often have no end; behind the present there is little.
    let now_ns = u64::try_from(now_ns).unwrap_or(0) / HOUR_NS * HOUR_NS;
    let (mut found, mut end) = (Vec::new(), end_ns);
    if now_ns > start_ns && now_ns <= end && end - now_ns > HOUR_NS {
        found.push((now_ns, end));
        end = now_ns - 1;
    }
    for width_ns in SLICES.iter().flat_map(|(width_ns, count)| std::iter::repeat_n(*width_ns, *count)) {
        if end - start_ns <= width_ns {
            break;
        }
        let from = (end / width_ns * width_ns).max(start_ns + 1);
        found.push((from, end));
        end = from - 1;
    }
    found.push((start_ns, end));
    found.reverse();
    found
}

impl<'a> SpanMerge<'a> {
    pub(super) fn new(
        (local, peers): (&'a dyn TraceSource, &'a Peers),
        scan: &SpanScan<'_>,
        now_ns: i64,
        context: &'a QueryContext,
    ) -> Self {
        let (predicates, mut fields) = (scan.predicates.to_vec(), scan.fields.clone());
        // What is wanted is judged here, to be counted.
        spans::looked_at(&predicates, &mut fields);
        let left = slices(scan.start_ns, scan.end_ns, now_ns);
        SpanMerge { local, peers, predicates, fields, left, slice: None, context }
    }

    fn scan(&self, (start_ns, end_ns): (u64, u64)) -> SpanScan<'_> {
        SpanScan { start_ns, end_ns, predicates: &self.predicates, whole_traces: false, fields: self.fields.clone() }
    }

    fn open(&self, (start_ns, end_ns): (u64, u64)) -> Result<Slice<'a>, ReadError> {
        let scan = self.scan((start_ns, end_ns));
        let width_ns = (end_ns - start_ns) / STRETCHES + 1;
        let question = Question::SpanDigests { of: Spans::of(&scan), width_ns };
        let digests = self.peers.ask(&question, self.context);
        let local = Some(self.local.scan(&scan, self.context)?);
        let (ours, given) = (Digests::default(), HashSet::new());
        let (left, asked) = (Vec::new(), Vec::new());
        Ok(Slice { local, start_ns, width_ns, end_ns, digests, ours, left, asked, several: false, given, held: 0 })
    }

    /// The next batch of the slice, this hub's first; `false` at its end.
    fn next_of(&self, slice: &mut Slice<'_>, out: &mut SpanBatch) -> Result<bool, ReadError> {
        let context = self.context;
        if let Some(cursor) = &mut slice.local {
            if cursor.next(out)? {
                if !slice.digests.is_empty() {
                    slice.count(out, &self.predicates);
                }
                return Ok(true);
            }
            slice.local = None;
            slice.compare(context)?;
        }
        loop {
            let Some(asked) = slice.asked.first_mut() else {
                let Some(range) = slice.left.pop() else { break };
                self.ask(slice, range)?;
                continue;
            };
            let Some((kind, payload)) = asked.next(context)? else {
                slice.asked.remove(0);
                continue;
            };
            match spans::read(&payload) {
                Ok(mut batch) if kind == SPANS => {
                    batch.spans.retain(|span| !slice.given.contains(&fingerprint(span)));
                    if slice.several {
                        slice.remember(&batch, context)?;
                    }
                    if !batch.is_empty() {
                        *out = batch;
                        return Ok(true);
                    }
                }
                Ok(_) => asked.lose("it sent what was not asked for", context),
                Err(why) => asked.lose(&why, context),
            }
        }
        out_clear(out);
        slice.forget(context);
        Ok(false)
    }

    /// Asks others for a range, and finds out which spans of it were given.
    fn ask(&self, slice: &mut Slice<'_>, range: (u64, u64)) -> Result<(), ReadError> {
        slice.forget(self.context);
        slice.asked = self.peers.ask(&Question::Spans(Spans::of(&self.scan(range))), self.context);
        slice.several = slice.asked.len() > 1;
        let mut fields = SpanFields::LEAST;
        spans::looked_at(&self.predicates, &mut fields);
        let mut cursor = self.local.scan(&SpanScan { fields, ..self.scan(range) }, self.context)?;
        let mut batch = SpanBatch::new();
        while cursor.next(&mut batch)? {
            slice.remember(&batch, self.context)?;
        }
        Ok(())
    }
}

impl Slice<'_> {
    fn forget(&mut self, context: &QueryContext) {
        self.given.clear();
        context.release(std::mem::take(&mut self.held));
    }

    /// Counts what is wanted of a batch of this hub; a store may give more than that.
    fn count(&mut self, batch: &SpanBatch, predicates: &[SpanPredicate]) {
        for span in &batch.spans {
            let is_in = (self.start_ns..=self.end_ns).contains(&span.start_ns);
            if is_in && predicates.iter().all(|predicate| predicate.accepts(batch, span)) {
                self.ours.add_span(span, self.start_ns, self.width_ns);
            }
        }
    }

    fn compare(&mut self, context: &QueryContext) -> Result<(), ReadError> {
        let mut theirs = Vec::new();
        for mut digests in std::mem::take(&mut self.digests) {
            theirs.push(Digests::of_list(digests.list(context)?));
        }
        self.left = ranges(&self.ours.differing(&theirs), (self.start_ns, self.end_ns), self.width_ns);
        Ok(())
    }

    fn remember(&mut self, batch: &SpanBatch, context: &QueryContext) -> Result<(), ReadError> {
        let bytes = batch.spans.len() * REMEMBERED_BYTES;
        context.reserve(bytes)?;
        self.held += bytes;
        self.given.extend(batch.spans.iter().map(fingerprint));
        Ok(())
    }
}

/// Empties a batch.
pub(super) fn out_clear(out: &mut SpanBatch) {
    *out = SpanBatch::new();
}

impl SpanCursor for SpanMerge<'_> {
    fn next(&mut self, out: &mut SpanBatch) -> Result<bool, ReadError> {
        loop {
            self.context.check()?;
            if let Some(mut slice) = self.slice.take()
                && self.next_of(&mut slice, out)?
            {
                self.slice = Some(slice);
                return Ok(true);
            }
            let Some(range) = self.left.pop() else {
                out_clear(out);
                return Ok(false);
            };
            self.slice = Some(self.open(range)?);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn short_ranges_stay_whole() {
        assert_eq!(slices(5, 9, 1), [(5, 9)]);
        assert_eq!(slices(9, 5, 1), []);
        let hour = HOUR_NS;
        let cut = [(hour / 2, hour - 1), (hour, 2 * hour - 1), (2 * hour, 2 * hour)];
        assert_eq!(slices(hour / 2, 2 * hour, 0), cut);
        assert_eq!(ranges(&[0, 1, 3], (100, 128), 10), [(100, 119), (128, 128)]);
        let many: Vec<u64> = (0..20).map(|n| n * 2).collect();
        assert_eq!(ranges(&many, (0, 1000), 10), [(0, 389)]);
        assert_eq!(ranges(&[60], (0, u64::MAX), u64::MAX / 60 + 1).len(), 1);
        let open = slices(0, u64::MAX, 1_700_000_000_000_000_000);
        assert!(open.len() == 56 && open.first().unwrap().0 == 0 && open.last().unwrap().1 == u64::MAX);
    }

    proptest! {
        #[test]
        fn slices_are_the_range(start in any::<u64>(), length in any::<u64>(), now in any::<i64>(), scale in 0..50u32) {
            let end = start.saturating_add(length >> scale);
            let found = slices(start, end, now);
            prop_assert_eq!((found.first().unwrap().0, found.last().unwrap().1), (start, end));
            prop_assert!(found.iter().all(|(from, to)| from <= to));
            prop_assert!(found.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0));
        }
    }
}
