//! Origins, names, lines and ids, each kept once for as long as an item has it.

use bramble_runtime::Reservation;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::{BuildHasher, Hasher};

/// A text of [`Texts`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, PartialOrd, Ord)]
pub(crate) struct Text(u32);

impl Text {
    /// The empty text; it also stands for those that found no room.
    pub(crate) const NONE: Text = Text(0);
}

/// What a text costs beside its bytes: its entry, its place in the table, the allocator's head.
const ENTRY_BYTES: usize = size_of::<Entry>() + 8 + 16;

struct Entry {
    bytes: Box<[u8]>,
    hash: u64,
    uses: u32,
    /// Number of the request whose id this is, for whoever keeps those.
    request: u32,
}

/// Texts with a count of their uses.
pub(crate) struct Texts {
    table: HashTable<u32>,
    entries: Vec<Entry>,
    free: Vec<u32>,
    bytes: usize,
    bytes_max: usize,
    space: Reservation,
}

/// The same in every process.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = FixedState::default().build_hasher();
    hasher.write(bytes);
    hasher.finish()
}

impl Texts {
    /// Of at most so many bytes, with all that they cost; counted in `space`.
    pub(crate) fn new(bytes_max: usize, space: Reservation) -> Self {
        let none = Entry { bytes: Box::default(), hash: hash(b""), uses: 1, request: super::slab::NIL };
        Texts { table: HashTable::new(), entries: vec![none], free: Vec::new(), bytes: 0, bytes_max, space }
    }

    /// The text of these bytes, used once more.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Text {
        if bytes.is_empty() {
            return Text::NONE;
        }
        let hashed = hash(bytes);
        let entries = &self.entries;
        if let Some(&at) = self.table.find(hashed, |&at| is(&entries[at as usize], hashed, bytes)) {
            self.entries[at as usize].uses += 1;
            return Text(at);
        }
        self.add(bytes, hashed)
    }

    #[cold]
    fn add(&mut self, bytes: &[u8], hashed: u64) -> Text {
        let cost = ENTRY_BYTES + bytes.len();
        if self.bytes + cost > self.bytes_max || self.entries.len() >= u32::MAX as usize {
            return Text::NONE;
        }
        if self.bytes + cost > self.space.bytes() && self.space.grow(cost.max(16 << 10)).is_err() {
            return Text::NONE;
        }
        self.bytes += cost;
        let entry = Entry { bytes: bytes.into(), hash: hashed, uses: 1, request: super::slab::NIL };
        let at = match self.free.pop() {
            Some(at) => {
                self.entries[at as usize] = entry;
                at
            }
            None => {
                self.entries.push(entry);
                self.entries.len() as u32 - 1
            }
        };
        let entries = &self.entries;
        self.table.insert_unique(hashed, at, |&at| entries[at as usize].hash);
        Text(at)
    }

    /// Uses a text once more.
    pub(crate) fn keep(&mut self, text: Text) -> Text {
        if text != Text::NONE {
            self.entries[text.0 as usize].uses += 1;
        }
        text
    }

    /// Ends a use.
    pub(crate) fn release(&mut self, text: Text) {
        if text == Text::NONE {
            return;
        }
        let entry = &mut self.entries[text.0 as usize];
        entry.uses -= 1;
        if entry.uses == 0 {
            let bytes = std::mem::take(&mut entry.bytes);
            if let Ok(found) = self.table.find_entry(entry.hash, |&at| at == text.0) {
                found.remove();
            }
            self.bytes -= ENTRY_BYTES + bytes.len();
            self.free.push(text.0);
        }
    }

    pub(crate) fn get(&self, text: Text) -> &[u8] {
        &self.entries[text.0 as usize].bytes
    }

    /// Equal for equal texts, in every process.
    pub(crate) fn hash(&self, text: Text) -> u64 {
        self.entries[text.0 as usize].hash
    }

    pub(crate) fn request(&self, text: Text) -> u32 {
        self.entries[text.0 as usize].request
    }

    pub(crate) fn set_request(&mut self, text: Text, request: u32) {
        self.entries[text.0 as usize].request = request;
    }

    /// Whether it is nearly full.
    pub(crate) fn is_crowded(&self) -> bool {
        self.bytes > self.bytes_max - self.bytes_max / 8
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }
}

fn is(entry: &Entry, hashed: u64, bytes: &[u8]) -> bool {
    entry.hash == hashed && *entry.bytes == *bytes
}

/// At most `bytes_max` bytes of a text, cut between characters.
pub(crate) fn cut(text: &[u8], bytes_max: usize) -> &[u8] {
    if text.len() <= bytes_max {
        return text;
    }
    let mut end = bytes_max;
    // A continuation byte is part of the character before it; no character has more than three.
    while end > bytes_max.saturating_sub(4) && text[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_runtime::{Budget, BudgetName};

    #[test]
    fn a_text_is_kept_once_while_it_is_used() {
        let budget = Budget::standalone(BudgetName::Correlate, 1 << 20);
        let mut texts = Texts::new(1000, budget.reserve(0).unwrap());
        let (a, b) = (texts.take(b"beorn"), texts.take(b"arda"));
        assert_eq!(texts.take(b"beorn"), a);
        assert_ne!(a, b);
        texts.release(a);
        assert_eq!(texts.get(a), b"beorn");
        texts.release(a);
        assert_eq!((texts.len(), texts.take(b"")), (1, Text::NONE));
        assert_eq!(texts.get(texts.table.iter().next().map(|&at| Text(at)).unwrap()), b"arda");
        let many: Vec<Text> = (0..100u32).map(|n| texts.take(&n.to_le_bytes())).collect();
        assert!(many.contains(&Text::NONE), "what finds no room is empty");
        many.into_iter().for_each(|text| texts.release(text));
        assert_eq!(texts.len(), 1);
    }

    #[test]
    fn a_cut_text_ends_with_a_whole_character() {
        assert_eq!(cut("añb".as_bytes(), 2), b"a");
        assert_eq!(cut("añb".as_bytes(), 3), "añ".as_bytes());
        assert_eq!(cut(&[0x80; 10], 8).len(), 4, "what is no text is cut somewhere");
    }
}
