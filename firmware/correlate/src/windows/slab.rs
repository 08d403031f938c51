//! Small records by number, in pieces that never move: a list that grows needs no copy, and no second copy's memory.

use bramble_runtime::Reservation;
use std::ops::{Index, IndexMut};

/// No record.
pub(crate) const NIL: u32 = u32::MAX;

/// Records of a piece.
const PIECE: usize = 512;

/// A record with the number of another one: the next of its list, while it is in use and while it is not.
pub(crate) trait Linked: Copy + Default {
    fn next(&self) -> u32;
    fn set_next(&mut self, next: u32);
}

/// Records by number.
pub(crate) struct Slab<T> {
    pieces: Vec<Box<[T]>>,
    /// First of those that are free.
    free: u32,
    used: usize,
    most: usize,
    space: Reservation,
}

impl<T: Linked> Slab<T> {
    /// Of at most so many records, counted in `space`.
    pub(crate) fn new(most: usize, space: Reservation) -> Self {
        Slab { pieces: Vec::new(), free: NIL, used: 0, most, space }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.used
    }

    /// Whether it is nearly full.
    pub(crate) fn is_crowded(&self) -> bool {
        self.used > self.most - self.most / 8
    }

    /// Whether another record finds room; gets memory for it if need be.
    pub(crate) fn has_room(&mut self) -> bool {
        self.used < self.most && (self.free != NIL || self.grow())
    }

    /// The number of a new record; `None` when there is no room.
    pub(crate) fn add(&mut self, record: T) -> Option<u32> {
        if !self.has_room() {
            return None;
        }
        let at = self.free;
        let place = &mut self[at];
        let next = place.next();
        *place = record;
        self.free = next;
        self.used += 1;
        Some(at)
    }

    fn grow(&mut self) -> bool {
        if self.space.grow(PIECE * size_of::<T>()).is_err() {
            return false;
        }
        let first = (self.pieces.len() * PIECE) as u32;
        let mut piece = vec![T::default(); PIECE].into_boxed_slice();
        for (at, record) in (first + 1..).zip(piece.iter_mut()) {
            record.set_next(at);
        }
        if let Some(last) = piece.last_mut() {
            last.set_next(self.free);
        }
        self.pieces.push(piece);
        self.free = first;
        true
    }

    /// Forgets a record that is in use.
    pub(crate) fn remove(&mut self, at: u32) {
        let free = self.free;
        let mut gone = T::default();
        gone.set_next(free);
        self[at] = gone;
        self.free = at;
        self.used -= 1;
    }

    /// Numbers from 0 to below this one have been in use.
    pub(crate) fn end(&self) -> u32 {
        (self.pieces.len() * PIECE) as u32
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;

    fn index(&self, at: u32) -> &T {
        &self.pieces[at as usize / PIECE][at as usize % PIECE]
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, at: u32) -> &mut T {
        &mut self.pieces[at as usize / PIECE][at as usize % PIECE]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_runtime::{Budget, BudgetName};

    #[derive(Clone, Copy, Default)]
    struct Record(u32, u32);

    impl Linked for Record {
        fn next(&self) -> u32 {
            self.1
        }

        fn set_next(&mut self, next: u32) {
            self.1 = next;
        }
    }

    #[test]
    fn places_are_used_again_and_both_limits_hold() {
        let budget = Budget::standalone(BudgetName::Correlate, 2 * PIECE * size_of::<Record>());
        let mut slab = Slab::new(700, budget.reserve(0).unwrap());
        let numbers: Vec<u32> = (0..700).map(|n| slab.add(Record(n, NIL)).unwrap()).collect();
        assert!(slab.add(Record(0, NIL)).is_none() && slab.is_crowded());
        assert!(numbers.iter().zip(0..).all(|(&at, n)| slab[at].0 == n));
        slab.remove(numbers[5]);
        assert_eq!(slab.add(Record(9, NIL)), Some(numbers[5]));
        assert_eq!(budget.used_bytes(), 2 * PIECE * size_of::<Record>());
        let mut poor = Slab::<Record>::new(700, budget.reserve(0).unwrap());
        assert!(poor.add(Record(0, NIL)).is_none(), "no budget is left");
    }
}
