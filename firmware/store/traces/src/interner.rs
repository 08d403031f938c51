//! Byte strings kept once, by number.

use crate::bytes::grow;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// Distinct byte strings, numbered from 0 in the order of their first arrival.
#[derive(Default)]
pub(crate) struct Interner {
    arena: Vec<u8>,
    ends: Vec<u32>,
    table: HashTable<u32>,
}

fn hash(bytes: &[u8]) -> u64 {
    // A fixed seed: numbering does not depend on it, and flooding is bounded by the head's budget.
    FixedState::with_seed(0x6272_616d).hash_one(bytes)
}

fn slice<'a>(arena: &'a [u8], ends: &[u32], id: u32) -> &'a [u8] {
    let id = id as usize;
    let start = if id == 0 { 0 } else { ends.get(id - 1).copied().unwrap_or(0) };
    let end = ends.get(id).copied().unwrap_or(start);
    arena.get(start as usize..end as usize).unwrap_or(&[])
}

impl Interner {
    /// The number of `bytes`, if they are known.
    pub(crate) fn find(&self, bytes: &[u8]) -> Option<u32> {
        self.table.find(hash(bytes), |&id| slice(&self.arena, &self.ends, id) == bytes).copied()
    }

    /// The number of `bytes`, and whether it is new.
    pub(crate) fn intern(&mut self, bytes: &[u8]) -> (u32, bool) {
        let (arena, ends) = (&mut self.arena, &mut self.ends);
        let hashed = hash(bytes);
        if let Some(&id) = self.table.find(hashed, |&id| slice(arena, ends, id) == bytes) {
            return (id, false);
        }
        let id = ends.len() as u32;
        grow(arena, bytes.len());
        arena.extend_from_slice(bytes);
        grow(ends, 1);
        ends.push(arena.len() as u32);
        self.table.insert_unique(hashed, id, |&id| hash(slice(arena, ends, id)));
        (id, true)
    }

    /// The bytes of a number; empty when there is no such number.
    pub(crate) fn get(&self, id: u32) -> &[u8] {
        slice(&self.arena, &self.ends, id)
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// All strings in order.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.ends.len()).map(|id| self.get(id as u32))
    }

    /// Total length of all strings.
    pub(crate) fn text_bytes(&self) -> usize {
        self.arena.len()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.arena.capacity() + self.ends.capacity() * 4 + self.table.allocation_size()
    }

    /// Forgets all, keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.arena.clear();
        self.ends.clear();
        self.table.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_strings_share_a_number() {
        let mut interner = Interner::default();
        assert_eq!(interner.intern(b"a"), (0, true));
        assert_eq!(interner.intern(b""), (1, true));
        assert_eq!(interner.intern(b"bc"), (2, true));
        assert_eq!(interner.intern(b""), (1, false));
        assert_eq!(interner.iter().collect::<Vec<_>>(), [&b"a"[..], b"", b"bc"]);
        assert_eq!(interner.get(9), b"");
        for i in 0..1000u32 {
            interner.intern(&i.to_le_bytes());
        }
        assert_eq!(interner.intern(&7u32.to_le_bytes()), (10, false));
    }
}
