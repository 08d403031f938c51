//! What spans have in common: one number per span stands for all of its low-variety fields.
//!
//! A program emits few *shapes*: the same operation from the same place with the same attributes. Storing one number
//! per span instead of eight columns costs one column's entropy instead of eight, and a search judges each distinct
//! shape once instead of each span.

use bramble_signal::{SpanEntry, SpanKind, StatusCode};
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// The span has a trace state.
pub(crate) const HAS_TRACE_STATE: u8 = 1;
/// The span has events.
pub(crate) const HAS_EVENTS: u8 = 2;
/// The span has links.
pub(crate) const HAS_LINKS: u8 = 4;

/// Fields that many spans share, as numbers into their owner's dictionaries.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Shape {
    pub(crate) resource: u32,
    pub(crate) scope: u32,
    pub(crate) name: u32,
    pub(crate) message: u32,
    pub(crate) template: u32,
    pub(crate) flags: u32,
    pub(crate) dropped: [u32; 3],
    pub(crate) kind: u8,
    pub(crate) status: u8,
    /// Which of trace state, events and links there are: `HAS_…`.
    pub(crate) has: u8,
}

impl Shape {
    /// What a span's own fields say: all but the dictionary numbers.
    pub(crate) fn of(span: &SpanEntry) -> Self {
        let bit = |present: bool, bit: u8| if present { bit } else { 0 };
        Shape {
            flags: span.flags,
            dropped: [span.dropped_attributes, span.dropped_events, span.dropped_links],
            kind: span.kind as u8,
            status: span.status as u8,
            has: bit(!span.trace_state.is_empty(), HAS_TRACE_STATE)
                | bit(!span.events.is_empty(), HAS_EVENTS)
                | bit(!span.links.is_empty(), HAS_LINKS),
            ..Shape::default()
        }
    }

    /// Numbers in a shape.
    pub(crate) const FIELDS: usize = 12;

    /// All numbers in the order on disk.
    pub(crate) fn fields(&self) -> [u32; Self::FIELDS] {
        let [a, e, l] = self.dropped;
        let (kind, status, has) = (u32::from(self.kind), u32::from(self.status), u32::from(self.has));
        [self.resource, self.scope, self.name, self.message, self.template, kind, status, has, self.flags, a, e, l]
    }

    /// The inverse of [`fields`](Self::fields).
    pub(crate) fn from_fields(fields: [u32; Self::FIELDS]) -> Self {
        let [resource, scope, name, message, template, kind, status, has, flags, a, e, l] = fields;
        let (kind, status, has) = (kind as u8, status as u8, has as u8);
        Shape { resource, scope, name, message, template, flags, dropped: [a, e, l], kind, status, has }
    }

    pub(crate) fn kind(&self) -> SpanKind {
        SpanKind::from_code(u64::from(self.kind))
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_code(u64::from(self.status))
    }

    pub(crate) fn has(&self, what: u8) -> bool {
        self.has & what != 0
    }
}

/// Distinct shapes, numbered in order of arrival.
#[derive(Default)]
pub(crate) struct Shapes {
    pub(crate) all: Vec<Shape>,
    table: HashTable<u32>,
}

impl Shapes {
    /// The number of a shape.
    pub(crate) fn intern(&mut self, shape: Shape) -> u32 {
        let hash = |shape: &Shape| FixedState::with_seed(7).hash_one(shape);
        let all = &mut self.all;
        let hashed = hash(&shape);
        let at = |all: &[Shape], id: u32| all.get(id as usize).copied().unwrap_or_default();
        if let Some(&id) = self.table.find(hashed, |&id| at(all, id) == shape) {
            return id;
        }
        let id = all.len() as u32;
        crate::bytes::grow(all, 1);
        all.push(shape);
        self.table.insert_unique(hashed, id, |&id| hash(&at(all, id)));
        id
    }

    pub(crate) fn get(&self, id: u32) -> Shape {
        self.all.get(id as usize).copied().unwrap_or_default()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.all.capacity() * size_of::<Shape>() + self.table.allocation_size()
    }

    pub(crate) fn clear(&mut self) {
        self.all.clear();
        self.table.clear();
    }
}
