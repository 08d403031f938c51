//! Equal entries are one entry.

use crate::filter::local_hash;
use crate::rows::Rows;
use hashbrown::HashTable;

/// Entries of one stream and timestamp that were given out.
#[derive(Default)]
pub(crate) struct Seen {
    rows: Rows,
    table: HashTable<u32>,
}

impl Seen {
    /// Forgets all and keeps memory.
    pub(crate) fn clear(&mut self) {
        if !self.rows.is_empty() {
            self.rows.clear();
            self.table.clear();
        }
    }

    /// Whether nothing was added.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds an entry; `false` when it was there.
    pub(crate) fn add(&mut self, line: &[u8], metadata: &[u8]) -> bool {
        let rows = &self.rows;
        let hash = |line: &[u8], metadata: &[u8]| local_hash(line, 3) ^ local_hash(metadata, 5).rotate_left(1);
        let same = |&at: &u32| rows.line(at as usize) == line && rows.metadata(at as usize) == metadata;
        if self.table.find(hash(line, metadata), same).is_some() {
            return false;
        }
        let at = rows.len() as u32;
        self.rows.push(0, line, metadata);
        let rows = &self.rows;
        self.table
            .insert_unique(hash(line, metadata), at, |&at| hash(rows.line(at as usize), rows.metadata(at as usize)));
        true
    }

    /// Memory held, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.rows.memory_bytes() + self.table.capacity() * 5
    }
}
