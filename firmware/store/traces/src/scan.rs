//! A search for whole traces: candidates from predicates, source by source, newest first; then the traces themselves.

use crate::ahead::{Ahead, in_parallel};
use crate::group_match::{has_no_such, matching_rows, rules_out};
use crate::group_write::GroupEntry;
use crate::head_read::HeadSearch;
use crate::judge::Query;
use crate::kept::{Account, Kept};
use crate::open_group::{OpenGroup, Stop};
use crate::read::Snapshot;
use crate::row_set::RowSet;
use crate::store::TraceStore;
use bramble_signal::{SpanBatch, TraceId};
use bramble_storage::{QueryContext, QueryStats, ReadError, SpanCursor, SpanFields};
use std::collections::{BTreeMap, HashMap, HashSet};

/// About how large a batch becomes; one trace may be larger.
const BATCH_BYTES: usize = 1 << 20;
/// Traces in the first batch; doubled while batches stay small, so that a short answer comes soon.
const FIRST_TRACES: usize = 16;
const TRACES_MAX: usize = 512;
/// Spans of the head judged under one lock.
pub(crate) const HEAD_STEP: usize = 4096;
/// Account for one trace id remembered as already returned.
const SEEN_BYTES: usize = 32;

/// A running search. Sources are taken from the end of their vectors.
pub(crate) struct TraceScan<'a> {
    store: &'a TraceStore,
    context: &'a QueryContext,
    query: Query,
    fields: SpanFields,
    snapshot: Snapshot,
    /// Generations still to be asked.
    generations_left: usize,
    /// Blocks still to be asked; the last is the newest.
    blocks: Vec<usize>,
    /// Groups of the block being asked.
    groups: Option<(usize, Vec<GroupEntry>)>,
    /// Candidates in answer order, reversed.
    pending: Vec<TraceId>,
    seen: HashSet<TraceId>,
    seen_bytes: Account<'a>,
    kept: Kept<'a>,
    /// The last batch, given back when the next is asked for.
    held: Option<Account<'a>>,
    traces_per_batch: usize,
    ahead: Ahead,
}

impl<'a> TraceScan<'a> {
    pub(crate) fn new(
        store: &'a TraceStore,
        context: &'a QueryContext,
        query: Query,
        fields: SpanFields,
        snapshot: Snapshot,
    ) -> Self {
        TraceScan {
            store,
            context,
            fields,
            generations_left: snapshot.generations.len(),
            blocks: snapshot.blocks_in(query.start_ns, query.end_ns),
            query,
            snapshot,
            groups: None,
            pending: Vec::new(),
            seen: HashSet::new(),
            seen_bytes: Account::new(context),
            kept: Kept::new(context),
            held: None,
            traces_per_batch: FIRST_TRACES,
            ahead: Ahead::new(),
        }
    }

    /// Fills `pending` from the next source that has candidates. `false` when there is none left.
    fn advance(&mut self) -> Result<bool, ReadError> {
        loop {
            self.context.check()?;
            let candidates = if let Some(generation) = self.generations_left.checked_sub(1) {
                self.generations_left = generation;
                self.candidates_in_head(generation)?
            } else if let Some((number, groups)) = &mut self.groups {
                let number = *number;
                let next = self.ahead.take(groups, self.context);
                if next.is_empty() {
                    self.groups = None;
                    continue;
                }
                self.candidates_in(number, &next)?
            } else if let Some(block) = self.blocks.pop() {
                self.groups = groups_in(self.store, self.context, &self.snapshot, block, &self.query)?;
                continue;
            } else {
                return Ok(false);
            };
            let fresh: Vec<TraceId> = candidates.into_iter().filter(|id| self.seen.insert(*id)).collect();
            self.seen_bytes.set(self.seen.len() * SEEN_BYTES)?;
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
        let (mut search, mut passing) = (HeadSearch::default(), Vec::new());
        let mut found: BTreeMap<u32, u64> = BTreeMap::new();
        for from in (0..*watermark).step_by(HEAD_STEP) {
            self.context.check()?;
            let generation = generation.read();
            passing.clear();
            let range = from..(from + HEAD_STEP).min(*watermark);
            search.matching(&generation, &self.query, range, &mut passing);
            for span in passing.iter().filter_map(|at| generation.spans.get(*at as usize)) {
                let latest = found.entry(span.trace).or_insert(0);
                *latest = span.start_ns.max(*latest);
            }
        }
        let generation = generation.read();
        let mut traces: Vec<(u64, TraceId)> = found
            .into_iter()
            .filter_map(|(trace, start)| generation.traces.get(trace as usize).map(|t| (start, t.id)))
            .collect();
        traces.sort_unstable_by(|a, b| b.cmp(a));
        Ok(traces.into_iter().map(|(_, id)| id).collect())
    }

    /// Traces of some groups with a passing span.
    fn candidates_in(&mut self, number: usize, entries: &[GroupEntry]) -> Result<Vec<TraceId>, ReadError> {
        let Some(block) = self.snapshot.blocks.get(number) else { return Ok(Vec::new()) };
        let looked = in_parallel(entries, |entry| {
            QueryStats::add(&self.context.stats.items, u64::from(entry.spans));
            let mut group = OpenGroup::open(block, entry, self.context)?;
            let Some(rows) = matching_rows(&mut group, &self.query)? else { return Ok((Vec::new(), None)) };
            Ok((traces_of(&mut group, &rows)?, Some(group)))
        });
        let mut found = Vec::new();
        let mut groups_found = 0;
        for (outcome, entry) in looked.into_iter().zip(entries) {
            if entries.len() > 1 && matches!(outcome, Err(Stop::Query(ReadError::OverBudget(_)))) {
                // Alone it may fit.
                self.ahead.hold_back();
                self.kept.free();
                self.groups.iter_mut().for_each(|(_, groups)| groups.push(*entry));
                continue;
            }
            let Some((mut traces, group)) = self.store.survive(self.context, block, outcome)? else { continue };
            found.append(&mut traces);
            // A group with candidates is asked for their spans next.
            if let Some(group) = group {
                groups_found += 1;
                self.kept.give(group);
            }
        }
        self.ahead.learn(groups_found);
        Ok(found)
    }
}

/// The traces of rows, each once.
fn traces_of(group: &mut OpenGroup<'_>, rows: &RowSet) -> Result<Vec<TraceId>, Stop> {
    group.load_trace_ids()?;
    let (mut found, mut trace, mut last) = (Vec::new(), 0, None);
    for row in rows.iter() {
        while group.rows_of(trace).end <= row && trace < group.trace_ids().len() {
            trace += 1;
        }
        if last != Some(trace) {
            found.extend(group.trace_ids().get(trace));
            last = Some(trace);
        }
    }
    Ok(found)
}

/// The groups of a block that a search must look into; `None` when its index is damaged.
///
/// # Errors
/// [`ReadError`].
pub(crate) fn groups_in(
    store: &TraceStore,
    context: &QueryContext,
    snapshot: &Snapshot,
    number: usize,
    query: &Query,
) -> Result<Option<(usize, Vec<GroupEntry>)>, ReadError> {
    QueryStats::add(&context.stats.blocks, 1);
    let Some(block) = snapshot.blocks.get(number) else { return Ok(None) };
    let index = store.survive(context, block, block.index().map_err(Stop::from))?;
    let Some(index) = index else { return Ok(None) };
    if index.operations.as_ref().is_some_and(|operations| has_no_such(operations, query)) {
        return Ok(None);
    }
    Ok(Some((number, index.groups.iter().filter(|g| !rules_out(g, query)).copied().collect())))
}

impl SpanCursor for TraceScan<'_> {
    fn next(&mut self, out: &mut SpanBatch) -> Result<bool, ReadError> {
        *out = SpanBatch::new();
        self.held = None;
        loop {
            if self.pending.is_empty() && !self.advance()? {
                return Ok(false);
            }
            let from = self.pending.len().saturating_sub(self.traces_per_batch);
            let chosen: Vec<TraceId> = self.pending.drain(from..).rev().collect();
            let rank: HashMap<TraceId, usize> = chosen.iter().copied().zip(0..).collect();
            let mut ids = chosen;
            ids.sort_unstable();
            let (collector, account) =
                self.store.fetch(&self.snapshot, &ids, &self.fields, &mut self.kept, self.context)?;
            self.traces_per_batch = match collector.memory_bytes() {
                0..BATCH_BYTES => (self.traces_per_batch * 2).min(TRACES_MAX),
                _ => (self.traces_per_batch / 2).max(1),
            };
            let mut batch = collector.finish();
            // A candidate's spans may all be damaged.
            if batch.is_empty() {
                continue;
            }
            self.held = Some(account);
            batch.spans.sort_by_cached_key(|s| (rank.get(&s.trace_id).copied(), s.start_ns));
            *out = batch;
            return Ok(true);
        }
    }
}
