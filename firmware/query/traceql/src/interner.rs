//! Numbers for values: one look-up for a value that was seen before, without memory of its own.

use std::collections::HashMap;

/// Numbers keys in order of arrival.
#[derive(Default)]
pub(crate) struct Interner {
    numbers: HashMap<Box<[u8]>, u32, foldhash::fast::RandomState>,
}

impl Interner {
    /// The number of a key that is known.
    pub(crate) fn find(&self, key: &[u8]) -> Option<usize> {
        self.numbers.get(key).map(|n| *n as usize)
    }

    /// Numbers a key that is not known yet; who calls bounds how many.
    pub(crate) fn insert(&mut self, key: &[u8]) -> usize {
        let next = self.numbers.len() as u32;
        *self.numbers.entry(key.into()).or_insert(next) as usize
    }

    /// How many are known.
    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }
}
