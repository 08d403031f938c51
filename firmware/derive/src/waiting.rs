//! Halves of edges that wait for the other half.
//!
//! A slab of halves, found by (trace, span of the client), chained by age. Both the number of halves and their memory are
//! bounded; a half that finds no room is told so.

use crate::texts::TextId;
use bramble_runtime::Reservation;
use bramble_signal::{SpanId, TraceId};
use bramble_storage::Sequence;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// One side of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Half {
    pub(crate) trace_id: TraceId,
    /// The span of the client, whichever side this is.
    pub(crate) span_id: SpanId,
    pub(crate) is_client: bool,
    /// Whether a producer or a consumer.
    pub(crate) messaging: bool,
    pub(crate) failed: bool,
    pub(crate) service: TextId,
    /// What a client calls the other side, or no text.
    pub(crate) peer: TextId,
    pub(crate) duration_ns: u64,
    pub(crate) sequence: Sequence,
    /// Since when it waits, on the monotonic clock.
    pub(crate) since_ns: u64,
}

/// What became of a half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Met {
    /// The other half was there, and waits no longer.
    Other(Half),
    /// It waits.
    Waits,
    /// The same half waits already, from another span or the same one sent twice.
    Same,
    /// There is no room.
    Full,
}

const NOWHERE: u32 = u32::MAX;

struct Slot {
    half: Half,
    older: u32,
    newer: u32,
}

/// A slot and its share of the table.
const SLOT_BYTES: usize = size_of::<Slot>() + 10;

pub(crate) struct Waiting {
    table: HashTable<u32>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    oldest: u32,
    newest: u32,
    most: usize,
    /// Slots that are paid for.
    room: usize,
    space: Reservation,
}

fn hash(trace_id: TraceId, span_id: SpanId) -> u64 {
    FixedState::default().hash_one((trace_id, span_id))
}

impl Waiting {
    /// At most `most` halves, counted in `space`.
    pub(crate) fn new(most: usize, space: Reservation) -> Self {
        Waiting {
            table: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            oldest: NOWHERE,
            newest: NOWHERE,
            most: most.min(NOWHERE as usize - 1),
            room: 0,
            space,
        }
    }

    /// Halves that wait.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Lets `half` meet the other half, or wait for it.
    pub(crate) fn meet(&mut self, half: Half) -> Met {
        let hashed = hash(half.trace_id, half.span_id);
        let slots = &self.slots;
        let same = |&at: &u32| {
            let there = &slots[at as usize].half;
            (there.span_id, there.trace_id) == (half.span_id, half.trace_id)
        };
        match self.table.find_entry(hashed, same) {
            Ok(entry) => {
                let at = *entry.get();
                if self.slots[at as usize].half.is_client == half.is_client {
                    return Met::Same;
                }
                entry.remove();
                Met::Other(self.unchain(at))
            }
            Err(_) => self.wait(hashed, half),
        }
    }

    fn wait(&mut self, hashed: u64, half: Half) -> Met {
        if !self.has_room() {
            return Met::Full;
        }
        let at = self.chain(half);
        let slots = &self.slots;
        let rehash = |&at: &u32| {
            let there = &slots[at as usize].half;
            hash(there.trace_id, there.span_id)
        };
        self.table.insert_unique(hashed, at, rehash);
        Met::Waits
    }

    /// Takes out the oldest half if it has waited since `before_ns` or longer.
    pub(crate) fn expire(&mut self, before_ns: u64) -> Option<Half> {
        let at = self.oldest;
        let half = self.slots.get(at as usize).filter(|_| at != NOWHERE)?.half;
        if half.since_ns > before_ns {
            return None;
        }
        if let Ok(entry) = self.table.find_entry(hash(half.trace_id, half.span_id), |&other| other == at) {
            entry.remove();
        }
        Some(self.unchain(at))
    }

    /// The half that waits longest.
    pub(crate) fn oldest(&self) -> Option<&Half> {
        self.slots.get(self.oldest as usize).filter(|_| self.oldest != NOWHERE).map(|slot| &slot.half)
    }

    /// All that wait.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Half> {
        self.table.iter().map(|&at| &self.slots[at as usize].half)
    }

    /// Gives back memory that nothing waits in.
    pub(crate) fn trim(&mut self) {
        if self.table.is_empty() && self.room > 256 {
            (self.table, self.slots, self.free) = Default::default();
            drop(self.space.split(self.room * SLOT_BYTES));
            self.room = 0;
        }
    }

    fn has_room(&mut self) -> bool {
        if !self.free.is_empty() || self.slots.len() < self.room {
            return true;
        }
        let wanted = (self.room * 2).max(64).min(self.most);
        let more = wanted.saturating_sub(self.room);
        if more == 0 || self.space.grow(more * SLOT_BYTES).is_err() {
            return false;
        }
        self.slots.reserve_exact(more);
        self.room = wanted;
        true
    }

    fn chain(&mut self, half: Half) -> u32 {
        let slot = Slot { half, older: self.newest, newer: NOWHERE };
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at as usize] = slot;
                at
            }
            None => {
                self.slots.push(slot);
                (self.slots.len() - 1) as u32
            }
        };
        match self.newest {
            NOWHERE => self.oldest = at,
            newest => self.slots[newest as usize].newer = at,
        }
        self.newest = at;
        at
    }

    fn unchain(&mut self, at: u32) -> Half {
        let Slot { half, older, newer } = self.slots[at as usize];
        match older {
            NOWHERE => self.oldest = newer,
            older => self.slots[older as usize].newer = newer,
        }
        match newer {
            NOWHERE => self.newest = older,
            newer => self.slots[newer as usize].older = older,
        }
        self.free.push(at);
        half
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::texts::NONE;
    use bramble_runtime::{Budget, BudgetName};
    use proptest::prelude::*;

    fn half(span: u8, is_client: bool, since_ns: u64) -> Half {
        Half {
            trace_id: TraceId([7; 16]),
            span_id: SpanId([span; 8]),
            is_client,
            messaging: false,
            failed: false,
            service: NONE,
            peer: NONE,
            duration_ns: 1,
            sequence: since_ns,
            since_ns,
        }
    }

    fn waiting(most: usize, bytes: usize) -> Waiting {
        Waiting::new(most, Budget::standalone(BudgetName::Derived, bytes).reserve(0).unwrap())
    }

    #[test]
    fn halves_meet_in_either_order_once() {
        let mut waiting = waiting(10, 1 << 20);
        assert_eq!(waiting.meet(half(1, true, 5)), Met::Waits);
        assert_eq!(waiting.meet(half(1, true, 6)), Met::Same);
        assert_eq!(waiting.meet(half(1, false, 7)), Met::Other(half(1, true, 5)));
        assert_eq!(waiting.meet(half(1, false, 8)), Met::Waits, "a retry's second server");
        assert_eq!((waiting.expire(7), waiting.expire(8)), (None, Some(half(1, false, 8))));
        assert_eq!((waiting.len(), waiting.oldest()), (0, None));
    }

    #[test]
    fn room_is_bounded_by_number_and_by_bytes() {
        for (most, bytes) in [(70, 1 << 20), (1000, SLOT_BYTES * 100)] {
            let mut waiting = waiting(most, bytes);
            let fits = (0..=255).take_while(|&i| waiting.meet(half(i, true, 1)) == Met::Waits).count();
            assert_eq!(fits, if most == 70 { 70 } else { 64 });
            assert_eq!(waiting.meet(half(0, false, 1)), Met::Other(half(0, true, 1)));
            assert_eq!(waiting.meet(half(255, true, 1)), Met::Waits, "one left, one may come");
        }
    }

    proptest! {
        #[test]
        fn as_a_list_would(steps in proptest::collection::vec((0u8..12, any::<bool>(), 0u64..4), 0..200)) {
            let (mut waiting, mut list, mut now) = (waiting(8, 1 << 20), Vec::<Half>::new(), 0);
            for (span, is_client, pause) in steps {
                now += pause;
                let new = half(span, is_client, now);
                let met = match list.iter().position(|h| h.span_id == new.span_id) {
                    Some(at) if list[at].is_client == is_client => Met::Same,
                    Some(at) => Met::Other(list.remove(at)),
                    None if list.len() == 8 => Met::Full,
                    None => { list.push(new); Met::Waits }
                };
                prop_assert_eq!(waiting.meet(new), met);
                if let Some(before) = now.checked_sub(5) {
                    while list.first().is_some_and(|h| h.since_ns <= before) {
                        prop_assert_eq!(waiting.expire(before), Some(list.remove(0)));
                    }
                    prop_assert_eq!(waiting.expire(before), None);
                }
                prop_assert_eq!(waiting.oldest(), list.first());
                prop_assert_eq!(waiting.iter().count(), list.len());
            }
        }
    }
}
