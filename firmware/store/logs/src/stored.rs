//! Bytes of a page group, and columns of it that are decoded when they are first used.

use crate::block::Piece;
use std::cell::OnceCell;
use std::ops::{Deref, Range};

/// A group's bytes: a part of a page, which it keeps alive, or its own.
pub(crate) enum Stored {
    /// Of a block.
    Piece(Piece),
    /// Read elsewhere.
    Own(Vec<u8>),
}

impl From<Piece> for Stored {
    fn from(piece: Piece) -> Self {
        Stored::Piece(piece)
    }
}

impl From<&[u8]> for Stored {
    fn from(bytes: &[u8]) -> Self {
        Stored::Own(bytes.to_vec())
    }
}

impl Deref for Stored {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Stored::Piece(piece) => piece.bytes(),
            Stored::Own(bytes) => bytes,
        }
    }
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

/// A column at a place in a group's bytes.
#[derive(Debug)]
pub(crate) struct Lazy<T> {
    at: Range<usize>,
    /// `None`: damaged.
    value: OnceCell<Option<T>>,
}

impl<T> Lazy<T> {
    /// The column at `at`, not decoded.
    pub(crate) fn new(at: Range<usize>) -> Self {
        Lazy { at, value: OnceCell::new() }
    }

    /// The column, decoded by `take` if this is the first time; `None` when it is damaged.
    #[inline]
    pub(crate) fn get(&self, stored: &Stored, take: impl FnOnce(&mut &[u8]) -> Option<T>) -> Option<&T> {
        let value = self.value.get_or_init(|| take(&mut stored.get(self.at.clone())?));
        value.as_ref()
    }

    /// The column, if it was decoded.
    pub(crate) fn known(&self) -> Option<&T> {
        self.value.get().and_then(Option::as_ref)
    }

    /// Whether it was to be decoded and could not be.
    pub(crate) fn is_damaged(&self) -> bool {
        matches!(self.value.get(), Some(None))
    }
}
