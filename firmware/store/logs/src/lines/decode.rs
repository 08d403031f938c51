//! Reading the line column: which line has which template at once, everything else at its first use.

use crate::columns::{Strings, take_integers, take_strings};
use crate::dictionary::{Dictionary, slots};
use crate::stored::{Lazy, Stored};
use crate::template::{Kind, Part, parts};
use crate::varint::{take_byte, take_bytes, take_count};
use std::cell::OnceCell;
use std::ops::Range;

use super::own::{Own, Place, SharedColumns};
use super::{OWN_FROM, TEXT};

/// One template in use in a group.
#[derive(Debug)]
struct Used {
    id: usize,
    /// How many lines have it.
    lines: u32,
    parts: OnceCell<Vec<Part>>,
    columns: Columns,
}

/// Where the tokens of a template's slots are.
#[derive(Debug)]
enum Columns {
    /// A column for each slot.
    Own(Vec<Lazy<Own>>),
    /// In the shared columns: slot by slot, line by line from this visit on.
    Shared(usize),
}

/// The line column of a group.
#[derive(Debug)]
pub(crate) struct Lines {
    count: usize,
    text: Lazy<Strings>,
    /// Template of each line plus one, 0 for text; empty when all lines are text.
    which: Vec<u32>,
    /// Which of its template's lines (or of the text lines) each line is.
    nth: Vec<u32>,
    text_lines: usize,
    used: Vec<Used>,
    shared: Lazy<SharedColumns>,
}

/// What lines are read with: the group's bytes and the stream's dictionary.
#[derive(Clone, Copy)]
pub(crate) struct From<'a> {
    pub(crate) stored: &'a Stored,
    pub(crate) dictionary: &'a Dictionary,
}

impl Lines {
    /// Reads the column of `count` lines at `range` of a group's bytes; `None` when it is damaged.
    pub(crate) fn read(stored: &Stored, range: Range<usize>, count: usize, dictionary: &Dictionary) -> Option<Lines> {
        let column = stored.get(range.clone())?;
        let input = &mut &*column;
        let at = |input: &[u8]| range.end - input.len();
        if take_byte(input)? == TEXT {
            let text = Lazy::new(at(input)..range.end);
            let (which, nth, used, shared) = (Vec::new(), Vec::new(), Vec::new(), Lazy::new(0..0));
            return Some(Lines { count, text, which, nth, text_lines: count, used, shared });
        }
        let used_count = take_count(input, count)?;
        let steps = take_integers(input, used_count)?;
        let which_column = take_integers(input, count)?;
        let (mut which, mut nth, mut counts) =
            (Vec::with_capacity(count), Vec::with_capacity(count), vec![0u32; used_count + 1]);
        for at in 0..count {
            let template = which_column.get(at);
            let lines = counts.get_mut(usize::try_from(template).ok()?)?;
            which.push(template as u32);
            nth.push(*lines);
            *lines += 1;
        }
        let next = |input: &mut &[u8]| {
            let len = take_bytes(input)?.len();
            Some(at(input) - len..at(input))
        };
        let text = Lazy::new(next(input)?);
        let (mut used, mut visits, mut id) = (Vec::with_capacity(used_count), 0usize, 0usize);
        for (at, &lines) in counts.iter().skip(1).enumerate() {
            id = id.checked_add(usize::try_from(steps.get(at)).ok()?)?;
            let slots = dictionary.slot_count(id)?;
            let columns = if lines as usize >= OWN_FROM {
                Columns::Own((0..slots).map(|_| next(input).map(Lazy::new)).collect::<Option<_>>()?)
            } else {
                let first = visits;
                visits = visits.checked_add(slots * lines as usize)?;
                Columns::Shared(first)
            };
            used.push(Used { id, lines, parts: OnceCell::new(), columns });
        }
        let text_lines = *counts.first()? as usize;
        Some(Lines { count, text, which, nth, text_lines, used, shared: Lazy::new(at(input)..range.end) })
    }

    /// Appends line `at` to `out`.
    pub(crate) fn put(&self, at: usize, timestamp_ns: i64, from: From<'_>, out: &mut Vec<u8>) {
        let Some((used, nth)) = self.template_of(at) else {
            out.extend_from_slice(self.text(from).map_or(&[], |text| text.get(self.nth_of(at))));
            return;
        };
        let text = from.dictionary.text(used.id);
        let mut slot = 0;
        for part in used.parts(from.dictionary) {
            match *part {
                Part::Literal(from, to) => {
                    out.extend_from_slice(text.get(from as usize..to as usize).unwrap_or_default());
                }
                Part::Slot(kind) => {
                    self.put_slot(used, nth, (slot, kind), timestamp_ns, from, out);
                    slot += 1;
                }
            }
        }
    }

    /// Length of line `at` in bytes, without rebuilding it.
    pub(crate) fn len_of(&self, at: usize, from: From<'_>) -> usize {
        let Some((used, nth)) = self.template_of(at) else {
            return self.text(from).map_or(0, |text| text.get(self.nth_of(at)).len());
        };
        let (mut slot, mut len) = (0, 0);
        for part in used.parts(from.dictionary) {
            match *part {
                Part::Literal(from, to) => len += (to - from) as usize,
                Part::Slot(kind) => {
                    len += self.slot_len(used, nth, (slot, kind), from);
                    slot += 1;
                }
            }
        }
        len
    }

    /// Appends the varying token `slot` of line `at` to `out`.
    pub(crate) fn put_token(&self, at: usize, slot: usize, timestamp_ns: i64, from: From<'_>, out: &mut Vec<u8>) {
        if let Some((used, nth)) = self.template_of(at)
            && let Some(kind) = slots(used.parts(from.dictionary)).nth(slot)
        {
            self.put_slot(used, nth, (slot, kind), timestamp_ns, from, out);
        }
    }

    /// Whether the entry's timestamp is needed to print line `at`, or its varying token `slot`.
    pub(crate) fn needs_time(&self, at: usize, slot: Option<usize>, from: From<'_>) -> bool {
        let is_time = |kind: Kind| matches!(kind, Kind::Time(_) | Kind::Clock);
        self.template_of(at).is_some_and(|(used, _)| {
            let mut kinds = slots(used.parts(from.dictionary));
            match slot {
                Some(slot) => kinds.nth(slot).is_some_and(is_time),
                None => kinds.any(is_time),
            }
        })
    }

    /// The dictionary id of line `at`'s template.
    pub(crate) fn template_id(&self, at: usize) -> Option<usize> {
        self.template_of(at).map(|(used, _)| used.id)
    }

    /// Which of the templates used line `at` has, plus one; 0 for text.
    pub(crate) fn which(&self, at: usize) -> usize {
        self.which.get(at).copied().unwrap_or(0) as usize
    }

    /// Number of templates used.
    pub(crate) fn template_count(&self) -> usize {
        self.used.len()
    }

    /// Number of lines without template.
    pub(crate) fn text_lines(&self) -> usize {
        self.text_lines
    }

    /// The dictionary ids of the templates used, with how many lines have each.
    pub(crate) fn templates(&self) -> impl ExactSizeIterator<Item = (usize, usize)> {
        self.used.iter().map(|used| (used.id, used.lines as usize))
    }

    /// The own column of slot `slot` of the `which`th template used (counted from 1), and its kind; `None` when it is
    /// among the shared ones.
    pub(crate) fn own(&self, which: usize, slot: usize, from: From<'_>) -> Option<(Kind, &Own)> {
        let used = self.used.get(which.checked_sub(1)?)?;
        let Columns::Own(columns) = &used.columns else { return None };
        let kind = slots(used.parts(from.dictionary)).nth(slot)?;
        Some((kind, columns.get(slot)?.get(from.stored, used.take_own(kind, from.dictionary))?))
    }

    /// Which of its template's lines line `at` is.
    pub(crate) fn nth_of(&self, at: usize) -> usize {
        self.nth.get(at).map_or(at, |&nth| nth as usize)
    }

    fn text(&self, from: From<'_>) -> Option<&Strings> {
        self.text.get(from.stored, |input| take_strings(input, self.text_lines))
    }

    #[inline]
    fn template_of(&self, at: usize) -> Option<(&Used, usize)> {
        let which = self.which.get(at).copied().unwrap_or(0) as usize;
        Some((self.used.get(which.checked_sub(1)?)?, self.nth_of(at)))
    }

    fn shared(&self, from: From<'_>) -> Option<&SharedColumns> {
        let rare = self.used.iter().filter(|used| matches!(used.columns, Columns::Shared(_)));
        self.shared.get(from.stored, |input| {
            let visits = rare.flat_map(|used| {
                slots(used.parts(from.dictionary)).flat_map(|kind| std::iter::repeat_n(kind, used.lines as usize))
            });
            SharedColumns::take(input, visits, from.dictionary.values().len())
        })
    }

    #[inline]
    fn put_slot(
        &self,
        used: &Used,
        nth: usize,
        (slot, kind): (usize, Kind),
        timestamp_ns: i64,
        from: From<'_>,
        out: &mut Vec<u8>,
    ) {
        match &used.columns {
            Columns::Own(columns) => {
                let Some(column) = columns.get(slot) else { return };
                if let Some(own) = column.get(from.stored, used.take_own(kind, from.dictionary)) {
                    own.put(kind, nth, timestamp_ns, from.dictionary.values(), out);
                }
            }
            Columns::Shared(first) => {
                let Some(shared) = self.shared(from) else { return };
                match shared.place(first + slot * used.lines as usize + nth) {
                    Place::AsFirst => out.extend_from_slice(from.dictionary.first_token(used.id, slot)),
                    Place::At(place) => shared.put(kind, place, timestamp_ns, from.dictionary.values(), out),
                }
            }
        }
    }

    fn slot_len(&self, used: &Used, nth: usize, (slot, kind): (usize, Kind), from: From<'_>) -> usize {
        match &used.columns {
            Columns::Own(columns) => {
                let own = columns.get(slot).and_then(|c| c.get(from.stored, used.take_own(kind, from.dictionary)));
                own.map_or(0, |own| own.len(kind, nth, from.dictionary.values()))
            }
            Columns::Shared(first) => {
                let Some(shared) = self.shared(from) else { return 0 };
                match shared.place(first + slot * used.lines as usize + nth) {
                    Place::AsFirst => from.dictionary.first_token(used.id, slot).len(),
                    Place::At(place) => shared.len(kind, place, from.dictionary.values()),
                }
            }
        }
    }

    /// Memory held so far, about, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let own = self.used.iter().map(|used| match &used.columns {
            Columns::Own(columns) => {
                columns.iter().map(|c| c.known().map_or(0, Own::memory_bytes) + size_of::<Lazy<Own>>()).sum()
            }
            Columns::Shared(_) => 0,
        });
        self.text.known().map_or(0, Strings::memory_bytes)
            + self.which.capacity() * 8
            + self.used.capacity() * size_of::<Used>()
            + own.sum::<usize>()
            + self.shared.known().map_or(0, SharedColumns::memory_bytes)
    }

    /// Number of lines.
    pub(crate) fn count(&self) -> usize {
        self.count
    }
}

impl Used {
    fn parts(&self, dictionary: &Dictionary) -> &[Part] {
        // Damage would have been found when the dictionary was read.
        self.parts.get_or_init(|| parts(dictionary.text(self.id)).unwrap_or_default())
    }

    fn take_own(&self, kind: Kind, dictionary: &Dictionary) -> impl FnOnce(&mut &[u8]) -> Option<Own> {
        let (lines, values) = (self.lines as usize, dictionary.values().len());
        move |input| Own::take(input, kind, lines, values)
    }
}
