//! The templates of one stream in one segment, shared by all its page groups.
//!
//! ```text
//! dictionary := varint n, n templates as strings, varint m, m first tokens as strings
//! ```
//! Each template comes with the varying tokens of the line that showed it first: constants of the real world
//! (ports, sizes, process ids) recur, and cost one bit where they do.

use crate::columns::{ColumnWriter, Strings, take_strings};
use crate::filter::local_hash;
use crate::template::{Kind, Part, Token, parts};
use crate::varint::{put, take_count};
use hashbrown::HashTable;

/// Most templates of one stream in one segment; further lines are kept as text.
const TEMPLATES_MAX: usize = 20_000;
/// Most bytes of templates and first tokens of one stream in one segment.
const TEMPLATE_BYTES_MAX: usize = 2 << 20;

/// One template while groups are written.
#[derive(Debug)]
pub(crate) struct Template {
    /// The line with marks.
    pub(crate) text: Box<[u8]>,
    /// Its slots' kinds in order.
    pub(crate) slots: Box<[Kind]>,
    /// Where its first tokens start in the list of all.
    first_token: u32,
}

/// The kinds of a template's slots, in order; `None` when it is damaged.
pub(crate) fn slots(parts: &[Part]) -> impl Iterator<Item = Kind> {
    parts.iter().filter_map(|part| match part {
        Part::Slot(kind) => Some(*kind),
        Part::Literal(..) => None,
    })
}

/// Collects templates while groups are written.
#[derive(Default)]
pub(crate) struct DictionaryWriter {
    templates: Vec<Template>,
    ids: HashTable<u32>,
    tokens: Vec<u8>,
    token_ends: Vec<u32>,
    bytes: usize,
}

impl DictionaryWriter {
    /// The id of a template, entered with the tokens of `line` if it is new; `None` when the dictionary is full.
    pub(crate) fn intern(&mut self, template: &[u8], line: &[u8], tokens: &[Token]) -> Option<u32> {
        let hash = local_hash(template, 1);
        if let Some(&id) = self.ids.find(hash, |&id| *self.templates[id as usize].text == *template) {
            return Some(id);
        }
        if self.templates.len() >= TEMPLATES_MAX || self.bytes > TEMPLATE_BYTES_MAX {
            return None;
        }
        let kinds = tokens.iter().map(|token| token.kind).collect();
        let entry = Template { text: template.into(), slots: kinds, first_token: self.token_ends.len() as u32 };
        for token in tokens {
            self.tokens.extend_from_slice(&line[token.start as usize..token.end as usize]);
            self.token_ends.push(self.tokens.len() as u32);
        }
        self.bytes += size_of::<Template>() + entry.text.len() + entry.slots.len() * 2;
        let id = self.templates.len() as u32;
        self.templates.push(entry);
        self.ids.insert_unique(hash, id, |&id| local_hash(&self.templates[id as usize].text, 1));
        Some(id)
    }

    /// Template `id`, which [`intern`](Self::intern) gave.
    pub(crate) fn template(&self, id: u32) -> &Template {
        &self.templates[id as usize]
    }

    /// The token that slot `slot` of template `id` had first.
    pub(crate) fn first_token(&self, id: u32, slot: usize) -> &[u8] {
        let at = self.templates[id as usize].first_token as usize + slot;
        let start = if at == 0 { 0 } else { self.token_ends[at - 1] as usize };
        &self.tokens[start..self.token_ends[at] as usize]
    }

    /// Whether no line was split yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.templates.is_empty()
    }

    /// Memory held, about, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.bytes + self.tokens.capacity() + self.token_ends.capacity() * 4 + self.ids.capacity() * 5
    }

    /// Appends the dictionary.
    pub(crate) fn write(&self, columns: &mut ColumnWriter, out: &mut Vec<u8>) {
        put(out, self.templates.len() as u64);
        columns.strings(self.templates.iter().map(|t| &*t.text), out);
        put(out, self.token_ends.len() as u64);
        let starts = std::iter::once(0).chain(self.token_ends.iter().copied());
        let all = starts.zip(&self.token_ends).map(|(start, &end)| &self.tokens[start as usize..end as usize]);
        columns.strings(all, out);
    }
}

/// The templates of one stream, as read.
#[derive(Default, Debug)]
pub(crate) struct Dictionary {
    texts: Strings,
    tokens: Strings,
    /// Where each template's first tokens start.
    first_tokens: Vec<u32>,
}

impl Dictionary {
    /// Reads a dictionary; `None` when it is damaged.
    pub(crate) fn read(mut input: &[u8]) -> Option<Dictionary> {
        let input = &mut input;
        let count = take_count(input, TEMPLATES_MAX)?;
        let texts = take_strings(input, count)?;
        let token_count = take_count(input, TEMPLATE_BYTES_MAX * 4)?;
        let tokens = take_strings(input, token_count)?;
        let (mut first_tokens, mut first_token) = (Vec::with_capacity(count), 0usize);
        for at in 0..count {
            first_tokens.push(u32::try_from(first_token).ok()?);
            first_token += slots(&parts(texts.get(at))?).count();
        }
        (first_token == token_count).then_some(Dictionary { texts, tokens, first_tokens })
    }

    /// Number of templates.
    pub(crate) fn len(&self) -> usize {
        self.first_tokens.len()
    }

    /// Template `id`; empty past the end.
    pub(crate) fn text(&self, id: usize) -> &[u8] {
        self.texts.get(id)
    }

    /// The token that slot `slot` of template `id` had first.
    pub(crate) fn first_token(&self, id: usize, slot: usize) -> &[u8] {
        self.first_tokens.get(id).map_or(&[], |&first| self.tokens.get(first as usize + slot))
    }

    /// Memory held, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.texts.memory_bytes() + self.tokens.memory_bytes() + self.first_tokens.capacity() * 4
    }
}
