//! Which entries of a chunk a query asks for: by template, then by column, then by line, then by metadata.

use crate::chunk::Chunk;
use crate::columns::Integers;
use crate::group::Group;
use crate::lines::Own;
use crate::rows::Rows;
use crate::search::needle::{Needle, Verdict};
use crate::search::outlook::{Lines, Outlook};
use crate::search::selection::{EntryTests, Selection, Test};
use crate::words::Words;
use bramble_signal::LabelsRef;
use bramble_storage::{QueryContext, ReadError};
use std::ops::Range;

/// Positions of entries, ascending.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Hits {
    /// All in a range.
    All(Range<usize>),
    /// These.
    Some(Vec<u32>),
}

impl Hits {
    /// How many.
    pub(crate) fn len(&self) -> usize {
        match self {
            Hits::All(range) => range.len(),
            Hits::Some(list) => list.len(),
        }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `nth`, which is below [`len`](Self::len).
    #[inline]
    pub(crate) fn get(&self, nth: usize) -> usize {
        match self {
            Hits::All(range) => range.start + nth,
            Hits::Some(list) => list.get(nth).map_or(0, |&at| at as usize),
        }
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        (0..self.len()).map(|nth| self.get(nth))
    }

    /// Memory held, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            Hits::All(_) => 0,
            Hits::Some(list) => list.capacity() * 4,
        }
    }
}

/// How many lines are looked at between two looks at the clock.
pub(super) const CHECK_EVERY: usize = 1024;

/// What is asked of the entries of one stream.
pub(crate) struct Asked<'q> {
    pub(crate) selection: &'q Selection,
    /// What the stream leaves to its entries.
    pub(crate) entries: &'q EntryTests<'q>,
    pub(crate) context: Option<&'q QueryContext>,
}

impl Asked<'_> {
    /// The entries of `chunk` that pass. `times`: its first and last timestamp, as far as they are known without
    /// decoding. `outlook`: what the stream's dictionary says, for groups when there are tests on lines.
    ///
    /// # Errors
    /// When the query is cancelled or timed out.
    pub(crate) fn of(&self, chunk: &Chunk, times: (i64, i64), outlook: Option<&Outlook>) -> Result<Hits, ReadError> {
        let range = self.range(chunk, times);
        let hits = match chunk {
            _ if !self.selection.has_tests() => Hits::All(range),
            Chunk::Rows(rows) => self.by_row(rows, range)?,
            Chunk::Group(group) => match outlook {
                Some(outlook) => {
                    self.by_template(group, range, outlook, &self.selection.tests().collect::<Vec<_>>())?
                }
                None => Hits::All(range),
            },
        };
        self.by_metadata(chunk, hits)
    }

    /// The entries of `chunk` that are in the range of time.
    pub(super) fn range(&self, chunk: &Chunk, times: (i64, i64)) -> Range<usize> {
        let (start_ns, last_ns) = (self.selection.start_ns, self.selection.last_ns);
        if times.0 >= start_ns && times.1 <= last_ns {
            return 0..chunk.len();
        }
        let times = chunk.timestamps_ns();
        let from = times.partition_point(|&t| t < start_ns);
        from..times.partition_point(|&t| t <= last_ns).max(from)
    }

    fn check(&self) -> Result<(), ReadError> {
        self.context.map_or(Ok(()), QueryContext::check)
    }

    fn by_row(&self, rows: &Rows, range: Range<usize>) -> Result<Hits, ReadError> {
        let mut list = Vec::new();
        for at in range {
            if at % CHECK_EVERY == 0 {
                self.check()?;
            }
            let line = rows.line(at);
            let metadata = || LabelsRef::from_encoded(rows.metadata(at));
            if self.selection.lines().iter().all(|test| test.accepts(line))
                && self.entries.mentions().iter().all(|mention| mention.accepts(line, metadata()))
            {
                list.push(at as u32);
            }
        }
        Ok(Hits::Some(list))
    }

    /// The entries of `range` whose lines pass `tests`, which `outlook` is about.
    pub(super) fn by_template(
        &self,
        group: &Group,
        range: Range<usize>,
        outlook: &Outlook,
        tests: &[&Test],
    ) -> Result<Hits, ReadError> {
        let (lines, _) = group.lines();
        // Text, then each template used.
        let mut states = vec![State::Text];
        states.extend(lines.templates().enumerate().map(|(nth, (id, _))| match outlook.template(id) {
            Lines::Never => State::Never,
            Lines::Always => State::Always,
            Lines::Look(look) => State::look(tests, group, nth + 1, look, outlook),
        }));
        let all = |wanted: fn(&State<'_>) -> bool| {
            let text = lines.text_lines() == 0;
            states.iter().enumerate().all(|(which, state)| wanted(state) || (which == 0 && text))
        };
        if all(|state| matches!(state, State::Never)) {
            return Ok(Hits::All(0..0));
        }
        if all(|state| matches!(state, State::Always)) {
            return Ok(Hits::All(range));
        }
        let (mut list, mut scratch, mut looked) = (Vec::new(), Vec::new(), 0usize);
        for at in range {
            let passes = match states.get(lines.which(at)) {
                None | Some(State::Never) => false,
                Some(State::Always) => true,
                Some(State::Text) => {
                    scratch.clear();
                    group.put_line(at, &mut scratch);
                    tests.iter().all(|test| test.accepts(&scratch))
                }
                Some(State::Look(looks)) => {
                    looked += 1;
                    if looked.is_multiple_of(CHECK_EVERY) {
                        self.check()?;
                    }
                    passes_all(looks, group, at, lines.nth_of(at), &mut scratch)
                }
            };
            if passes {
                list.push(at as u32);
            }
        }
        Ok(Hits::Some(list))
    }

    pub(super) fn by_metadata(&self, chunk: &Chunk, hits: Hits) -> Result<Hits, ReadError> {
        if self.entries.is_all() || hits.is_empty() {
            return Ok(hits);
        }
        let reads = |name: &str| self.entries.reads(name);
        if let Chunk::Group(group) = chunk
            && !group.has_metadata_of(&reads)
        {
            return Ok(if self.entries.accepts_bare() { hits } else { Hits::All(0..0) });
        }
        if let Chunk::Group(group) = chunk
            && let Ok(fields) = self.fields(group)
        {
            return self.by_fields(&fields, hits);
        }
        let (mut list, mut metadata) = (Vec::new(), Vec::new());
        for (nth, at) in hits.iter().enumerate() {
            if nth % CHECK_EVERY == 0 {
                self.check()?;
            }
            let passes = match chunk {
                Chunk::Rows(rows) => self.entries.accepts(LabelsRef::from_encoded(rows.metadata(at))),
                Chunk::Group(group) => {
                    metadata.clear();
                    group.put_metadata_of(at, &reads, &mut metadata);
                    self.entries.accepts(LabelsRef::from_encoded(&metadata))
                }
            };
            if passes {
                list.push(at as u32);
            }
        }
        Ok(Hits::Some(list))
    }
}

/// What is left to do for the lines of one template of a group.
enum State<'g> {
    Never,
    Always,
    Text,
    Look(Vec<Look<'g>>),
}

/// A test that is left undecided.
struct Look<'g> {
    test: &'g Test,
    /// The slots that decide; `None`: only the line can tell.
    slots: Option<Vec<SlotLook<'g>>>,
}

/// How a slot is asked whether its token contains a text.
enum SlotLook<'g> {
    /// Which of the distinct words each token is, and which of these contain the text.
    Ids(&'g Integers, Vec<bool>),
    /// Print this slot's token and look.
    Token(usize),
}

impl<'g> State<'g> {
    fn look(
        tests: &[&'g Test],
        group: &'g Group,
        which: usize,
        undecided: &[(u16, Verdict)],
        outlook: &Outlook,
    ) -> State<'g> {
        let mut looks = Vec::new();
        for &(number, verdict) in undecided {
            let Some(&test) = tests.get(usize::from(number)) else { continue };
            let (Verdict::InSlots(slots), Some(needle)) = (verdict, test.needle()) else {
                looks.push(Look { test, slots: None });
                continue;
            };
            let slots: Vec<SlotLook<'g>> = (0..64)
                .filter(|slot| slots >> slot & 1 == 1)
                .filter_map(|slot| slot_look(group, (which, slot), needle, outlook.values(usize::from(number))))
                .collect();
            match (slots.is_empty(), test.is_negated()) {
                // No token of this group contains the text.
                (true, false) => return State::Never,
                (true, true) => {}
                (false, _) => looks.push(Look { test, slots: Some(slots) }),
            }
        }
        if looks.is_empty() { State::Always } else { State::Look(looks) }
    }
}

/// How to ask a slot; `None` when none of its tokens contains the text.
fn slot_look<'g>(
    group: &'g Group,
    (which, slot): (usize, usize),
    needle: &Needle,
    values: &[bool],
) -> Option<SlotLook<'g>> {
    let (lines, from) = group.lines();
    let Some((_, own)) = lines.own(which, slot, from) else { return Some(SlotLook::Token(slot)) };
    let (ids, found): (&Integers, Vec<bool>) = match own {
        Own::Words(Words::Shared(list, ids)) => {
            (ids, list.iter().map(|&value| values.get(value as usize).copied().unwrap_or(true)).collect())
        }
        Own::Words(Words::Own(strings, ids)) => {
            (ids, (0..strings.len()).map(|id| needle.is_in(strings.get(id))).collect())
        }
        Own::Numbers(numbers) if numbers.longest() < needle.text().len() => return None,
        _ => return Some(SlotLook::Token(slot)),
    };
    found.contains(&true).then_some(SlotLook::Ids(ids, found))
}

fn passes_all(looks: &[Look<'_>], group: &Group, at: usize, nth: usize, scratch: &mut Vec<u8>) -> bool {
    let mut rebuilt = false;
    for look in looks {
        let passes = match (&look.slots, look.test.needle()) {
            (Some(slots), Some(needle)) => {
                let found = slots.iter().any(|slot| match slot {
                    SlotLook::Ids(ids, found) => found.get(ids.get(nth) as usize).copied().unwrap_or(false),
                    SlotLook::Token(slot) => {
                        rebuilt = false;
                        scratch.clear();
                        group.put_token(at, *slot, scratch);
                        needle.is_in(scratch)
                    }
                });
                found != look.test.is_negated()
            }
            _ => {
                if !rebuilt {
                    scratch.clear();
                    group.put_line(at, scratch);
                    rebuilt = true;
                }
                look.test.accepts(scratch)
            }
        };
        if !passes {
            return false;
        }
    }
    true
}
