//! Events and links.
//!
//! A bit says whether a span's events (links) go in as they are: those that are not in their one proper form, or large.
//! Else the number of them, and of each: its template, whose head is what an event is called (where a link has it, its
//! trace state and flags) with the number of dropped attributes; an event's time; where a link leads; the values of the
//! attributes. A link leads to the parent of its span, to one of the newest spans of a trace that is remembered, or to ids.

use super::super::RecordError;
use super::super::bytes::{Reader, put_bytes, put_varint};
use super::super::coder::{Coder, LENGTHS, MeanLength, USUAL, bit_length, code_number};
use super::super::range_coder::Probability;
use super::recent::SpanNumber;
use super::templates::WHOLE;
use super::values::{Columns, Readers};
use super::{Model, RECORD_TEXT_BYTES_MAX, Scratch, take_attributes};
use bramble_signal::{SpanEntry, SpanId, events, links, put_event, put_link};

/// Larger ones go in as they are.
const CUT_BYTES_MAX: usize = 16 << 10;
const TEMPLATES: usize = 64;
/// In the place of a template: its own number follows.
const OTHER: usize = TEMPLATES - 1;
const NUMBER_BITS: u32 = 12;

/// Where a link leads: the span's id follows; the parent of the span that has it; or how many spans of the trace back.
const LINK_OTHER: usize = 0;
const LINK_PARENT: usize = 1;
const LINK_STEPS: usize = 2;
const LINK_CODES: usize = 64;

/// What is known of events, or of links.
struct Pieces {
    is_whole: Probability,
    trees: Box<[[Probability; LENGTHS]; USUAL]>,
    usual: MeanLength,
    seen: bool,
    tree: [Probability; TEMPLATES],
    templates: Vec<u16>,
}

impl Default for Pieces {
    fn default() -> Self {
        let p = Probability::default();
        Pieces {
            is_whole: p,
            trees: Box::new([[p; LENGTHS]; USUAL]),
            usual: MeanLength::default(),
            seen: false,
            tree: [p; TEMPLATES],
            templates: Vec::new(),
        }
    }
}

impl Pieces {
    fn code_count<C: Coder>(&mut self, count: u64, coder: &mut C) -> u64 {
        let count = code_number(coder, &mut self.trees, self.usual, count);
        self.usual.learn(bit_length(count), !self.seen);
        self.seen = true;
        count
    }

    fn code_template<C: Coder>(&mut self, number: usize, coder: &mut C) -> Result<usize, RecordError> {
        let place = self.templates.iter().position(|&t| usize::from(t) == number).unwrap_or(OTHER);
        let place = coder.symbol(&mut self.tree, place);
        match self.templates.get(place) {
            Some(&template) => Ok(usize::from(template)),
            None if place != OTHER => Err(RecordError("undefined template")),
            None => {
                let number = coder.plain(number as u64, NUMBER_BITS) as usize;
                if self.templates.len() < OTHER {
                    self.templates.push(number as u16);
                }
                Ok(number)
            }
        }
    }
}

/// What is known of events and links.
pub(super) struct EventModel {
    events: Pieces,
    links: Pieces,
    is_known: Probability,
    targets: [Probability; LINK_CODES],
}

impl Default for EventModel {
    fn default() -> Self {
        let p = Probability::default();
        EventModel { events: Pieces::default(), links: Pieces::default(), is_known: p, targets: [p; LINK_CODES] }
    }
}

/// The newest span of the trace that a link leads to; 0 where that is not remembered.
fn newest_of(model: &mut Model, known: Option<usize>) -> SpanNumber {
    known.and_then(|known| model.traces.at(known)).map_or(0, |trace| trace.newest)
}

fn encode_target(model: &mut Model, known: Option<usize>, link: SpanId, parent: SpanId, columns: &mut Columns) {
    let newest = newest_of(model, known);
    let mut spans = model.spans.of(newest).take(LINK_CODES - LINK_STEPS);
    let how = match link == parent {
        true => LINK_PARENT,
        false => spans.position(|span| span.span_id == link).map_or(LINK_OTHER, |step| LINK_STEPS + step),
    };
    columns.coded.symbol(&mut model.events.targets, how);
    if how == LINK_OTHER {
        columns.ids.extend_from_slice(&link.0);
    }
}

fn take_target(
    model: &mut Model,
    known: Option<usize>,
    parent: SpanId,
    read: &mut Readers<'_>,
) -> Result<SpanId, RecordError> {
    if !read.has_targets {
        return read.ids.array().map(SpanId);
    }
    let newest = newest_of(model, known);
    match read.coded.symbol(&mut model.events.targets) {
        LINK_OTHER => read.ids.array().map(SpanId),
        LINK_PARENT => Ok(parent),
        how => model.spans.of(newest).nth(how - LINK_STEPS).map(|span| span.span_id).ok_or(RecordError("unknown span")),
    }
}

/// Writes the template of an event or link, and what stands for its head and attributes where it has none.
fn encode_template(
    model: &mut Model,
    pieces: fn(&mut EventModel) -> &mut Pieces,
    attributes: &[u8],
    columns: &mut Columns,
    scratch: &mut Scratch,
) -> usize {
    let Scratch { bytes, places, .. } = scratch;
    let template = model.templates.number_of(bytes, attributes, places, &mut columns.definitions);
    // The coder gives back what it was given.
    _ = pieces(&mut model.events).code_template(template, &mut columns.coded);
    if template == WHOLE {
        put_bytes(&mut columns.raw, bytes);
        put_bytes(&mut columns.raw, attributes);
    }
    template
}

fn encode_values(
    model: &mut Model,
    template: usize,
    attributes: &[u8],
    (span, place): (&SpanEntry, usize),
    columns: &mut Columns,
    places: &[(u32, u32)],
) {
    let Model { traces, templates, values, .. } = model;
    let duration_ns = span.end_ns.wrapping_sub(span.start_ns) as i64;
    let (Some(template), Some(trace)) = (templates.get(template), traces.at(place)) else { return };
    let range = template.range();
    for (slot, &(start, end)) in templates.slots.get_mut(range).unwrap_or_default().iter_mut().zip(places) {
        let value = attributes.get(start as usize..end as usize).unwrap_or_default();
        values.encode(slot, value, duration_ns, trace, columns);
    }
}

pub(super) fn encode_events(
    model: &mut Model,
    bytes: &[u8],
    span: &SpanEntry,
    place: usize,
    columns: &mut Columns,
    scratch: &mut Scratch,
) {
    scratch.bytes.clear();
    let count = events(bytes).map(|event| put_event(&mut scratch.bytes, &event)).count();
    let is_whole = scratch.bytes != bytes || bytes.len() > CUT_BYTES_MAX;
    columns.coded.bit(&mut model.events.events.is_whole, is_whole);
    if is_whole {
        return put_bytes(&mut columns.raw, bytes);
    }
    model.events.events.code_count(count as u64, &mut columns.coded);
    for event in events(bytes) {
        scratch.bytes.clear();
        put_varint(&mut scratch.bytes, u64::from(event.dropped_attributes));
        scratch.bytes.push(0);
        scratch.bytes.extend_from_slice(event.name.as_bytes());
        let attributes = event.attributes.as_bytes();
        let template = encode_template(model, |model| &mut model.events, attributes, columns, scratch);
        model.times.code_event(span.start_ns, event.time_ns, &mut columns.coded);
        encode_values(model, template, attributes, (span, place), columns, &scratch.places);
    }
}

pub(super) fn encode_links(
    model: &mut Model,
    bytes: &[u8],
    span: &SpanEntry,
    place: usize,
    columns: &mut Columns,
    scratch: &mut Scratch,
) {
    scratch.bytes.clear();
    let count = links(bytes).map(|link| put_link(&mut scratch.bytes, &link)).count();
    let is_whole = scratch.bytes != bytes || bytes.len() > CUT_BYTES_MAX;
    columns.coded.bit(&mut model.events.links.is_whole, is_whole);
    if is_whole {
        return put_bytes(&mut columns.raw, bytes);
    }
    model.events.links.code_count(count as u64, &mut columns.coded);
    for link in links(bytes) {
        scratch.bytes.clear();
        put_varint(&mut scratch.bytes, u64::from(link.dropped_attributes));
        scratch.bytes.push(1);
        put_varint(&mut scratch.bytes, u64::from(link.flags));
        scratch.bytes.extend_from_slice(link.trace_state.as_bytes());
        let attributes = link.attributes.as_bytes();
        let template = encode_template(model, |model| &mut model.links, attributes, columns, scratch);
        let known = model.traces.find(link.trace_id);
        columns.coded.bit(&mut model.events.is_known, known.is_some());
        match known {
            Some(known) => _ = super::Traces::code_place(known, &mut columns.coded),
            None => columns.ids.extend_from_slice(&link.trace_id.0),
        }
        encode_target(model, known, link.span_id, span.parent_span_id, columns);
        encode_values(model, template, attributes, (span, place), columns, &scratch.places);
    }
}

/// What stands before an event's or link's attributes, and these.
struct Piece {
    head: Vec<u8>,
    template: usize,
    attributes: Vec<u8>,
}

impl Piece {
    fn take(
        model: &mut Model,
        pieces: fn(&mut EventModel) -> &mut Pieces,
        read: &mut Readers<'_>,
    ) -> Result<Piece, RecordError> {
        let template = pieces(&mut model.events).code_template(0, &mut read.coded)?;
        if template == WHOLE {
            let (head, attributes) = (read.raw.bytes()?.to_vec(), read.raw.bytes()?.to_vec());
            return Ok(Piece { head, template, attributes });
        }
        if template == model.templates.next() {
            model.templates.define(read.definitions.bytes()?)?;
        }
        let known = model.templates.get(template).ok_or(RecordError("undefined template"))?;
        Ok(Piece { head: known.head().to_vec(), template, attributes: Vec::new() })
    }

    fn take_values(
        &mut self,
        model: &mut Model,
        (span, place): (&SpanEntry, usize),
        read: &mut Readers<'_>,
    ) -> Result<(), RecordError> {
        match self.template {
            WHOLE => Ok(()),
            template => take_attributes(model, template, span, place, read, &mut self.attributes),
        }
    }
}

pub(super) fn take_events(
    model: &mut Model,
    span: &SpanEntry,
    place: usize,
    read: &mut Readers<'_>,
    out: &mut Vec<u8>,
) -> Result<(), RecordError> {
    if read.coded.bit(&mut model.events.events.is_whole) {
        out.extend_from_slice(read.raw.bytes()?);
        return Ok(());
    }
    for _ in 0..model.events.events.code_count(0, &mut read.coded) {
        let mut piece = Piece::take(model, |model| &mut model.events, read)?;
        let time_ns = model.times.code_event(span.start_ns, 0, &mut read.coded);
        piece.take_values(model, (span, place), read)?;
        let mut head = Reader(&piece.head);
        let dropped = head.varint()?;
        head.byte()?;
        out.extend_from_slice(&time_ns.to_le_bytes());
        put_bytes(out, head.0);
        put_bytes(out, &piece.attributes);
        put_varint(out, dropped);
        if out.len() > RECORD_TEXT_BYTES_MAX {
            return Err(RecordError("too much text"));
        }
    }
    Ok(())
}

pub(super) fn take_links(
    model: &mut Model,
    span: &SpanEntry,
    place: usize,
    read: &mut Readers<'_>,
    out: &mut Vec<u8>,
) -> Result<(), RecordError> {
    if read.coded.bit(&mut model.events.links.is_whole) {
        out.extend_from_slice(read.raw.bytes()?);
        return Ok(());
    }
    for _ in 0..model.events.links.code_count(0, &mut read.coded) {
        let mut piece = Piece::take(model, |model| &mut model.links, read)?;
        let (trace_id, known) = match read.coded.bit(&mut model.events.is_known) {
            true => {
                let known = super::Traces::code_place(0, &mut read.coded);
                (model.traces.at(known).ok_or(RecordError("undefined trace"))?.id.0, Some(known))
            }
            false => (read.ids.array::<16>()?, None),
        };
        let span_id = take_target(model, known, span.parent_span_id, read)?;
        piece.take_values(model, (span, place), read)?;
        let mut head = Reader(&piece.head);
        let dropped = head.varint()?;
        head.byte()?;
        let flags = head.varint()?;
        out.extend_from_slice(&trace_id);
        out.extend_from_slice(&span_id.0);
        put_bytes(out, head.0);
        put_varint(out, flags);
        put_bytes(out, &piece.attributes);
        put_varint(out, dropped);
        if out.len() > RECORD_TEXT_BYTES_MAX {
            return Err(RecordError("too much text"));
        }
    }
    Ok(())
}
