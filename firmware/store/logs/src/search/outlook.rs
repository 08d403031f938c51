//! What a stream's dictionary says of a query's tests: which templates pass, and when their lines were.

use crate::dictionary::Dictionary;
use crate::search::needle::{Needle, Verdict};
use crate::search::selection::Test;
use crate::search::shape::Shapes;
use crate::template::{Kind, Part};

/// What is known of a template's lines.
#[derive(Debug)]
pub(crate) enum Lines {
    /// None passes.
    Never,
    /// All pass.
    Always,
    /// These tests (by number) are undecided, with what [`Verdict`] says of where to look.
    Look(Box<[(u16, Verdict)]>),
}

/// What a stream's dictionary says.
pub(crate) struct Outlook {
    templates: Vec<Lines>,
    /// Times of lines that may pass, ascending and apart.
    spans: Vec<(i64, i64)>,
    /// For each test which shared values contain its text.
    values: Vec<Option<Vec<bool>>>,
}

impl Outlook {
    /// Asks `dictionary` about `tests`.
    pub(crate) fn new<'t>(tests: impl Iterator<Item = &'t Test> + Clone, dictionary: &Dictionary) -> Outlook {
        let values: Vec<Option<Vec<bool>>> = tests
            .clone()
            .map(|test| {
                let (needle, values) = (test.needle()?, dictionary.values());
                Some((0..values.len()).map(|id| needle.is_in(values.get(id))).collect())
            })
            .collect();
        let mut outlook = Outlook { templates: Vec::new(), spans: Vec::new(), values };
        for id in 0..dictionary.len() {
            let lines = dictionary.statistics(id);
            let found = if lines.lines == 0 { Lines::Never } else { outlook.ask(tests.clone(), dictionary, id) };
            if !matches!(found, Lines::Never) {
                outlook.spans.push((lines.first_ns, lines.last_ns));
            }
            outlook.templates.push(found);
        }
        let text = dictionary.text_statistics();
        if text.lines > 0 {
            outlook.spans.push((text.first_ns, text.last_ns));
        }
        outlook.join_spans();
        outlook
    }

    fn ask<'t>(&self, tests: impl Iterator<Item = &'t Test>, dictionary: &Dictionary, id: usize) -> Lines {
        let template = Shapes::new(dictionary.text(id));
        let mut look = Vec::new();
        for (number, test) in tests.enumerate() {
            let mut verdict = test.against(&template);
            if let Verdict::InSlots(slots) = verdict {
                let needle = test.needle();
                verdict = match needle.map_or(slots, |n| self.possible(number, n, slots, &template, dictionary, id)) {
                    0 => Verdict::Never,
                    slots => Verdict::InSlots(slots),
                };
            }
            match (verdict, test.is_negated()) {
                (Verdict::Never, false) | (Verdict::Always, true) => return Lines::Never,
                (Verdict::Never, true) | (Verdict::Always, false) => {}
                (undecided, _) => look.push((number as u16, undecided)),
            }
        }
        if look.is_empty() { Lines::Always } else { Lines::Look(look.into()) }
    }

    /// Which of `slots` can hold the text of test `number`: not those whose values are all known and do not contain it.
    fn possible(
        &self,
        number: usize,
        needle: &Needle,
        slots: u64,
        template: &Shapes<'_>,
        dictionary: &Dictionary,
        id: usize,
    ) -> u64 {
        let Some(Some(values)) = self.values.get(number) else { return slots };
        if values.contains(&true) {
            return slots;
        }
        let kinds =
            template.parts().iter().filter_map(|part| if let Part::Slot(kind) = part { Some(*kind) } else { None });
        let words = kinds.enumerate().take(64).filter(|(_, kind)| matches!(kind, Kind::Text | Kind::Value));
        // A slot with few lines in a group says "as seen first" of a value that need not be shared.
        let known = words
            .filter(|&(slot, _)| !dictionary.has_others(id, slot) && !needle.is_in(dictionary.first_token(id, slot)));
        known.fold(slots, |slots, (slot, _)| slots & !(1 << slot))
    }

    fn join_spans(&mut self) {
        self.spans.sort_unstable();
        let mut joined: Vec<(i64, i64)> = Vec::new();
        for &(first, last) in &self.spans {
            match joined.last_mut() {
                Some(before) if first <= before.1 => before.1 = before.1.max(last),
                _ => joined.push((first, last)),
            }
        }
        joined.shrink_to_fit();
        self.spans = joined;
    }

    /// Whether no line at all passes.
    pub(crate) fn is_never(&self) -> bool {
        self.spans.is_empty()
    }

    /// Whether lines in these times (inclusive) may pass.
    pub(crate) fn meets(&self, (first_ns, last_ns): (i64, i64)) -> bool {
        let at = self.spans.partition_point(|span| span.1 < first_ns);
        self.spans.get(at).is_some_and(|span| span.0 <= last_ns)
    }

    /// What is known of template `id`'s lines.
    pub(crate) fn template(&self, id: usize) -> &Lines {
        self.templates.get(id).unwrap_or(&Lines::Never)
    }

    /// Which shared values contain the text of test `number`.
    pub(crate) fn values(&self, number: usize) -> &[bool] {
        self.values.get(number).and_then(Option::as_deref).unwrap_or_default()
    }

    /// Memory held, about, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let look =
            |lines: &Lines| if let Lines::Look(tests) = lines { tests.len() * size_of::<(u16, Verdict)>() } else { 0 };
        let values: usize = self.values.iter().flatten().map(Vec::capacity).sum();
        self.templates.capacity() * size_of::<Lines>()
            + self.templates.iter().map(look).sum::<usize>()
            + self.spans.capacity() * size_of::<(i64, i64)>()
            + values
    }
}
