//! Reading Thrift: the binary protocol, strict and old, and the compact one.
//!
//! A [`Reader`] walks a message without copying: structs are read field by field, with the kind that was sent, and
//! whatever is not wanted is skipped. It promises:
//!
//! * no length or count is believed beyond the bytes that are left, so nothing is allocated or looped over for a
//!   number that somebody only claims;
//! * skipping follows at most [`DEPTH_MAX`] levels, far above what any of our messages has;
//! * an error names the byte.
//!
//! Source: Apache Thrift, `doc/specs/thrift-binary-protocol.md` and `thrift-compact-protocol.md`.

mod message;
mod reader;

pub use message::{Message, MessageKind};
pub use reader::{Field, Reader};

/// Deepest nesting of structs, lists and maps that is skipped.
pub const DEPTH_MAX: usize = 32;

/// How a message is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// Fixed widths, big-endian.
    Binary,
    /// Variable-length numbers.
    Compact,
}

/// What kind of value a field or an element is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A truth value.
    Bool,
    /// A byte.
    I8,
    /// 16 bits, signed.
    I16,
    /// 32 bits, signed; also an enum.
    I32,
    /// 64 bits, signed.
    I64,
    /// A double.
    Double,
    /// Text or bytes.
    Bytes,
    /// A struct.
    Struct,
    /// A map.
    Map,
    /// A set; written as a list is.
    Set,
    /// A list.
    List,
    /// 16 bytes.
    Uuid,
}

impl Kind {
    /// Of the binary protocol's type number.
    pub(crate) fn of_binary(number: u8) -> Option<Kind> {
        Some(match number {
            2 => Kind::Bool,
            3 => Kind::I8,
            4 => Kind::Double,
            6 => Kind::I16,
            8 => Kind::I32,
            10 => Kind::I64,
            11 => Kind::Bytes,
            12 => Kind::Struct,
            13 => Kind::Map,
            14 => Kind::Set,
            15 => Kind::List,
            16 => Kind::Uuid,
            _ => return None,
        })
    }

    /// Of the compact protocol's type number; truth values have two.
    pub(crate) fn of_compact(number: u8) -> Option<Kind> {
        Some(match number {
            1 | 2 => Kind::Bool,
            3 => Kind::I8,
            4 => Kind::I16,
            5 => Kind::I32,
            6 => Kind::I64,
            7 => Kind::Double,
            8 => Kind::Bytes,
            9 => Kind::List,
            10 => Kind::Set,
            11 => Kind::Map,
            12 => Kind::Struct,
            13 => Kind::Uuid,
            _ => return None,
        })
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
