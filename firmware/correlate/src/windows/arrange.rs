//! Putting a trace's items in order: what is there twice goes, windows are cut, what is too much is counted.

use super::Windows;
use super::items::{Kept, Tag};
use super::slab::NIL;
use crate::item::Level;
use std::ops::Range;

/// Windows of one trace at once: of a trace that is everywhere, with times from everywhere, not all can be.
const WINDOWS_OF_TRACE_MAX: usize = 16;

/// Counts of items that are not kept, of one window.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Excess {
    /// A time in the window: that of its first item, when there first were too many.
    pub(crate) at_ns: i64,
    /// The last instant of any of them.
    pub(crate) end_ns: i64,
    pub(crate) logs: u64,
    pub(crate) levels: [u64; Level::ALL.len()],
    pub(crate) spans: u64,
    pub(crate) failed_spans: u64,
    pub(crate) exemplars: u64,
}

impl Excess {
    pub(crate) fn add(&mut self, item: &Kept) {
        self.end_ns = self.end_ns.max(item.end_ns());
        match item.tag {
            Tag::Span => {
                self.spans += 1;
                self.failed_spans += u64::from(item.failed);
            }
            Tag::Log => {
                self.logs += 1;
                self.levels[item.level() as usize] += 1;
            }
            Tag::Exemplar => self.exemplars += 1,
        }
    }
}

/// Cuts items, ordered by time, into windows: each begins with an item and has those that are less than `window_ns` later.
pub(super) fn cut_windows(items: &[Kept], window_ns: u64, cuts: &mut Vec<Range<usize>>) {
    cuts.clear();
    let mut rest = items;
    while let Some(first) = rest.first() {
        let end_ns = first.time_ns.saturating_add_unsigned(window_ns);
        // Times at the very end of time have no window's length after them.
        let len = rest.partition_point(|item| item.time_ns < end_ns).max(1);
        let from = items.len() - rest.len();
        cuts.push(from..from + len);
        rest = &rest[len..];
    }
}

impl Windows {
    /// Puts the items of a trace in order, into `arranged` and `cuts`; each item's `next` there is its own number.
    pub(super) fn arrange(&mut self, at: u32) {
        let mut items = std::mem::take(&mut self.arranged);
        items.clear();
        let mut number = self.traces[at].items;
        while number != NIL {
            let mut kept = self.items[number];
            let next = std::mem::replace(&mut kept.next, number);
            items.push(kept);
            number = next;
        }
        items.sort_unstable_by(|a, b| a.order(b, &self.texts));
        self.drop_repeated(&mut items);
        let mut cuts = std::mem::take(&mut self.cuts);
        cut_windows(&items, self.options.window_ns, &mut cuts);
        let too_many = cuts.len() > WINDOWS_OF_TRACE_MAX || cuts.iter().any(|cut| cut.len() > self.options.items_max);
        if too_many {
            self.truncate(at, &mut items, &cuts);
            cut_windows(&items, self.options.window_ns, &mut cuts);
        }
        self.link(at, &items);
        (self.arranged, self.cuts) = (items, cuts);
    }

    /// Lets go of an item.
    pub(super) fn release(&mut self, item: &Kept) {
        item.release(&mut self.texts);
        self.items.remove(item.next);
    }

    fn drop_repeated(&mut self, items: &mut Vec<Kept>) {
        let mut len = usize::from(!items.is_empty());
        for at in 1..items.len() {
            let item = items[at];
            let last = &mut items[len - 1];
            if last.order(&item, &self.texts).is_eq() {
                // The one that came first is needed of the journal for longest.
                let age = |kept: &Kept| (self.observed as u32).wrapping_sub(kept.sequence);
                if age(&item) > age(last) {
                    last.sequence = item.sequence;
                }
                self.release(&item);
            } else {
                items[len] = item;
                len += 1;
            }
        }
        items.truncate(len);
    }

    /// Keeps the earliest of each window: of failures as many as a quarter, of the rest the others.
    fn truncate(&mut self, at: u32, items: &mut Vec<Kept>, cuts: &[Range<usize>]) {
        let failed_max = self.options.items_max / 4;
        let others_max = self.options.items_max - failed_max;
        let window_ns = self.options.window_ns;
        let mut kept = Vec::with_capacity(items.len());
        for (nth, cut) in cuts.iter().enumerate() {
            let window = &items[cut.clone()];
            let Some(first) = window.first() else { continue };
            let (mut failed, mut others) = (0, 0);
            for item in window {
                let (count, most) = if item.failed { (&mut failed, failed_max) } else { (&mut others, others_max) };
                *count += 1;
                if nth >= WINDOWS_OF_TRACE_MAX {
                    self.tally.dropped += 1;
                } else if *count > most {
                    self.tally.truncated += 1;
                    let all = self.excess.entry(at).or_default();
                    let ends_ns = first.time_ns.saturating_add_unsigned(window_ns);
                    let of_window = |excess: &Excess| (first.time_ns..ends_ns).contains(&excess.at_ns);
                    let found = all.iter().position(of_window).unwrap_or_else(|| {
                        all.push(Excess { at_ns: first.time_ns, end_ns: i64::MIN, ..Excess::default() });
                        all.len() - 1
                    });
                    all[found].add(item);
                } else {
                    kept.push(*item);
                    continue;
                }
                self.release(item);
            }
        }
        *items = kept;
    }

    /// Makes these the items of a trace.
    pub(super) fn link(&mut self, at: u32, items: &[Kept]) {
        let mut next = NIL;
        for item in items.iter().rev() {
            let place = &mut self.items[item.next];
            (place.next, place.sequence) = (next, item.sequence);
            next = item.next;
        }
        let trace = &mut self.traces[at];
        trace.items = next;
        trace.items_len = items.len() as u32;
        trace.arrange_at = (2 * self.options.items_max.max(items.len())) as u32;
    }
}
