//! Names of services and peers, each kept once.

use bramble_runtime::Reservation;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// A text of [`Texts`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub(crate) struct TextId(pub(crate) u32);

/// What stands for texts that found no room.
pub(crate) const OTHER: TextId = TextId(0);

/// The empty text.
pub(crate) const NONE: TextId = TextId(1);

/// Longest text kept, bytes; longer ones are cut.
pub(crate) const TEXT_BYTES_MAX: usize = 256;

/// What a text costs beside its bytes: entry, table, allocation.
const ENTRY_BYTES: usize = 64;

struct Entry {
    text: Box<str>,
    used: bool,
}

/// Texts by number. Those not in use are forgotten by [`sweep`](Self::sweep).
pub(crate) struct Texts {
    table: HashTable<u32>,
    entries: Vec<Entry>,
    free: Vec<u32>,
    most: usize,
    space: Reservation,
}

fn hash(text: &str) -> u64 {
    FixedState::default().hash_one(text)
}

/// At most `bytes_max` bytes of `text`, cut between characters.
pub(crate) fn cut(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max {
        return text;
    }
    let mut end = bytes_max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

impl Texts {
    /// At most `most` texts, counted in `space`.
    pub(crate) fn new(most: usize, space: Reservation) -> Self {
        let fixed = ["other", ""].map(|text| Entry { text: text.into(), used: true });
        let mut table = HashTable::new();
        for (id, entry) in (0u32..).zip(&fixed) {
            table.insert_unique(hash(&entry.text), id, |_| unreachable!("two fit"));
        }
        Texts { table, entries: Vec::from(fixed), free: Vec::new(), most, space }
    }

    /// The number of `text`; [`OTHER`] when there is no room for it.
    pub(crate) fn id(&mut self, text: &str) -> TextId {
        let text = cut(text, TEXT_BYTES_MAX);
        let hashed = hash(text);
        let entries = &self.entries;
        if let Some(&id) = self.table.find(hashed, |&id| &*entries[id as usize].text == text) {
            return TextId(id);
        }
        if self.len() >= self.most || self.space.grow(ENTRY_BYTES + text.len()).is_err() {
            return OTHER;
        }
        let entry = Entry { text: text.into(), used: true };
        let id = match self.free.pop() {
            Some(id) => {
                self.entries[id as usize] = entry;
                id
            }
            None => {
                self.entries.push(entry);
                (self.entries.len() - 1) as u32
            }
        };
        let entries = &self.entries;
        self.table.insert_unique(hashed, id, |&id| hash(&entries[id as usize].text));
        TextId(id)
    }

    /// A text by its number.
    pub(crate) fn get(&self, id: TextId) -> &str {
        self.entries.get(id.0 as usize).map_or("", |entry| &entry.text)
    }

    /// Texts kept.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether so many are kept that a sweep may be worth its time.
    pub(crate) fn is_crowded(&self) -> bool {
        self.len() > self.most / 2
    }

    /// Forgets all but those that `mark` names.
    pub(crate) fn sweep(&mut self, mark: impl FnOnce(&mut dyn FnMut(TextId))) {
        self.entries.iter_mut().skip(2).for_each(|entry| entry.used = false);
        let entries = &mut self.entries;
        mark(&mut |id| {
            if let Some(entry) = entries.get_mut(id.0 as usize) {
                entry.used = true;
            }
        });
        let (entries, free) = (&mut self.entries, &mut self.free);
        let mut freed_bytes = 0;
        self.table.retain(|&mut id| {
            let entry = &mut entries[id as usize];
            if !entry.used {
                freed_bytes += ENTRY_BYTES + entry.text.len();
                entry.text = "".into();
                free.push(id);
            }
            entry.used
        });
        drop(self.space.split(freed_bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_runtime::{Budget, BudgetName};

    #[test]
    fn texts_are_kept_once_and_forgotten_when_unused() {
        let budget = Budget::standalone(BudgetName::Derived, 1 << 20);
        let mut texts = Texts::new(4, budget.reserve(0).unwrap());
        let (a, b) = (texts.id("a"), texts.id("b"));
        assert_eq!((texts.id("a"), texts.id("")), (a, NONE));
        assert_eq!(texts.get(b), "b");
        assert_eq!(texts.id("c"), OTHER, "full");
        texts.sweep(|mark| mark(b));
        assert_eq!((texts.len(), texts.get(b)), (3, "b"));
        let c = texts.id("c");
        assert_eq!((texts.get(c), texts.get(OTHER), texts.get(NONE)), ("c", "other", ""));
        texts.sweep(|_| {});
        assert_eq!((texts.len(), budget.used_bytes()), (2, 0));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(cut("aßb", 2), "a");
        assert_eq!(cut("aßb", 3), "aß");
    }
}
