//! The line column of a page group.
//!
//! ```text
//! lines    := 0 lines as strings                                        text
//!           | 1 varint t, t template ids as integers, per line: which of the t plus one, 0 = text, as integers,
//!               varint length, text lines as strings, own columns, shared columns       templates
//! own      := for each template with OWN_FROM lines or more, for each slot: varint length, one column by its kind
//! shared   := bits "as first seen" of all other slots as bytes, then one column per kind of what is left:
//!             numbers, hexadecimal, words, UUIDs, times
//! numbers  := values as integers, 0 (shortest form) | 1 width | 2 leading zeros as integers
//! ```
//! Slots are visited template by template, slot by slot, line by line, so that what is alike stands together.

mod decode;
mod encode;
mod own;

pub(crate) use decode::{From as LinesFrom, Lines};
pub(crate) use encode::{LineBytes, LineEncoder};
pub(crate) use own::Own;

const TEXT: u8 = 0;
const TEMPLATES: u8 = 1;
/// Templates with at least this many lines in a group have columns of their own. Part of the format.
const OWN_FROM: usize = 24;
