//! Traces that were published and are no longer held: what comes of them now is late, and no window is published twice.

use super::slab::NIL;
use bramble_runtime::Reservation;
use bramble_signal::TraceId;
use hashbrown::HashTable;

#[derive(Clone, Copy, Debug)]
struct Known {
    trace: u64,
    floor_ns: i64,
}

/// The newest of them, up to a number.
pub(crate) struct Recent {
    /// A ring: when it is full the oldest gives its place.
    known: Vec<Known>,
    oldest: usize,
    table: HashTable<u32>,
    most: usize,
    _space: Reservation,
}

impl Recent {
    /// What one of them costs, bytes: its place in the ring, and in a table that may be half empty and is copied when it
    /// grows.
    pub(crate) const BYTES: usize = size_of::<Known>() + 16;

    /// Of so many traces; `space` has room for them.
    pub(crate) fn new(most: usize, space: Reservation) -> Self {
        Recent { known: Vec::new(), oldest: 0, table: HashTable::new(), most: most.min(NIL as usize), _space: space }
    }

    /// Before when nothing of the trace is taken any more, nanoseconds.
    pub(crate) fn floor_ns(&self, id: TraceId) -> Option<i64> {
        let trace = hash(id);
        let at = *self.table.find(trace, |&at| self.known[at as usize].trace == trace)?;
        Some(self.known[at as usize].floor_ns)
    }

    /// Windows of the trace that ended at `floor_ns` are no longer held.
    pub(crate) fn insert(&mut self, id: TraceId, floor_ns: i64) {
        let trace = hash(id);
        let known = &mut self.known;
        if let Some(&at) = self.table.find(trace, |&at| known[at as usize].trace == trace) {
            let floor = &mut known[at as usize].floor_ns;
            *floor = floor_ns.max(*floor);
            return;
        }
        if self.most == 0 {
            return;
        }
        let at = if known.len() < self.most {
            known.push(Known { trace, floor_ns });
            known.len() - 1
        } else {
            let at = self.oldest;
            self.oldest = (at + 1) % self.most;
            if let Ok(found) = self.table.find_entry(known[at].trace, |&other| other as usize == at) {
                found.remove();
            }
            known[at] = Known { trace, floor_ns };
            at
        };
        let known = &self.known;
        self.table.insert_unique(trace, at as u32, |&at| known[at as usize].trace);
    }
}

/// Two traces of one hash are taken for one: with 65,536 of them, one in 2^48.
pub(crate) fn hash(id: TraceId) -> u64 {
    super::texts::hash(&id.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_runtime::{Budget, BudgetName};

    #[test]
    fn the_oldest_are_forgotten() {
        let budget = Budget::standalone(BudgetName::Correlate, 1 << 20);
        let mut recent = Recent::new(3, budget.reserve(0).unwrap());
        (1..=5).for_each(|n| recent.insert(TraceId([n; 16]), i64::from(n)));
        recent.insert(TraceId([4; 16]), 40);
        recent.insert(TraceId([5; 16]), 1);
        let floors: Vec<_> = (1..=5).map(|n| recent.floor_ns(TraceId([n; 16]))).collect();
        assert_eq!(floors, [None, None, Some(3), Some(40), Some(5)]);
    }
}
