//! A set of small numbers: rows of a group, values of a column, strings of a list.

/// Numbers below a length fixed when made; those beyond are in no set.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct RowSet {
    words: Vec<u64>,
    len: usize,
}

impl RowSet {
    /// No number below `len`.
    pub(crate) fn none(len: usize) -> Self {
        RowSet { words: vec![0; len.div_ceil(64)], len }
    }

    /// Numbers below `len` that `test` accepts.
    pub(crate) fn accepted(len: usize, mut test: impl FnMut(usize) -> bool) -> Self {
        let word = |at: usize| {
            let (from, to) = (at * 64, (at * 64 + 64).min(len));
            (from..to).fold(0, |word, n| word | u64::from(test(n)) << (n - from))
        };
        RowSet { words: (0..len.div_ceil(64)).map(word).collect(), len }
    }

    pub(crate) fn insert(&mut self, n: usize) {
        if n < self.len
            && let Some(word) = self.words.get_mut(n / 64)
        {
            *word |= 1 << (n % 64);
        }
    }

    pub(crate) fn contains(&self, n: usize) -> bool {
        self.words.get(n / 64).is_some_and(|word| word & 1 << (n % 64) != 0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Adds all of `other`.
    pub(crate) fn add(&mut self, other: &RowSet) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, more)| *word |= more);
    }

    /// Takes away all of `other`.
    pub(crate) fn remove(&mut self, other: &RowSet) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, less)| *word &= !less);
    }

    /// The numbers, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        self.words.iter().enumerate().flat_map(|(at, &word)| {
            let next = |word: &u64| Some(word & word.wrapping_sub(1)).filter(|rest| *rest != 0);
            std::iter::successors(Some(word).filter(|word| *word != 0), next)
                .map(move |word| at * 64 + word.trailing_zeros() as usize)
        })
    }

    /// Those of its numbers that `test` accepts.
    pub(crate) fn filtered(&self, mut test: impl FnMut(usize) -> bool) -> RowSet {
        let mut out = RowSet::none(self.len);
        for (at, (&word, out)) in self.words.iter().zip(&mut out.words).enumerate() {
            let mut rest = word;
            while rest != 0 {
                let bit = rest.trailing_zeros() as usize;
                rest &= rest - 1;
                *out |= u64::from(test(at * 64 + bit)) << bit;
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_do_what_sets_do() {
        let threes = RowSet::accepted(130, |n| n % 3 == 0);
        assert_eq!(threes.iter().collect::<Vec<_>>(), (0..130).step_by(3).collect::<Vec<_>>());
        assert_eq!((threes.iter().count(), threes.contains(129), threes.contains(130)), (44, true, false));
        let sixes = threes.filtered(|n| n % 2 == 0);
        assert_eq!(sixes, RowSet::accepted(130, |n| n % 6 == 0));
        let mut odd = threes.clone();
        odd.remove(&sixes);
        assert_eq!(odd, RowSet::accepted(130, |n| n % 6 == 3));
        odd.add(&sixes);
        assert_eq!(odd, threes);
        let mut none = RowSet::none(130);
        assert!(none.is_empty() && RowSet::accepted(0, |_| true).is_empty());
        none.insert(129);
        none.insert(130);
        assert_eq!(none.iter().collect::<Vec<_>>(), [129]);
    }
}
