//! LogQL's text and its tree.

mod lexer;
mod numbers;
mod parser;
mod print;
mod sample_parser;
mod stage_parser;
mod token;
mod tree;

pub use numbers::{duration_text, parse_bytes, parse_duration};
pub use parser::{parse, parse_log, parse_selector};
pub use print::{quote, value_text};
pub use tree::*;

/// Why a text is not LogQL, in Loki's words.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(pub String);

impl ParseError {
    /// An error at a byte of `text`.
    pub(crate) fn at(text: &str, offset: usize, message: impl std::fmt::Display) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
        ParseError(format!("parse error at line {line}, col {column}: {message}"))
    }

    /// An error of meaning, without a place.
    pub(crate) fn plain(message: impl std::fmt::Display) -> Self {
        ParseError(format!("parse error : {message}"))
    }
}
