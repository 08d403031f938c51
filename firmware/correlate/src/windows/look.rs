//! Looking at a trace: which of its windows are over, what is to be told of them, what may be let go.

use super::content::{Window, content, content_hash, is_single};
use super::ids::ids_of;
use super::items::{Kept, Tag};
use super::slab::NIL;
use super::traces::{NEVER, Place, Told};
use super::{LOOKED_AT_MAX, PUBLISHED_MAX, READY_MAX, Windows};
use crate::correlation::{Correlation, CorrelationId, Marks};
use crate::publish::Published;
use crate::span::SpanWritten;
use bramble_line::ids::IdKind;
use bramble_storage::Sequence;
use std::sync::Arc;

/// Entries without a trace may be so much earlier than the window that they are joined to.
const JOIN_BEFORE_NS: i64 = 5_000_000_000;

/// So many windows that are over may be kept on the journal because their items came between those of later ones.
const HELD_BACK_MAX: u8 = 4;

/// A window that is told of so long after its end, and its grace, is history.
const HISTORY_NS: i64 = 60_000_000_000;

/// In place of the last revision with a span: none is written.
const NO_SPANS: u32 = u32::MAX;

/// Why a trace is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Why {
    /// It is due.
    Due,
    /// Its room is needed: it is let go.
    NoRoom,
}

/// One window that is looked at.
struct Looked<'a> {
    at: u32,
    items: &'a [Kept],
    /// Where the window before ended.
    before_ns: i64,
    closed_early: bool,
}

impl Windows {
    /// What is to be told now, and whether there is more.
    pub(crate) fn publish(&mut self) -> (Vec<Published>, bool) {
        if self.observed <= self.gone_through && self.gone_through > 0 {
            self.let_go_all();
        }
        self.gone_through = 0;
        self.remember();
        let wait_ns = self.options.window_ns.saturating_add(self.options.grace_ns);
        let (unmatched, before) = self.requests.expire(self.now.mono_ns, wait_ns, self.observed, &mut self.texts);
        self.tally.unmatched_logs += unmatched;
        self.held_from = before.map_or(Sequence::MAX, |before| self.observed.saturating_sub(before));
        while (self.items.is_crowded() || self.texts.is_crowded()) && self.ready.len() < PUBLISHED_MAX && self.evict() {
        }
        let (end, mut items) = (self.traces.end(), 0);
        for _ in 0..end {
            if self.ready.len() >= PUBLISHED_MAX || items >= LOOKED_AT_MAX {
                break;
            }
            let at = if self.scan_from < end { self.scan_from } else { 0 };
            self.scan_from = at + 1;
            let trace = &self.traces[at];
            if trace.place != Place::Free && trace.is_due(self.now, &self.options) {
                items += trace.items_len as usize;
                self.look(at, Why::Due);
            }
        }
        let more = self.ready.len() >= PUBLISHED_MAX || items >= LOOKED_AT_MAX;
        let count = self.ready.len().min(2 * PUBLISHED_MAX);
        (self.ready.drain(..count).collect(), more)
    }

    /// Tells what is to be told of a trace, and lets go of what is over.
    pub(super) fn look(&mut self, at: u32, why: Why) {
        self.arrange(at);
        let (items, cuts) = (std::mem::take(&mut self.arranged), std::mem::take(&mut self.cuts));
        let mut open_ns = NEVER;
        let mut look_at_ns = u64::MAX;
        let mut still_dirty = false;
        let (mut before_ns, mut gone) = (i64::MIN, 0);
        for cut in &cuts {
            let Some(window) = items.get(cut.clone()) else { continue };
            let Some(first) = window.first() else { continue };
            let start_ns = first.time_ns;
            let end_ns = start_ns.saturating_add_unsigned(self.options.window_ns);
            let mut looked = Looked { at, items: window, before_ns, closed_early: false };
            let told = self.told_of(at, start_ns);
            let is_over = if told != NIL {
                let is_over = why == Why::NoRoom || self.is_over(told);
                if self.tell_again(&looked, told, is_over) {
                    still_dirty = true;
                    look_at_ns = look_at_ns.min(self.told[told].last_ns.saturating_add(self.options.debounce_ns));
                }
                look_at_ns = look_at_ns.min(self.told[told].at_ns.saturating_add(self.options.grace_ns));
                is_over
            } else {
                let closed_ns = self.traces[at].closes_at(start_ns, self.now, &self.options);
                let closed_ns = closed_ns.filter(|&closed_ns| closed_ns <= self.now.mono_ns);
                looked.closed_early = closed_ns.is_none();
                if closed_ns.is_none() && why == Why::Due {
                    open_ns = open_ns.min(start_ns);
                    before_ns = end_ns;
                    continue;
                }
                // What is left is not as old as what was open.
                self.traces[at].open_since_ns = self.now.mono_ns;
                self.tell_first(&looked, self.now.mono_ns - closed_ns.unwrap_or(self.now.mono_ns));
                look_at_ns = look_at_ns.min(self.now.mono_ns.saturating_add(self.options.grace_ns));
                why == Why::NoRoom
            };
            before_ns = end_ns;
            // Windows go in order, so that one time tells what is late.
            if is_over && gone == cut.start {
                gone = cut.end;
                self.let_go(at, window, end_ns);
            }
        }
        (self.traces[at].open_ns, self.traces[at].dirty) = (open_ns, still_dirty);
        self.traces[at].look_at_ns = look_at_ns;
        let (gone, left) = items.split_at(gone);
        self.settle(at, gone, left);
        (self.arranged, self.cuts) = (items, cuts);
    }

    /// Puts a trace where it belongs, with the items that are left, without those that are gone.
    fn settle(&mut self, at: u32, gone: &[Kept], items: &[Kept]) {
        self.link(at, items);
        if items.is_empty() {
            self.forget(at);
            return;
        }
        let first_sequence = self.first_sequence(items);
        let last_gone = gone.iter().map(|item| self.sequence_of(item)).max();
        let trace = &mut self.traces[at];
        // Windows are cut the same after a restart if they are whole.
        let interleaved = last_gone.is_some_and(|last_gone| last_gone >= first_sequence);
        if interleaved && trace.held_back < HELD_BACK_MAX {
            trace.held_back += 1;
        } else if last_gone.is_some() {
            (trace.first_sequence, trace.held_back) = (first_sequence, 0);
        }
        let place = if trace.open_ns == NEVER { Place::Grace } else { Place::Open };
        self.place(at, place);
    }

    fn is_over(&self, told: u32) -> bool {
        self.now.mono_ns >= self.told[told].at_ns.saturating_add(self.options.grace_ns)
    }

    /// What was told of the window that starts at `start_ns`.
    fn told_of(&self, at: u32, start_ns: i64) -> u32 {
        let from_ms = start_ns.div_euclid(1_000_000);
        let until_ms = from_ms.saturating_add_unsigned(self.options.window_ns / 1_000_000);
        let mut told = self.traces[at].told;
        while told != NIL && !(from_ms..until_ms).contains(&self.told[told].opened_ms) {
            told = self.told[told].next;
        }
        told
    }

    /// The window as it is now; `None` when it has one signal of one service.
    fn content(&mut self, looked: &Looked<'_>, opened_ms: i64, revision: u32, always: bool) -> Option<Correlation> {
        let trace = self.traces[looked.at];
        let start_ns = looked.items.first().map_or(0, |item| item.time_ns);
        let end_ns = start_ns.saturating_add_unsigned(self.options.window_ns);
        let from_ns = looked.before_ns.max(start_ns.saturating_sub(JOIN_BEFORE_NS));
        let texts = &self.texts;
        let names = |id: &[u8]| {
            looked
                .items
                .iter()
                .any(|item| ids_of(texts.get(item.ids)).any(|(kind, of)| kind == IdKind::Request && of == id))
        };
        let (inferred_logs, ambiguous_request) = match trace.requests {
            NIL => (0, false),
            list => self.requests.joined(list, (from_ns, end_ns), texts, names),
        };
        let excess = self
            .excess
            .get(&looked.at)
            .and_then(|all| all.iter().find(|excess| (start_ns..end_ns).contains(&excess.at_ns)).copied());
        let window = Window {
            items: looked.items,
            texts,
            excess,
            window_ns: self.options.window_ns,
            inferred_logs,
            marks: Marks { ambiguous_request, closed_early: looked.closed_early, ..Marks::default() },
        };
        if !always && is_single(&window) {
            return None;
        }
        Some(content(&window, CorrelationId { trace_id: trace.id, opened_ms }, revision))
    }

    fn first_sequence(&self, items: &[Kept]) -> u64 {
        items.iter().map(|item| self.sequence_of(item)).min().unwrap_or(self.observed)
    }

    fn ready(&mut self, published: Published) {
        if self.ready.len() >= READY_MAX {
            self.tally.dropped += 1;
            return;
        }
        self.ready.push_back(published);
    }

    /// A window closed of which nothing was told.
    fn tell_first(&mut self, looked: &Looked<'_>, latency_ns: u64) {
        let start_ns = looked.items.first().map_or(0, |item| item.time_ns);
        let now_ns = self.now.mono_ns;
        // What comes long after its time is history: it is told of, but its trace is left as it was.
        let over_for_ns = self.now.event_ns.saturating_sub(start_ns.saturating_add_unsigned(self.options.window_ns));
        let is_history = over_for_ns > HISTORY_NS.max(i64::try_from(self.options.grace_ns).unwrap_or(i64::MAX));
        let mut told = Told {
            span_revision: if is_history { NO_SPANS } else { 0 },
            opened_ms: start_ns.div_euclid(1_000_000),
            at_ns: now_ns,
            last_ns: now_ns,
            next: self.traces[looked.at].told,
            ..Told::default()
        };
        let first = self.content(looked, told.opened_ms, 1, false);
        if let Some(correlation) = first {
            self.tally.closed_early += u64::from(looked.closed_early);
            told.revision = 1;
            told.span_revision = told.span_revision.max(1);
            (told.content, told.exemplars) = (content_hash(&correlation), correlation.exemplars);
            let first_sequence = self.first_sequence(looked.items);
            self.ready(Published {
                correlation: Arc::new(correlation),
                write_row: true,
                span: (!is_history).then_some(SpanWritten::First),
                latency_ns,
                first_sequence,
            });
        }
        if let Some(number) = self.told.add(told) {
            self.traces[looked.at].told = number;
        }
    }

    /// Tells a window anew if it changed, and not too soon; `is_last`: there is no other time. Whether it is to be looked at
    /// again because it is too soon.
    fn tell_again(&mut self, looked: &Looked<'_>, told: u32, is_last: bool) -> bool {
        let mut known = self.told[told];
        let now_ns = self.now.mono_ns;
        let is_dirty = self.traces[looked.at].dirty;
        if is_dirty && !is_last && now_ns < known.last_ns.saturating_add(self.options.debounce_ns) {
            return true;
        }
        let span_is_old = is_last && known.revision > known.span_revision;
        if !is_dirty && !span_is_old {
            return false;
        }
        let start_ns = looked.items.first().map_or(0, |item| item.time_ns);
        if known.revision == 0 {
            known.opened_ms = start_ns.div_euclid(1_000_000);
        }
        let correlation = self.content(looked, known.opened_ms, known.revision + 1, known.revision > 0);
        known.last_ns = now_ns;
        let Some(mut correlation) = correlation else {
            self.told[told] = known;
            return false;
        };
        let content = content_hash(&correlation);
        // After a restart not all of the items may be there again.
        let is_less = known.restored > 0 && correlation.logs + correlation.spans <= known.restored;
        let is_other = content != known.content || correlation.exemplars != known.exemplars;
        let write_row = known.revision == 0 || (is_other && !is_less);
        if write_row {
            known.revision += 1;
            (known.content, known.exemplars, known.restored) = (content, correlation.exemplars, 0);
        }
        correlation.revision = known.revision;
        let is_first = known.revision == 1;
        let wants_span = known.span_revision != NO_SPANS
            && (is_first && write_row || is_last && known.revision > known.span_revision);
        if wants_span {
            known.span_revision = known.revision;
        }
        self.told[told] = known;
        if write_row || wants_span {
            let span = if is_first { SpanWritten::First } else { SpanWritten::Final };
            let first_sequence = self.first_sequence(looked.items);
            self.ready(Published {
                correlation: Arc::new(correlation),
                write_row,
                span: wants_span.then_some(span),
                latency_ns: 0,
                first_sequence,
            });
        }
        false
    }

    /// Lets go of a window.
    fn let_go(&mut self, at: u32, items: &[Kept], end_ns: i64) {
        let start_ns = items.first().map_or(0, |item| item.time_ns);
        let told = self.told_of(at, start_ns);
        let was_told = told != NIL && self.told[told].revision > 0;
        if !was_told {
            self.tally.singles += 1;
            self.tally.unmatched_logs += items.iter().filter(|item| item.tag == Tag::Log).count() as u64;
            self.tally.unmatched_spans += items.iter().filter(|item| item.is_span()).count() as u64;
        }
        self.untell(at, told);
        items.iter().for_each(|item| self.release(item));
        if let Some(all) = self.excess.get_mut(&at) {
            all.retain(|excess| !(start_ns..end_ns).contains(&excess.at_ns));
        }
        let trace = &mut self.traces[at];
        trace.floor_ns = trace.floor_ns.max(end_ns);
        trace.was_told |= was_told;
    }

    /// Forgets what was told of a window.
    fn untell(&mut self, at: u32, told: u32) {
        if told == NIL {
            return;
        }
        let next = self.told[told].next;
        let mut before = self.traces[at].told;
        if before == told {
            self.traces[at].told = next;
        } else {
            while self.told[before].next != told {
                before = self.told[before].next;
            }
            self.told[before].next = next;
        }
        self.told.remove(told);
    }
}
