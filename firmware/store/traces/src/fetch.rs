//! Whole traces by id, put together from all blocks and generations.

use crate::block::Block;
use crate::group_write::GroupEntry;
use crate::kept::{Account, Kept};
use crate::open_group::{OpenGroup, Stop};
use crate::pick::Picker;
use crate::read::Snapshot;
use crate::store::TraceStore;
use crate::view::{Collector, Shared};
use bramble_signal::TraceId;
use bramble_storage::{QueryContext, QueryStats, ReadError, SpanFields};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Spans put together between two looks at the clock and the budget.
const STEP: usize = 1024;
/// About what a remembered span id takes.
const SEEN_BYTES: usize = 40;

/// Traces being put together, source by source, the oldest first.
struct Fetch<'f, 'c> {
    store: &'f TraceStore,
    context: &'c QueryContext,
    fields: &'f SpanFields,
    kept: &'f mut Kept<'c>,
    out: Collector,
    account: Account<'c>,
    /// Traces of which an older source had spans.
    known: HashSet<TraceId>,
    /// Spans of those, of the first `seen_through` that were found.
    seen: HashSet<(TraceId, [u8; 8], u8)>,
    seen_through: usize,
}

impl TraceStore {
    /// All known spans of `ids` (ascending): each span once, spans of a trace not yet together.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) fn fetch<'c>(
        &self,
        snapshot: &Snapshot,
        ids: &[TraceId],
        fields: &SpanFields,
        kept: &mut Kept<'c>,
        context: &'c QueryContext,
    ) -> Result<(Collector, Account<'c>), ReadError> {
        let mut fetch = Fetch {
            store: self,
            context,
            fields,
            kept,
            out: Collector::default(),
            account: Account::new(context),
            known: HashSet::new(),
            seen: HashSet::new(),
            seen_through: 0,
        };
        for block in &snapshot.blocks {
            context.check()?;
            let from = fetch.out.batch.spans.len();
            let groups = fetch.groups_with(block, ids);
            let Some(groups) = self.survive(context, block, groups)? else { continue };
            for (entry, wanted) in groups {
                let outcome = fetch.add_group(block, &entry, &wanted);
                self.survive(context, block, outcome)?;
            }
            fetch.source_done(from);
        }
        for (generation, watermark) in &snapshot.generations {
            let from = fetch.out.batch.spans.len();
            for part in ids.chunks(64) {
                context.check()?;
                fetch.add_from_head(&generation.read(), *watermark, part)?;
            }
            fetch.source_done(from);
        }
        QueryStats::add(&context.stats.items, fetch.out.batch.spans.len() as u64);
        let mut account = fetch.account;
        account.set(fetch.out.memory_bytes())?;
        Ok((fetch.out, account))
    }
}

impl<'c> Fetch<'_, 'c> {
    /// Groups of a block that may have some of `ids`, with those.
    fn groups_with(&mut self, block: &Block, ids: &[TraceId]) -> Result<Vec<(GroupEntry, Vec<TraceId>)>, Stop> {
        let mut wanted: Vec<(GroupEntry, Vec<TraceId>)> = Vec::new();
        let index = block.index()?;
        for &id in ids {
            for entry in index.groups_of(id) {
                let filter = match self.kept.filter(block, entry) {
                    Ok(filter) => Some(filter),
                    // Without its filter the group itself is asked.
                    Err(Stop::Damage(error)) => {
                        self.store.leave_out(self.context, block, &error)?;
                        None
                    }
                    Err(stop) => return Err(stop),
                };
                if filter.is_some_and(|f| !f.may_contain(id)) {
                    self.store.metrics.filter_hits.inc();
                    continue;
                }
                // Ids and groups ascend together.
                match wanted.iter_mut().rev().find(|(e, _)| e.header == entry.header) {
                    Some((_, ids)) => ids.push(id),
                    None => {
                        self.store.metrics.filter_misses.inc();
                        wanted.push((*entry, vec![id]));
                    }
                }
            }
        }
        Ok(wanted)
    }

    /// Adds the spans of `wanted` traces in one group.
    fn add_group(&mut self, block: &Arc<Block>, entry: &GroupEntry, wanted: &[TraceId]) -> Result<(), Stop> {
        let mut group = match self.kept.take(block, entry) {
            // What is kept may be what is missing.
            Err(Stop::Query(ReadError::OverBudget(_))) => {
                self.kept.free();
                self.kept.take(block, entry)?
            }
            group => group?,
        };
        let outcome = self.add_rows(&mut group, wanted);
        self.kept.give(group);
        outcome
    }

    fn add_rows(&mut self, group: &mut OpenGroup<'c>, wanted: &[TraceId]) -> Result<(), Stop> {
        group.load_trace_ids()?;
        let traces: Vec<(usize, TraceId)> =
            wanted.iter().filter_map(|id| Some((group.trace_ids().binary_search(id).ok()?, *id))).collect();
        if traces.is_empty() {
            return Ok(());
        }
        group.load_layout()?;
        let mut rows = Vec::new();
        for (trace, id) in traces {
            let of_trace = group.rows_of(trace);
            if self.known.contains(&id) {
                self.remember()?;
                group.load_span_ids()?;
                let new = |row: &usize| {
                    group.identity(*row).is_none_or(|(span, kind)| !self.seen.contains(&(id, span, kind)))
                };
                rows.extend(of_trace.filter(new).map(|row| row as u32));
            } else {
                rows.extend(of_trace.map(|row| row as u32));
            }
        }
        let mut picker = match Picker::new(group, rows.clone(), self.fields) {
            Err(Stop::Query(ReadError::OverBudget(_))) => {
                self.kept.free();
                Picker::new(group, rows, self.fields)?
            }
            picker => picker?,
        };
        while !picker.is_done() {
            self.context.check()?;
            picker.put(group, (STEP, usize::MAX), &mut self.out)?;
            self.account.set(self.out.memory_bytes() + self.seen.len() * SEEN_BYTES)?;
        }
        Ok(())
    }

    fn add_from_head(
        &mut self,
        generation: &crate::head::Generation,
        watermark: usize,
        ids: &[TraceId],
    ) -> Result<(), ReadError> {
        let mut shared: HashMap<u32, Shared> = HashMap::new();
        let mut scratch = Vec::new();
        for &id in ids {
            let known = self.known.contains(&id);
            if known {
                self.remember()?;
            }
            for (count, at) in generation.spans_of(id, watermark).enumerate() {
                if count % STEP == STEP - 1 {
                    self.context.check()?;
                    self.account.set(self.out.memory_bytes() + self.seen.len() * SEEN_BYTES)?;
                }
                let (Some(span), Some(view)) =
                    (generation.spans.get(at as usize), generation.view_of(at, self.fields, &mut scratch))
                else {
                    continue;
                };
                if known && self.seen.contains(&(id, view.span_id.0, view.kind as u8)) {
                    continue;
                }
                let shared = *shared
                    .entry(span.shape)
                    .or_insert_with(|| self.out.share(view.resource, view.scope, view.name, view.message));
                self.out.push_sharing(&view, shared);
            }
        }
        self.account.set(self.out.memory_bytes() + self.seen.len() * SEEN_BYTES)
    }

    /// The spans found since `from` are of an older source from now on.
    fn source_done(&mut self, from: usize) {
        let new = self.out.batch.spans.get(from..).unwrap_or(&[]);
        self.known
            .extend(new.chunk_by(|a, b| a.trace_id == b.trace_id).filter_map(|part| Some(part.first()?.trace_id)));
    }

    /// Enters what was found into the set of seen spans: only for traces that two sources have.
    fn remember(&mut self) -> Result<(), ReadError> {
        let new = self.out.batch.spans.get(self.seen_through..).unwrap_or(&[]);
        if new.is_empty() {
            return Ok(());
        }
        self.account.set(self.out.memory_bytes() + (self.seen.len() + new.len()) * SEEN_BYTES)?;
        self.seen.extend(new.iter().map(|span| (span.trace_id, span.span_id.0, span.kind as u8)));
        self.seen_through = self.out.batch.spans.len();
        Ok(())
    }
}
