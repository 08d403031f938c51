//! The reading side: traces by id, services, operations.

use crate::block::Block;
use crate::matching::Query;
use crate::scan::Scan;
use crate::store::{SharedGeneration, TraceStore};
use crate::view::{Collector, service_of};
use bramble_disk::DiskError;
use bramble_signal::{SpanBatch, SpanId, SpanKind, TraceId};
use bramble_storage::{QueryContext, QueryStats, ReadError, SpanCursor, SpanScan, TraceSource};
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::group_read::{Group, Rows};
use crate::group_write::GroupEntry;

/// What one query sees: generations with the number of their spans, oldest first, and blocks, oldest content first.
pub(crate) struct Snapshot {
    pub(crate) generations: Vec<(SharedGeneration, usize)>,
    pub(crate) blocks: Vec<Arc<Block>>,
}

/// A group decoded for one query, kept because the next traces are likely in it too.
#[derive(Default)]
pub(crate) struct KeptGroup(Option<(u64, u64, Group, usize)>);

impl KeptGroup {
    /// Gives it back.
    pub(crate) fn release(&mut self, context: &QueryContext) {
        if let Some((_, _, group, bytes)) = self.0.take() {
            drop(group);
            context.release(bytes);
        }
    }
}

impl TraceStore {
    pub(crate) fn snapshot(&self) -> Snapshot {
        let state = self.state.read();
        let generations = state.frozen.iter().chain([&state.active]);
        let generations = generations.map(|g| (g.clone(), g.read().spans.len())).collect();
        Snapshot { generations, blocks: state.blocks.clone() }
    }

    /// Notes that part of a block could not be read; the rest is served.
    ///
    /// # Errors
    /// [`ReadError::Storage`] when not the bytes but the disk as a whole is gone.
    pub(crate) fn leave_out(&self, context: &QueryContext, block: &Block, error: &DiskError) -> Result<(), ReadError> {
        if *error == DiskError::PowerLost {
            return Err(ReadError::Storage(error.to_string()));
        }
        self.metrics.damaged_pages.inc();
        tracing::warn!(block = block.meta.id.0, %error, "part of a trace block cannot be read");
        context
            .warn(format!("part of trace block {:016x} cannot be read, spans are missing: {error}", block.meta.id.0));
        Ok(())
    }

    /// Appends all known spans of `ids` (ascending) to `out`: each span once, spans of a trace not yet together.
    pub(crate) fn fetch(
        &self,
        snapshot: &Snapshot,
        ids: &[TraceId],
        kept: &mut KeptGroup,
        context: &QueryContext,
    ) -> Result<Collector, ReadError> {
        let mut out = Collector::default();
        let mut seen: HashSet<(TraceId, SpanId)> = HashSet::new();
        for block in &snapshot.blocks {
            context.check()?;
            for (entry, wanted) in self.groups_with(block, ids, context)? {
                context.check()?;
                if let Err(error) = fetch_group(block, &entry, &wanted, kept, context, &mut seen, &mut out)? {
                    self.leave_out(context, block, &error)?;
                }
            }
        }
        let mut scratch = Vec::new();
        for (generation, watermark) in &snapshot.generations {
            let generation = generation.read();
            for &id in ids {
                for at in generation.spans_of(id, *watermark) {
                    if let Some(view) = generation.view(at, &mut scratch)
                        && seen.insert((id, view.span_id))
                    {
                        out.push(&view);
                    }
                }
            }
        }
        QueryStats::add(&context.stats.items, out.batch.spans.len() as u64);
        Ok(out)
    }

    /// Groups of a block that may have some of `ids`, with those.
    fn groups_with(
        &self,
        block: &Block,
        ids: &[TraceId],
        context: &QueryContext,
    ) -> Result<Vec<(GroupEntry, Vec<TraceId>)>, ReadError> {
        let mut wanted: Vec<(GroupEntry, Vec<TraceId>)> = Vec::new();
        let index = match block.index() {
            Ok(index) => index,
            Err(error) => {
                self.leave_out(context, block, &error)?;
                return Ok(wanted);
            }
        };
        let mut filters = HashMap::new();
        for &id in ids {
            for entry in index.groups_of(id) {
                let filter = match filters.entry(entry.filter.offset) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new) => new.insert(match block.filter(entry) {
                        Ok(filter) => Some(filter),
                        Err(error) => {
                            // Without its filter the group itself is asked.
                            self.leave_out(context, block, &error)?;
                            None
                        }
                    }),
                };
                if filter.as_ref().is_some_and(|f| !f.may_contain(id)) {
                    self.metrics.filter_hits.inc();
                    continue;
                }
                match wanted.iter_mut().find(|(e, _)| e.header == entry.header) {
                    Some((_, ids)) => ids.push(id),
                    None => {
                        self.metrics.filter_misses.inc();
                        wanted.push((*entry, vec![id]));
                    }
                }
            }
        }
        Ok(wanted)
    }
}

/// Adds the spans of `wanted` traces in one group. The outer result ends the query, the inner one leaves the rest of
/// the group out.
fn fetch_group(
    block: &Block,
    entry: &GroupEntry,
    wanted: &[TraceId],
    kept: &mut KeptGroup,
    context: &QueryContext,
    seen: &mut HashSet<(TraceId, SpanId)>,
    out: &mut Collector,
) -> Result<Result<(), DiskError>, ReadError> {
    let key = (block.meta.id.0, entry.header.offset);
    if kept.0.as_ref().is_none_or(|(b, o, ..)| (*b, *o) != key) {
        kept.release(context);
        // The writer's estimate first; once it is decoded, what it really takes.
        let guess = entry.memory_bytes as usize;
        context.reserve(guess)?;
        let group = match block.group(entry) {
            Ok(group) => group,
            Err(error) => {
                context.release(guess);
                return Ok(Err(error));
            }
        };
        let bytes = group.memory_bytes();
        context.release(guess);
        context.reserve(bytes)?;
        QueryStats::add(&context.stats.pages, 10 + group.header.columns.len() as u64);
        QueryStats::add(&context.stats.bytes, bytes as u64);
        kept.0 = Some((key.0, key.1, group, bytes));
    }
    let Some((_, _, group, _)) = &kept.0 else { return Ok(Ok(())) };
    let mut rows = Rows::new(group);
    let mut scratch = Vec::new();
    let mut wanted = wanted.iter().peekable();
    while let Some(trace) = rows.next_trace(group) {
        let Some(&id) = group.trace_ids.get(trace as usize) else { break };
        while wanted.next_if(|w| **w < id).is_some() {}
        let Some(&&next) = wanted.peek() else { return Ok(Ok(())) };
        let step = if next == id {
            rows.next(group, &mut scratch).map(|view| {
                if seen.insert((id, view.span_id)) {
                    out.push(&view);
                }
            })
        } else {
            rows.skip(group)
        };
        if step.is_none() {
            return Ok(Err(crate::group_read::damaged("span")));
        }
    }
    Ok(Ok(()))
}

fn overlaps(block: &Block, start_ns: u64, end_ns: u64) -> bool {
    let at = |ns: i64| u64::try_from(ns).unwrap_or(0);
    // A start past i64 was written down as i64::MAX.
    let last = if block.meta.max_time_ns == i64::MAX { u64::MAX } else { at(block.meta.max_time_ns) };
    at(block.meta.min_time_ns) <= end_ns && last >= start_ns
}

impl TraceStore {
    /// Calls `visit` with (service, operation, kind) of everything that may be in range, some repeatedly.
    fn visit_operations(
        &self,
        start_ns: u64,
        end_ns: u64,
        context: &QueryContext,
        visit: &mut dyn FnMut(&str, &str, u8),
    ) -> Result<(), ReadError> {
        let snapshot = self.snapshot();
        for (generation, watermark) in &snapshot.generations {
            let generation = generation.read();
            if *watermark == 0 || generation.min_start_ns > end_ns || generation.max_start_ns < start_ns {
                continue;
            }
            for shape in &generation.shapes.all {
                let name = std::str::from_utf8(generation.strings.get(shape.name)).unwrap_or("");
                visit(service_of(generation.resources.get(shape.resource)), name, shape.kind);
            }
        }
        for block in snapshot.blocks.iter().filter(|b| overlaps(b, start_ns, end_ns)) {
            context.check()?;
            QueryStats::add(&context.stats.blocks, 1);
            if let Err(error) = visit_block(block, (start_ns, end_ns), context, visit)? {
                self.leave_out(context, block, &error)?;
            }
        }
        Ok(())
    }
}

/// As [`fetch_group`]'s, the inner result leaves the rest of the block out.
fn visit_block(
    block: &Block,
    (start_ns, end_ns): (u64, u64),
    context: &QueryContext,
    visit: &mut dyn FnMut(&str, &str, u8),
) -> Result<Result<(), DiskError>, ReadError> {
    let index = match block.index() {
        Ok(index) => index,
        Err(error) => return Ok(Err(error)),
    };
    if let Some(operations) = &index.operations {
        operations.iter().for_each(|(service, name, kind)| visit(service, name, *kind));
        return Ok(Ok(()));
    }
    for entry in index.groups.iter().filter(|g| g.min_start_ns <= end_ns && g.max_start_ns >= start_ns) {
        context.check()?;
        let header = match block.header(entry) {
            Ok(header) => header,
            Err(error) => return Ok(Err(error)),
        };
        for shape in &header.shapes {
            let name = std::str::from_utf8(header.names.get(shape.name)).unwrap_or("");
            visit(service_of(header.resources.get(shape.resource)), name, shape.kind);
        }
    }
    Ok(Ok(()))
}

impl TraceSource for TraceStore {
    fn trace(&self, id: TraceId, context: &QueryContext) -> Result<SpanBatch, ReadError> {
        context.check()?;
        let snapshot = self.snapshot();
        let mut kept = KeptGroup::default();
        let collector = self.fetch(&snapshot, &[id], &mut kept, context)?;
        kept.release(context);
        context.reserve(collector.memory_bytes())?;
        let mut batch = collector.finish();
        batch.spans.sort_by_key(|s| s.start_ns);
        Ok(batch)
    }

    fn scan<'a>(
        &'a self,
        scan: &SpanScan<'_>,
        context: &'a QueryContext,
    ) -> Result<Box<dyn SpanCursor + 'a>, ReadError> {
        context.check()?;
        let predicates = scan.predicates.iter().take(64).cloned().collect();
        let query = Query { start_ns: scan.start_ns, end_ns: scan.end_ns, predicates };
        let mut snapshot = self.snapshot();
        let searched: Vec<Arc<Block>> = {
            let mut blocks: Vec<_> =
                snapshot.blocks.iter().filter(|b| overlaps(b, query.start_ns, query.end_ns)).cloned().collect();
            blocks.sort_by_key(|b| (b.meta.max_time_ns, b.meta.id));
            blocks
        };
        snapshot.generations.retain(|(_, spans)| *spans > 0);
        Ok(Box::new(Scan::new(self, context, query, snapshot, searched)))
    }

    fn services(&self, start_ns: u64, end_ns: u64, context: &QueryContext) -> Result<Vec<String>, ReadError> {
        let mut found: BTreeSet<String> = BTreeSet::new();
        self.visit_operations(start_ns, end_ns, context, &mut |service, _, _| {
            if !found.contains(service) {
                found.insert(service.to_owned());
            }
        })?;
        context.reserve(found.iter().map(|s| s.len() + 48).sum())?;
        Ok(found.into_iter().collect())
    }

    fn operations(
        &self,
        service: &str,
        start_ns: u64,
        end_ns: u64,
        context: &QueryContext,
    ) -> Result<Vec<(String, SpanKind)>, ReadError> {
        let mut found: BTreeSet<(String, u8)> = BTreeSet::new();
        self.visit_operations(start_ns, end_ns, context, &mut |of, name, kind| {
            if of == service {
                found.insert((name.to_owned(), kind));
            }
        })?;
        context.reserve(found.iter().map(|(s, _)| s.len() + 56).sum())?;
        Ok(found.into_iter().map(|(name, kind)| (name, SpanKind::from_code(u64::from(kind)))).collect())
    }
}
