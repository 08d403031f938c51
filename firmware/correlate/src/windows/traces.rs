//! A trace that has windows, and what was told of them.

use super::slab::{Linked, NIL, Slab};
use crate::options::CorrelatorOptions;
use bramble_signal::TraceId;

/// An instant: on the monotonic clock, and as far as events have come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Now {
    pub(crate) mono_ns: u64,
    pub(crate) event_ns: i64,
}

/// Which list a trace is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Place {
    /// None: it is not in use.
    #[default]
    Free,
    /// It has a window that is open.
    Open,
    /// All its windows were told of.
    Grace,
}

/// A trace that has windows.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Trace {
    pub(crate) id: TraceId,
    /// The first of its items.
    pub(crate) items: u32,
    pub(crate) items_len: u32,
    /// Number of items at which they are put in order, and what is there twice or too much is let go.
    pub(crate) arrange_at: u32,
    /// The first of its requests.
    pub(crate) requests: u32,
    /// The first of what was told of its windows.
    pub(crate) told: u32,
    /// Neighbours in its list; `next` also while it is not in use.
    pub(crate) next: u32,
    pub(crate) before: u32,
    pub(crate) place: Place,
    /// Something came since its windows were told of.
    pub(crate) dirty: bool,
    /// A window of it that was told of is no longer held.
    pub(crate) was_told: bool,
    /// How many windows that are over it keeps on the journal.
    pub(crate) held_back: u8,
    /// Lowest sequence of what it needs of the journal: its items, and those of windows before that came between them.
    pub(crate) first_sequence: u64,
    /// Earliest time of an item that nothing was told of; [`NEVER`] without one.
    pub(crate) open_ns: i64,
    /// When the first such item came, monotonic.
    pub(crate) open_since_ns: u64,
    /// When its last item came, monotonic.
    pub(crate) last_came_ns: u64,
    /// When it is to be looked at for what was told of it, monotonic.
    pub(crate) look_at_ns: u64,
    /// Items before this are late.
    pub(crate) floor_ns: i64,
}

/// No time.
pub(crate) const NEVER: i64 = i64::MAX;

impl Linked for Trace {
    fn next(&self) -> u32 {
        self.next
    }

    fn set_next(&mut self, next: u32) {
        self.next = next;
    }
}

impl Trace {
    /// When the window that starts at `start_ns` closes on the monotonic clock; `None` when that is not known yet.
    ///
    /// Where the clock is right that is when it passes the window's end. Items that come after that are waited for as long
    /// as they keep coming, and where the clock is behind all items the time that has passed since the first one came
    /// decides: in both cases at most for the length of a window.
    pub(crate) fn closes_at(&self, start_ns: i64, now: Now, options: &CorrelatorOptions) -> Option<u64> {
        let by_age = self.open_since_ns.saturating_add(options.window_ns);
        let over_ns = now.event_ns.saturating_sub(start_ns.saturating_add_unsigned(options.window_ns));
        if over_ns < 0 {
            return Some(by_age).filter(|&at| at <= now.mono_ns);
        }
        let passed = now.mono_ns.saturating_sub(over_ns.unsigned_abs());
        let settled = self.last_came_ns.saturating_add(options.settle_ns);
        // What came before the end need not settle.
        let by_event = if self.last_came_ns <= passed { passed } else { settled };
        Some(by_event.min(by_age))
    }

    /// Whether something is to be done for it.
    pub(crate) fn is_due(&self, now: Now, options: &CorrelatorOptions) -> bool {
        let closes = || self.closes_at(self.open_ns, now, options).is_some_and(|at| at <= now.mono_ns);
        self.look_at_ns <= now.mono_ns || (self.open_ns != NEVER && closes())
    }
}

/// What was told of a window.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Told {
    /// When it opened, milliseconds: part of its name.
    pub(crate) opened_ms: i64,
    /// The last one told; 0 for a window that had one signal of one service.
    pub(crate) revision: u32,
    /// The revision with the last synthetic span.
    pub(crate) span_revision: u32,
    /// A hash of what was told, without exemplars.
    pub(crate) content: u64,
    /// How many exemplars were told.
    pub(crate) exemplars: u64,
    /// How many entries and spans a process before this one told; 0 where it was this one.
    pub(crate) restored: u64,
    /// When it was told first and last, monotonic.
    pub(crate) at_ns: u64,
    pub(crate) last_ns: u64,
    pub(crate) next: u32,
}

impl Linked for Told {
    fn next(&self) -> u32 {
        self.next
    }

    fn set_next(&mut self, next: u32) {
        self.next = next;
    }
}

/// Traces in the order in which they came into the list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List {
    pub(crate) first: u32,
    last: u32,
    pub(crate) len: usize,
}

impl List {
    pub(crate) const EMPTY: List = List { first: NIL, last: NIL, len: 0 };

    pub(crate) fn push(&mut self, at: u32, traces: &mut Slab<Trace>) {
        (traces[at].before, traces[at].next) = (self.last, NIL);
        match self.last {
            NIL => self.first = at,
            last => traces[last].next = at,
        }
        self.last = at;
        self.len += 1;
    }

    pub(crate) fn remove(&mut self, at: u32, traces: &mut Slab<Trace>) {
        let Trace { before, next, .. } = traces[at];
        match before {
            NIL => self.first = next,
            before => traces[before].next = next,
        }
        match next {
            NIL => self.last = before,
            next => traces[next].before = before,
        }
        self.len -= 1;
    }
}
