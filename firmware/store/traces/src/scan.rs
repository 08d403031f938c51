//! A search: candidates from predicates, source by source, newest first; then whole traces for them.

use crate::block::Block;
use crate::group_write::GroupEntry;
use crate::matching::{Query, match_group, match_head, rules_out};
use crate::read::{KeptGroup, Snapshot};
use crate::store::TraceStore;
use bramble_signal::{SpanBatch, TraceId};
use bramble_storage::{QueryContext, QueryStats, ReadError, SpanCursor};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// About how large a batch becomes; one trace may be larger.
const BATCH_BYTES: usize = 1 << 20;
/// Traces in the first batch; doubled while batches stay small, so that a short answer comes soon.
const FIRST_TRACES: usize = 16;
const TRACES_MAX: usize = 512;
/// Spans of the head judged under one lock.
const HEAD_STEP: usize = 4096;
/// Account for one trace id remembered as already returned.
const SEEN_BYTES: usize = 32;

/// A running search. Sources are taken from the end of their vectors.
pub(crate) struct Scan<'a> {
    store: &'a TraceStore,
    context: &'a QueryContext,
    query: Query,
    snapshot: Snapshot,
    /// Generations still to be asked.
    generations_left: usize,
    /// Blocks still to be asked; the last is the newest.
    blocks: Vec<Arc<Block>>,
    /// Groups of the block being asked.
    groups: Option<(Arc<Block>, Vec<GroupEntry>)>,
    /// Candidates in answer order, reversed.
    pending: Vec<TraceId>,
    seen: HashSet<TraceId>,
    seen_bytes: usize,
    kept: KeptGroup,
    /// Bytes of the last batch, given back when the next is asked for.
    held_bytes: usize,
    traces_per_batch: usize,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(
        store: &'a TraceStore,
        context: &'a QueryContext,
        query: Query,
        snapshot: Snapshot,
        blocks: Vec<Arc<Block>>,
    ) -> Self {
        Scan {
            store,
            context,
            query,
            generations_left: snapshot.generations.len(),
            snapshot,
            blocks,
            groups: None,
            pending: Vec::new(),
            seen: HashSet::new(),
            seen_bytes: 0,
            kept: KeptGroup::default(),
            held_bytes: 0,
            traces_per_batch: FIRST_TRACES,
        }
    }

    /// Fills `pending` from the next source that has candidates. `false` when there is none left.
    fn advance(&mut self) -> Result<bool, ReadError> {
        loop {
            self.context.check()?;
            let candidates = if let Some(generation) = self.generations_left.checked_sub(1) {
                self.generations_left = generation;
                self.candidates_in_head(generation)?
            } else if let Some((block, groups)) = &mut self.groups {
                match groups.pop() {
                    Some(entry) => {
                        let block = block.clone();
                        self.candidates_in_group(&block, &entry)?
                    }
                    None => {
                        self.groups = None;
                        continue;
                    }
                }
            } else if let Some(block) = self.blocks.pop() {
                self.open(block)?;
                continue;
            } else {
                return Ok(false);
            };
            let fresh: Vec<TraceId> = candidates.into_iter().filter(|id| self.seen.insert(*id)).collect();
            self.context.reserve(fresh.len() * SEEN_BYTES)?;
            self.seen_bytes += fresh.len() * SEEN_BYTES;
            self.pending = fresh;
            self.pending.reverse();
            if !self.pending.is_empty() {
                return Ok(true);
            }
        }
    }

    /// Traces of a generation with a passing span, newest first.
    fn candidates_in_head(&mut self, number: usize) -> Result<Vec<TraceId>, ReadError> {
        let Some((generation, watermark)) = self.snapshot.generations.get(number) else { return Ok(Vec::new()) };
        let mut found = BTreeMap::new();
        for from in (0..*watermark).step_by(HEAD_STEP) {
            self.context.check()?;
            match_head(&generation.read(), from..(from + HEAD_STEP).min(*watermark), &self.query, &mut found);
        }
        let generation = generation.read();
        let mut traces: Vec<(u64, TraceId)> = found
            .into_iter()
            .filter_map(|(trace, start)| generation.traces.get(trace as usize).map(|t| (start, t.id)))
            .collect();
        traces.sort_unstable_by(|a, b| b.cmp(a));
        Ok(traces.into_iter().map(|(_, id)| id).collect())
    }

    fn open(&mut self, block: Arc<Block>) -> Result<(), ReadError> {
        QueryStats::add(&self.context.stats.blocks, 1);
        match block.index() {
            Ok(index) => {
                let groups = index.groups.iter().filter(|g| !rules_out(g, &self.query)).copied().collect();
                self.groups = Some((block, groups));
                Ok(())
            }
            Err(error) => self.store.leave_out(self.context, &block, &error),
        }
    }

    fn candidates_in_group(&mut self, block: &Arc<Block>, entry: &GroupEntry) -> Result<Vec<TraceId>, ReadError> {
        let guess = entry.spans as usize * 24;
        self.context.reserve(guess)?;
        let read = || {
            let header = block.header(entry)?;
            let pages = |at: &[bramble_disk::segment::PageRef]| {
                QueryStats::add(&self.context.stats.pages, at.len() as u64);
                QueryStats::add(&self.context.stats.bytes, at.iter().map(|p| u64::from(p.raw_bytes)).sum());
                block.pages(at)
            };
            let traces = match_group(&header, entry, &self.query, &pages)?;
            if traces.is_empty() {
                return Ok(Vec::new());
            }
            let ids = header.trace_ids(&pages)?;
            Ok(traces.into_iter().filter_map(|t| ids.get(t as usize).copied()).collect())
        };
        let found = read();
        self.context.release(guess);
        QueryStats::add(&self.context.stats.items, u64::from(entry.spans));
        match found {
            Ok(ids) => Ok(ids),
            Err(error) => {
                self.store.leave_out(self.context, block, &error)?;
                Ok(Vec::new())
            }
        }
    }
}

impl Drop for Scan<'_> {
    fn drop(&mut self) {
        // A query may run several scans under one context.
        self.kept.release(self.context);
        self.context.release(self.held_bytes + self.seen_bytes);
    }
}

impl SpanCursor for Scan<'_> {
    fn next(&mut self, out: &mut SpanBatch) -> Result<bool, ReadError> {
        *out = SpanBatch::new();
        self.context.release(std::mem::take(&mut self.held_bytes));
        loop {
            if self.pending.is_empty() && !self.advance()? {
                return Ok(false);
            }
            let from = self.pending.len().saturating_sub(self.traces_per_batch);
            let chosen: Vec<TraceId> = self.pending.drain(from..).rev().collect();
            let rank: HashMap<TraceId, usize> = chosen.iter().copied().zip(0..).collect();
            let mut ids = chosen;
            ids.sort_unstable();
            let collector = self.store.fetch(&self.snapshot, &ids, &mut self.kept, self.context)?;
            let bytes = collector.memory_bytes();
            self.context.reserve(bytes)?;
            self.held_bytes = bytes;
            self.traces_per_batch = match bytes {
                0..BATCH_BYTES => (self.traces_per_batch * 2).min(TRACES_MAX),
                _ => (self.traces_per_batch / 2).max(1),
            };
            let mut batch = collector.finish();
            // A candidate's spans may all be damaged.
            if batch.is_empty() {
                self.context.release(std::mem::take(&mut self.held_bytes));
                continue;
            }
            batch.spans.sort_by_key(|s| (rank.get(&s.trace_id).copied(), s.start_ns));
            *out = batch;
            return Ok(true);
        }
    }
}
