//! Entering items: constant work, no allocation once there is memory.

use super::Windows;
use super::ids::{put_ids, request_of};
use super::items::{Kept, Tag, put_origin};
use super::requests::Hold;
use super::slab::NIL;
use super::texts::{Text, cut};
use super::traces::{NEVER, Place, Told, Trace};
use super::{look, recent};
use crate::correlation::Correlation;
use crate::item::{Item, ItemSink, What};
use bramble_signal::TraceId;

/// Longest line, name or message that is kept.
const TEXT_BYTES_MAX: usize = 512;
/// Traces that are let go at most to make room for an item.
const MAKE_ROOM_MAX: usize = 8;

impl ItemSink for Windows {
    fn origin(&mut self, origin: &crate::Origin<'_>) {
        let mut key = std::mem::take(&mut self.key);
        put_origin(origin.service, origin.node, origin.env, &mut key);
        self.texts.release(self.origin);
        self.origin = self.texts.take(&key);
        self.key = key;
    }

    fn item(&mut self, item: &Item<'_>) {
        self.tally.items += 1;
        self.earliest_ns = self.earliest_ns.min(item.time_ns);
        if item.trace_id.is_zero() {
            self.without_trace(item);
            return;
        }
        if !self.make_room() {
            self.tally.dropped += 1;
            return;
        }
        let Some(at) = self.trace(item.trace_id) else {
            self.tally.dropped += 1;
            return;
        };
        if item.time_ns < self.traces[at].floor_ns {
            self.tally.late += 1;
            if self.traces[at].items == NIL {
                self.forget(at);
            }
            return;
        }
        self.enter(at, item);
    }
}

impl Windows {
    /// The trace of an id; a new one if need be. `None` when there is no room.
    fn trace(&mut self, id: TraceId) -> Option<u32> {
        if let Some((last, at)) = self.last
            && last == id
        {
            return Some(at);
        }
        let hash = recent::hash(id);
        let traces = &self.traces;
        let at = match self.index.find(hash, |&at| traces[at].id == id) {
            Some(&at) => at,
            None => self.add_trace(id, hash)?,
        };
        self.last = Some((id, at));
        Some(at)
    }

    fn add_trace(&mut self, id: TraceId, hash: u64) -> Option<u32> {
        if !self.traces.has_room() {
            self.evict();
        }
        let trace = Trace {
            id,
            items: NIL,
            arrange_at: (2 * self.options.items_max) as u32,
            requests: NIL,
            told: NIL,
            first_sequence: u64::MAX,
            open_ns: NEVER,
            look_at_ns: u64::MAX,
            floor_ns: self.recent.floor_ns(id).unwrap_or(i64::MIN),
            ..Trace::default()
        };
        let at = self.traces.add(trace)?;
        let traces = &self.traces;
        self.index.insert_unique(hash, at, |&at| recent::hash(traces[at].id));
        self.place(at, Place::Open);
        Some(at)
    }

    /// Whether there is room for an item.
    fn make_room(&mut self) -> bool {
        for _ in 0..MAKE_ROOM_MAX {
            if self.items.has_room() || !self.evict() {
                break;
            }
        }
        self.items.has_room()
    }

    /// Lets go of a trace: the oldest that was told of, else the oldest. Whether there was one.
    pub(super) fn evict(&mut self) -> bool {
        let at = if self.grace.first != NIL { self.grace.first } else { self.open.first };
        if at == NIL {
            return false;
        }
        if self.observed <= self.gone_through {
            self.let_go_silently(at);
        } else {
            self.look(at, look::Why::NoRoom);
        }
        true
    }

    fn enter(&mut self, at: u32, item: &Item<'_>) {
        let mut kept = self.kept(item);
        let trace = self.traces[at];
        kept.next = trace.items;
        // There is room: it was made.
        let Some(number) = self.items.add(kept) else {
            kept.release(&mut self.texts);
            return;
        };
        let now_ns = self.now.mono_ns;
        let is_told = trace.told != NIL && self.is_told(trace.told, item.time_ns);
        let trace = &mut self.traces[at];
        trace.items = number;
        trace.items_len += 1;
        trace.first_sequence = trace.first_sequence.min(self.observed);
        trace.last_came_ns = now_ns;
        if trace.told != NIL {
            self.mark_dirty(at);
        }
        if !is_told {
            let trace = &mut self.traces[at];
            if trace.open_ns == NEVER {
                trace.open_since_ns = now_ns;
            }
            trace.open_ns = trace.open_ns.min(item.time_ns);
            self.place(at, Place::Open);
        }
        let request = request_of(&item.ids);
        if !request.is_empty() {
            self.name_request(at, request);
        }
        if self.traces[at].items_len >= self.traces[at].arrange_at {
            self.arrange(at);
        }
    }

    /// Something came of a trace of which something was told.
    pub(super) fn mark_dirty(&mut self, at: u32) {
        let (mut told, mut last_ns) = (self.traces[at].told, u64::MAX);
        if told == NIL {
            return;
        }
        while told != NIL {
            last_ns = last_ns.min(self.told[told].last_ns);
            told = self.told[told].next;
        }
        let trace = &mut self.traces[at];
        trace.dirty = true;
        trace.look_at_ns = trace.look_at_ns.min(last_ns.saturating_add(self.options.debounce_ns));
    }

    /// Whether a window of that time was told of.
    fn is_told(&self, mut told: u32, time_ns: i64) -> bool {
        while told != NIL {
            let one = &self.told[told];
            let start_ns = one.opened_ms.saturating_mul(1_000_000);
            let end_ns = start_ns.saturating_add_unsigned(self.options.window_ns);
            if (start_ns..end_ns).contains(&time_ns) {
                return true;
            }
            told = one.next;
        }
        false
    }

    fn name_request(&mut self, at: u32, request: &str) {
        let id = self.texts.take(request.as_bytes());
        let mut list = self.traces[at].requests;
        let no_longer = self.requests.name(id, at, &mut list, &mut self.texts);
        self.traces[at].requests = list;
        self.texts.release(id);
        let traces = no_longer.into_iter().flatten().take_while(|&trace| trace != NIL);
        traces.for_each(|trace| self.mark_dirty(trace));
    }

    fn kept(&mut self, item: &Item<'_>) -> Kept {
        let mut kept = Kept::new(item.time_ns);
        kept.span_id = u64::from_be_bytes(item.span_id.0);
        kept.sequence = self.observed as u32;
        kept.origin = self.texts.keep(self.origin);
        if item.ids.iter().any(|id| !id.is_empty()) {
            let mut key = std::mem::take(&mut self.key);
            put_ids(&item.ids, &mut key);
            kept.ids = self.texts.take(&key);
            self.key = key;
        }
        match item.what {
            What::Log { level, line, identity } => {
                (kept.tag, kept.other, kept.detail) = (Tag::Log, identity, level as u8);
                kept.failed = level.is_error();
                if kept.failed {
                    kept.name = self.texts.take(cut(line, TEXT_BYTES_MAX));
                }
            }
            What::Span { parent_span_id, duration_ns, kind, failed, name, message } => {
                (kept.other, kept.duration_ns) = (u64::from_be_bytes(parent_span_id.0), duration_ns);
                (kept.detail, kept.failed) = (kind as u8, failed);
                kept.name = self.texts.take(cut(name.as_bytes(), TEXT_BYTES_MAX));
                if failed {
                    kept.message = self.texts.take(cut(message.as_bytes(), TEXT_BYTES_MAX));
                }
            }
            What::Exemplar { series, value } => {
                (kept.tag, kept.other) = (Tag::Exemplar, value.to_bits());
                kept.name = self.texts.take(cut(series.as_bytes(), TEXT_BYTES_MAX));
            }
        }
        kept
    }

    fn without_trace(&mut self, item: &Item<'_>) {
        let request = request_of(&item.ids);
        let What::Log { identity, .. } = item.what else {
            self.unmatched(&item.what);
            return;
        };
        if request.is_empty() {
            self.unmatched(&item.what);
            return;
        }
        let id = self.texts.take(request.as_bytes());
        let when = (self.observed, self.now.mono_ns);
        let held = match id {
            Text::NONE => Hold::Refused,
            id => self.requests.hold(id, (item.time_ns, identity), when, &mut self.texts),
        };
        self.texts.release(id);
        match held {
            Hold::Held(traces, len) => {
                self.held_from = self.held_from.min(self.observed);
                traces.into_iter().take(len).for_each(|trace| self.mark_dirty(trace));
            }
            Hold::Refused => self.tally.unmatched_logs += 1,
        }
    }

    fn unmatched(&mut self, what: &What<'_>) {
        match what {
            What::Log { .. } => self.tally.unmatched_logs += 1,
            What::Span { .. } => self.tally.unmatched_spans += 1,
            What::Exemplar { .. } => {}
        }
    }

    /// Hears, while the journal is shown again, what was told before the restart.
    pub(crate) fn restore(&mut self, correlation: &Correlation, content: u64) {
        let (id, opened_ms) = (correlation.id.trace_id, correlation.id.opened_ms);
        let hash = recent::hash(id);
        let traces = &self.traces;
        let Some(&at) = self.index.find(hash, |&at| traces[at].id == id) else {
            let opened_ns = opened_ms.saturating_mul(1_000_000);
            self.recent.insert(id, opened_ns.saturating_add_unsigned(correlation.window_ns));
            return;
        };
        let mut found = self.traces[at].told;
        while found != NIL && self.told[found].opened_ms != opened_ms {
            found = self.told[found].next;
        }
        let now_ns = self.now.mono_ns;
        if !self.has_item_at(at, correlation.start_ns) {
            // It was let go, as far as it is in the journal at all: what is there is not all of it.
            self.let_go_before(at, correlation.start_ns.saturating_add_unsigned(correlation.window_ns));
            return;
        }
        if found == NIL {
            let told =
                Told { opened_ms, at_ns: now_ns, last_ns: now_ns, next: self.traces[at].told, ..Told::default() };
            let Some(number) = self.told.add(told) else { return };
            (found, self.traces[at].told) = (number, number);
        }
        let told = &mut self.told[found];
        if correlation.revision >= told.revision {
            (told.revision, told.span_revision, told.content) = (correlation.revision, correlation.revision, content);
            (told.exemplars, told.restored) = (correlation.exemplars, correlation.logs + correlation.spans);
        }
        self.mark_dirty(at);
        self.traces[at].look_at_ns = self.traces[at].look_at_ns.min(now_ns + self.options.grace_ns);
        self.place(at, Place::Grace);
    }

    fn has_item_at(&self, at: u32, time_ns: i64) -> bool {
        let mut item = self.traces[at].items;
        while item != NIL && self.items[item].time_ns != time_ns {
            item = self.items[item].next;
        }
        item != NIL
    }

    /// Lets go of all traces: they had been before the restart.
    pub(super) fn let_go_all(&mut self) {
        for at in 0..self.traces.end() {
            if self.traces[at].place != Place::Free {
                self.let_go_silently(at);
            }
        }
        // Entries that were held are as old.
        let later_ns = self.now.mono_ns.saturating_add(2_000_000_000);
        self.requests.expire(later_ns, 0, self.observed, &mut self.texts);
    }

    fn let_go_silently(&mut self, at: u32) {
        self.arrange(at);
        let last = self.cuts.last().and_then(|cut| self.arranged.get(cut.start));
        let ends_ns = last.map_or(i64::MIN, |first| first.time_ns.saturating_add_unsigned(self.options.window_ns));
        self.let_go_before(at, ends_ns);
        if self.traces[at].place != Place::Free {
            self.forget(at);
        }
    }

    /// Lets go of a trace's items before `floor_ns`, of which something was told.
    fn let_go_before(&mut self, at: u32, floor_ns: i64) {
        self.arrange(at);
        let items = std::mem::take(&mut self.arranged);
        let (gone, kept) = items.split_at(items.partition_point(|item| item.time_ns < floor_ns));
        gone.iter().for_each(|item| self.release(item));
        let trace = &mut self.traces[at];
        trace.floor_ns = trace.floor_ns.max(floor_ns);
        trace.was_told = true;
        self.link(at, kept);
        if kept.is_empty() {
            self.forget(at);
        }
        self.arranged = items;
    }
}
