//! Traces and spans that both sides remember: the newest 1,024 and 4,096.

use super::super::coder::Coder;
use super::super::range_coder::Probability;
use super::kept::Place;
use bramble_signal::{SpanEntry, SpanId, TraceId};
use hashbrown::HashMap;

const TRACES: usize = 1 << TRACE_BITS;
const TRACE_BITS: u32 = 10;
const SPANS: usize = 4096;
/// Attributes that are remembered of a trace.
const VALUES: usize = 12;

/// The span before in the record has the same trace.
const SAME: usize = 0;
/// The trace that was first seen after that one.
const NEXT: usize = 1;
/// A trace that is not remembered.
const NEW: usize = 2;
/// One that is: its place follows.
const OTHER: usize = 3;

/// A span by its number from 1 on in the epoch; 0 for none.
pub(super) type SpanNumber = u32;

/// A trace, as far as it is remembered.
#[derive(Clone, Copy, Default)]
pub(super) struct Trace {
    pub(super) id: TraceId,
    /// The newest of its spans.
    pub(super) newest: SpanNumber,
    values: [(u16, Place); VALUES],
    filled: u8,
}

impl Trace {
    /// The last value that one of its spans had under a key.
    #[inline]
    pub(super) fn value(&self, key: u16) -> Option<Place> {
        let filled = self.values.get(..usize::from(self.filled)).unwrap_or_default();
        filled.iter().find(|(known, _)| *known == key).map(|(_, place)| *place)
    }

    pub(super) fn set_value(&mut self, key: u16, place: Place) {
        let filled = usize::from(self.filled);
        match self.values.iter_mut().take(filled).find(|(known, _)| *known == key) {
            Some(known) => known.1 = place,
            None => {
                if let Some(free) = self.values.get_mut(filled) {
                    *free = (key, place);
                    self.filled += 1;
                }
            }
        }
    }
}

/// Traces in the order they were first seen.
#[derive(Default)]
pub(super) struct Traces {
    ring: Vec<Trace>,
    count: u64,
    /// Number of the trace of the span before.
    last: u64,
    before: usize,
    trees: [[Probability; 4]; 4],
    /// Only of the writing side.
    known: HashMap<TraceId, u64>,
}

impl Traces {
    pub(super) fn memory_bytes(&self) -> usize {
        self.ring.capacity() * size_of::<Trace>() + self.known.capacity() * (size_of::<(TraceId, u64)>() + 1)
    }

    fn get(&self, number: u64) -> Option<&Trace> {
        self.ring.get((number % TRACES as u64) as usize).filter(|_| number < self.count)
    }

    /// The trace that [`enter`](Self::enter) or [`add`](Self::add) gave the place of.
    pub(super) fn at(&mut self, place: usize) -> Option<&mut Trace> {
        self.ring.get_mut(place)
    }

    /// Place of a trace that is remembered. Only of the writing side.
    pub(super) fn find(&self, id: TraceId) -> Option<usize> {
        self.known.get(&id).map(|number| (number % TRACES as u64) as usize)
    }

    /// Says which trace a span is of: its place, or `None` for one that is to be [added](Self::add). A reader gives any id.
    #[inline]
    pub(super) fn enter<C: Coder>(&mut self, id: TraceId, coder: &mut C) -> Option<usize> {
        let is = |number: u64| self.get(number).is_some_and(|trace| trace.id == id);
        let (mut how, mut number) = (NEW, self.last);
        if is(self.last) {
            how = SAME;
        } else if is(self.last + 1) {
            how = NEXT;
        } else if let Some(known) = self.known.get(&id) {
            (how, number) = (OTHER, *known);
        }
        how = coder.symbol(&mut self.trees[self.before % 4], how);
        self.before = how;
        let place = match how {
            SAME => self.last % TRACES as u64,
            NEXT => {
                self.last += 1;
                self.last % TRACES as u64
            }
            NEW => return None,
            _ => {
                let place = coder.plain(number % TRACES as u64, TRACE_BITS);
                // The newest number with that place.
                let newest = self.count.saturating_sub(1);
                self.last = newest - (newest.wrapping_sub(place) % TRACES as u64).min(newest);
                place
            }
        };
        Some(place as usize)
    }

    /// Remembers a new trace, and returns its place.
    pub(super) fn add(&mut self, id: TraceId, is_written: bool) -> usize {
        let place = (self.count % TRACES as u64) as usize;
        let trace = Trace { id, ..Trace::default() };
        match self.ring.get_mut(place) {
            Some(oldest) => {
                self.known.remove(&oldest.id);
                *oldest = trace;
            }
            None => self.ring.push(trace),
        }
        if is_written {
            self.known.insert(id, self.count);
        }
        self.last = self.count;
        self.count += 1;
        place
    }

    /// Writes or reads the place of a trace that is remembered.
    pub(super) fn code_place<C: Coder>(place: usize, coder: &mut C) -> usize {
        coder.plain(place as u64, TRACE_BITS) as usize
    }
}

/// A span, as far as it is remembered.
#[derive(Clone, Copy, Default)]
pub(super) struct Known {
    pub(super) span_id: SpanId,
    pub(super) parent_span_id: SpanId,
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
    /// The one before in the trace.
    before: SpanNumber,
}

/// Spans in the order they came.
#[derive(Default)]
pub(super) struct Spans {
    ring: Vec<Known>,
    count: SpanNumber,
}

impl Spans {
    pub(super) fn memory_bytes(&self) -> usize {
        self.ring.capacity() * size_of::<Known>()
    }

    fn get(&self, number: SpanNumber) -> Option<&Known> {
        let index = number.checked_sub(1)?;
        let is_kept = index < self.count && self.count - index <= SPANS as u32;
        self.ring.get(index as usize % SPANS).filter(|_| is_kept)
    }

    /// The spans of a trace, newest first.
    #[inline]
    pub(super) fn of(&self, newest: SpanNumber) -> impl Iterator<Item = &Known> {
        let mut number = newest;
        std::iter::from_fn(move || {
            let known = self.get(number)?;
            // Damage must not lead in circles.
            number = if known.before < number { known.before } else { 0 };
            Some(known)
        })
    }

    /// Remembers a span of a trace whose newest span was `before`.
    pub(super) fn add(&mut self, span: &SpanEntry, before: SpanNumber) -> SpanNumber {
        let SpanEntry { span_id, parent_span_id, start_ns, end_ns, .. } = *span;
        let known = Known { span_id, parent_span_id, start_ns, end_ns, before };
        match self.ring.get_mut(self.count as usize % SPANS) {
            Some(oldest) => *oldest = known,
            None => self.ring.push(known),
        }
        self.count = self.count.saturating_add(1);
        self.count
    }
}
