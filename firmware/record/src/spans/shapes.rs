//! What many spans share: who emitted them and through what, name, kind, status, keys, and what they have none of.
//!
//! A shape is written once in an epoch, and then told by which shape the span before had.

use super::super::RecordError;
use super::super::bytes::{Reader, put_bytes, put_varint};
use super::super::coder::{Coder, MeanLength};
use super::super::range_coder::Probability;
use bramble_signal::{SpanBatch, SpanEntry, SpanKind, StatusCode};
use hashbrown::HashMap;

/// The number of a shape that is not remembered.
pub(super) const UNKEPT: usize = 0;
const NUMBER_BITS: u32 = 11;
const SHAPES_MAX: usize = 1 << NUMBER_BITS;
const BYTES_MAX: usize = 256 << 10;
const ONE_BYTES_MAX: usize = 1 << 10;
const SUCCESSORS: usize = 16;
/// In the place of a successor: the shape's own number follows.
const OTHER: usize = SUCCESSORS - 1;

const HAS_EVENTS: u8 = 1 << 4;
const HAS_LINKS: u8 = 1 << 5;

/// A shape's fields. Texts are in its definition.
#[derive(Clone, Default)]
pub(super) struct Fields {
    /// Twice the number, and 1 more where that is the record's own.
    pub(super) resource: usize,
    pub(super) scope: usize,
    pub(super) span: SpanEntry,
    pub(super) template: usize,
    pub(super) has_events: bool,
    pub(super) has_links: bool,
    /// Name, status message and trace state, behind their lengths.
    pub(super) texts_at: usize,
}

impl Fields {
    pub(super) fn put(&self, batch: &SpanBatch, out: &mut Vec<u8>) {
        let span = &self.span;
        put_varint(out, self.resource as u64);
        put_varint(out, self.scope as u64);
        let has = (u8::from(self.has_events) * HAS_EVENTS) | (u8::from(self.has_links) * HAS_LINKS);
        out.push(span.kind as u8 | has);
        out.push(span.status as u8);
        for number in [span.flags, span.dropped_attributes, span.dropped_events, span.dropped_links] {
            put_varint(out, u64::from(number));
        }
        put_varint(out, self.template as u64);
        for text in [span.name, span.status_message, span.trace_state] {
            put_bytes(out, batch.bytes(text));
        }
    }

    fn take(definition: &[u8]) -> Result<Fields, RecordError> {
        let mut reader = Reader(definition);
        let number = |n: u64| usize::try_from(n).map_err(|_| RecordError("number too large"));
        let narrow = |n: u64| u32::try_from(n).map_err(|_| RecordError("number too large"));
        let (resource, scope) = (number(reader.varint()?)?, number(reader.varint()?)?);
        let (kind, status) = (reader.byte()?, reader.byte()?);
        let mut span = SpanEntry {
            kind: SpanKind::from_code(u64::from(kind & (HAS_EVENTS - 1))),
            status: StatusCode::from_code(u64::from(status)),
            ..SpanEntry::default()
        };
        for field in [&mut span.flags, &mut span.dropped_attributes, &mut span.dropped_events, &mut span.dropped_links]
        {
            *field = narrow(reader.varint()?)?;
        }
        let template = number(reader.varint()?)?;
        let (has_events, has_links) = (kind & HAS_EVENTS != 0, kind & HAS_LINKS != 0);
        let texts_at = definition.len() - reader.0.len();
        Ok(Fields { resource, scope, span, template, has_events, has_links, texts_at })
    }
}

/// A shape, and how spans that have it come.
#[derive(Default)]
pub(super) struct Shape {
    definition: Box<[u8]>,
    pub(super) fields: Fields,
    successors: Vec<u16>,
    next: [Probability; SUCCESSORS],
    pub(super) parents: [Probability; 16],
    pub(super) ids: [Probability; 8],
    pub(super) usual: MeanLength,
    pub(super) seen: bool,
}

impl Shape {
    /// Puts name, status message and trace state into a batch.
    pub(super) fn put_texts(&self, batch: &mut SpanBatch, span: &mut SpanEntry) -> Result<(), RecordError> {
        let mut texts = Reader(self.definition.get(self.fields.texts_at..).unwrap_or_default());
        for field in [&mut span.name, &mut span.status_message, &mut span.trace_state] {
            *field = batch.put(texts.bytes()?);
        }
        Ok(())
    }
}

/// Shapes of an epoch. The first stands for all that are not remembered.
pub(super) struct Shapes {
    shapes: Vec<Shape>,
    bytes: usize,
    before: usize,
    /// Only of the writing side.
    numbers: HashMap<Box<[u8]>, u16>,
}

impl Default for Shapes {
    fn default() -> Self {
        Shapes { shapes: vec![Shape::default()], bytes: 0, before: 0, numbers: HashMap::new() }
    }
}

impl Shapes {
    pub(super) fn memory_bytes(&self) -> usize {
        self.shapes.capacity() * (size_of::<Shape>() + SUCCESSORS * 2) + 2 * self.bytes + self.numbers.capacity() * 19
    }

    /// Begins a record.
    pub(super) fn start(&mut self) {
        self.before = UNKEPT;
    }

    pub(super) fn at(&mut self, number: usize) -> Option<&mut Shape> {
        self.shapes.get_mut(number)
    }

    /// The number of a definition, and whether it has to be written.
    #[inline]
    pub(super) fn number_of(&mut self, definition: &[u8], may_keep: bool) -> (usize, bool) {
        if let Some(&known) = self.numbers.get(definition) {
            return (usize::from(known), false);
        }
        if may_keep && self.has_room(definition) {
            self.numbers.insert(definition.into(), self.shapes.len() as u16);
            return (self.shapes.len(), true);
        }
        (UNKEPT, true)
    }

    fn has_room(&self, definition: &[u8]) -> bool {
        let bytes = definition.len();
        bytes <= ONE_BYTES_MAX && self.shapes.len() < SHAPES_MAX && self.bytes + bytes <= BYTES_MAX
    }

    /// Whether a definition follows.
    pub(super) fn is_new(&self, number: usize) -> bool {
        number == UNKEPT || number == self.shapes.len()
    }

    /// Takes the definition of a new shape, or of one that is not remembered.
    pub(super) fn define(&mut self, number: usize, definition: &[u8]) -> Result<(), RecordError> {
        let fields = Fields::take(definition)?;
        if number == UNKEPT {
            if let Some(unkept) = self.shapes.first_mut() {
                (unkept.definition, unkept.fields) = (definition.into(), fields);
            }
            return Ok(());
        }
        if !self.has_room(definition) {
            return Err(RecordError("too many shapes"));
        }
        self.bytes += definition.len();
        self.shapes.push(Shape { definition: definition.into(), fields, ..Shape::default() });
        Ok(())
    }

    /// Says which shape a span has.
    #[inline]
    pub(super) fn code<C: Coder>(&mut self, number: usize, coder: &mut C) -> Result<usize, RecordError> {
        let before = self.shapes.get_mut(self.before).ok_or(RecordError("undefined shape"))?;
        let place = before.successors.iter().position(|&s| usize::from(s) == number).unwrap_or(OTHER);
        let place = coder.symbol(&mut before.next, place);
        let number = match before.successors.get(place) {
            Some(&successor) => usize::from(successor),
            None if place != OTHER => return Err(RecordError("undefined successor")),
            None => {
                let number = coder.plain(number as u64, NUMBER_BITS) as usize;
                if before.successors.len() < OTHER {
                    before.successors.push(number as u16);
                }
                number
            }
        };
        self.before = number;
        Ok(number)
    }
}
