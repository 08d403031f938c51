//! What was decided of traces, for spans that come late.

use bramble_runtime::Reservation;
use bramble_signal::TraceId;
use std::collections::HashMap;

/// An entry with its share of the table's free places.
const ENTRY_BYTES: usize = 2 * size_of::<(TraceId, bool)>();

/// The newest decisions: between `most` and twice as many. Two generations; when the newer is full the older is
/// forgotten.
pub(super) struct Decisions {
    newer: HashMap<TraceId, bool>,
    older: HashMap<TraceId, bool>,
    most: usize,
    space: Reservation,
}

impl Decisions {
    /// Counted in `space`; where that finds no room, decisions are forgotten sooner.
    pub(super) fn new(most: usize, space: Reservation) -> Self {
        Decisions { newer: HashMap::new(), older: HashMap::new(), most: most.max(1), space }
    }

    /// Whether a trace is kept, if that was decided. Asking for it keeps it among the newer.
    pub(super) fn of(&mut self, trace_id: TraceId) -> Option<bool> {
        if let Some(kept) = self.newer.get(&trace_id) {
            return Some(*kept);
        }
        let kept = *self.older.get(&trace_id)?;
        self.remember(trace_id, kept);
        Some(kept)
    }

    pub(super) fn remember(&mut self, trace_id: TraceId, kept: bool) {
        let full = self.newer.len() >= self.most || self.space.grow(ENTRY_BYTES).is_err();
        if full {
            self.older = std::mem::take(&mut self.newer);
            // Room for the generation that stays and for this entry.
            self.space.force_resize((self.older.len() + 1) * ENTRY_BYTES);
        }
        if self.newer.insert(trace_id, kept).is_some() && !full {
            drop(self.space.split(ENTRY_BYTES));
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.newer.len() + self.older.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_runtime::{Budget, BudgetName};

    #[test]
    fn the_newest_are_remembered_within_bounds() {
        for bytes in [1 << 20, 150 * ENTRY_BYTES] {
            let budget = Budget::standalone(BudgetName::Receive, bytes);
            let mut decisions = Decisions::new(100, budget.reserve(0).unwrap());
            let id = |n: u32| TraceId(u128::from(n).to_be_bytes());
            decisions.remember(id(0), true);
            for n in 1..1000 {
                decisions.remember(id(n), n % 2 == 0);
                assert_eq!(decisions.of(id(0)), Some(true), "asked for again and again");
            }
            assert_eq!(
                (decisions.of(id(999)), decisions.of(id(950)), decisions.of(id(500))),
                (Some(false), Some(true), None)
            );
            assert!(decisions.len() <= 200 && budget.used_bytes() <= 201 * ENTRY_BYTES);
        }
    }
}
