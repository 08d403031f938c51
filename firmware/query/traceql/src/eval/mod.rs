//! From a trace to the sets of its spans that a query accepts.

mod expr;
pub mod field;
mod pipeline;
mod structure;
pub mod value;
pub mod view;

pub use expr::{accepts, compare, evaluate};
pub use pipeline::{Spanset, run};
