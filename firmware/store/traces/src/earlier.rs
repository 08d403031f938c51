//! Each span once: of equal spans (trace id, span id, kind) in several sources only the one that arrived first is given.
//!
//! A source is older than another when its spans arrived earlier: blocks by age, then the frozen generation, then the
//! active one. Within a source each span is once. Equal spans start at the same time, so only sources that overlap in
//! time are asked, and of those only groups whose range of ids and filter let the trace pass.

use crate::block::Block;
use crate::group_write::GroupEntry;
use crate::ids::Fronts;
use crate::index::BlockIndex;
use crate::kept::Kept;
use crate::open_group::{Identity, OpenGroup, Stop};
use crate::read::{Snapshot, overlaps};
use crate::row_set::RowSet;
use crate::store::TraceStore;
use bramble_signal::{SpanBatch, SpanEntry, TraceId};
use bramble_storage::ReadError;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// Where spans come from: a place in the snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    Block(usize),
    Generation(usize),
}

/// Numbers of spans of a batch that may be in a group, by the group's number in its block.
type Suspects = BTreeMap<usize, Vec<usize>>;

/// Takes out of `batch`, which comes from `source`, what an older source has.
///
/// # Errors
/// [`ReadError`]; where a source is damaged it has nothing.
pub(crate) fn remove_known(
    store: &TraceStore,
    snapshot: &Snapshot,
    source: Source,
    kept: &mut Kept<'_>,
    context: &bramble_storage::QueryContext,
    batch: &mut SpanBatch,
) -> Result<(), ReadError> {
    let starts = batch.spans.iter().map(|s| s.start_ns);
    let (Some(first), Some(last)) = (starts.clone().min(), starts.max()) else { return Ok(()) };
    let (blocks, generations) = match source {
        Source::Block(number) => (snapshot.blocks.get(..number), None),
        Source::Generation(number) => (Some(&snapshot.blocks[..]), snapshot.generations.get(..number)),
    };
    let mut known = RowSet::none(batch.spans.len());
    for (generation, watermark) in generations.into_iter().flatten() {
        let generation = generation.read();
        if *watermark == 0 || generation.min_start_ns > last || generation.max_start_ns < first {
            continue;
        }
        for (number, span) in batch.spans.iter().enumerate() {
            let at = generation.span_at(span.trace_id, span.span_id, span.kind as u8);
            if at.is_some_and(|at| (at as usize) < *watermark) {
                known.insert(number);
            }
        }
    }
    for block in blocks.into_iter().flatten().filter(|block| overlaps(block, first, last)) {
        context.check()?;
        let outcome = block.index().map_err(Stop::from).and_then(|index| {
            for (number, spans) in suspects(block, &index, &batch.spans, kept)? {
                if let Some(entry) = index.groups.get(number) {
                    in_group(block, entry, &batch.spans, &spans, kept, &mut known)?;
                }
            }
            Ok(())
        });
        store.survive(context, block, outcome)?;
    }
    if !known.is_empty() {
        let mut number = 0;
        batch.spans.retain(|_| {
            number += 1;
            !known.contains(number - 1)
        });
    }
    Ok(())
}

/// Spans that may be in groups of a block.
fn suspects(
    block: &Arc<Block>,
    index: &BlockIndex,
    spans: &[SpanEntry],
    kept: &mut Kept<'_>,
) -> Result<Suspects, Stop> {
    let mut found = Suspects::new();
    // Spans of a trace mostly come together, and traces of a group in order of their ids.
    let mut last: Option<TraceId> = None;
    let mut groups: Vec<usize> = Vec::new();
    let mut filter: Option<(usize, Arc<Fronts>)> = None;
    for (number, span) in spans.iter().enumerate() {
        if !overlaps(block, span.start_ns, span.start_ns) {
            continue;
        }
        if last != Some(span.trace_id) {
            last = Some(span.trace_id);
            groups.clear();
            let from = index.groups.partition_point(|g| g.last < span.trace_id);
            for (at, entry) in index.groups.iter().enumerate().skip(from) {
                if entry.first > span.trace_id {
                    break;
                }
                let fronts = match filter.take() {
                    Some((of, fronts)) if of == at => fronts,
                    _ => kept.filter(block, entry)?,
                };
                if fronts.may_contain(span.trace_id) {
                    groups.push(at);
                }
                filter = Some((at, fronts));
            }
        }
        for at in &groups {
            let inside = |g: &GroupEntry| (g.min_start_ns..=g.max_start_ns).contains(&span.start_ns);
            if index.groups.get(*at).is_some_and(inside) {
                found.entry(*at).or_default().push(number);
            }
        }
    }
    Ok(found)
}

/// Notes which of the suspects a group really has.
fn in_group(
    block: &Arc<Block>,
    entry: &GroupEntry,
    spans: &[SpanEntry],
    suspects: &[usize],
    kept: &mut Kept<'_>,
    known: &mut RowSet,
) -> Result<(), Stop> {
    let mut group = kept.take(block, entry)?;
    let outcome = compare(&mut group, spans, suspects, known);
    kept.give(group);
    outcome
}

fn compare(group: &mut OpenGroup<'_>, spans: &[SpanEntry], suspects: &[usize], known: &mut RowSet) -> Result<(), Stop> {
    group.load_trace_ids()?;
    let mut theirs: Option<(TraceId, HashSet<Identity>)> = None;
    for &number in suspects {
        let Some(span) = spans.get(number) else { continue };
        if theirs.as_ref().is_none_or(|(id, _)| *id != span.trace_id) {
            let mut ids = HashSet::new();
            if let Ok(trace) = group.trace_ids().binary_search(&span.trace_id) {
                group.load_layout()?;
                group.load_span_ids()?;
                ids.extend(group.rows_of(trace).filter_map(|row| group.identity(row)));
            }
            theirs = Some((span.trace_id, ids));
        }
        if theirs.as_ref().is_some_and(|(_, ids)| ids.contains(&(span.span_id.0, span.kind as u8))) {
            known.insert(number);
        }
    }
    Ok(())
}
