//! Each span once: of equal spans in several sources only the one that arrived first is given.
//!
//! A source is older than another when its spans arrived earlier: blocks by age, then the frozen generation, then the
//! active one. Within a source each span is once. Equal spans start at the same time, so only sources that overlap in
//! time are asked, and of those only groups whose range of ids and filter let the trace pass.

use crate::block::Block;
use crate::group_write::GroupEntry;
use crate::kept::Kept;
use crate::open_group::{OpenGroup, Stop};
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

/// Spans of a batch, by number, that may be in a group.
type Suspects = BTreeMap<u64, (GroupEntry, Vec<usize>)>;

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
            let at = generation.span_at(span.trace_id, span.span_id);
            if at.is_some_and(|at| (at as usize) < *watermark) {
                known.insert(number);
            }
        }
    }
    for block in blocks.into_iter().flatten().filter(|block| overlaps(block, first, last)) {
        context.check()?;
        let outcome = suspects(block, &batch.spans, kept).and_then(|suspects| {
            for (entry, spans) in suspects.values() {
                in_group(block, entry, &batch.spans, spans, kept, &mut known)?;
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
fn suspects(block: &Arc<Block>, spans: &[SpanEntry], kept: &mut Kept<'_>) -> Result<Suspects, Stop> {
    let index = block.index()?;
    let mut found = Suspects::new();
    // Spans of a trace mostly come together.
    let mut last: Option<(TraceId, Vec<GroupEntry>)> = None;
    for (number, span) in spans.iter().enumerate() {
        if !overlaps(block, span.start_ns, span.start_ns) {
            continue;
        }
        if last.as_ref().is_none_or(|(id, _)| *id != span.trace_id) {
            let mut groups = Vec::new();
            for entry in index.groups_of(span.trace_id) {
                if kept.filter(block, entry)?.may_contain(span.trace_id) {
                    groups.push(*entry);
                }
            }
            last = Some((span.trace_id, groups));
        }
        for entry in last.iter().flat_map(|(_, groups)| groups) {
            if (entry.min_start_ns..=entry.max_start_ns).contains(&span.start_ns) {
                found.entry(entry.header.offset).or_insert_with(|| (*entry, Vec::new())).1.push(number);
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
    let mut theirs: Option<(TraceId, HashSet<[u8; 8]>)> = None;
    for &number in suspects {
        let Some(span) = spans.get(number) else { continue };
        if theirs.as_ref().is_none_or(|(id, _)| *id != span.trace_id) {
            let mut ids = HashSet::new();
            if let Ok(trace) = group.trace_ids().binary_search(&span.trace_id) {
                group.load_layout()?;
                group.load_span_ids()?;
                ids.extend(group.span_ids().get(group.rows_of(trace)).unwrap_or(&[]).iter().copied());
            }
            theirs = Some((span.trace_id, ids));
        }
        if theirs.as_ref().is_some_and(|(_, ids)| ids.contains(&span.span_id.0)) {
            known.insert(number);
        }
    }
    Ok(())
}
