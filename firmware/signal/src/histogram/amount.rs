//! What arithmetic adds up: a plain number, or one that carries along what rounding lost.

/// A count being summed.
pub(super) trait Amount: Copy {
    /// Whether [`Amount::lost`] says anything.
    const COMPENSATED: bool;

    fn of(sum: f64, lost: f64) -> Self;
    fn sum(self) -> f64;
    fn lost(self) -> f64;
    fn plus(self, more: Self) -> Self;

    fn is_zero(self) -> bool {
        self.sum() == 0.0 && self.lost() == 0.0
    }

    fn negated(self) -> Self {
        Self::of(-self.sum(), -self.lost())
    }
}

impl Amount for f64 {
    const COMPENSATED: bool = false;

    fn of(sum: f64, _: f64) -> Self {
        sum
    }

    fn sum(self) -> f64 {
        self
    }

    fn lost(self) -> f64 {
        0.0
    }

    fn plus(self, more: Self) -> Self {
        self + more
    }
}

/// Kahan's sum in Neumaier's form.
#[derive(Clone, Copy, Debug)]
pub(super) struct Compensated {
    sum: f64,
    lost: f64,
}

impl Compensated {
    fn plus_number(self, term: f64) -> Self {
        let sum = self.sum + term;
        let lost = if sum.is_infinite() {
            0.0
        } else if self.sum.abs() >= term.abs() {
            self.lost + ((self.sum - sum) + term)
        } else {
            self.lost + ((term - sum) + self.sum)
        };
        Self { sum, lost }
    }
}

impl Amount for Compensated {
    const COMPENSATED: bool = true;

    fn of(sum: f64, lost: f64) -> Self {
        Self { sum, lost }
    }

    fn sum(self) -> f64 {
        self.sum
    }

    fn lost(self) -> f64 {
        self.lost
    }

    fn plus(self, more: Self) -> Self {
        let next = self.plus_number(more.sum);
        if more.lost == 0.0 { next } else { next.plus_number(more.lost) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_terms_survive_a_large_one() {
        let terms = [5.3, 1e100, 1.0, -1e100, 2.0];
        let plain = terms.iter().fold(0.0, |a: f64, t| a.plus(*t));
        let kept = terms.iter().fold(Compensated::of(0.0, 0.0), |a, t| a.plus(Compensated::of(*t, 0.0)));
        assert_eq!(plain, 2.0);
        assert_eq!(kept.sum() + kept.lost(), 8.3);
    }
}
