//! The templates of one stream in one segment, shared by all its page groups.
//!
//! ```text
//! dictionary := varint n, n templates as strings, varint m, m first tokens as strings, varint v, v shared values as
//!               strings, m bits "has other values" as bytes, statistics
//! statistics := of lines without template, then of each template: numbers of lines (integers); if there are any
//!               lines: zigzag varint b, first times less b (integers), last times less first (integers)
//! ```
//! Each template comes with the varying tokens of the line that showed it first: constants of the real world
//! (ports, sizes, process ids) recur, and cost one bit where they do. The shared values ([`crate::words`]) are those of
//! words and values; a slot's bit says that some groups hold further ones, which are neither shared nor as seen first.

use crate::columns::{ColumnWriter, Integers, Strings, take_column_bytes, take_integers, take_strings};
use crate::filter::local_hash;
use crate::template::{Kind, Part, Token, parts};
use crate::varint::{put, take, take_count, unzigzag, zigzag};
use crate::words::{ValueWriter, take_values};
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
    lines: LineStatistics,
}

/// How many lines there are, and when.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct LineStatistics {
    /// How many.
    pub(crate) lines: u64,
    /// Earliest timestamp; 0 when there are no lines.
    pub(crate) first_ns: i64,
    /// Latest timestamp; 0 when there are no lines.
    pub(crate) last_ns: i64,
}

impl LineStatistics {
    fn count(&mut self, timestamp_ns: i64) {
        if self.lines == 0 {
            (self.first_ns, self.last_ns) = (timestamp_ns, timestamp_ns);
        }
        self.lines += 1;
        self.first_ns = self.first_ns.min(timestamp_ns);
        self.last_ns = self.last_ns.max(timestamp_ns);
    }
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
    /// Values that all groups share.
    pub(crate) values: ValueWriter,
    /// Per first token a bit: its slot has other values.
    others: Vec<u8>,
    text: LineStatistics,
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
        let entry = Template {
            text: template.into(),
            slots: kinds,
            first_token: self.token_ends.len() as u32,
            lines: LineStatistics::default(),
        };
        for token in tokens {
            self.tokens.extend_from_slice(&line[token.start as usize..token.end as usize]);
            self.token_ends.push(self.tokens.len() as u32);
        }
        self.others.resize(self.token_ends.len().div_ceil(8), 0);
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

    /// Notes that slot `slot` of template `id` has values that are neither shared nor as seen first.
    pub(crate) fn note_others(&mut self, id: u32, slot: usize) {
        let at = self.templates[id as usize].first_token as usize + slot;
        self.others[at / 8] |= 1 << (at % 8);
    }

    /// Counts a line of template `id`; `None`: of text.
    pub(crate) fn count(&mut self, id: Option<u32>, timestamp_ns: i64) {
        let of = id.and_then(|id| self.templates.get_mut(id as usize)).map_or(&mut self.text, |t| &mut t.lines);
        of.count(timestamp_ns);
    }

    /// Memory held, about, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let tokens = self.tokens.capacity() + self.token_ends.capacity() * 4 + self.others.capacity();
        self.bytes + tokens + self.ids.capacity() * 5 + self.values.memory_bytes()
    }

    /// What [`write`](Self::write) would write now, as read.
    pub(crate) fn snapshot(&self) -> Dictionary {
        let mut texts = Strings::new();
        self.templates.iter().for_each(|template| texts.push(&template.text));
        let statistics = std::iter::once(self.text).chain(self.templates.iter().map(|template| template.lines));
        Dictionary {
            texts,
            tokens: Strings::of(self.tokens.clone(), self.token_ends.clone()),
            first_tokens: self.templates.iter().map(|template| template.first_token).collect(),
            values: self.values.snapshot(),
            others: self.others.clone(),
            statistics: statistics.collect(),
        }
    }

    /// Appends the dictionary.
    pub(crate) fn write(&self, columns: &mut ColumnWriter, out: &mut Vec<u8>) {
        put(out, self.templates.len() as u64);
        columns.strings(self.templates.iter().map(|t| &*t.text), out);
        put(out, self.token_ends.len() as u64);
        let starts = std::iter::once(0).chain(self.token_ends.iter().copied());
        let all = starts.zip(&self.token_ends).map(|(start, &end)| &self.tokens[start as usize..end as usize]);
        columns.strings(all, out);
        self.values.write(columns, out);
        columns.bytes(&self.others, out);
        let all: Vec<LineStatistics> =
            std::iter::once(self.text).chain(self.templates.iter().map(|template| template.lines)).collect();
        put_statistics(&all, columns, out);
    }
}

fn put_statistics(all: &[LineStatistics], columns: &mut ColumnWriter, out: &mut Vec<u8>) {
    let counts: Vec<u64> = all.iter().map(|s| s.lines).collect();
    columns.integers(&counts, out);
    let Some(base_ns) = all.iter().filter(|s| s.lines > 0).map(|s| s.first_ns).min() else { return };
    put(out, zigzag(base_ns));
    let of = |s: &LineStatistics, ns: i64| if s.lines == 0 { 0 } else { ns as u64 };
    let firsts: Vec<u64> = all.iter().map(|s| of(s, s.first_ns.wrapping_sub(base_ns))).collect();
    columns.integers(&firsts, out);
    let spans: Vec<u64> = all.iter().map(|s| of(s, s.last_ns.wrapping_sub(s.first_ns))).collect();
    columns.integers(&spans, out);
}

fn take_statistics(input: &mut &[u8], count: usize) -> Option<Vec<LineStatistics>> {
    let counts = take_integers(input, count)?;
    if counts.max() == 0 {
        return Some(vec![LineStatistics::default(); count]);
    }
    let base_ns = unzigzag(take(input)?);
    let (firsts, spans): (Integers, Integers) = (take_integers(input, count)?, take_integers(input, count)?);
    let at = |at: usize| {
        let first_ns = base_ns.wrapping_add(firsts.get(at) as i64);
        let last_ns = first_ns.wrapping_add(spans.get(at) as i64);
        match counts.get(at) {
            0 => LineStatistics::default(),
            lines => LineStatistics { lines, first_ns, last_ns },
        }
    };
    Some((0..count).map(at).collect())
}

/// The templates of one stream, as read.
#[derive(Default, Debug)]
pub(crate) struct Dictionary {
    texts: Strings,
    tokens: Strings,
    /// Where each template's first tokens start.
    first_tokens: Vec<u32>,
    values: Strings,
    others: Vec<u8>,
    /// Of text, then of each template.
    statistics: Vec<LineStatistics>,
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
        let values = take_values(input)?;
        let others = take_column_bytes(input)?;
        let statistics = take_statistics(input, count + 1)?;
        let whole = first_token == token_count && others.len() == token_count.div_ceil(8);
        whole.then_some(Dictionary { texts, tokens, first_tokens, values, others, statistics })
    }

    /// Number of templates.
    pub(crate) fn len(&self) -> usize {
        self.first_tokens.len()
    }

    /// Template `id`; empty past the end.
    pub(crate) fn text(&self, id: usize) -> &[u8] {
        self.texts.get(id)
    }

    /// How many slots template `id` has; `None` past the end.
    pub(crate) fn slot_count(&self, id: usize) -> Option<usize> {
        let first = *self.first_tokens.get(id)?;
        let next = self.first_tokens.get(id + 1).map_or(self.tokens.len(), |&next| next as usize);
        next.checked_sub(first as usize)
    }

    /// The token that slot `slot` of template `id` had first.
    pub(crate) fn first_token(&self, id: usize, slot: usize) -> &[u8] {
        self.first_tokens.get(id).map_or(&[], |&first| self.tokens.get(first as usize + slot))
    }

    /// The values that groups share, and that words refer to.
    pub(crate) fn values(&self) -> &Strings {
        &self.values
    }

    /// Whether slot `slot` of template `id`, of words or values, has values that are neither shared nor as seen first.
    pub(crate) fn has_others(&self, id: usize, slot: usize) -> bool {
        let at = self.first_tokens.get(id).map_or(0, |&first| first as usize + slot);
        self.others.get(at / 8).is_none_or(|bits| bits >> (at % 8) & 1 == 1)
    }

    /// The lines of template `id` in this block.
    pub(crate) fn statistics(&self, id: usize) -> LineStatistics {
        self.statistics.get(id + 1).copied().unwrap_or_default()
    }

    /// The lines of this block that have no template.
    pub(crate) fn text_statistics(&self) -> LineStatistics {
        self.statistics.first().copied().unwrap_or_default()
    }

    /// Memory held, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let statistics = self.statistics.capacity() * size_of::<LineStatistics>();
        let tokens = self.tokens.memory_bytes() + self.first_tokens.capacity() * 4 + self.others.capacity();
        self.texts.memory_bytes() + tokens + self.values.memory_bytes() + statistics
    }
}
