//! Rows are put together by some of their labels: each set of these gets a number.

use bramble_signal::Labels;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::{BuildHasher, Hasher};

/// Numbers of label sets, in order of appearance.
#[derive(Default)]
pub(crate) struct Groups {
    places: HashTable<u32>,
    keys: Vec<Labels>,
    hasher: RandomState,
}

impl Groups {
    /// The number of the group that the pairs (ascending by name) belong to. Allocates for the first of a group only.
    pub(crate) fn place<'l>(&mut self, pairs: impl Iterator<Item = (&'l str, &'l str)> + Clone) -> usize {
        let hash = self.hash(pairs.clone());
        let same = |at: &u32| self.keys.get(*at as usize).is_some_and(|key| has_pairs(key, pairs.clone()));
        if let Some(at) = self.places.find(hash, same) {
            return *at as usize;
        }
        let at = self.keys.len();
        self.keys.push(Labels::from_pairs(pairs));
        let (keys, hasher) = (&self.keys, &self.hasher);
        let rehash = |at: &u32| keys.get(*at as usize).map_or(0, |key| hash_with(hasher, key.iter()));
        self.places.insert_unique(hash, at as u32, rehash);
        at
    }

    /// The number of the group that the pairs belong to, if there is one.
    pub(crate) fn find<'l>(&self, pairs: impl Iterator<Item = (&'l str, &'l str)> + Clone) -> Option<usize> {
        let same = |at: &u32| self.keys.get(*at as usize).is_some_and(|key| has_pairs(key, pairs.clone()));
        self.places.find(self.hash(pairs.clone()), same).map(|at| *at as usize)
    }

    fn hash<'l>(&self, pairs: impl Iterator<Item = (&'l str, &'l str)>) -> u64 {
        hash_with(&self.hasher, pairs)
    }

    /// The label sets, in the order of their numbers.
    pub(crate) fn into_keys(self) -> Vec<Labels> {
        self.keys
    }
}

fn has_pairs<'l>(key: &Labels, pairs: impl Iterator<Item = (&'l str, &'l str)>) -> bool {
    let mut own = key.iter();
    for (name, value) in pairs {
        match own.next() {
            Some((n, v)) if n == name && v == value => {}
            _ => return false,
        }
    }
    own.next().is_none()
}

fn hash_with<'l>(hasher: &RandomState, pairs: impl Iterator<Item = (&'l str, &'l str)>) -> u64 {
    let mut state = hasher.build_hasher();
    for (name, value) in pairs {
        state.write(name.as_bytes());
        state.write_u8(0xff);
        state.write(value.as_bytes());
        state.write_u8(0xfe);
    }
    state.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_pairs_share_a_number() {
        let mut groups = Groups::default();
        for i in 0..100 {
            let value = (i % 10).to_string();
            let labels = Labels::from_pairs([("a", value.as_str()), ("b", "x")]);
            assert_eq!(groups.place(labels.iter()), i % 10);
        }
        assert_eq!(groups.find([("a", "3"), ("b", "x")].into_iter()), Some(3));
        assert_eq!(groups.find([("a", "3b"), ("", "x")].into_iter()), None);
        assert_eq!(groups.into_keys().len(), 10);
    }
}
