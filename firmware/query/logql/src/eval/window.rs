//! Amounts within sliding windows, without keeping what makes them up.

use super::sample::Grid;
use bramble_runtime::OverBudget;
use bramble_storage::QueryContext;

/// Tells which steps' windows have a timestamp: as lines of one time mostly have the same answer, it is kept with the
/// times between which it holds.
pub(crate) struct Locator<'g> {
    grid: &'g Grid,
    range_ns: i64,
    /// Times, both ends inclusive, for which `steps` holds.
    valid: (i64, i64),
    steps: Option<(u32, u32)>,
}

fn clamped(value: i128) -> i64 {
    value.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}

impl<'g> Locator<'g> {
    pub(crate) fn new(grid: &'g Grid, range_ns: i64) -> Self {
        Locator { grid, range_ns, valid: (1, 0), steps: None }
    }

    /// First and last step whose window has `timestamp`.
    pub(crate) fn steps(&mut self, timestamp_ns: i64) -> Option<(u32, u32)> {
        if timestamp_ns < self.valid.0 || timestamp_ns > self.valid.1 {
            self.find(timestamp_ns);
        }
        self.steps
    }

    fn find(&mut self, timestamp_ns: i64) {
        self.steps = self.grid.steps(timestamp_ns, self.range_ns);
        let (start, step) = (i128::from(self.grid.start_ns), i128::from(self.grid.step_ns));
        let since = i128::from(timestamp_ns) - start;
        // The first step changes behind a step's time, the last one where a window begins.
        let first = (since + step - 1).div_euclid(step);
        let reach = i128::from(self.range_ns) - 1;
        let last = (since + reach).div_euclid(step);
        let from = ((first - 1) * step + 1).max(last * step - reach);
        let to = (first * step).min((last + 1) * step - reach - 1);
        self.valid = (clamped(start + from), clamped(start + to));
    }
}

/// Changes of an amount along the grid: few of them as a list, many as one number per step.
pub(crate) enum Amounts {
    Few(Vec<(u32, i64)>),
    Dense(Vec<i64>),
}

impl Default for Amounts {
    fn default() -> Self {
        Amounts::Few(Vec::new())
    }
}

/// Changes from which on the list would not be smaller than one number per step.
fn few(count: usize) -> usize {
    (count / 2).max(2)
}

impl Amounts {
    /// Adds `amount` to the steps `first..=last` of a grid of `count`.
    ///
    /// # Errors
    /// [`OverBudget`] when there is no memory to note it.
    #[inline]
    pub(crate) fn add(
        &mut self,
        (first, last): (u32, u32),
        amount: i64,
        count: usize,
        context: &QueryContext,
    ) -> Result<(), OverBudget> {
        match self {
            Amounts::Dense(changes) => {
                if let Some(change) = changes.get_mut(first as usize) {
                    *change += amount;
                }
                if let Some(change) = changes.get_mut(last as usize + 1) {
                    *change -= amount;
                }
                Ok(())
            }
            Amounts::Few(list) => {
                // Entries of one time come together.
                if let [.., (s, a), (t, b)] = list.as_mut_slice()
                    && *s == first
                    && *t == last + 1
                {
                    *a += amount;
                    *b -= amount;
                    return Ok(());
                }
                if list.len() + 2 > few(count) {
                    self.densify(count, context)?;
                    return self.add((first, last), amount, count, context);
                }
                if list.len() + 2 > list.capacity() {
                    let more = list.capacity().max(4);
                    context.reserve(more * size_of::<(u32, i64)>())?;
                    list.reserve_exact(more);
                }
                list.extend([(first, amount), (last + 1, -amount)]);
                Ok(())
            }
        }
    }

    fn densify(&mut self, count: usize, context: &QueryContext) -> Result<(), OverBudget> {
        context.reserve((count + 1) * size_of::<i64>())?;
        let mut changes = vec![0; count + 1];
        if let Amounts::Few(list) = self {
            for (step, change) in list.iter() {
                if let Some(place) = changes.get_mut(*step as usize) {
                    *place += change;
                }
            }
            context.release(list.capacity() * size_of::<(u32, i64)>());
        }
        *self = Amounts::Dense(changes);
        Ok(())
    }

    /// Calls `each(step, amount)`, ascending, for the steps of a grid of `count` at which there is any.
    pub(crate) fn each(self, count: usize, mut each: impl FnMut(u32, i64)) {
        let mut sum = 0;
        match self {
            Amounts::Dense(changes) => {
                for (step, change) in changes.iter().take(count).enumerate() {
                    sum += change;
                    if sum > 0 {
                        each(step as u32, sum);
                    }
                }
            }
            Amounts::Few(mut list) => {
                list.sort_unstable_by_key(|c| c.0);
                let mut changes = list.into_iter().peekable();
                while let Some((step, change)) = changes.next() {
                    sum += change;
                    let next = changes.peek().map_or(count as u32, |c| c.0).min(count as u32);
                    if sum > 0 {
                        (step..next).for_each(|step| each(step, sum));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locator_agrees_with_the_grid() {
        for (start_ns, step_ns, count, range_ns) in
            [(0, 10, 5, 25), (7, 3, 4, 3), (-20, 5, 9, 1), (100, 1, 1, 50), (0, 15, 3, 4)]
        {
            let grid = Grid { start_ns, step_ns, count };
            let mut locator = Locator::new(&grid, range_ns);
            for t in (-80..150).chain((-80..150).rev()) {
                assert_eq!(locator.steps(t), grid.steps(t, range_ns), "{grid:?} {range_ns} at {t}");
            }
        }
    }

    #[test]
    fn few_and_many_changes_give_the_same() {
        let context = QueryContext::unlimited();
        for adds in [1usize, 3, 10, 200] {
            let count = 20;
            let (mut amounts, mut plain) = (Amounts::default(), [0i64; 20]);
            for i in 0..adds {
                let (first, amount) = ((i * 7 % 20) as u32, i as i64 + 1);
                let last = (first + (i % 5) as u32).min(19);
                amounts.add((first, last), amount, count, &context).unwrap();
                plain[first as usize..=last as usize].iter_mut().for_each(|p| *p += amount);
            }
            let mut got = [0i64; 20];
            amounts.each(count, |step, amount| got[step as usize] = amount);
            assert_eq!(got, plain);
        }
    }
}
