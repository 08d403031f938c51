//! Lines by template. Blocks are read as far as times and template ids go; lines of the head are split as the flush
//! would split them. Where entries have to be looked at one by one (tests on lines, matchers on what only entries have,
//! deletions that are not done yet), lines are read as any query reads them, and split. Lines that have no template are
//! left out.
//!
//! Streams are done one after the other, and only the templates with the most lines are kept, so that memory is bounded
//! by one stream's templates and by what was asked for. Templates whose tokens differ in kind or width alone
//! are one pattern.

use super::found::{Found, Patterns, keep_most};
use super::totals::needs_entries;
use super::{last_of, report};
use crate::block::Block;
use crate::block::index::{GroupEntry, Place};
use crate::dictionary::{Dictionary, LineStatistics};
use crate::group::Group;
use crate::head::{Generation, HeadChunk};
use crate::rows::Rows;
use crate::search::selection::Selection;
use crate::store::LogStore;
use crate::template::{self, split};
use bramble_disk::DiskError;
use bramble_disk::segment::PageRef;
use bramble_signal::{Labels, LabelsRef};
use bramble_storage::{LogRows, LogSelect, LogSource, QueryContext, QueryStats, ReadError, TemplateCounts};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is held of a stream's place while it waits for its turn, beside its groups.
const PLACE_BYTES: usize = 128;

/// Entries of one stream in one place, and when they are.
struct Part {
    min_ns: i64,
    max_ns: i64,
    entries: Entries,
}

enum Entries {
    Rows(Rows),
    Chunk(Arc<HeadChunk>),
    Block(InBlock),
}

/// A stream of a block.
struct InBlock {
    block: Arc<Block>,
    pages: Arc<Vec<PageRef>>,
    dictionary: Place,
    groups: Vec<GroupEntry>,
}

impl InBlock {
    fn dictionary(&self) -> Result<Arc<Dictionary>, DiskError> {
        let piece = self.block.read(&self.pages, self.dictionary)?;
        let read = Dictionary::read(piece.bytes());
        read.map(Arc::new).ok_or_else(|| self.block.corrupt("dictionary of templates is damaged"))
    }

    fn group(&self, group: &GroupEntry, dictionary: &Arc<Dictionary>) -> Result<Group, DiskError> {
        let piece = self.block.read(&self.pages, group.columns)?;
        Group::read(piece, dictionary).ok_or_else(|| self.block.corrupt("page group is damaged"))
    }
}

/// Where the entries of each matching stream up to the end of the range are, and whether deletions hide some of them.
fn places(
    store: &LogStore,
    selection: &Selection,
    context: &QueryContext,
) -> Result<(BTreeMap<Labels, Vec<Part>>, bool), ReadError> {
    let (last_ns, mut some_hidden) = (selection.last_ns, false);
    let wanted = |labels: LabelsRef<'_>| selection.of_stream(labels).is_some();
    let mut found: BTreeMap<Labels, Vec<Part>> = BTreeMap::new();
    let mut of_head = |generation: &Generation| {
        for stream in generation.streams.iter().filter(|s| wanted(s.labels.as_ref())) {
            let chunks = stream.chunks.iter().map(|c| Part {
                min_ns: c.min_time_ns,
                max_ns: c.max_time_ns,
                entries: Entries::Chunk(c.clone()),
            });
            let times = stream.open.timestamps_ns();
            let open = times.iter().min().zip(times.iter().max()).map(|(&min_ns, &max_ns)| Part {
                min_ns,
                max_ns,
                entries: Entries::Rows(stream.open.clone()),
            });
            let parts: Vec<Part> = chunks.chain(open).filter(|part| part.min_ns <= last_ns).collect();
            if !parts.is_empty() {
                found.entry(stream.labels.clone()).or_default().extend(parts);
            }
        }
    };
    let state = store.state.read();
    of_head(&state.active);
    let (frozen, blocks) = (state.frozen.clone(), state.blocks.clone());
    drop(state);
    if let Some(frozen) = frozen {
        of_head(&frozen);
    }
    let bytes =
        |part: &Part| PLACE_BYTES + if let Entries::Rows(rows) = &part.entries { rows.memory_bytes() } else { 0 };
    context.reserve(found.values().flatten().map(bytes).sum())?;
    let may_have = |block: &Block| block.meta.min_time_ns <= last_ns && selection.may_be_in(&block.meta);
    for block in blocks.iter().filter(|block| may_have(block)) {
        context.check()?;
        QueryStats::add(&context.stats.blocks, 1);
        let index = match block.index((i64::MIN, last_ns), wanted) {
            Ok(index) => index,
            Err(error) => {
                report(block, "its index", &error, &store.metrics, context);
                continue;
            }
        };
        let pages = index.pages;
        for stream in index.streams {
            // A dictionary tells of lines that were deleted and are still there: until they are gone it is not asked.
            if block.deletions.of_stream(&stream.labels).is_some_and(|deleted| deleted.meets_any(&stream.groups)) {
                some_hidden = true;
                continue;
            }
            let min_ns = stream.groups.iter().map(|g| g.min_time_ns).min().unwrap_or(i64::MAX);
            let max_ns = stream.groups.iter().map(|g| g.max_time_ns).max().unwrap_or(i64::MIN);
            let mut groups = stream.groups;
            groups.retain(|group| group.max_time_ns >= selection.start_ns);
            context.reserve(PLACE_BYTES + stream.labels.as_bytes().len() + groups.len() * size_of::<GroupEntry>())?;
            let (block, pages, dictionary) = (block.clone(), pages.clone(), stream.dictionary);
            let entries = Entries::Block(InBlock { block, pages, dictionary, groups });
            found.entry(stream.labels).or_default().push(Part { min_ns, max_ns, entries });
        }
    }
    Ok((found, some_hidden))
}

/// What is asked for.
struct Asked<'a> {
    selection: Selection,
    store: &'a LogStore,
    context: &'a QueryContext,
}

impl Asked<'_> {
    fn wants(&self, time_ns: i64) -> bool {
        (self.selection.start_ns..=self.selection.last_ns).contains(&time_ns)
    }

    /// Counts the lines of a part that are in range.
    fn count(&self, part: &Part, patterns: &mut Patterns<'_>) -> Result<(), ReadError> {
        match &part.entries {
            Entries::Rows(rows) => self.count_rows(rows, patterns),
            Entries::Chunk(chunk) => match chunk.rows() {
                Some(rows) => self.count_rows(&rows, patterns),
                None => Ok(()),
            },
            Entries::Block(of) => {
                let dictionary = match of.dictionary() {
                    Ok(dictionary) => dictionary,
                    Err(error) => {
                        report(&of.block, "a dictionary", &error, &self.store.metrics, self.context);
                        return Ok(());
                    }
                };
                let bytes = dictionary.memory_bytes();
                self.context.reserve(bytes)?;
                let told = |lines: &LineStatistics| {
                    self.wants(lines.first_ns) && self.wants(lines.last_ns) && patterns.in_one_step(lines)
                };
                let all = (0..dictionary.len()).map(|id| dictionary.statistics(id));
                let summed = all.filter(|lines| lines.lines > 0).all(|lines| told(&lines));
                let outcome = if summed {
                    self.count_sums(&dictionary, patterns)
                } else {
                    self.count_groups(of, &dictionary, patterns)
                };
                self.context.release(bytes);
                outcome
            }
        }
    }

    fn count_rows(&self, rows: &Rows, patterns: &mut Patterns<'_>) -> Result<(), ReadError> {
        self.context.check()?;
        self.read(rows.len(), rows.raw_bytes() as u64);
        let (mut template, mut tokens) = (Vec::new(), Vec::new());
        for at in 0..rows.len() {
            let (time_ns, line) = (rows.timestamps_ns().get(at).copied().unwrap_or(0), rows.line(at));
            if self.wants(time_ns)
                && split(line, &mut template, &mut tokens)
                && let Some(found) = patterns.of_template(&template, || line.to_vec())?
            {
                patterns.add(found, time_ns)?;
            }
        }
        Ok(())
    }

    /// Counts a block's lines of a stream by what its dictionary says.
    fn count_sums(&self, dictionary: &Dictionary, patterns: &mut Patterns<'_>) -> Result<(), ReadError> {
        for id in 0..dictionary.len() {
            if let Some(found) = patterns.of_template(dictionary.text(id), || first_line(dictionary, id))? {
                patterns.add_all(found, &dictionary.statistics(id))?;
            }
        }
        Ok(())
    }

    fn count_groups(
        &self,
        of: &InBlock,
        dictionary: &Arc<Dictionary>,
        patterns: &mut Patterns<'_>,
    ) -> Result<(), ReadError> {
        // What each template of the dictionary counts as; looked up when the first line of it is met.
        let mut known: Vec<Option<Option<u32>>> = vec![None; dictionary.len()];
        for entry in &of.groups {
            self.context.check()?;
            let group = match of.group(entry, dictionary) {
                Ok(group) => group,
                Err(error) => {
                    report(&of.block, "a page group", &error, &self.store.metrics, self.context);
                    continue;
                }
            };
            let bytes = group.memory_bytes();
            self.context.reserve(bytes)?;
            self.read(group.timestamps_ns().len(), entry.raw_bytes);
            for (at, &time_ns) in group.timestamps_ns().iter().enumerate() {
                let Some(id) = group.template_id(at).filter(|_| self.wants(time_ns)) else { continue };
                let Some(slot) = known.get_mut(id) else { continue };
                let found = match *slot {
                    Some(found) => found,
                    None => *slot.insert(patterns.of_template(dictionary.text(id), || first_line(dictionary, id))?),
                };
                if let Some(found) = found {
                    patterns.add(found, time_ns)?;
                }
            }
            self.context.release(bytes);
        }
        Ok(())
    }

    fn read(&self, entries: usize, bytes: u64) {
        QueryStats::add(&self.context.stats.items, entries as u64);
        QueryStats::add(&self.context.stats.bytes, bytes);
    }

    /// Looks in what lies before the range for the first time of each pattern, oldest parts first, until all were met. A
    /// block tells by its dictionary.
    fn first_times(&self, parts: &mut [Part], patterns: &mut Patterns<'_>) -> Result<(), ReadError> {
        parts.sort_by_key(|part| part.min_ns);
        let mut left = patterns.expect_earlier();
        for part in parts.iter().take_while(|part| part.min_ns < self.selection.start_ns) {
            if left == 0 {
                break;
            }
            self.context.check()?;
            match &part.entries {
                Entries::Rows(rows) => left -= self.first_in(rows, patterns),
                Entries::Chunk(chunk) => left -= chunk.rows().map_or(0, |rows| self.first_in(&rows, patterns)),
                Entries::Block(of) => match of.dictionary() {
                    Ok(dictionary) => {
                        let met = |id: usize| patterns.met(dictionary.text(id), dictionary.statistics(id).first_ns);
                        left -= (0..dictionary.len()).map(met).filter(|met| *met).count();
                    }
                    Err(error) => report(&of.block, "a dictionary", &error, &self.store.metrics, self.context),
                },
            }
        }
        Ok(())
    }

    /// How many patterns were met for the first time before the range.
    fn first_in(&self, rows: &Rows, patterns: &mut Patterns<'_>) -> usize {
        let (mut template, mut tokens, mut met) = (Vec::new(), Vec::new(), 0);
        for at in 0..rows.len() {
            let time_ns = rows.timestamps_ns().get(at).copied().unwrap_or(i64::MAX);
            if time_ns < self.selection.start_ns && split(rows.line(at), &mut template, &mut tokens) {
                met += usize::from(patterns.met(&template, time_ns));
            }
        }
        met
    }
}

/// The line that showed template `id` first.
fn first_line(dictionary: &Dictionary, id: usize) -> Vec<u8> {
    let (text, mut line, mut slot) = (dictionary.text(id), Vec::new(), 0);
    for part in template::parts(text).unwrap_or_default() {
        match part {
            template::Part::Literal(from, to) => {
                line.extend_from_slice(text.get(from as usize..to as usize).unwrap_or_default());
            }
            template::Part::Slot(_) => {
                line.extend_from_slice(dictionary.first_token(id, slot));
                slot += 1;
            }
        }
    }
    line
}

/// Patterns by stream, counted from entries as any query reads them.
fn by_entry<'a>(
    store: &LogStore,
    select: &LogSelect<'_>,
    step_ns: i64,
    context: &'a QueryContext,
) -> Result<BTreeMap<Labels, Patterns<'a>>, ReadError> {
    let mut found: BTreeMap<Labels, Patterns<'a>> = BTreeMap::new();
    let (mut cursor, mut rows) = (store.select(select, context)?, LogRows::default());
    let (mut template, mut tokens) = (Vec::new(), Vec::new());
    while cursor.next(&mut rows)? {
        context.check()?;
        for stream in rows.batch.streams() {
            let labels = stream.labels().to_labels();
            let patterns = found.entry(labels).or_insert_with(|| Patterns::new(step_ns, context));
            for entry in stream.entries() {
                if split(entry.line, &mut template, &mut tokens)
                    && let Some(found) = patterns.of_template(&template, || entry.line.to_vec())?
                {
                    patterns.add(found, entry.timestamp_ns)?;
                }
            }
        }
    }
    Ok(found)
}

/// [`LogSource::templates`](bramble_storage::LogSource::templates).
pub(crate) fn templates(
    store: &LogStore,
    select: &LogSelect<'_>,
    step_ns: i64,
    most: usize,
    context: &QueryContext,
) -> Result<Vec<TemplateCounts>, ReadError> {
    if last_of(select.start_ns, select.end_ns).is_none() {
        return Ok(Vec::new());
    }
    let select = LogSelect { fields: &[], mentions: &[], rows_hint: None, ..select.clone() };
    let asked = Asked { selection: Selection::new(&select, &store.floating_names()), store, context };
    let (places, some_hidden) = places(store, &asked.selection, context)?;
    let mut counted = if some_hidden || !select.lines.is_empty() || needs_entries(store, select.matchers) {
        Some(by_entry(store, &select, step_ns, context)?)
    } else {
        None
    };
    let (mut kept, mut streams) = (Vec::<(Labels, Found)>::new(), 0u64);
    let mut keep = |labels: &Labels, mut parts: Vec<Part>, mut patterns: Patterns<'_>| -> Result<(), ReadError> {
        patterns.keep_most(most);
        asked.first_times(&mut parts, &mut patterns)?;
        kept.extend(patterns.finish().into_iter().map(|found| (labels.clone(), found)));
        streams += 1;
        if kept.len() > most.saturating_mul(2) {
            keep_most(&mut kept, most, |(_, found)| found, context);
        }
        Ok(())
    };
    for (labels, parts) in places {
        let patterns = match &mut counted {
            Some(counted) => counted.remove(&labels),
            None => {
                let mut patterns = Patterns::new(step_ns, context);
                for part in parts.iter().filter(|part| part.max_ns >= select.start_ns) {
                    asked.count(part, &mut patterns)?;
                }
                Some(patterns)
            }
        };
        if let Some(patterns) = patterns {
            keep(&labels, parts, patterns)?;
        }
    }
    // Streams of which every place has something hidden.
    for (labels, patterns) in counted.unwrap_or_default() {
        keep(&labels, Vec::new(), patterns)?;
    }
    QueryStats::add(&context.stats.series, streams);
    keep_most(&mut kept, most, |(_, found)| found, context);
    Ok(kept.into_iter().map(|(labels, found)| found.counts(labels)).collect())
}
