//! Bytes of a page group, and columns of it that are decoded when they are first used.

use crate::block::Piece;
use std::cell::{Cell, OnceCell};
use std::ops::{Deref, Range};

/// A group's bytes, and whether a part of them turned out to be damaged when it was first used.
pub(crate) struct Stored {
    bytes: Bytes,
    damaged: Cell<bool>,
}

/// A part of a page, which it keeps alive, or bytes of its own.
enum Bytes {
    Piece(Piece),
    Own(Vec<u8>),
}

impl Stored {
    fn new(bytes: Bytes) -> Stored {
        Stored { bytes, damaged: Cell::new(false) }
    }

    /// Takes note of damage.
    pub(crate) fn note_damage(&self) {
        self.damaged.set(true);
    }

    /// Whether damage was found.
    pub(crate) fn is_damaged(&self) -> bool {
        self.damaged.get()
    }
}

impl From<Piece> for Stored {
    fn from(piece: Piece) -> Self {
        Stored::new(Bytes::Piece(piece))
    }
}

impl From<&[u8]> for Stored {
    fn from(bytes: &[u8]) -> Self {
        Stored::new(Bytes::Own(bytes.to_vec()))
    }
}

impl Deref for Stored {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Piece(piece) => piece.bytes(),
            Bytes::Own(bytes) => bytes,
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
        let take = || {
            let value = stored.get(self.at.clone()).and_then(|mut column| take(&mut column));
            if value.is_none() {
                stored.note_damage();
            }
            value
        };
        self.value.get_or_init(take).as_ref()
    }

    /// The column, if it was decoded.
    pub(crate) fn known(&self) -> Option<&T> {
        self.value.get().and_then(Option::as_ref)
    }
}
