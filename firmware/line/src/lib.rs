//! Log-line parsers: what a line says of itself.
//!
//! One module per form of line, each a function of the text alone: no clock, no allocation but where an escape must be
//! resolved, no opinion on what becomes of a value. Values are handed out as parts of the line. They are as forgiving as
//! Loki's: what stands before the place where a text breaks off is given, and then the complaint.
//!
//! Shared by LogQL's stages, the receivers' parsing and whoever looks for ids in lines.

pub mod decolorize;
pub mod ids;
pub mod json;
pub mod logfmt;
pub mod name;
pub mod pattern;
pub mod regexp;
pub mod unpack;
