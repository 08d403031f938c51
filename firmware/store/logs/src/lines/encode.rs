//! Writing the line column.

use crate::columns::ColumnWriter;
use crate::dictionary::DictionaryWriter;
use crate::filter::FilterBuilder;
use crate::rows::Rows;
use crate::template::{Id, Kind, Token, digits_of, number, pack_hex, pack_uuid, split_with_ids, time_distance};
use crate::varint::{put, put_bytes};
use bramble_signal::LabelsRef;

use crate::words::ValueWriter;

use super::{OWN_FROM, TEMPLATES, TEXT};

/// Splits and encodes lines; keeps its working memory.
#[derive(Default)]
pub(crate) struct LineEncoder {
    tokens: Vec<Token>,
    /// End of each line's tokens in `tokens`.
    token_ends: Vec<u32>,
    template: Vec<u8>,
    line_tokens: Vec<Token>,
    /// Template of each line in the dictionary, `None` for text.
    ids: Vec<Option<u32>>,
    /// Per line which of the templates used it has, plus one; 0 for text.
    which: Vec<u64>,
    /// Number of templates used.
    used: usize,
    /// Ids of each line that has a template, and where those of each line end.
    line_ids: Vec<Id>,
    found_ids: Vec<Id>,
    found_ends: Vec<u32>,
    /// What everything written so far took.
    pub(crate) took: LineBytes,
}

/// What the parts of a line column take, in bytes.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct LineBytes {
    /// Which line has which template.
    pub(crate) which: usize,
    /// Lines without template.
    pub(crate) text: usize,
    /// Own columns of numbers.
    pub(crate) numbers: usize,
    /// Own columns of hexadecimal digits and UUIDs.
    pub(crate) hex: usize,
    /// Own columns of words.
    pub(crate) words: usize,
    /// Own columns of values.
    pub(crate) values: usize,
    /// Own columns of times.
    pub(crate) times: usize,
    /// Columns that templates of few lines share.
    pub(crate) shared: usize,
}

impl LineBytes {
    fn of(&mut self, kind: Kind) -> &mut usize {
        match kind {
            Kind::Number => &mut self.numbers,
            Kind::HexLower(_) | Kind::HexUpper(_) | Kind::Uuid => &mut self.hex,
            Kind::Text => &mut self.words,
            Kind::Value => &mut self.values,
            Kind::Time(_) | Kind::Clock => &mut self.times,
        }
    }
}

/// Bytes of values that share columns.
#[derive(Default)]
struct Shared<'a> {
    same: Vec<u8>,
    count: usize,
    numbers: Vec<&'a [u8]>,
    hex: Vec<u8>,
    words: Vec<&'a [u8]>,
    /// Template and slot of each of `words`.
    word_slots: Vec<(u32, usize)>,
    uuids: Vec<u8>,
    times: Vec<u64>,
}

impl<'a> Shared<'a> {
    fn push(&mut self, (id, slot): (u32, usize), kind: Kind, text: &'a [u8], first: &[u8], timestamp_ns: i64) {
        if let Kind::Time(_) | Kind::Clock = kind {
            self.times.push(time_distance(kind, text, timestamp_ns));
            return;
        }
        let same = text == first;
        if self.count.is_multiple_of(8) {
            self.same.push(0);
        }
        if let Some(last) = self.same.last_mut() {
            *last |= u8::from(same) << (self.count % 8);
        }
        self.count += 1;
        if same {
            return;
        }
        match kind {
            Kind::Number => self.numbers.push(text),
            Kind::HexLower(_) | Kind::HexUpper(_) => pack_hex(text, &mut self.hex),
            Kind::Uuid => pack_uuid(text, &mut self.uuids),
            _ => {
                self.words.push(text);
                self.word_slots.push((id, slot));
            }
        }
    }

    fn write(&self, dictionary: &mut DictionaryWriter, columns: &mut ColumnWriter, out: &mut Vec<u8>) {
        columns.bytes(&self.same, out);
        put(out, self.numbers.len() as u64);
        put_numbers(columns, &self.numbers, out);
        columns.bytes(&self.hex, out);
        put(out, self.words.len() as u64);
        if !columns.words(&self.words, Some(&mut dictionary.values), out) {
            // Few words of rare templates are equal to each other, but many to values of the frequent ones.
            for (word, &(id, slot)) in self.words.iter().zip(&self.word_slots) {
                if !dictionary.values.has(word) {
                    dictionary.note_others(id, slot);
                }
            }
        }
        columns.bytes(&self.uuids, out);
        put(out, self.times.len() as u64);
        columns.integers(&self.times, out);
    }
}

fn put_numbers(columns: &mut ColumnWriter, texts: &[&[u8]], out: &mut Vec<u8>) {
    if texts.is_empty() {
        return;
    }
    let values: Vec<u64> = texts.iter().map(|t| number(t)).collect();
    columns.integers(&values, out);
    let zeros: Vec<u64> = texts.iter().zip(&values).map(|(t, &v)| (t.len() - digits_of(v)) as u64).collect();
    let width = texts[0].len();
    if zeros.iter().all(|&z| z == 0) {
        out.push(0);
    } else if texts.iter().all(|t| t.len() == width) {
        out.extend([1, width as u8]);
    } else {
        out.push(2);
        columns.integers(&zeros, out);
    }
}

impl LineEncoder {
    /// Appends the lines of `rows`, whose templates go to `dictionary`.
    pub(crate) fn write(
        &mut self,
        rows: &Rows,
        dictionary: &mut DictionaryWriter,
        columns: &mut ColumnWriter,
        out: &mut Vec<u8>,
    ) {
        self.split(rows, dictionary);
        self.write_split(rows, dictionary, columns, out);
    }

    /// Appends the lines of `rows` as they are.
    pub(crate) fn write_text(&mut self, rows: &Rows, columns: &mut ColumnWriter, out: &mut Vec<u8>) {
        self.tokens.clear();
        self.token_ends.clear();
        self.token_ends.resize(rows.len(), 0);
        self.ids.clear();
        self.ids.resize(rows.len(), None);
        self.put_text(rows, columns, out);
    }

    fn put_text(&mut self, rows: &Rows, columns: &mut ColumnWriter, out: &mut Vec<u8>) {
        self.which.clear();
        self.which.resize(rows.len(), 0);
        self.used = 0;
        out.push(TEXT);
        columns.strings((0..rows.len()).map(|at| rows.line(at)), out);
        self.took.text += out.len();
    }

    /// Counts the lines written last.
    pub(crate) fn count(&self, rows: &Rows, dictionary: &mut DictionaryWriter) {
        self.ids.iter().zip(rows.timestamps_ns()).for_each(|(id, &timestamp_ns)| dictionary.count(*id, timestamp_ns));
    }

    /// Adds the ids of the entries written last to a filter: splitting has seen those of lines already.
    pub(crate) fn add_ids(&self, rows: &Rows, filter: &mut FilterBuilder) {
        let mut from = 0;
        for (at, (template, &end)) in self.ids.iter().zip(&self.found_ends).enumerate() {
            let line = rows.line(at);
            match template {
                Some(_) => self.found_ids[from..end as usize].iter().for_each(|&id| filter.add_id(line, id)),
                None => _ = filter.add(line),
            }
            from = end as usize;
            // Behind the line, whose ids metadata mostly has too.
            filter.add_metadata(LabelsRef::from_encoded(rows.metadata(at)));
        }
    }

    fn write_split(
        &mut self,
        rows: &Rows,
        dictionary: &mut DictionaryWriter,
        columns: &mut ColumnWriter,
        out: &mut Vec<u8>,
    ) {
        if self.ids.iter().all(Option::is_none) {
            self.put_text(rows, columns, out);
            return;
        }
        out.push(TEMPLATES);
        let groups = self.put_templates(rows, columns, out);
        let mut shared = Shared::default();
        let mut own = Vec::new();
        for (id, lines) in &groups {
            for slot in 0..dictionary.template(*id).slots.len() {
                let kind = dictionary.template(*id).slots[slot];
                let texts = lines
                    .iter()
                    .map(|&at| (self.token_text(rows, at as usize, slot), rows.timestamps_ns()[at as usize]));
                if lines.len() >= OWN_FROM {
                    own.clear();
                    if !put_own(columns, kind, texts, &mut dictionary.values, &mut own) {
                        dictionary.note_others(*id, slot);
                    }
                    put_bytes(out, &own);
                    *self.took.of(kind) += own.len() + 1;
                } else {
                    let first = dictionary.first_token(*id, slot);
                    texts.for_each(|(text, timestamp_ns)| shared.push((*id, slot), kind, text, first, timestamp_ns));
                }
            }
        }
        let before = out.len();
        shared.write(dictionary, columns, out);
        self.took.shared += out.len() - before;
    }

    fn split(&mut self, rows: &Rows, dictionary: &mut DictionaryWriter) {
        self.tokens.clear();
        self.token_ends.clear();
        self.ids.clear();
        self.found_ids.clear();
        self.found_ends.clear();
        for at in 0..rows.len() {
            let line = rows.line(at);
            let id = match split_with_ids(line, &mut self.template, &mut self.line_tokens, &mut self.line_ids) {
                true => dictionary.intern(&self.template, line, &self.line_tokens),
                false => None,
            };
            if id.is_some() {
                self.tokens.extend_from_slice(&self.line_tokens);
                self.found_ids.extend_from_slice(&self.line_ids);
            }
            self.found_ends.push(self.found_ids.len() as u32);
            self.token_ends.push(self.tokens.len() as u32);
            self.ids.push(id);
        }
    }

    /// The varying tokens of line `at` of the rows written last; none for text.
    pub(crate) fn tokens(&self, at: usize) -> &[Token] {
        let start = if at == 0 { 0 } else { self.token_ends[at - 1] as usize };
        &self.tokens[start..self.token_ends[at] as usize]
    }

    /// Number of templates that the rows written last have.
    pub(crate) fn template_count(&self) -> usize {
        self.used
    }

    /// Which of them line `at` has, plus one; 0 for text.
    pub(crate) fn which(&self, at: usize) -> usize {
        self.which[at] as usize
    }

    fn token_text<'a>(&self, rows: &'a Rows, at: usize, slot: usize) -> &'a [u8] {
        let token = self.tokens(at)[slot];
        &rows.line(at)[token.start as usize..token.end as usize]
    }

    /// Writes which line has which template, and text lines; returns the lines of each template, in the order of
    /// the list that was written.
    fn put_templates(&mut self, rows: &Rows, columns: &mut ColumnWriter, out: &mut Vec<u8>) -> Vec<(u32, Vec<u32>)> {
        let mut used: Vec<u32> = self.ids.iter().flatten().copied().collect();
        used.sort_unstable();
        used.dedup();
        let mut groups: Vec<(u32, Vec<u32>)> = used.iter().map(|&id| (id, Vec::new())).collect();
        self.used = used.len();
        self.which.clear();
        for (at, id) in self.ids.iter().enumerate() {
            let local = id.and_then(|id| used.binary_search(&id).ok());
            if let Some(local) = local {
                groups[local].1.push(at as u32);
            }
            self.which.push(local.map_or(0, |local| local as u64 + 1));
        }
        put(out, used.len() as u64);
        // Ascending, so differences are small.
        let steps: Vec<u64> =
            used.iter().scan(0, |last, &id| Some(u64::from(id - std::mem::replace(last, id)))).collect();
        columns.integers(&steps, out);
        columns.integers(&self.which, out);
        let text = (0..rows.len()).filter(|&at| self.ids[at].is_none()).map(|at| rows.line(at));
        self.took.which += out.len();
        let mut strings = Vec::new();
        columns.strings(text, &mut strings);
        put_bytes(out, &strings);
        self.took.text += strings.len();
        groups
    }
}

/// Returns whether all words and values are among the shared ones; true for other kinds.
fn put_own<'a>(
    columns: &mut ColumnWriter,
    kind: Kind,
    texts: impl Iterator<Item = (&'a [u8], i64)>,
    values: &mut ValueWriter,
    out: &mut Vec<u8>,
) -> bool {
    match kind {
        Kind::Number => {
            let texts: Vec<&[u8]> = texts.map(|(text, _)| text).collect();
            put_numbers(columns, &texts, out);
        }
        Kind::HexLower(_) | Kind::HexUpper(_) => {
            let mut packed = Vec::new();
            texts.for_each(|(text, _)| pack_hex(text, &mut packed));
            columns.bytes(&packed, out);
        }
        Kind::Uuid => {
            let mut packed = Vec::new();
            texts.for_each(|(text, _)| pack_uuid(text, &mut packed));
            columns.bytes(&packed, out);
        }
        Kind::Text | Kind::Value => {
            let texts: Vec<&[u8]> = texts.map(|(text, _)| text).collect();
            return columns.words(&texts, Some(values), out);
        }
        Kind::Time(_) | Kind::Clock => {
            let distances: Vec<u64> =
                texts.map(|(text, timestamp_ns)| time_distance(kind, text, timestamp_ns)).collect();
            columns.integers(&distances, out);
        }
    }
    true
}
