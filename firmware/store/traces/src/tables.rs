//! Events and links of a group's spans, being built: one row each, their attributes as columns.

use crate::columns::{AttributeTable, Encoded};
use crate::interner::Interner;
use crate::numbers::{put_codes, put_i64s};
use crate::texts::put_list;
use crate::view::template_of;
use bramble_signal::{SpanEvent, SpanLink, TraceId};

/// First byte of a page of events or links, for another encoding some day.
pub(crate) const TABLE: u8 = 16;
/// Where a link leads: a trace and a span whose ids are stored; a span of its own trace whose id is; or, from here on,
/// the span of that place in its own trace's part of the group.
pub(crate) const TARGET_AWAY: u32 = 0;
pub(crate) const TARGET_TRACE: u32 = 1;
pub(crate) const TARGET_LOCAL: u32 = 2;
/// About what a row takes beside its attributes.
const ROW_BYTES: usize = 40;

/// Events of spans that have some.
#[derive(Default)]
pub(crate) struct EventRows {
    /// Events per span.
    counts: Vec<u32>,
    pub(crate) names: Interner,
    name_of: Vec<u32>,
    template_of: Vec<u32>,
    dropped: Vec<u32>,
    /// Time since the span's start.
    times: Vec<i64>,
    pub(crate) attributes: AttributeTable,
    scratch: Vec<u8>,
}

impl EventRows {
    /// Appends the events of one span.
    pub(crate) fn push<'a>(&mut self, trace: u32, start_ns: u64, events: impl Iterator<Item = SpanEvent<'a>>) {
        let before = self.times.len();
        for event in events {
            template_of(event.attributes, &mut self.scratch);
            let template = self.attributes.template(&self.scratch);
            self.attributes.push(template, trace, None, &mut Encoded::new(event.attributes));
            self.name_of.push(self.names.intern(event.name.as_bytes()).0);
            self.template_of.push(template);
            self.dropped.push(event.dropped_attributes);
            self.times.push(event.time_ns.wrapping_sub(start_ns) as i64);
        }
        self.counts.push((self.times.len() - before) as u32);
    }

    /// Appends the page; nothing when there are no events.
    pub(crate) fn put(&self, page: &mut Vec<u8>) {
        if self.counts.is_empty() {
            return;
        }
        page.push(TABLE);
        put_codes(page, &self.counts);
        put_codes(page, &self.name_of);
        put_codes(page, &self.template_of);
        put_codes(page, &self.dropped);
        put_i64s(page, &self.times);
    }

    pub(crate) fn value_bytes(&self) -> usize {
        self.times.len() * ROW_BYTES + self.names.text_bytes() + self.attributes.value_bytes()
    }

    /// What they take when they are read.
    pub(crate) fn decoded_bytes(&self) -> usize {
        self.counts.len() * 4 + self.times.len() * 20 + self.names.text_bytes() + self.attributes.decoded_bytes()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.counts.capacity() * 4
            + self.times.capacity() * 20
            + self.names.memory_bytes()
            + self.attributes.memory_bytes()
    }
}

/// Links of spans that have some.
#[derive(Default)]
pub(crate) struct LinkRows {
    /// Links per span.
    counts: Vec<u32>,
    /// `TARGET_…`, of the links of closed traces.
    targets: Vec<u32>,
    /// As far as targets do not say it: trace ids and span ids.
    ids: Vec<u8>,
    /// Where the open trace's links lead, resolved when it ends.
    open: Vec<(TraceId, [u8; 8])>,
    states: Interner,
    state_of: Vec<u32>,
    flags: Vec<u32>,
    template_of: Vec<u32>,
    dropped: Vec<u32>,
    pub(crate) attributes: AttributeTable,
    scratch: Vec<u8>,
}

impl LinkRows {
    /// Appends the links of one span.
    pub(crate) fn push<'a>(&mut self, trace: u32, links: impl Iterator<Item = SpanLink<'a>>) {
        let before = self.flags.len();
        for link in links {
            template_of(link.attributes, &mut self.scratch);
            let template = self.attributes.template(&self.scratch);
            self.attributes.push(template, trace, None, &mut Encoded::new(link.attributes));
            self.open.push((link.trace_id, link.span_id.0));
            self.state_of.push(self.states.intern(link.trace_state.as_bytes()).0);
            self.flags.push(link.flags);
            self.template_of.push(template);
            self.dropped.push(link.dropped_attributes);
        }
        self.counts.push((self.flags.len() - before) as u32);
    }

    /// Says where the links of a trace lead; `place_of` knows its spans.
    pub(crate) fn close_trace(&mut self, trace: TraceId, place_of: impl Fn(&[u8; 8]) -> Option<u32>) {
        for (to, span) in self.open.drain(..) {
            let place = if to == trace { place_of(&span) } else { None };
            self.targets.push(match place {
                Some(place) => TARGET_LOCAL + place,
                None if to == trace => TARGET_TRACE,
                None => {
                    self.ids.extend_from_slice(&to.0);
                    TARGET_AWAY
                }
            });
            if place.is_none() {
                self.ids.extend_from_slice(&span);
            }
        }
    }

    /// Appends the page; nothing when there are no links.
    pub(crate) fn put(&self, page: &mut Vec<u8>) {
        if self.counts.is_empty() {
            return;
        }
        page.push(TABLE);
        put_codes(page, &self.counts);
        put_codes(page, &self.state_of);
        put_codes(page, &self.flags);
        put_codes(page, &self.template_of);
        put_codes(page, &self.dropped);
        put_list(page, &self.states);
        put_codes(page, &self.targets);
        page.extend_from_slice(&self.ids);
    }

    pub(crate) fn value_bytes(&self) -> usize {
        self.flags.len() * ROW_BYTES + self.states.text_bytes() + self.attributes.value_bytes()
    }

    /// What they take when they are read.
    pub(crate) fn decoded_bytes(&self) -> usize {
        self.counts.len() * 4
            + self.flags.len() * 20
            + self.ids.len()
            + self.states.text_bytes()
            + self.attributes.decoded_bytes()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.counts.capacity() * 4
            + self.flags.capacity() * 20
            + self.ids.capacity()
            + self.open.capacity() * 24
            + self.states.memory_bytes()
            + self.attributes.memory_bytes()
    }
}
