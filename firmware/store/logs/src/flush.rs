//! A head's stream in order, each equal entry once, for the flush.
//!
//! Chunks of a stream follow each other in time, but for what arrives late, so the heap that queries need is hardly ever
//! worth its price here: chunks that overlap are sorted together, clump by clump. A stream whose clumps grow beyond
//! bounds (entries of any age, mixed) is left to the heap from there on.

use crate::filter::local_hash;
use crate::head::StreamHead;
use crate::rows::Rows;
use hashbrown::HashTable;
use std::borrow::Cow;

/// Most raw bytes of chunks that are sorted together.
const CLUMP_BYTES_MAX: usize = 4 << 20;
/// Up to this many entries of one timestamp are compared with each other.
const COMPARED_MAX: usize = 8;

struct Piece {
    times: (i64, i64),
    /// Which chunk; one more than there are: the open rows.
    at: usize,
    raw_bytes: usize,
}

/// Pieces that meet the range, earliest first, and in order of arrival where they start together.
fn pieces(stream: &StreamHead, (start_ns, last_ns): (i64, i64)) -> Vec<Piece> {
    let chunk = |(at, chunk): (usize, &std::sync::Arc<crate::head::HeadChunk>)| Piece {
        times: (chunk.min_time_ns, chunk.max_time_ns),
        at,
        raw_bytes: chunk.raw_bytes as usize,
    };
    let times = stream.open.timestamps_ns();
    let open = times.iter().min().zip(times.iter().max()).map(|(&min, &max)| Piece {
        times: (min, max),
        at: stream.chunks.len(),
        raw_bytes: stream.open.raw_bytes(),
    });
    let all = stream.chunks.iter().enumerate().map(chunk).chain(open);
    let mut pieces: Vec<Piece> = all.filter(|p| p.times.0 <= last_ns && p.times.1 >= start_ns).collect();
    pieces.sort_by_key(|piece| (piece.times.0, piece.at));
    pieces
}

/// The rows of some pieces, sorted by time; equal timestamps in order of arrival.
fn rows_of<'a>(stream: &'a StreamHead, clump: &mut [Piece]) -> Cow<'a, Rows> {
    clump.sort_by_key(|piece| piece.at);
    let mut all = Rows::default();
    for piece in clump.iter() {
        let rows = match stream.chunks.get(piece.at) {
            Some(chunk) => chunk.rows().map(Cow::Owned),
            None => Some(Cow::Borrowed(&stream.open)),
        };
        let Some(rows) = rows else { continue };
        if clump.len() == 1 {
            return if rows.is_sorted() { rows } else { Cow::Owned(rows.sorted()) };
        }
        all.append(&rows);
    }
    if all.is_sorted() { Cow::Owned(all) } else { Cow::Owned(all.sorted()) }
}

/// Hands the entries of `range` (inclusive) to `visit` in order, each equal entry once: rows, and which of them. Returns
/// from which timestamp on they are too mixed to be sorted here, and were not visited.
///
/// # Errors
/// What `visit` says.
pub(crate) fn in_order<E>(
    stream: &StreamHead,
    range: (i64, i64),
    mut visit: impl FnMut(&Rows, usize) -> Result<(), E>,
) -> Result<Option<i64>, E> {
    let mut pieces = pieces(stream, range);
    let mut rest = pieces.as_mut_slice();
    let mut distinct = Distinct::default();
    while let Some(first) = rest.first() {
        let (start_ns, mut last_ns, mut raw_bytes, mut len) = (first.times.0, first.times.1, 0, 0);
        for piece in rest.iter() {
            if piece.times.0 > last_ns {
                break;
            }
            last_ns = last_ns.max(piece.times.1);
            raw_bytes += piece.raw_bytes;
            len += 1;
            // One chunk is never too much.
            if raw_bytes > CLUMP_BYTES_MAX && len > 1 {
                return Ok(Some(start_ns.max(range.0)));
            }
        }
        let (clump, behind) = rest.split_at_mut(len);
        let rows = rows_of(stream, clump);
        let times = rows.timestamps_ns();
        let (from, to) = (times.partition_point(|&t| t < range.0), times.partition_point(|&t| t <= range.1));
        let mut at = from;
        while at < to {
            let end = at + times[at..to].iter().take_while(|&&t| t == times[at]).count();
            distinct.visit(&rows, at..end, &mut visit)?;
            at = end;
        }
        rest = behind;
    }
    Ok(None)
}

/// Finds equal entries of one timestamp.
#[derive(Default)]
struct Distinct {
    seen: HashTable<usize>,
}

impl Distinct {
    fn visit<E>(
        &mut self,
        rows: &Rows,
        run: std::ops::Range<usize>,
        visit: &mut impl FnMut(&Rows, usize) -> Result<(), E>,
    ) -> Result<(), E> {
        let same = |a: usize, b: usize| rows.line(a) == rows.line(b) && rows.metadata(a) == rows.metadata(b);
        if run.len() <= COMPARED_MAX {
            for at in run.clone() {
                if !(run.start..at).any(|before| same(before, at)) {
                    visit(rows, at)?;
                }
            }
            return Ok(());
        }
        self.seen.clear();
        let hash = |at: usize| local_hash(rows.line(at), 3) ^ local_hash(rows.metadata(at), 5).rotate_left(1);
        for at in run {
            let of = hash(at);
            if self.seen.find(of, |&before| same(before, at)).is_none() {
                self.seen.insert_unique(of, at, |&at| hash(at));
                visit(rows, at)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::HeadChunk;
    use bramble_signal::Labels;
    use bramble_storage::RetentionClass;
    use proptest::prelude::*;
    use std::collections::HashSet;
    use std::sync::Arc;

    type Entry = (i64, Vec<u8>);

    fn stream(chunks: &[Vec<Entry>]) -> StreamHead {
        let rows = |entries: &Vec<Entry>| {
            let mut rows = Rows::default();
            entries.iter().for_each(|(time, line)| rows.push(*time, line, b""));
            rows
        };
        let (open, sealed) = chunks.split_last().unwrap();
        let chunks =
            sealed.iter().filter(|c| !c.is_empty()).map(|c| Arc::new(HeadChunk::new(&rows(c), None))).collect();
        StreamHead { labels: Labels::empty(), class: RetentionClass::Warm, chunks, open: rows(open) }
    }

    proptest! {
        #[test]
        fn is_the_sorted_set(
            chunks in prop::collection::vec(prop::collection::vec((-9i64..40, "[ab]{0,2}"), 0..30), 1..6),
            spread in 1i64..60, range in (-10i64..20, 0i64..90)
        ) {
            let chunks: Vec<Vec<Entry>> = chunks.into_iter().enumerate().map(|(nth, entries)| {
                entries.into_iter().map(|(time, line)| (time + nth as i64 * spread, line.into_bytes())).collect()
            }).collect();
            let mut seen = HashSet::new();
            let mut wanted: Vec<Entry> =
                chunks.iter().flatten().filter(|e| (range.0..=range.1).contains(&e.0) && seen.insert((*e).clone())).cloned().collect();
            wanted.sort_by_key(|entry| entry.0);
            let mut found = Vec::new();
            let rest = in_order(&stream(&chunks), range, |rows, at| {
                found.push((rows.timestamps_ns()[at], rows.line(at).to_vec()));
                Ok::<(), ()>(())
            });
            prop_assert_eq!(rest, Ok(None));
            prop_assert_eq!(found, wanted);
        }
    }

    #[test]
    fn what_is_too_mixed_is_left() {
        let long = |time: i64| (time, vec![b'x'; 3 << 20]);
        let stream = stream(&[vec![(1, b"a".to_vec())], vec![long(5), long(20)], vec![(7, b"b".to_vec()), long(9)]]);
        let mut found = 0;
        let visit = |_: &Rows, _: usize| {
            found += 1;
            Ok::<(), ()>(())
        };
        assert_eq!(in_order(&stream, (0, 100), visit), Ok(Some(5)));
        assert_eq!(found, 1);
    }
}
