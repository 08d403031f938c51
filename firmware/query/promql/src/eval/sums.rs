//! Compensated sums and means.

/// A sum that carries what rounding lost (Kahan's method in Neumaier's form).
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Compensated {
    sum: f64,
    lost: f64,
}

impl Compensated {
    pub(crate) fn add(&mut self, term: f64) {
        let total = self.sum + term;
        if total.is_infinite() {
            self.lost = 0.0;
        } else if self.sum.abs() >= term.abs() {
            self.lost += (self.sum - total) + term;
        } else {
            self.lost += (term - total) + self.sum;
        }
        self.sum = total;
    }

    pub(crate) fn total(self) -> f64 {
        if self.sum.is_infinite() { self.sum } else { self.sum + self.lost }
    }
}

/// A mean that divides a sum, and goes over to an incremental form when the sum would overflow.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Mean {
    count: f64,
    value: Compensated,
    incremental: bool,
}

impl Mean {
    pub(crate) fn add(&mut self, term: f64) {
        self.count += 1.0;
        if self.count == 1.0 {
            self.value.sum = term;
            return;
        }
        if !self.incremental {
            let mut next = self.value;
            next.add(term);
            if !next.sum.is_infinite() {
                self.value = next;
                return;
            }
            self.incremental = true;
            let before = self.count - 1.0;
            self.value = Compensated { sum: self.value.sum / before, lost: self.value.lost / before };
        }
        let share = (self.count - 1.0) / self.count;
        self.value = Compensated { sum: self.value.sum * share, lost: self.value.lost * share };
        self.value.add(term / self.count);
    }

    pub(crate) fn total(self) -> f64 {
        match self.incremental {
            true => self.value.sum + self.value.lost,
            false => self.value.sum / self.count + self.value.lost / self.count,
        }
    }
}

/// Mean and sum of squared distances from it, in one pass (Welford's method, compensated).
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Spread {
    count: f64,
    mean: Compensated,
    squares: Compensated,
}

impl Spread {
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        let before = value - (self.mean.sum + self.mean.lost);
        self.mean.add(before / self.count);
        let after = value - (self.mean.sum + self.mean.lost);
        self.squares.add(before * after);
    }

    pub(crate) fn variance(self) -> f64 {
        (self.squares.sum + self.squares.lost) / self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_terms_survive_large_ones() {
        let mut sum = Compensated::default();
        [1e100, 1.0, -1e100].into_iter().for_each(|v| sum.add(v));
        assert_eq!(sum.total(), 1.0);
    }

    #[test]
    fn a_mean_does_not_overflow() {
        let mut mean = Mean::default();
        [f64::MAX, f64::MAX, f64::MAX].into_iter().for_each(|v| mean.add(v));
        assert!((mean.total() / f64::MAX - 1.0).abs() < 1e-15);
    }

    #[test]
    fn variance_of_a_pair() {
        let mut spread = Spread::default();
        [1.0, 3.0].into_iter().for_each(|v| spread.add(v));
        assert_eq!(spread.variance(), 1.0);
    }
}
