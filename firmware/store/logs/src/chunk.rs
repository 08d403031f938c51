//! Entries of one stream sorted by time, as they are found: rows of a head, or a page group of a block.

use crate::group::Group;
use crate::rows::Rows;

/// A run of a stream's entries.
pub(crate) enum Chunk {
    /// As they are.
    Rows(Rows),
    /// Column by column.
    Group(Box<Group>),
}

impl Chunk {
    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        match self {
            Chunk::Rows(rows) => rows.len(),
            Chunk::Group(group) => group.len(),
        }
    }

    /// Ascending timestamps; none when they are damaged.
    #[inline]
    pub(crate) fn timestamps_ns(&self) -> &[i64] {
        match self {
            Chunk::Rows(rows) => rows.timestamps_ns(),
            Chunk::Group(group) => group.timestamps_ns(),
        }
    }

    /// Appends line `at`.
    #[inline]
    pub(crate) fn put_line(&self, at: usize, out: &mut Vec<u8>) {
        match self {
            Chunk::Rows(rows) => out.extend_from_slice(rows.line(at)),
            Chunk::Group(group) => group.put_line(at, out),
        }
    }

    /// Length of line `at` in bytes.
    pub(crate) fn line_len(&self, at: usize) -> usize {
        match self {
            Chunk::Rows(rows) => rows.line(at).len(),
            Chunk::Group(group) => group.line_len(at),
        }
    }

    /// Appends the encoded metadata of entry `at`.
    #[inline]
    pub(crate) fn put_metadata(&self, at: usize, out: &mut Vec<u8>) {
        match self {
            Chunk::Rows(rows) => out.extend_from_slice(rows.metadata(at)),
            Chunk::Group(group) => group.put_metadata(at, out),
        }
    }

    /// Whether something turned out to be damaged when it was first used.
    pub(crate) fn is_damaged(&self) -> bool {
        match self {
            Chunk::Rows(_) => false,
            Chunk::Group(group) => group.is_damaged(),
        }
    }

    /// Memory held so far, about, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            Chunk::Rows(rows) => rows.memory_bytes(),
            Chunk::Group(group) => group.memory_bytes(),
        }
    }
}
