//! Log records.
//!
//! Body: number of entries; then columns, the length of each but the last before it: streams (of each run of entries the
//! reference in this epoch, behind a new one the labels as difference to the definition before, and the run's length);
//! skeletons that are new in this epoch (length, bytes); texts (length, bytes); ids (two digits a
//! byte); entries that go in as they are (length of
//! the line, length of the metadata, both); and last what one range coder wrote.
//!
//! An entry is cut into a skeleton and what varies in it ([`tokens`]); the coder has, for each run, the unit of
//! its timestamps and, for each entry, the timestamp ([`times`]), the number of its skeleton ([`templates`]) and each
//! variable by its slot ([`slots`]).
//!
//! Version 0 is only read: [`version_0`].

mod clock;
mod cut_texts;
mod digits;
mod slots;
mod streams;
mod templates;
#[cfg(test)]
mod tests;
mod times;
mod tokens;
mod values;
mod version_0;

use super::bytes::{Reader, put_bytes, put_varint};
use super::range_coder::{RangeDecoder, RangeEncoder};
use super::{LOGS, RECORD_HEAD_BYTES_MAX, RecordError};
use bramble_signal::{LabelsRef, LogBatch, LogEntry};
use bramble_storage::{LogSink, Sequence};
use clock::Clock;
pub(super) use cut_texts::{CutTexts, TextColumns, TextReaders};
use hashbrown::HashMap;
use streams::{StreamDictionary, StreamTexts};
use templates::{NO_TEMPLATE, Templates};
use times::Times;
use tokens::{LINE_END, MARK, NAME_END, RESERVED_MIN, Tokens, VALUE_END, VARIABLES_MAX};
use values::{SideColumns, Values};

/// Entries with more bytes go in as they are.
const CUT_BYTES_MAX: usize = 8 << 10;
/// Entries after which a record ends: those that say nothing new take next to no bytes, and a reader must know how many
/// to expect at most.
const RECORD_ENTRIES_MAX: usize = 64 << 10;
/// More than any record's lines and metadata are.
const RECORD_TEXT_BYTES_MAX: usize = 8 << 20;

/// What both sides remember of an epoch.
#[derive(Default)]
struct Model {
    templates: Templates,
    values: Values,
    times: Times,
    clock: Clock,
}

impl Model {
    fn memory_bytes(&self) -> usize {
        self.templates.memory_bytes() + self.values.memory_bytes() + self.times.memory_bytes()
    }
}

/// What the writing side remembers of an epoch.
#[derive(Default)]
pub(super) struct Dictionary {
    streams: StreamDictionary,
    /// Templates by their skeletons.
    known: HashMap<Box<[u8]>, u32>,
    model: Model,
    scratch: Scratch,
    /// Bytes that a KiB of lines and metadata took in the last record.
    taken_of_kib: usize,
}

#[derive(Default)]
struct Scratch {
    tokens: Tokens,
    columns: Columns,
}

#[derive(Default)]
struct Columns {
    streams: Vec<u8>,
    skeletons: Vec<u8>,
    side: SideColumns,
    whole: Vec<u8>,
    coded: RangeEncoder,
}

impl Columns {
    fn clear(&mut self) {
        let SideColumns { ids, texts } = &mut self.side;
        [&mut self.streams, &mut self.skeletons, ids, texts, &mut self.whole].into_iter().for_each(Vec::clear);
        self.coded.clear();
    }

    /// All but what the coder writes, in their order in the record.
    fn all(&self) -> [&Vec<u8>; 5] {
        [&self.streams, &self.skeletons, &self.side.texts, &self.side.ids, &self.whole]
    }

    fn len(&self) -> usize {
        self.all().into_iter().map(Vec::len).sum::<usize>() + self.coded.len()
    }

    fn memory_bytes(&self) -> usize {
        self.all().into_iter().map(Vec::capacity).sum::<usize>() + self.coded.memory_bytes()
    }

    fn put_whole(&mut self, entry: &LogEntry<'_>) {
        put_varint(&mut self.whole, entry.line.len() as u64);
        put_varint(&mut self.whole, entry.metadata.as_bytes().len() as u64);
        self.whole.extend_from_slice(entry.line);
        self.whole.extend_from_slice(entry.metadata.as_bytes());
    }

    fn finish(&mut self, entries: usize, out: &mut Vec<u8>) {
        out.push(LOGS);
        put_varint(out, entries as u64);
        for column in self.all() {
            put_bytes(out, column);
        }
        out.extend_from_slice(self.coded.finish());
    }
}

impl Dictionary {
    pub(super) fn clear(&mut self) {
        self.streams.clear();
        self.known.clear();
        self.model = Model::default();
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let known = self.model.templates.skeleton_bytes() + self.known.capacity() * 32;
        let scratch = self.scratch.tokens.memory_bytes() + self.scratch.columns.memory_bytes();
        self.streams.memory_bytes() + known + self.model.memory_bytes() + scratch
    }

    /// What the records of a batch are likely to take: as the last one did, and a quarter more. `memory_bytes`: what the
    /// batch takes in memory.
    pub(super) fn bytes_likely(&self, memory_bytes: usize) -> usize {
        let kib = if self.taken_of_kib == 0 { 1 << 10 } else { self.taken_of_kib + self.taken_of_kib / 4 };
        RECORD_HEAD_BYTES_MAX + (memory_bytes >> 10).saturating_mul(kib)
    }

    pub(super) fn encode(
        &mut self,
        batch: &LogBatch,
        from: usize,
        soft_max_bytes: usize,
        out: &mut Vec<u8>,
    ) -> Option<usize> {
        let Scratch { mut tokens, mut columns } = std::mem::take(&mut self.scratch);
        columns.clear();
        let (mut index, mut entries, mut text_bytes) = (0usize, 0usize, 0usize);
        // A record must not grow by much more than its soft maximum.
        let cut_bytes_max = CUT_BYTES_MAX.min(soft_max_bytes / 8);
        let mut left = None;
        'streams: for stream in batch.streams() {
            if index + stream.len() <= from || stream.is_empty() {
                index += stream.len();
                continue;
            }
            let skip = from.saturating_sub(index);
            index += skip;
            let mut run = 0u64;
            let place = self.streams.put(stream.labels(), &mut columns.streams);
            let unit = times::unit_of(stream.entries().skip(skip).map(|entry| entry.timestamp_ns));
            self.model.times.start_run(place, unit, &mut columns.coded);
            for entry in stream.entries().skip(skip) {
                self.put_entry(place, &entry, cut_bytes_max, &mut tokens, &mut columns);
                text_bytes += entry.line.len() + entry.metadata.as_bytes().len();
                (run, entries, index) = (run + 1, entries + 1, index + 1);
                let full = text_bytes >= soft_max_bytes || columns.len() >= soft_max_bytes;
                if full || entries >= RECORD_ENTRIES_MAX {
                    put_varint(&mut columns.streams, run);
                    left = (index < batch.entry_count()).then_some(index);
                    break 'streams;
                }
            }
            put_varint(&mut columns.streams, run);
        }
        self.taken_of_kib = (columns.len() << 10) / text_bytes.max(1);
        columns.finish(entries, out);
        self.scratch = Scratch { tokens, columns };
        left
    }

    fn put_entry(
        &mut self,
        stream: usize,
        entry: &LogEntry<'_>,
        cut_bytes_max: usize,
        tokens: &mut Tokens,
        columns: &mut Columns,
    ) {
        let Model { templates, values, times, clock } = &mut self.model;
        times.code(stream, entry.timestamp_ns, &mut columns.coded);
        let bytes = entry.line.len() + entry.metadata.as_bytes().len();
        let template = match bytes <= cut_bytes_max && tokens.cut(entry.line, entry.metadata) {
            true => self.known.get(tokens.skeleton.as_slice()).map(|&known| known as usize).or_else(|| {
                let next = templates.len();
                templates.define(tokens.skeleton.len(), tokens.variables.len()).then(|| {
                    self.known.insert(tokens.skeleton.as_slice().into(), next as u32);
                    put_bytes(&mut columns.skeletons, &tokens.skeleton);
                    next
                })
            }),
            false => None,
        };
        // The coder gives back what it was given.
        _ = templates.code(stream, template.unwrap_or(NO_TEMPLATE), &mut columns.coded);
        let Some(template) = template else { return columns.put_whole(entry) };
        clock.set(entry.timestamp_ns);
        let first = templates.first_slot(template);
        let slots = templates.slots.get_mut(first..first + tokens.variables.len()).unwrap_or_default();
        for (at, slot) in slots.iter_mut().enumerate() {
            values.encode(slot, tokens, at, clock, &mut columns.coded, &mut columns.side);
        }
    }
}

/// What the replaying side remembers of an epoch.
#[derive(Default)]
pub(super) struct Replay {
    streams: StreamTexts,
    skeletons: Vec<Box<[u8]>>,
    model: Model,
    tokens: Tokens,
    metadata: Vec<u8>,
}

/// The columns of a record that is read.
struct Read<'a> {
    skeletons: Reader<'a>,
    texts: Reader<'a>,
    ids: Reader<'a>,
    whole: Reader<'a>,
    coded: RangeDecoder<'a>,
}

impl Replay {
    pub(super) fn clear(&mut self) {
        *self = Replay::default();
    }

    pub(super) fn replay(
        &mut self,
        kind: u8,
        body: &[u8],
        sink: Option<&dyn LogSink>,
        sequence: Sequence,
    ) -> Result<u64, RecordError> {
        let batch = self.batch(kind, body)?;
        let Some(sink) = sink else { return Ok(0) };
        sink.replay(&batch, sequence);
        Ok(batch.entry_count() as u64)
    }

    /// The entries of a record.
    pub(super) fn batch(&mut self, kind: u8, body: &[u8]) -> Result<LogBatch, RecordError> {
        let mut batch = LogBatch::new();
        match kind {
            LOGS => self.read(body, &mut batch)?,
            _ => self.read_0(body, &mut batch)?,
        }
        Ok(batch)
    }

    fn read(&mut self, body: &[u8], batch: &mut LogBatch) -> Result<(), RecordError> {
        let mut body = Reader(body);
        let entries = usize::try_from(body.varint()?).ok().filter(|&n| n <= RECORD_ENTRIES_MAX);
        let entries = entries.ok_or(RecordError("too many entries"))?;
        let mut streams = Reader(body.bytes()?);
        let (skeletons, texts) = (Reader(body.bytes()?), Reader(body.bytes()?));
        let (ids, whole) = (Reader(body.bytes()?), Reader(body.bytes()?));
        let mut read = Read { skeletons, texts, ids, whole, coded: RangeDecoder::new(body.0) };
        let (mut seen, mut text_bytes) = (0, 0);
        while seen < entries {
            let stream = self.streams.take(&mut streams)?;
            batch.start_stream_encoded(self.streams.labels(stream));
            self.model.times.start_run(stream, 0, &mut read.coded);
            let run = usize::try_from(streams.varint()?).ok().filter(|&run| run <= entries - seen && run > 0);
            for _ in 0..run.ok_or(RecordError("run of entries"))? {
                text_bytes += self.take_entry(stream, &mut read, batch)?;
                if text_bytes > RECORD_TEXT_BYTES_MAX {
                    return Err(RecordError("too much text"));
                }
                seen += 1;
            }
        }
        Ok(())
    }

    /// Reads an entry and returns how many bytes it has.
    fn take_entry(&mut self, stream: usize, read: &mut Read<'_>, batch: &mut LogBatch) -> Result<usize, RecordError> {
        let timestamp_ns = self.model.times.code(stream, 0, &mut read.coded);
        let template = self.model.templates.code(stream, NO_TEMPLATE, &mut read.coded)?;
        if template == NO_TEMPLATE {
            let length = |n: u64| usize::try_from(n).map_err(|_| RecordError("length too large"));
            let (line, metadata) = (length(read.whole.varint()?)?, length(read.whole.varint()?)?);
            let (line, metadata) = (read.whole.take(line)?, read.whole.take(metadata)?);
            let metadata = LabelsRef::parse(metadata).ok_or(RecordError("metadata"))?;
            batch.push_entry_encoded(timestamp_ns, line, metadata);
            return Ok(line.len() + metadata.as_bytes().len());
        }
        if template == self.skeletons.len() {
            let skeleton = read.skeletons.bytes()?;
            let variables = skeleton.iter().filter(|&&byte| byte == MARK).count();
            if variables > VARIABLES_MAX || !self.model.templates.define(skeleton.len(), variables) {
                return Err(RecordError("too large a skeleton"));
            }
            self.skeletons.push(skeleton.into());
        }
        self.model.clock.set(timestamp_ns);
        let line_bytes = self.fill(template, read)?;
        let metadata = LabelsRef::parse(&self.metadata).ok_or(RecordError("metadata"))?;
        let line = self.tokens.text.get(..line_bytes).unwrap_or_default();
        batch.push_entry_encoded(timestamp_ns, line, metadata);
        Ok(self.tokens.text.len() + self.metadata.len())
    }

    /// Puts what varies into a skeleton: the text has the line, whose length is returned, and the values of the metadata.
    fn fill(&mut self, template: usize, read: &mut Read<'_>) -> Result<usize, RecordError> {
        let Replay { skeletons, model, tokens, metadata, .. } = self;
        let skeleton = skeletons.get(template).ok_or(RecordError("undefined template"))?;
        let first = model.templates.first_slot(template);
        let mut slots = model.templates.slots.iter_mut().skip(first);
        tokens.text.clear();
        tokens.variables.clear();
        metadata.clear();
        let (mut rest, mut line_bytes, mut value_start) = (&**skeleton, 0, 0);
        while let Some(at) = rest.iter().position(|&byte| byte >= RESERVED_MIN) {
            let (literal, after) = rest.split_at(at);
            let (&mark, after) = after.split_first().ok_or(RecordError("skeleton"))?;
            rest = after;
            if mark == NAME_END {
                put_bytes(metadata, literal);
                value_start = tokens.text.len();
                continue;
            }
            tokens.text.extend_from_slice(literal);
            match mark {
                MARK => {
                    let slot = slots.next().ok_or(RecordError("skeleton"))?;
                    let side = (&mut read.ids, &mut read.texts);
                    model.values.decode(slot, tokens, &model.clock, &mut read.coded, side)?;
                    if tokens.text.len() > RECORD_TEXT_BYTES_MAX {
                        return Err(RecordError("too much text"));
                    }
                }
                LINE_END => line_bytes = tokens.text.len(),
                VALUE_END => put_bytes(metadata, tokens.text.get(value_start..).unwrap_or_default()),
                _ => return Err(RecordError("skeleton")),
            }
        }
        Ok(line_bytes)
    }
}
