//! From text to tree: words, grammar, types.

pub mod ast;
mod check;
mod exprs;
mod field;
mod measures;
mod parse;
mod print;
mod stored;
mod token;

pub use parse::{parse, parse_field};
pub use token::duration_ns;

/// What is wrong with a query, in Tempo's words: `parse error at line 1, col 3: …`, or a sentence about types or limits.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{text}")]
pub struct ParseError {
    /// What is wrong, and what was expected.
    pub text: String,
    /// Where, from 1. Of what is wrong with types: the operator.
    pub line: usize,
    /// Where, in characters from 1.
    pub column: usize,
}

/// A place in a query: line and column in characters, both from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    line: usize,
    column: usize,
}

impl Place {
    const START: Place = Place { line: 1, column: 1 };

    /// An error of syntax, with the place in its text.
    fn syntax(self, what: impl std::fmt::Display) -> ParseError {
        self.says(format!("parse error at line {}, col {}: {what}", self.line, self.column))
    }

    /// An error whose text stands by itself.
    fn says(self, text: impl Into<String>) -> ParseError {
        ParseError { text: text.into(), line: self.line, column: self.column }
    }
}

/// A parsed and checked query. Prints as a query that reads back as this one.
#[derive(Clone, Debug)]
pub struct Query {
    /// The steps; the first is a spanset.
    pub stages: Vec<ast::Stage>,
    /// The measuring end, if there is one.
    pub metrics: Option<ast::Metrics>,
    /// `with (name=value, …)`, as written. Names that mean nothing here are kept and do nothing.
    pub hints: Vec<(String, ast::Literal)>,
}

impl Query {
    fn hint(&self, name: &str) -> Option<&ast::Literal> {
        self.hints.iter().find(|(n, _)| n == name).map(|(_, value)| value)
    }

    /// `with (most_recent=true)`: the newest traces are wanted, however long that takes.
    pub fn most_recent(&self) -> bool {
        self.hint("most_recent") == Some(&ast::Literal::Bool(true))
    }

    /// `with (exemplars=true)` or `with (exemplars=20)`: how many are wanted; `None` when it does not say, `usize::MAX`
    /// when it does not say how many.
    pub fn exemplars(&self) -> Option<usize> {
        match self.hint("exemplars")? {
            ast::Literal::Bool(true) => Some(usize::MAX),
            ast::Literal::Bool(false) => Some(0),
            ast::Literal::Int(n) => Some(usize::try_from(*n).unwrap_or(0)),
            _ => None,
        }
    }

    /// Whether it is `{ }`: every span.
    pub fn is_everything(&self) -> bool {
        self.metrics.is_none()
            && matches!(self.stages.as_slice(), [ast::Stage::Spanset(ast::SpansetExpr::Filter(None))])
    }
}
