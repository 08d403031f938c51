//! Windows: the items of each trace, from the first on, until what is known of them was told and no more will come.
//!
//! ```text
//! item ─▶ Trace ──▶ Kept ─▶ Kept ─▶ …   a list in order of arrival; put in order (time first) when it is looked at:
//!           │                            cut where an item is a window's length or more after the first of its window
//!           ├─────▶ Told ─▶ …           what was told of its windows: name, revision, hash
//!           └─────▶ Named ─▶ …          its requests, which know the entries that name no trace
//! ```
//! Entering an item costs a look into the index and a write: no allocation, no sorting. Everything else happens when a
//! window is told of ([`look`]). What a window is depends on its items and not on their order; where there are too many, the
//! earliest are kept, failures apart, so that this holds for long windows too.
//!
//! A trace is open, then in its grace, then gone; with too many of them the oldest in grace go first, then the oldest open.

mod arrange;
mod causal;
mod content;
mod ids;
mod insert;
mod items;
mod lead;
mod look;
mod recent;
pub(crate) mod requests;
mod slab;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod texts;
mod traces;
mod tree;

use crate::counters::Tally;
use crate::options::CorrelatorOptions;
use crate::publish::Published;
use arrange::Excess;
use bramble_runtime::{Budget, OverBudget};
use bramble_signal::TraceId;
use bramble_storage::Sequence;
pub(crate) use content::content_hash;
use hashbrown::HashTable;
use items::Kept;
use lead::Lead;
use recent::Recent;
use requests::Requests;
use slab::{NIL, Slab};
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use texts::{Text, Texts};
use traces::{List, Now, Place, Told, Trace};

/// Correlations in one publication, about.
const PUBLISHED_MAX: usize = 1024;
/// Items that are looked at for one publication, about.
const LOOKED_AT_MAX: usize = 20_000;
/// Correlations that may wait to be handed over.
const READY_MAX: usize = 4096;

/// All windows.
pub(crate) struct Windows {
    options: CorrelatorOptions,
    texts: Texts,
    items: Slab<Kept>,
    traces: Slab<Trace>,
    told: Slab<Told>,
    requests: Requests,
    recent: Recent,
    index: HashTable<u32>,
    open: List,
    grace: List,
    /// Counts of what was not kept, by trace.
    excess: HashMap<u32, Vec<Excess>>,
    lead: Lead,
    /// Earliest time in the batch at hand.
    earliest_ns: i64,
    /// Highest sequence observed.
    observed: Sequence,
    /// After a restart: traces of which something is at or below this were let go before it.
    gone_through: Sequence,
    /// What had been observed at some moments of the monotonic clock, ascending.
    history: VecDeque<(u64, Sequence)>,
    /// Origin of the items at hand.
    origin: Text,
    /// The trace of the last item.
    last: Option<(TraceId, u32)>,
    now: Now,
    /// Where the next search for traces that are due begins.
    scan_from: u32,
    /// Lowest sequence of entries that are held without a trace.
    held_from: Sequence,
    ready: VecDeque<Published>,
    pub(crate) tally: Tally,
    key: Vec<u8>,
    /// Items of the trace that is looked at, in order, and where they are cut.
    arranged: Vec<Kept>,
    cuts: Vec<Range<usize>>,
}

impl Windows {
    /// Divides what there is of the budget among what is kept; takes what is used.
    pub(crate) fn new(options: CorrelatorOptions, budget: &Budget) -> Result<Self, OverBudget> {
        let options = options.sane();
        // A part is left to whoever publishes.
        let total = budget.limit_bytes() - budget.limit_bytes() / 16;
        let none = || budget.reserve(0);
        let trace_bytes = size_of::<Trace>() + size_of::<Told>() + 16;
        let traces_max = options.windows_max.min(total / 6 / trace_bytes).max(16);
        let recent_max = (options.windows_max * 4).min(total / 16 / Recent::BYTES);
        let requests_max = (options.windows_max * 2).min(total / 8 / Requests::BYTES).max(16);
        let texts_bytes = total / 5;
        let used = traces_max * trace_bytes + recent_max * Recent::BYTES + requests_max * Requests::BYTES + texts_bytes;
        let items_max = (total.saturating_sub(used) / size_of::<Kept>()).max(512);
        Ok(Windows {
            texts: Texts::new(texts_bytes, none()?),
            items: Slab::new(items_max, none()?),
            traces: Slab::new(traces_max, none()?),
            told: Slab::new(traces_max + traces_max / 4, none()?),
            requests: Requests::new(requests_max, options.request_traces_max, [none()?, none()?, none()?]),
            recent: Recent::new(recent_max, budget.reserve(recent_max * Recent::BYTES)?),
            options,
            index: HashTable::new(),
            open: List::EMPTY,
            grace: List::EMPTY,
            excess: HashMap::new(),
            lead: Lead::new(),
            earliest_ns: i64::MAX,
            observed: 0,
            gone_through: 0,
            history: VecDeque::new(),
            origin: Text::NONE,
            last: None,
            now: Now::default(),
            scan_from: 0,
            held_from: Sequence::MAX,
            ready: VecDeque::new(),
            tally: Tally::default(),
            key: Vec::new(),
            arranged: Vec::new(),
            cuts: Vec::new(),
        })
    }

    /// A batch comes, or something is to be told: it is now.
    pub(crate) fn set_now(&mut self, wall_ns: i64, mono_ns: u64) {
        self.now = Now { mono_ns, event_ns: self.lead.event_ns(wall_ns, mono_ns) };
    }

    /// All items of a batch came.
    pub(crate) fn end_batch(&mut self, wall_ns: i64, mono_ns: u64) {
        let earliest_ns = std::mem::replace(&mut self.earliest_ns, i64::MAX);
        if earliest_ns != i64::MAX {
            self.lead.see(earliest_ns, wall_ns, mono_ns);
        }
    }

    /// Lowest sequence of what waits to be handed over.
    pub(crate) fn first_ready(&self) -> Sequence {
        self.ready.iter().map(|published| published.first_sequence).min().unwrap_or(Sequence::MAX)
    }

    /// What has been observed: journal records through this one.
    pub(crate) fn set_observed(&mut self, sequence: Sequence) {
        if self.observed <= self.gone_through && sequence > self.gone_through {
            self.let_go_all();
        }
        self.observed = self.observed.max(sequence);
    }

    /// Traces with an open window, and in their grace.
    pub(crate) fn lens(&self) -> (usize, usize) {
        (self.open.len, self.grace.len)
    }

    /// The sequence of an item, from its low bits.
    fn sequence_of(&self, item: &Kept) -> Sequence {
        self.observed.saturating_sub(u64::from((self.observed as u32).wrapping_sub(item.sequence)))
    }

    /// Nothing at or below this is needed any more, but for what was handed over.
    pub(crate) fn low(&self) -> Sequence {
        let live = (0..self.traces.end()).map(|at| &self.traces[at]).filter(|trace| trace.place != Place::Free);
        let first = live.map(|trace| trace.first_sequence).min().unwrap_or(Sequence::MAX);
        first.min(self.held_from).saturating_sub(1).min(self.observed)
    }

    /// What is needed of the journal for a restart that knows that all was let go through `low`: from there on, and what
    /// came shortly before, because of traces of which a part is on either side.
    pub(crate) fn needed(&self, low: Sequence) -> Sequence {
        if self.index.is_empty() && self.held_from == Sequence::MAX {
            return self.observed;
        }
        let before = |at_ns: u64, sequence: Sequence| {
            self.history.iter().rev().find(|(then_ns, then)| *then_ns <= at_ns && *then <= sequence)
        };
        let passed = before(u64::MAX, low).map(|(at_ns, _)| at_ns.saturating_sub(self.options.reread_ns));
        passed.and_then(|at_ns| before(at_ns, low)).map_or(0, |(_, sequence)| *sequence)
    }

    /// Notes what was observed until now.
    fn remember(&mut self) {
        let memory_ns = 3 * (self.options.window_ns + self.options.grace_ns) + self.options.reread_ns;
        let now_ns = self.now.mono_ns;
        if self.history.back().is_none_or(|(at_ns, _)| now_ns.saturating_sub(*at_ns) > memory_ns / 256) {
            self.history.push_back((now_ns, self.observed));
        }
        while self.history.len() > 260 {
            self.history.pop_front();
        }
    }

    /// Hears, before the journal is shown again, what it was that [`low`](Self::low) had reached: items up to there are of
    /// traces that were let go, and so are all others of these.
    pub(crate) fn set_gone_through(&mut self, low: Sequence) {
        self.gone_through = low;
    }

    /// Moves a trace into the list that it belongs to.
    fn place(&mut self, at: u32, place: Place) {
        let was = std::mem::replace(&mut self.traces[at].place, place);
        if was == place {
            return;
        }
        match was {
            Place::Open => self.open.remove(at, &mut self.traces),
            Place::Grace => self.grace.remove(at, &mut self.traces),
            Place::Free => {}
        }
        match place {
            Place::Open => self.open.push(at, &mut self.traces),
            Place::Grace => self.grace.push(at, &mut self.traces),
            Place::Free => {}
        }
    }

    /// Lets go of a trace and all that is kept of it.
    fn forget(&mut self, at: u32) {
        let trace = self.traces[at];
        self.place(at, Place::Free);
        let hash = recent::hash(trace.id);
        if let Ok(found) = self.index.find_entry(hash, |&other| other == at) {
            found.remove();
        }
        let mut item = trace.items;
        while item != NIL {
            let kept = self.items[item];
            kept.release(&mut self.texts);
            self.items.remove(item);
            item = kept.next;
        }
        let mut told = trace.told;
        while told != NIL {
            let next = self.told[told].next;
            self.told.remove(told);
            told = next;
        }
        self.requests.leave(at, trace.requests, &mut self.texts);
        self.excess.remove(&at);
        if trace.was_told {
            self.recent.insert(trace.id, trace.floor_ns);
        }
        self.traces.remove(at);
        self.last = None;
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        let records = self.items.len() + self.traces.len() + self.told.len() + self.requests.len();
        records + self.excess.len() + self.index.len() + self.open.len + self.grace.len == 0
    }
}
