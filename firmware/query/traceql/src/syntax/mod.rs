//! From text to tree: words, grammar, types.

pub mod ast;
mod check;
mod fields;
mod parse;
mod token;

pub use parse::{parse, parse_field};
pub use token::duration_ns;

/// What is wrong with a query, in Tempo's form: `parse error at line 1, col 3: …`, or a sentence about types.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(pub String);

impl ParseError {
    fn at(column: usize, what: impl std::fmt::Display) -> Self {
        ParseError(format!("parse error at line 1, col {column}: {what}"))
    }
}

/// A parsed and checked query.
#[derive(Clone, Debug)]
pub struct Query {
    /// The steps; the first is a spanset.
    pub stages: Vec<ast::Stage>,
    /// The measuring end, if there is one.
    pub metrics: Option<ast::Metrics>,
}
