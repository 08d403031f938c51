//! A search for single spans: those that pass, with what is wanted of them, group by group, each once.

use crate::ahead::{Ahead, in_parallel};
use crate::earlier::{Source, remove_known};
use crate::group_match::matching_rows;
use crate::group_write::GroupEntry;
use crate::head_read::HeadSearch;
use crate::judge::Query;
use crate::kept::{Account, Kept};
use crate::open_group::{OpenGroup, Stop};
use crate::pick::Picker;
use crate::read::Snapshot;
use crate::scan::{HEAD_STEP, groups_in};
use crate::store::TraceStore;
use crate::view::{Collector, Shared};
use bramble_signal::SpanBatch;
use bramble_storage::{QueryContext, QueryStats, ReadError, SpanCursor, SpanFields};
use std::collections::HashMap;

/// Most spans in a batch, and about how large it becomes.
const BATCH_SPANS: usize = 4096;
const BATCH_BYTES: usize = 1 << 20;

/// What is being given.
enum Current<'a> {
    Nothing,
    /// A generation, from this span on.
    Head(usize, usize, HeadSearch),
    /// Rows of a group of the block of this number.
    Group(usize, Box<OpenGroup<'a>>, Box<Picker>),
}

/// A running search. Sources are taken from the end of their vectors.
pub(crate) struct SpanRun<'a> {
    store: &'a TraceStore,
    context: &'a QueryContext,
    query: Query,
    fields: SpanFields,
    snapshot: Snapshot,
    generations_left: usize,
    blocks: Vec<usize>,
    groups: Option<(usize, Vec<GroupEntry>)>,
    /// Groups of the block being asked in which something was found; the next is the last.
    found: Vec<(Box<OpenGroup<'a>>, Box<Picker>)>,
    ahead: Ahead,
    current: Current<'a>,
    kept: Kept<'a>,
    account: Account<'a>,
}

impl<'a> SpanRun<'a> {
    pub(crate) fn new(
        store: &'a TraceStore,
        context: &'a QueryContext,
        query: Query,
        fields: SpanFields,
        snapshot: Snapshot,
    ) -> Self {
        SpanRun {
            store,
            context,
            fields,
            generations_left: snapshot.generations.len(),
            blocks: snapshot.blocks_in(query.start_ns, query.end_ns),
            query,
            snapshot,
            groups: None,
            found: Vec::new(),
            ahead: Ahead::new(),
            current: Current::Nothing,
            kept: Kept::new(context),
            account: Account::new(context),
        }
    }

    /// The next source with spans that pass. `false` when there is none left.
    fn advance(&mut self) -> Result<bool, ReadError> {
        loop {
            self.context.check()?;
            if let Some(generation) = self.generations_left.checked_sub(1) {
                self.generations_left = generation;
                self.current = Current::Head(generation, 0, HeadSearch::default());
                return Ok(true);
            }
            if let Some((number, groups)) = &mut self.groups {
                let number = *number;
                if let Some((group, picker)) = self.found.pop() {
                    self.current = Current::Group(number, group, picker);
                    return Ok(true);
                }
                let next = self.ahead.take(groups, self.context);
                match next.is_empty() {
                    true => self.groups = None,
                    false => self.look(number, &next)?,
                }
            } else if let Some(block) = self.blocks.pop() {
                self.groups = groups_in(self.store, self.context, &self.snapshot, block, &self.query)?;
            } else {
                return Ok(false);
            }
        }
    }

    /// Looks for passing spans in some groups.
    fn look(&mut self, number: usize, entries: &[GroupEntry]) -> Result<(), ReadError> {
        let Some(block) = self.snapshot.blocks.get(number) else { return Ok(()) };
        let looked = in_parallel(entries, |entry| {
            let mut group = OpenGroup::open(block, entry, self.context)?;
            let Some(rows) = matching_rows(&mut group, &self.query)? else { return Ok::<_, Stop>(None) };
            let picker = Picker::new(&mut group, rows.iter().map(|row| row as u32).collect(), &self.fields)?;
            Ok(Some((Box::new(group), Box::new(picker))))
        });
        for (outcome, entry) in looked.into_iter().zip(entries) {
            if entries.len() > 1 && matches!(outcome, Err(Stop::Query(ReadError::OverBudget(_)))) {
                // Alone it may fit.
                self.ahead.hold_back();
                self.groups.iter_mut().for_each(|(_, groups)| groups.push(*entry));
                continue;
            }
            self.found.extend(self.store.survive(self.context, block, outcome)?.flatten());
        }
        self.found.reverse();
        self.ahead.learn(self.found.len());
        Ok(())
    }

    /// Appends some of the current source's spans; says where they come from.
    fn put(&mut self, out: &mut Collector) -> Result<Option<Source>, ReadError> {
        match std::mem::replace(&mut self.current, Current::Nothing) {
            Current::Nothing => Ok(None),
            Current::Head(number, from, mut search) => {
                let Some((generation, watermark)) = self.snapshot.generations.get(number) else { return Ok(None) };
                let to = (from + HEAD_STEP).min(*watermark);
                let generation = generation.read();
                let (mut passing, mut scratch) = (Vec::new(), Vec::new());
                search.matching(&generation, &self.query, from..to, &mut passing);
                let mut shared: HashMap<u32, Shared> = HashMap::new();
                for at in passing {
                    let (Some(span), Some(view)) =
                        (generation.spans.get(at as usize), generation.view_of(at, &self.fields, &mut scratch))
                    else {
                        continue;
                    };
                    let shared = *shared
                        .entry(span.shape)
                        .or_insert_with(|| out.share(view.resource, view.scope, view.name, view.message));
                    out.push_sharing(&view, shared);
                }
                drop(generation);
                if to < *watermark {
                    self.current = Current::Head(number, to, search);
                }
                Ok(Some(Source::Generation(number)))
            }
            Current::Group(number, group, mut picker) => {
                let outcome = picker.put(&group, (BATCH_SPANS, BATCH_BYTES), out);
                match (outcome, self.snapshot.blocks.get(number)) {
                    (Ok(()), _) if !picker.is_done() => self.current = Current::Group(number, group, picker),
                    (Err(error), Some(block)) => self.store.leave_out(self.context, block, &error)?,
                    _ => {}
                }
                Ok(Some(Source::Block(number)))
            }
        }
    }
}

impl SpanCursor for SpanRun<'_> {
    fn next(&mut self, out: &mut SpanBatch) -> Result<bool, ReadError> {
        let mut collector = Collector::reusing(std::mem::take(out));
        loop {
            self.context.check()?;
            let Some(source) = self.put(&mut collector)? else {
                if self.advance()? {
                    continue;
                }
                self.account.set(0)?;
                return Ok(false);
            };
            self.account.set(collector.memory_bytes())?;
            let batch = &mut collector.batch;
            remove_known(self.store, &self.snapshot, source, &mut self.kept, self.context, batch)?;
            if !batch.is_empty() {
                QueryStats::add(&self.context.stats.items, batch.spans.len() as u64);
                *out = collector.finish();
                return Ok(true);
            }
            collector = Collector::reusing(collector.finish());
        }
    }
}
