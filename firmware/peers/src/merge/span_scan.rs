//! Single spans of all hubs.
//!
//! Which spans were given must be remembered until no other hub can come with them, which would be all spans of the range.
//! So a long range is read an hour at a time, newest first: equal spans begin at the same time, hence in the same hour.

use crate::asked::Asked;
use crate::frame::SPANS;
use crate::peer::Peers;
use crate::request::{Question, Spans};
use crate::spans::{self, fingerprint};
use bramble_signal::SpanBatch;
use bramble_storage::{QueryContext, ReadError, SpanCursor, SpanFields, SpanPredicate, SpanScan, TraceSource};
use std::collections::HashSet;

/// Width of what is read at a time.
const SLICE_NS: u64 = 3_600_000_000_000;
/// How many of them: a fortnight. What is older is read in one go.
const SLICES_MAX: usize = 14 * 24;
/// Memory of what is remembered of a span, with what the set leaves free.
const REMEMBERED_BYTES: usize = 16;

/// A slice that is being read.
struct Slice<'a> {
    local: Option<Box<dyn SpanCursor + 'a>>,
    asked: Vec<Asked>,
    given: HashSet<u64>,
    /// What the query is charged for `given`.
    held: usize,
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
    let now_ns = u64::try_from(now_ns).unwrap_or(0) / SLICE_NS * SLICE_NS;
    let (mut found, mut end) = (Vec::new(), end_ns);
    if now_ns > start_ns && now_ns <= end && end - now_ns > SLICE_NS {
        found.push((now_ns, end));
        end = now_ns - 1;
    }
    while found.len() < SLICES_MAX && end > SLICE_NS && end - SLICE_NS > start_ns {
        let from = (end / SLICE_NS * SLICE_NS).max(start_ns);
        found.push((from, end));
        if from == start_ns {
            found.reverse();
            return found;
        }
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
        let (predicates, fields) = (scan.predicates.to_vec(), scan.fields.clone());
        let left = slices(scan.start_ns, scan.end_ns, now_ns);
        SpanMerge { local, peers, predicates, fields, left, slice: None, context }
    }

    fn open(&self, (start_ns, end_ns): (u64, u64)) -> Result<Slice<'a>, ReadError> {
        let (predicates, fields) = (&self.predicates, self.fields.clone());
        let scan = SpanScan { start_ns, end_ns, predicates, whole_traces: false, fields };
        let asked = self.peers.ask(&Question::Spans(Spans::of(&scan)), self.context);
        let local = Some(self.local.scan(&scan, self.context)?);
        Ok(Slice { local, asked, given: HashSet::new(), held: 0 })
    }
}

impl Slice<'_> {
    /// The next batch of the slice, this hub's first; `false` at its end.
    fn next(&mut self, out: &mut SpanBatch, context: &QueryContext) -> Result<bool, ReadError> {
        if let Some(cursor) = &mut self.local {
            if cursor.next(out)? {
                if !self.asked.is_empty() {
                    self.remember(out, context)?;
                }
                return Ok(true);
            }
            self.local = None;
        }
        while let Some(asked) = self.asked.first_mut() {
            let Some((kind, payload)) = asked.next(context)? else {
                self.asked.remove(0);
                continue;
            };
            match spans::read(&payload) {
                Ok(mut batch) if kind == SPANS => {
                    batch.spans.retain(|span| !self.given.contains(&fingerprint(span)));
                    self.remember(&batch, context)?;
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
        context.release(std::mem::take(&mut self.held));
        Ok(false)
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
            if let Some(slice) = &mut self.slice {
                if slice.next(out, self.context)? {
                    return Ok(true);
                }
                self.slice = None;
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
        let hour = SLICE_NS;
        let cut = [(hour / 2, hour - 1), (hour, 2 * hour - 1), (2 * hour, 2 * hour)];
        assert_eq!(slices(hour / 2, 2 * hour, 0), cut);
        let open = slices(0, u64::MAX, 1_700_000_000_000_000_000);
        assert!(open.len() <= SLICES_MAX + 1 && open.first().unwrap().0 == 0 && open.last().unwrap().1 == u64::MAX);
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
