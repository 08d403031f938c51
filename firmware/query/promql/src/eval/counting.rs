//! Counts the samples that a query looks at, as Prometheus' query statistics do.

use super::engine::SampleStats;
use super::rows::Grid;
use std::cell::{Cell, RefCell};

/// Counts of one query.
///
/// What a subquery looks at is counted for the last step, and what is the same at every step for each of them.
#[derive(Default)]
pub(crate) struct Counting {
    total: Cell<u64>,
    per_step: RefCell<Vec<u64>>,
    /// Counts of the subqueries and invariant parts that are being evaluated: their steps are not the query's.
    inside: RefCell<Vec<u64>>,
}

impl Counting {
    /// Counts samples looked at: steps with their numbers.
    pub(crate) fn add_each(&self, counts: impl IntoIterator<Item = (usize, usize)>) {
        if let Some(inside) = self.inside.borrow_mut().last_mut() {
            *inside += counts.into_iter().map(|(_, n)| n as u64).sum::<u64>();
            return;
        }
        let (mut steps, mut total) = (self.per_step.borrow_mut(), 0);
        for (i, n) in counts {
            if i >= steps.len() {
                steps.resize(i + 1, 0);
            }
            if let Some(step) = steps.get_mut(i) {
                *step += n as u64;
            }
            total += n as u64;
        }
        self.total.set(self.total.get() + total);
    }

    /// Runs a part of the query whose steps are its own: what it counts goes to all of `steps`, which has one element
    /// for a subquery (its outer query's last step).
    pub(crate) fn apart<T>(&self, steps: std::ops::Range<usize>, run: impl FnOnce() -> T) -> T {
        self.inside.borrow_mut().push(0);
        let result = run();
        let inside = self.inside.borrow_mut().pop().unwrap_or(0);
        self.add_each(steps.map(|i| (i, inside as usize)));
        result
    }

    /// Runs, inside [`apart`](Self::apart), what belongs to the steps outside.
    pub(crate) fn outside<T>(&self, run: impl FnOnce() -> T) -> T {
        let inside = self.inside.borrow_mut().pop();
        let result = run();
        self.inside.borrow_mut().extend(inside);
        result
    }

    /// The counts over the query's steps.
    pub(crate) fn finish(&self, grid: Grid, peak: u64) -> SampleStats {
        let steps = self.per_step.borrow();
        let of = |(i, time_ms)| (time_ms, steps.get(i).copied().unwrap_or(0));
        let queryable_per_step = grid.times().enumerate().map(of).collect();
        SampleStats { total_queryable: self.total.get(), peak, queryable_per_step }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_with_steps_of_their_own_count_once_per_step_given() {
        let counting = Counting::default();
        counting.add_each([(0, 2)]);
        counting.apart(0..3, || counting.add_each([(7, 5)]));
        counting.apart(2..3, || {
            counting.apart(0..2, || counting.add_each([(0, 1)]));
            counting.outside(|| counting.add_each([(1, 4)]));
        });
        let stats = counting.finish(Grid::between(0, 20, 10), 9);
        assert_eq!(stats.queryable_per_step, [(0, 7), (10, 9), (20, 7)]);
        assert_eq!((stats.total_queryable, stats.peak), (23, 9));
    }
}
