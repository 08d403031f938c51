//! PromQL's text: lexer, tree, parser, type check, printer.
//!
//! Errors carry Prometheus' wording and a byte range of the query; [`ParseError::message`] begins with
//! `line:column: parse error:` as Prometheus' API shows it.

mod calls;
mod check;
mod duration;
mod error;
mod extract;
mod functions;
mod level;
mod lexer;
mod literals;
mod numbers;
mod parser;
mod printer;
mod selectors;
mod token;
mod tree;

pub use duration::DurationExpr;
pub use error::{ParseError, Span, position_text};
pub use extract::selectors;
pub use functions::{Function, Variadic, find as find_function};
pub use numbers::{format_duration, format_value};
pub use parser::{parse, parse_selector};
pub use printer::{format_query, print};
pub use tree::{
    AggregateOp, AtModifier, BinaryOp, Cardinality, Expr, ExprKind, Extension, Fill, Matching, Selector, ValueType,
};

pub(crate) use level::{Level, check_level};
pub(crate) use numbers::{format_g, go_quote, raw_byte};
